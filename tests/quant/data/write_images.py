"""Writes images, and what torchvision and PIL make of them.

usage: write_images.py DIRECTORY

DIRECTORY/cases/NAME/ holds one image each, DIRECTORY/expected/NAME.npy the
pixels [1,3,H,W]; a name ends in _RESIZE_CROP_INTERPOLATION. DIRECTORY/folder is
an image folder, DIRECTORY/folder.npz what torchvision's ImageFolder reads.
"""
import os
import struct
import sys
import zlib

import numpy as np
import torchvision
from PIL import Image, ImageDraw
from torchvision import transforms


def photograph(width, height, seed):
    """Gradients, shapes with hard edges, texture and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    base = np.stack([255 * x / width, 255 * y / height,
                     127 + 127 * np.sin(x / 7) * np.cos(y / 11)], axis=2)
    image = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        left, top = random.integers(0, width), random.integers(0, height)
        size = int(random.integers(3, 1 + max(4, min(width, height) // 2)))
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        box = (left, top, left + size, top + size // 2 + 1)
        (draw.ellipse if random.random() < 0.5 else draw.rectangle)(
            box, fill=colour)
    noisy = np.asarray(image) + random.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def png16(array):
    """A PNG file of 16-bit RGB, which PIL does not write."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body +
                struct.pack(">I", zlib.crc32(kind + body)))
    height, width, _ = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    # With a gamma that a viewer would apply and PIL does not.
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0,
                                       0)) +
            chunk(b"gAMA", struct.pack(">I", 100000)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def transform(resize, crop, interpolation):
    modes = transforms.InterpolationMode
    steps = []
    if resize:
        steps.append(transforms.Resize(
            resize, modes.BICUBIC if interpolation == "bicubic"
            else modes.BILINEAR))
    if crop:
        steps.append(transforms.CenterCrop(crop))
    return transforms.Compose(steps)


def pixels(image):
    return np.asarray(image).transpose(2, 0, 1)


class Cases:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, "expected"))

    def add(self, name, save, ending, resize=0, crop=0,
            interpolation="bilinear"):
        name = f"{name}_{resize}_{crop}_{interpolation}"
        folder = os.path.join(self.directory, "cases", name)
        os.makedirs(folder)
        path = os.path.join(folder, "image." + ending)
        save(path)
        with Image.open(path) as opened:
            image = transform(resize, crop, interpolation)(
                opened.convert("RGB"))
        np.save(os.path.join(self.directory, "expected", name + ".npy"),
                pixels(image)[None])


def write_cases(cases):
    sizes = [(500, 375), (375, 500), (641, 427), (301, 211), (97, 131),
             (256, 257), (1203, 57), (224, 224), (1, 1), (3, 500)]
    for i, (width, height) in enumerate(sizes):
        photo = photograph(width, height, i)
        for interpolation in ("bilinear", "bicubic"):
            cases.add(f"jpeg{i}", lambda p: photo.save(
                p, quality=88, subsampling="4:2:0"), "jpg", 256, 224,
                interpolation)
            cases.add(f"png{i}", photo.save, "png", 256, 224, interpolation)
        cases.add(f"asis{i}", photo.save, "png")
        cases.add(f"crop{i}", photo.save, "png", 0, 225)
        cases.add(f"small{i}", photo.save, "png", 33, 32)
        cases.add(f"resize{i}", photo.save, "png", 61)

    photo = photograph(203, 151, 99)
    quality = {"quality": 90}
    kinds = {
        "444": lambda p: photo.save(p, subsampling="4:4:4", **quality),
        "422": lambda p: photo.save(p, subsampling="4:2:2", **quality),
        "progressive": lambda p: photo.save(p, progressive=True, **quality),
        "grey": lambda p: photo.convert("L").save(p, **quality),
        "cmyk": lambda p: photo.convert("CMYK").save(p, **quality),
        "low": lambda p: photo.save(p, quality=10),
    }
    for name, save in kinds.items():
        cases.add(name, save, "jpg")
        cases.add(name, save, "JPEG", 64, 56)
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    palette = photo.quantize(200)
    few = photo.quantize(7)
    sixteen = (np.asarray(photo).astype(np.uint16) * 256 +
               np.arange(203)[None, :, None])

    def save16(path):
        with open(path, "wb") as out:
            out.write(png16(sixteen))
    kinds = {
        "L": photo.convert("L").save,
        "LA": photo.convert("LA").save,
        "RGBA": alpha.save,
        "P": palette.save,
        "Pbits": lambda p: few.save(p, bits=4),
        "Ptrans": lambda p: palette.save(p, transparency=3),
        "RGBtrans": lambda p: photo.save(p, transparency=(1, 2, 3)),
        "bits": photo.convert("1").save,
        "rgb16": save16,
    }
    for name, save in kinds.items():
        cases.add(name, save, "png")
    # ImageNet has a PNG file called .JPEG.
    cases.add("misnamed", lambda p: photo.save(p, format="png"), "JPEG")


def write_folder(directory):
    root = os.path.join(directory, "folder")
    for i, name in enumerate(["zebra/b.jpg", "zebra/a.PNG", "ant/1.jpeg",
                              "ant/10.JPG", "ant/2.png", "Cat/x.jpg"]):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        photograph(80 + 9 * i, 70, i).save(path)
    with open(os.path.join(root, "ant", "notes.txt"), "w") as out:
        out.write("not an image\n")
    images = torchvision.datasets.ImageFolder(
        root, transform=transform(48, 40, "bilinear"))
    np.savez(os.path.join(directory, "folder.npz"),
             x=np.stack([pixels(image) for image, _ in images]),
             y=np.array([label for _, label in images]))


def main():
    write_cases(Cases(sys.argv[1]))
    write_folder(sys.argv[1])


if __name__ == "__main__":
    main()
