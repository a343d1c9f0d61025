"""Prints the accuracy of a demo model on its test images, by PyTorch.

usage: measure_demo_model.py DIRECTORY
"""
import os
import sys

import torch

directory = sys.argv[1]
with open(os.path.join(directory, "test.bin"), "rb") as shard:
    raw = torch.frombuffer(bytearray(shard.read()), dtype=torch.uint8)
records = raw.view(-1, 3073)
inputs = (records[:, 1:].reshape(-1, 3, 32, 32).float() * (1 / 255) - 0.5) / 0.25
model = torch.jit.load(os.path.join(directory, "model.pt"))
assert not model.training
with torch.no_grad():
    best = torch.cat([model(batch).argmax(1) for batch in inputs.split(100)])
print(f"{(best == records[:, 0]).double().mean().item():.4f}", end="")
