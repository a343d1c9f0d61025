#!/usr/bin/python3
"""Writes the architectures that people bring, as TorchScript files.

    export_zoo.py OUT_DIR [--only NAME,NAME] [--list] [--keep]

For each model NAME: NAME.traced.pt and NAME.scripted.pt (where the model can
be scripted), NAME.npz with samples of its inputs (and labels where the model
was trained), and zoo.json, one entry for each model: its input specification as
--sample_shape takes it, and whether it was trained.

torchvision's models have random weights and ten classes; BatchNorm statistics
are those of the samples, else activations die out within a few layers. Widths
and image sizes are small, so that a test can afford all of them; the operators
are those of the full sizes. The small models are trained for a moment on tasks
made up here.
"""
import argparse
import hashlib
import json
import os
import sys
import warnings

import numpy as np
import torch
import torchvision
import torchvision.models as tv
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
CLASSES = 10


# ------------------------------------------------------------------- samples


def images(count, size, channels=3, seed=0):
    """Smooth random pictures with some noise, roughly of unit variance."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, 6, 6, generator=rng)
    smooth = F.interpolate(coarse, size=(size, size), mode="bicubic",
                           align_corners=False)
    noise = torch.randn(count, channels, size, size, generator=rng)
    return smooth + 0.2 * noise


# ------------------------------------------------------- models of our own


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 128), nn.Tanh(),
            nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ELU(),
            nn.Linear(64, CLASSES))

    def forward(self, x):
        return self.layers(x)


class Conv1dNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, 32, 7, stride=2, padding=3), nn.BatchNorm1d(32),
            nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(32, 64, 3, padding=1),
            nn.BatchNorm1d(64), nn.LeakyReLU(0.1), nn.AvgPool1d(2),
            nn.Conv1d(64, 64, 3, padding=2, dilation=2, groups=4), nn.ReLU(),
            nn.AdaptiveAvgPool1d(1))
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


class UNet(nn.Module):
    """A segmentation net; its output is a map of two logits."""

    def __init__(self):
        super().__init__()

        def block(i, o):
            return nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o),
                nn.ReLU(inplace=True), nn.Conv2d(o, o, 3, padding=1),
                nn.ReLU(inplace=True))

        self.down1, self.down2, self.middle = block(3, 16), block(16, 32), block(32, 64)
        self.pool = nn.MaxPool2d(2)
        self.grow2 = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.up2 = block(64, 32)
        self.grow1 = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1,
                                        output_padding=1)
        self.up1 = block(32, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.middle(self.pool(b))
        d = self.up2(torch.cat([self.grow2(c), b], 1))
        e = self.up1(torch.cat([self.grow1(d), a], 1))
        return self.head(e)


class TransformerClassifier(nn.Module):
    """Embedding, two encoder layers written out, mean, linear: token ids in."""

    def __init__(self, words=100, length=16, width=64, heads=4):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, length, width))
        self.layers = nn.ModuleList(
            [EncoderLayer(width, heads) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


class EncoderLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.grow, self.shrink = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q = q.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)
        k = k.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)
        v = v.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)
        weights = torch.softmax(q @ k.transpose(-2, -1) / 4.0, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(b, t, c)
        x = x + self.out(mixed)
        return x + self.shrink(F.gelu(self.grow(self.norm2(x))))


class VectorEncoder(nn.Module):
    """PyTorch's own encoder layer, on vectors."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True,
                                           activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class TwoInputs(nn.Module):
    """A picture and a vector in, logits out."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.ReLU6(),
            nn.Conv2d(16, 32, 3, padding=1, groups=2), nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.side = nn.Sequential(nn.Linear(8, 32), nn.Sigmoid())
        self.head = nn.Linear(64, CLASSES)

    def forward(self, picture, vector):
        return self.head(torch.cat([self.features(picture), self.side(vector)], 1))


class TwoOutputs(nn.Module):
    """Logits and a regression from one trunk."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.ReLU())
        self.logits = nn.Linear(32, CLASSES)
        self.box = nn.Linear(32, 4)

    def forward(self, x):
        y = self.trunk(x).mean([2, 3])
        return self.logits(y), self.box(y)


class Odds(nn.Module):
    """Shared weights, a module used twice, in-place operators, slices, padding,
    views, constants, squeeze-and-excitation, and unary functions in a row."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.shared = nn.Conv2d(16, 16, 3, padding=1)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.reduce = nn.Conv2d(16, 32, 3, stride=2)
        self.register_buffer("offset", torch.randn(1, 32, 1, 1))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x):
        x = F.silu(self.stem(x))
        x = F.relu_(self.shared(x)) + F.leaky_relu(self.shared(x), 0.2)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean([2, 3], keepdim=True)))))
        x = x * gate
        a, b = x.chunk(2, dim=1)
        x = torch.cat([F.gelu(a), torch.tanh(b)], dim=1)
        x = F.pad(x, (1, 1, 1, 1))[:, :, 1:, 1:]
        x = F.hardswish(self.reduce(x)) + self.offset
        x = x.view(x.size(0), 32, -1)
        x = torch.exp(-x.abs()).mul_(2.0).sub(1.0).mean(2)
        return self.head(x)


class Branches(nn.Module):
    """Control flow on data, which freezing cannot remove; scripted only."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = F.relu(self.first(x))
        if bool(x.mean() > 100.0):
            x = x * 0.5
        x = F.relu(self.second(x))
        return self.head(x.mean([2, 3]))


