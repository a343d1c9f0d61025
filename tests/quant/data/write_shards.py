"""Writes one file of each kind with NumPy and PyTorch, as users do.

usage: write_shards.py DIRECTORY
"""
import os
import sys

import numpy as np
import torch


def main():
    def path(name):
        return os.path.join(sys.argv[1], name)

    # Samples 0 ... 119, labels 4 ... 0.
    x = np.arange(120, dtype=np.float32).reshape(5, 2, 3, 4)
    y = np.arange(4, -1, -1)
    tensor, labels = torch.tensor(x), torch.tensor(y)

    np.save(path("good_f4.npy"), x)
    np.save(path("good_f8.npy"), x.astype(np.float64))
    np.save(path("good_u1.npy"), x.astype(np.uint8))
    np.savez(path("good_labelled.npz"), x=x, y=y)
    np.savez_compressed(path("good_labelled_deflated.npz"), images=x,
                        labels=y.astype(np.uint8))
    torch.save(tensor, path("good_tensor.pt"))
    torch.save(tensor.to(torch.uint8), path("good_bytes.pt"))
    torch.save(tensor.double(), path("good_double.pt"))
    torch.save((tensor, labels), path("good_labelled_tuple.pt"))
    torch.save([tensor, labels.int()], path("good_labelled_list.pt"))
    torch.save({"x": tensor, "y": labels}, path("good_labelled_dict.pt"))
    torch.save((tensor, labels), path("good_labelled_protocol4.pt"),
               pickle_protocol=4)
    torch.save(tensor.contiguous(memory_format=torch.channels_last),
               path("good_channels_last.pt"))
    torch.save(torch.cat([tensor, tensor])[5:], path("good_slice.pt"))
    torch.save(torch.nn.Parameter(tensor), path("good_parameter.pt"))

    # Token ids, and several inputs; the first one is x.
    np.save(path("good_i8.npy"), x.astype(np.int64))
    np.save(path("good_i4.npy"), x.astype(np.int32))
    torch.save(tensor.long(), path("good_long.pt"))
    np.savez(path("good_inputs_labelled.npz"), input_0=x, input_1=y, labels=y)
    torch.save({"input_0": tensor, "input_1": labels.int(), "y": labels},
               path("good_inputs_labelled.pt"))

    np.savez(path("bad_gap.npz"), input_0=x, input_2=x)
    torch.save({"input_0": tensor, "input_1": labels[:4]},
               path("bad_lengths.pt"))
    np.save(path("bad_large_integer.npy"), np.array([[1], [2**24 + 1]]))
    np.save(path("bad_fortran.npy"), np.asfortranarray(x))
    np.save(path("bad_objects.npy"), np.array([{}, 1], dtype=object))
    np.save(path("bad_big_endian.npy"), x.astype(">f4"))
    np.save(path("bad_structure.npy"), np.zeros(3, dtype=[("a", "f4")]))
    np.save(path("bad_nan.npy"), np.full((2, 2), np.nan, dtype=np.float32))
    np.savez(path("bad_keys.npz"), weights=x)
    torch.save(tensor, path("bad_old_format.pt"),
               _use_new_zipfile_serialization=False)
    torch.save(tensor.half(), path("bad_half.pt"))
    torch.save(tensor.to_sparse(), path("bad_sparse.pt"))
    torch.save(torch.nn.Linear(2, 2), path("bad_module.pt"))
    torch.save(torch.nn.Linear(2, 2).state_dict(), path("bad_state_dict.pt"))
    torch.jit.script(torch.nn.Linear(2, 2)).save(path("bad_script.pt"))


if __name__ == "__main__":
    main()
