#!/usr/bin/python3
"""A torchvision model and pictures for it, as a stand-in for yours.

    torchvision_model.py FOLDER

Draws pictures of five shapes into FOLDER/train and FOLDER/test (a folder for
each class), trains torchvision's ResNet-18 on them for a minute, and saves it
as TorchScript: FOLDER/model.pt. The last function is all that a model needs to
be brought to QuantServe.
"""
import os
import sys

import numpy as np
import torch
import torchvision
from PIL import Image, ImageDraw
from torch.nn import functional as F
from torchvision import transforms

SHAPES = ["circle", "cross", "ring", "square", "triangle"]  # as folders sort
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, CROP = 72, 64


def draw(shape, rng):
    """A shape of random colour, size and place on a noisy background."""
    side = int(rng.integers(80, 120))
    noise = rng.integers(0, 90, (side, side, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    r = side * rng.uniform(0.2, 0.32)
    x, y = side / 2 + rng.uniform(-0.1, 0.1, 2) * side
    colour = tuple(int(c) for c in rng.integers(120, 256, 3))
    box = [x - r, y - r, x + r, y + r]
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "ring":
        pen.ellipse(box, outline=colour, width=max(2, int(r / 3)))
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=colour)
    else:
        pen.rectangle([x - r, y - r / 4, x + r, y + r / 4], fill=colour)
        pen.rectangle([x - r / 4, y - r, x + r / 4, y + r], fill=colour)
    return image


def write_pictures(folder, count, seed):
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        os.makedirs(os.path.join(folder, shape), exist_ok=True)
        for i in range(count):
            draw(shape, rng).save(os.path.join(folder, shape, f"{i:03}.jpg"),
                                  quality=90)


def train(folder):
    """The model, in evaluation mode, and its share of right answers."""
    prepare = transforms.Compose([
        transforms.Resize(SIZE), transforms.CenterCrop(CROP),
        transforms.ToTensor(), transforms.Normalize(MEAN, STD)])

    def load(part):
        data = torchvision.datasets.ImageFolder(
            os.path.join(folder, part), prepare)
        pairs = [data[i] for i in range(len(data))]
        return (torch.stack([x for x, _ in pairs]),
                torch.tensor([y for _, y in pairs]))

    torch.manual_seed(1)
    images, labels = load("train")
    model = torchvision.models.resnet18(num_classes=len(SHAPES))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for step in range(60):
        rows = torch.randint(len(labels), (16,))
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    images, labels = load("test")
    with torch.no_grad():
        right = (model(images).argmax(1) == labels).float().mean()
    return model, float(right)


def export(model, path):
    """What brings a model here: trace it (or script it) and save it."""
    example = torch.randn(1, 3, CROP, CROP)
    with torch.no_grad():
        torch.jit.trace(model.eval(), example).save(path)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    write_pictures(os.path.join(folder, "train"), 60, seed=1)
    write_pictures(os.path.join(folder, "test"), 40, seed=2)
    model, right = train(folder)
    export(model, os.path.join(folder, "model.pt"))
    with open(os.path.join(folder, "labels.txt"), "w") as out:
        out.write("\n".join(SHAPES) + "\n")
    print(f"{folder}/model.pt: right in {right:.3f} of the test pictures")


if __name__ == "__main__":
    main()