# ----------------------------------------------------------------- training


def train(model, inputs, labels, steps=300):
    """A moment of Adam on a task made up here."""
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    rng = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(labels), (64,), generator=rng)
        loss = F.cross_entropy(model(*[x[rows] for x in inputs]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def settle(model, inputs, batches=4):
    """BatchNorm statistics of the samples themselves."""
    norms = [m for m in model.modules()
             if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    if norms:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        with torch.no_grad():
            for part in range(batches):
                model(*[x[16 * part:16 * part + 16] for x in inputs])
    return model.eval()


def clusters(inputs, seed=3):
    """Labels that a small model can learn: the nearest of ten directions."""
    flat = torch.cat([x.flatten(1).float() for x in inputs], 1)
    rng = torch.Generator().manual_seed(seed)
    directions = torch.randn(flat.shape[1], CLASSES, generator=rng)
    return (flat @ directions).argmax(1)


# ---------------------------------------------------------------- the zoo


def small_head(model, width):
    """VGG and AlexNet without their hundred million weights."""
    layers = [m for m in model.classifier if isinstance(m, nn.Linear)]
    inputs = layers[0].in_features
    model.classifier = nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(True), nn.Dropout(),
        nn.Linear(width, width), nn.ReLU(True), nn.Linear(width, CLASSES))
    return model


def bottlenecks(**options):
    """ResNet-50, ResNeXt-50 and WideResNet-50 with a third of their blocks."""
    return lambda: tv.resnet.ResNet(
        tv.resnet.Bottleneck, [1, 2, 1, 1], num_classes=CLASSES, **options)


def vision(make, size=64, count=128, steps=50, rate=2e-3, noise=0.0):
    """A network of torchvision's, trained for a moment on pictures of ten
    kinds: one of ten smooth patterns each, and half as much else. With `noise`,
    every BatchNorm's output gets so much of its size in noise while it trains:
    deep networks of thin layers, which a real training makes robust, otherwise
    amplify whatever is added to them."""

    def build():
        torch.manual_seed(7)
        patterns = images(CLASSES, size, seed=9)
        labels = torch.randint(CLASSES, (steps * 16 + count,))
        pictures = patterns[labels] + 0.5 * images(len(labels), size, seed=10)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, torchvision.ops.StochasticDepth):
                module.p = 0.0
        optimiser = torch.optim.Adam(model.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=steps)
        hooks = [m.register_forward_hook(
            lambda module, x, y: y + noise * y.detach().square().mean().sqrt()
            * torch.randn_like(y))
            for m in model.modules() if noise > 0 and
            isinstance(m, nn.BatchNorm2d)]
        model.train()
        for step in range(steps):
            rows = slice(16 * step, 16 * step + 16)
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        x, y = pictures[-count:], labels[-count:]
        for hook in hooks:
            hook.remove()
        settle(model, [pictures[:256]], batches=16)
        with torch.no_grad():
            right = (model(x).argmax(1) == y).float().mean()
        print(f"  {float(loss):.4f} loss, {float(right):.3f} right",
              file=sys.stderr)
        return model, [x], y
    return build


def trained(make, inputs, labels=clusters, steps=300):
    def build():
        x = inputs()
        y = labels(x)
        return train(make(), x, y, steps), x, y
    return build


def plain(make, inputs):
    def build():
        x = inputs()
        return settle(make(), x), x, None
    return build


def tokens(count=512, length=16):
    rng = torch.Generator().manual_seed(5)
    return [torch.randint(100, (count, length), generator=rng)]


def token_label(inputs):
    """The class whose words are the most frequent."""
    counts = F.one_hot(inputs[0] % CLASSES, CLASSES).sum(1)
    return counts.argmax(1)


def vectors(count, *shape):
    rng = torch.Generator().manual_seed(6)
    return torch.randn(count, *shape, generator=rng)


K = dict(num_classes=CLASSES)
ZOO = {
    "resnet18": vision(lambda: tv.resnet18(**K)),
    "resnet_bottleneck": vision(bottlenecks()),
    "resnext": vision(bottlenecks(groups=32, width_per_group=4)),
    "wide_resnet": vision(bottlenecks(width_per_group=128)),
    "vgg11": vision(lambda: small_head(tv.vgg11(**K), 128), rate=4e-4),
    "vgg11_bn": vision(lambda: small_head(tv.vgg11_bn(**K), 128), steps=80),
    "alexnet": vision(lambda: small_head(tv.alexnet(**K), 128), rate=4e-4),
    "squeezenet": vision(lambda: tv.squeezenet1_1(**K), rate=3e-4),
    "densenet": vision(lambda: tv.densenet.DenseNet(16, (3, 4, 3, 2), 32, **K)),
    "googlenet": vision(lambda: tv.googlenet(
        aux_logits=False, init_weights=False, **K)),
    "inception_v3": vision(lambda: tv.inception_v3(
        aux_logits=False, init_weights=False, **K), size=80),
    "shufflenet_v2": vision(lambda: tv.shufflenet_v2_x1_0(**K), steps=80),
    "mobilenet_v2": vision(lambda: tv.mobilenet_v2(**K), steps=120),
    "mobilenet_v3": vision(lambda: tv.mobilenet_v3_small(**K)),
    "mnasnet": vision(lambda: tv.mnasnet1_0(**K), steps=120, rate=4e-3,
                      noise=0.1),
    "efficientnet": vision(lambda: tv.efficientnet_b0(**K), steps=160,
                           noise=0.2),
    "regnet_x": vision(lambda: tv.regnet_x_400mf(**K), steps=100),
    "regnet_y": vision(lambda: tv.regnet_y_400mf(**K), steps=80),
    "convnext": vision(lambda: tv.convnext.ConvNeXt(
        [tv.convnext.CNBlockConfig(32, 64, 2),
         tv.convnext.CNBlockConfig(64, 128, 2),
         tv.convnext.CNBlockConfig(128, None, 2)],
        layer_scale=0.5, **K)),
    "vit": vision(lambda: tv.vision_transformer.VisionTransformer(
        64, 16, 4, 4, 96, 192, **K)),
    "encoder": plain(VectorEncoder, lambda: [vectors(64, 12, 64)]),
    "text": trained(TransformerClassifier, tokens, token_label),
    "mlp": trained(Mlp, lambda: [vectors(512, 32)], steps=400),
    "conv1d": trained(Conv1dNet, lambda: [vectors(512, 4, 64)], steps=200),
    "unet": plain(UNet, lambda: [images(64, 64)]),
    "two_inputs": plain(TwoInputs, lambda: [images(64, 32), vectors(64, 8)]),
    "two_outputs": plain(TwoOutputs, lambda: [images(64, 32)]),
    "odds": plain(Odds, lambda: [images(64, 32)]),
    "branches": plain(Branches, lambda: [images(64, 32)]),
}
SCRIPTED_ONLY = {"branches"}


def specification(inputs):
    """--sample_shape: shapes joined by ";", integers marked."""
    shapes = []
    for x in inputs:
        shape = ",".join(str(d) for d in x.shape[1:])
        shapes.append(("i64:" if x.dtype == torch.int64 else "") + shape)
    return ";".join(shapes)


def export(name, folder):
    torch.manual_seed(11)
    model, inputs, labels = ZOO[name]()
    entry = {"name": name, "sample_shape": specification(inputs),
             "trained": labels is not None, "files": []}
    with torch.no_grad():
        forms = {"scripted": lambda: torch.jit.script(model)}
        if name not in SCRIPTED_ONLY:
            forms["traced"] = lambda: torch.jit.trace(
                model, tuple(x[:2] for x in inputs), check_trace=False)
        for form in sorted(forms):
            file = f"{name}.{form}.pt"
            forms[form]().save(os.path.join(folder, file))
            entry["files"].append(file)
    arrays = {"labels": labels.numpy()} if labels is not None else {}
    for i, x in enumerate(inputs):
        arrays[f"input_{i}" if len(inputs) > 1 else "x"] = x.numpy()
    np.savez(os.path.join(folder, f"{name}.npz"), **arrays)
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", help="where the files go")
    parser.add_argument("--only", help="comma-separated names")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--keep", action="store_true",
                        help="do nothing if this very script wrote OUT_DIR")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(ZOO))
        return 0
    if not arguments.folder:
        parser.error("want a folder to write to")
    names = arguments.only.split(",") if arguments.only else list(ZOO)
    unknown = [n for n in names if n not in ZOO]
    if unknown:
        parser.error(f"unknown model {unknown[0]}, --list names them")
    os.makedirs(arguments.folder, exist_ok=True)
    stamp = os.path.join(arguments.folder, "stamp")
    with open(__file__, "rb") as script:
        written_by = hashlib.sha256(
            script.read() + torch.__version__.encode()).hexdigest()
    if arguments.keep and os.path.exists(stamp):
        with open(stamp) as old:
            if old.read() == written_by:
                print(f"{arguments.folder} is up to date", file=sys.stderr)
                return 0
    # Sums come out the same on every machine, whatever its number of cores.
    torch.set_num_threads(1)
    entries = []
    for i, name in enumerate(names):
        print(f"[{i + 1}/{len(names)}] {name}", file=sys.stderr, flush=True)
        entries.append(export(name, arguments.folder))
    with open(os.path.join(arguments.folder, "zoo.json"), "w") as out:
        json.dump(entries, out, indent=1)
    if not arguments.only:
        with open(stamp, "w") as out:
            out.write(written_by)
    return 0


if __name__ == "__main__":
    sys.exit(main())
