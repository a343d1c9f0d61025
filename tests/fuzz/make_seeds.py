#!/usr/bin/python3
"""Writes the seeds that are files of foreign formats, as those who use the
formats write them: tests/fuzz/seeds/{shard,image,artifact}/. The others are
text, written by hand. What a crash left behind is named crash_* or slow_* and
stays.

usage: make_seeds.py        (with NumPy, PyTorch and PIL, as Debian has them)
"""
import hashlib
import json
import pathlib

import numpy as np
import torch
from PIL import Image

SEEDS = pathlib.Path(__file__).parent / "seeds"


def write_shards(folder):
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    y = np.array([3, 0, 2, 1])
    tensor, labels = torch.tensor(x), torch.tensor(y)
    record = bytes([7]) + bytes(range(256)) * 12
    (folder / "records.bin").write_bytes(record + bytes([1]) + bytes(3072))
    for dtype in ("f4", "f8", "u1", "i1", "u2", "i4", "u4", "i8", "u8"):
        np.save(folder / f"{dtype}.npy", x.astype(dtype))
    np.save(folder / "fortran.npy", np.asfortranarray(x))
    np.save(folder / "flags.npy", x > 3)
    np.savez(folder / "labelled.npz", x=x, y=y)
    np.savez(folder / "inputs.npz", input_0=x, input_1=y, labels=y)
    np.savez_compressed(folder / "deflated.npz", images=x, labels=y)
    torch.save(tensor, folder / "tensor.pt")
    torch.save((tensor, labels), folder / "tuple.pt")
    torch.save([tensor.byte(), labels.int()], folder / "list.pt")
    torch.save({"input_0": tensor, "input_1": labels, "y": labels},
               folder / "dict.pt")
    torch.save((tensor.double(), labels.short()), folder / "protocol4.pt",
               pickle_protocol=4)
    torch.save(torch.nn.Parameter(tensor.permute(0, 2, 1)),
               folder / "strides.pt")
    torch.save(tensor[:1].expand(4, 2, 3), folder / "expanded.pt")


def write_images(folder):
    y, x = np.mgrid[0:11, 0:13]
    rgb = np.stack([x * 19, y * 23, (x * y) % 256], axis=2).astype(np.uint8)
    image = Image.fromarray(rgb)
    image.save(folder / "rgb.png")
    image.convert("P").save(folder / "palette.png")
    image.convert("1").save(folder / "bits.png")
    image.convert("LA").save(folder / "grey_alpha.png")
    Image.fromarray((x * 5000).astype(np.uint16)).save(folder / "grey16.png")
    image.save(folder / "baseline.jpg", quality=85)
    image.save(folder / "progressive.jpg", progressive=True)
    image.convert("L").save(folder / "grey.jpg")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.save(folder / "full_chroma.jpg", subsampling=0, quality=100)


def canonical(value):
    """As quant/pipeline/artifact.cc writes JSON."""
    return json.dumps(value, indent=1, sort_keys=True,
                      separators=(",", ": "), ensure_ascii=False)


def write_artifacts(folder):
    def sha256(text):
        return hashlib.sha256(text.encode()).hexdigest()

    def write(name, document):
        document["digest"] = sha256(canonical(document["recipe"]))
        text = canonical(document)
        (folder / name).write_text(
            f'{{"sha256":"{sha256(text)}","artifact":\n{text}}}\n')

    recipe = {"weight_bits": 8, "equalizations": [], "ranges": {},
              "bias_shifts": {}, "keep_float": {}}
    report = {"range_method": "mse", "shard": "a.bin", "samples": 1,
              "held_out": 0, "weight_bits": 8, "int8_macs_share": 1.0,
              "layers": [], "trials": [], "notes": []}
    inputs = {"model": {"sha256": sha256("model")}}
    write("small.json", {"format": 2, "inputs": inputs, "recipe": recipe,
                         "report": report})
    recipe = {
        "weight_bits": 7,
        "equalizations": [{"first": "a", "second": "b",
                           "factors": [0.5, 1.0, 4.0]}],
        "ranges": {"x": {"affine": [-1.0, 0.25], "symmetric": [-1.0, 1.0]}},
        "bias_shifts": {"a": [0.5, -0.25], "b": []},
        "keep_float": {"c": "the budget wants it"},
    }
    report = dict(
        report, weight_bits=7, samples=512, held_out=300,
        layers=[{
            "name": "a", "op": "Conv2d", "quantized": True, "reason": "",
            "output_shape": [1, 16, 32, 32], "macs": 1 << 40,
            "activation": {
                "lo": -0.5, "hi": 2.0, "scale": 0.0078125, "zero_point": 51,
                "clipped_share": "nan",
                "histogram": {"lo": -1.0, "hi": 3.0, "counts": [3, 0, 5],
                              "zeros": 7}},
            "local_sqnr_db": 40.25, "cumulative_sqnr_db": "inf",
            "fp32_ns": 12000, "int8_ns": 3500}],
        trials=[{"what": "ranges mse", "sqnr_db": 31.5, "agreement": 0.99,
                 "kept": True, "accuracy": 0.9154}],
        budget={"wanted": "drop at most 0.01", "achieved": "0.0039",
                "reached": True},
        notes=["a note with \"quotes\", a \\ and µ"])
    inputs = {"model": {"sha256": sha256("model")},
              "calibration": {"samples": "512"}}
    write("full.json", {"format": 2, "inputs": inputs, "recipe": recipe,
                        "report": report})


if __name__ == "__main__":
    write_shards(SEEDS / "shard")
    write_images(SEEDS / "image")
    write_artifacts(SEEDS / "artifact")
