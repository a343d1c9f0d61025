#!/usr/bin/python3
"""Writes small models that are not one picture in, logits out, with shards.

    write_models.py OUT_DIR

NAME.pt and NAME.npz for tokens (ids in), pair (ids and a picture in) and nan
(logits that are NaN for some samples); no_tensor.pt takes a number, nothing.pt
returns none. Labels are what the model itself answers. folder/ holds images of
two classes and many sizes.
"""
import os
import sys

import numpy as np
import torch
from PIL import Image
from torch import nn

WORDS, LENGTH, CLASSES, SAMPLES = 50, 12, 4, 96


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.hidden = nn.Linear(16, 32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, ids):
        x = torch.mean(self.words(ids), 1)
        return self.head(torch.relu(self.hidden(x)))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, ids, image):
        x = torch.mean(self.words(ids), 1)
        y = torch.relu(self.stem(image)).mean([2, 3])
        return self.head(torch.cat([x, y], 1))


class Nan(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        y = self.head(torch.relu(self.hidden(x)))
        return torch.sqrt(y) + y


class NoTensor(nn.Module):
    def forward(self, n: int):
        return torch.ones(1, 4) * n


class Nothing(nn.Module):
    def forward(self, x):
        return None


def write(directory, name, model, *inputs):
    model.eval()
    script = torch.jit.script(model)
    script.save(os.path.join(directory, name + ".pt"))
    if not inputs:
        return
    with torch.no_grad():
        labels = script(*inputs).argmax(1)
    arrays = {"x": inputs[0]} if len(inputs) == 1 else {
        f"input_{i}": value for i, value in enumerate(inputs)}
    np.savez(os.path.join(directory, name + ".npz"), y=labels.numpy(),
             **{key: value.numpy() for key, value in arrays.items()})


def write_folder(directory):
    rng = np.random.default_rng(1)
    for i in range(24):
        folder = os.path.join(directory, "cat" if i < 12 else "dog")
        os.makedirs(folder, exist_ok=True)
        pixels = rng.integers(0, 256, (40 + i, 60 - i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(os.path.join(folder, f"{i:02}.png"))


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    torch.manual_seed(1)
    ids = torch.randint(0, WORDS, (SAMPLES, LENGTH))
    write(directory, "tokens", Tokens(), ids)
    write(directory, "pair", Pair(), ids, torch.randn(SAMPLES, 3, 8, 8))
    write(directory, "nan", Nan(), torch.randn(SAMPLES, 8))
    write(directory, "no_tensor", NoTensor())
    write(directory, "nothing", Nothing())
    np.save(os.path.join(directory, "tokens.npy"), ids.numpy())
    write_folder(os.path.join(directory, "folder"))
    with open(os.path.join(directory, "done"), "w"):
        pass


main()
