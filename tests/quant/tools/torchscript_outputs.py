"""Runs a TorchScript file on a CIFAR-10 shard with PyTorch.

usage: torchscript_outputs.py MODEL SHARD SAMPLES OUTPUT

Writes the float32 outputs, row-major. Exits with 77 if PyTorch is missing.
"""
import sys

try:
    import torch
except ImportError as error:
    print(f"PyTorch cannot be imported: {error}")
    sys.exit(77)

model_path, shard_path, samples, output_path = sys.argv[1:5]
samples = int(samples)
with open(shard_path, "rb") as shard:
    raw = torch.frombuffer(bytearray(shard.read(3073 * samples)), dtype=torch.uint8)
pixels = raw.view(samples, 3073)[:, 1:].reshape(samples, 3, 32, 32).float()
mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
inputs = (pixels * (1.0 / 255.0) - mean) / std

torch.set_num_threads(1)
model = torch.jit.load(model_path)
with torch.no_grad():
    rows = [model(inputs[i : i + 1]) for i in range(samples)]
with open(output_path, "wb") as out:
    out.write(torch.cat(rows).contiguous().numpy().astype("<f4").tobytes())
