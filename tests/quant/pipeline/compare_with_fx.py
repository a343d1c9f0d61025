"""Our INT8 against PyTorch's own FX quantization, by the SQNR of the logits.

  compare_with_fx.py BIN_DIR SHARED_DIR

Both calibrate on the same 512 images and run the same test images; both are
compared with the same FP32 logits. FX uses what PyTorch recommends: the default
configuration of the engine "onednn" (per-channel weights, histogram observers).
Exits with 1 unless ours is at least 1 dB better on every model, and with 77
(skipped) where the models are absent.
"""

import json
import math
import os
import subprocess
import sys
import tempfile

SKIPPED = 77
LEAST_GAIN_DB = 1.0
CALIBRATION = 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def import_torch():
    global torch, nn, functional, quantize_fx, qconfig_mapping, torchvision
    import torch
    import torchvision
    from torch import nn
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization import quantize_fx
    from torch.nn import functional

    qconfig_mapping = get_default_qconfig_mapping


def resnet20():
    """He et al. 2015, section 4.2, with option-A shortcuts, as akamaster has
    it."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.pad = (outputs - inputs) // 2

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if self.pad:
                x = functional.pad(
                    x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad)
                )
            return functional.relu(y + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)

            def layer(inputs, outputs, stride):
                return nn.Sequential(
                    Block(inputs, outputs, stride),
                    Block(outputs, outputs, 1),
                    Block(outputs, outputs, 1),
                )

            self.layer1 = layer(16, 16, 1)
            self.layer2 = layer(16, 32, 2)
            self.layer3 = layer(32, 64, 2)
            self.linear = nn.Linear(64, 10)

        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            x = functional.adaptive_avg_pool2d(x, 1)
            return self.linear(torch.flatten(x, 1))

    return Net()


def resnet18():
    return torchvision.models.resnet18(num_classes=10)


def images(path):
    """CIFAR-10 records as preprocessed tensors."""
    raw = torch.frombuffer(
        bytearray(open(path, "rb").read()), dtype=torch.uint8
    ).reshape(-1, 3073)
    x = raw[:, 1:].reshape(-1, 3, 32, 32).float() / 255
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (x - mean) / std


def run(model, x):
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(64)])


def sqnr_db(want, got):
    want, got = want.double(), got.double()
    return 20 * math.log10(float(want.norm() / (want - got).norm()))


def rebuild(build, script, x):
    """The architecture in Python with the file's parameters."""
    model = build()
    model.load_state_dict(script.state_dict())
    model.eval()
    difference = (run(model, x[:64]) - run(script, x[:64])).abs().max()
    if difference > 1e-3:
        sys.exit(f"the rebuilt model differs by {difference}")
    return model


def fx(model, calibration):
    torch.backends.quantized.engine = "onednn"
    prepared = quantize_fx.prepare_fx(
        model, qconfig_mapping("onednn"), (calibration[:1],)
    )
    run(prepared, calibration)
    return quantize_fx.convert_fx(prepared)


def ours(binaries, model, calibration, test, folder):
    """SQNR of the saved file in LibTorch, and of the oneDNN engine."""
    output = os.path.join(folder, "int8.pt")
    flags = [
        "--mean=" + ",".join(map(str, MEAN)),
        "--std=" + ",".join(map(str, STD)),
    ]
    subprocess.run(
        [
            os.path.join(binaries, "quantize_model"),
            "--model_path=" + model,
            "--calibration_data=" + calibration,
            f"--samples={CALIBRATION}",
            "--observer=auto",
            "--output=" + output,
        ]
        + flags,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    report = subprocess.run(
        [
            os.path.join(binaries, "evaluate_model"),
            "--model_path=" + model,
            "--int8_path=" + output,
            "--test_data=" + test,
            "--format=json",
        ]
        + flags,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    rows = {row["name"]: row for row in json.loads(report.stdout)["rows"]}
    return (
        rows["INT8 JIT CPU"]["sqnr_db"],
        rows["INT8 CPU oneDNN"].get("sqnr_db"),
    )


def main():
    binaries, shared = sys.argv[1:]
    if not os.path.isdir(os.path.join(shared, "models")):
        print("no real models at", shared)
        sys.exit(SKIPPED)
    try:
        import_torch()
    except ImportError as error:
        print(error)
        sys.exit(SKIPPED)
    torch.set_num_threads(1)
    print(
        f"{'model':<10} {'FX':>9} {'ours, LibTorch':>16} "
        f"{'ours, oneDNN':>14} {'gain':>9}"
    )
    good = True
    for name, build, data in (
        ("ResNet-20", resnet20, "cifar10"),
        ("ResNet-18", resnet18, "cifar10_jpeg"),
    ):
        file = name.lower().replace("-", "") + "_cifar10.pt"
        path = os.path.join(shared, "models", file)
        calibration = os.path.join(shared, "data", data + "_calibration.bin")
        test = os.path.join(shared, "data", data + "_test.bin")
        script = torch.jit.load(path).eval()
        x = images(test)
        model = rebuild(build, script, x)
        want = run(model, x)
        theirs = sqnr_db(want, run(fx(model, images(calibration)[:CALIBRATION]), x))
        with tempfile.TemporaryDirectory() as folder:
            libtorch, onednn = ours(binaries, path, calibration, test, folder)
        # What is served; where oneDNN's engine is missing, LibTorch's is.
        served = libtorch if onednn is None else onednn
        gain = served - theirs
        good = good and gain >= LEAST_GAIN_DB
        print(
            f"{name:<10} {theirs:>6.1f} dB {libtorch:>13.1f} dB "
            f"{served:>11.1f} dB {gain:>6.1f} dB",
            flush=True,
        )
    if not good:
        sys.exit(f"FAILED: want at least {LEAST_GAIN_DB} dB more than FX")


if __name__ == "__main__":
    main()
