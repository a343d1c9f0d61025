"""Numbers as Grafana writes them, and its colours."""

import math

COLORS = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c",
          "blue": "#5794f2", "purple": "#b877d9", "yellow": "#f2cc0c",
          "text": "#9fa3ad"}
PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9",
           "#8ab8ff", "#96d98d", "#ffa6b0", "#ffcb7d"]


def digits(value, decimals=None):
    """Three significant digits, unless `decimals` are asked for."""
    if decimals is None:
        size = abs(value)
        decimals = (0 if size >= 100 or value == int(value) else
                    1 if size >= 10 else 2 if size >= 0.095 else 3)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(value, steps, decimals):
    for limit, divisor, unit in steps:
        if abs(value) < limit:
            return f"{digits(value / divisor, decimals)} {unit}".strip()
    raise AssertionError("the last step has no limit")


SECONDS = [(1e-3, 1e-6, "µs"), (1, 1e-3, "ms"), (60, 1, "s"),
           (3600, 60, "min"), (86400, 3600, "hours"), (math.inf, 86400, "days")]
BYTES = [(2**10, 1, "B"), (2**20, 2**10, "KiB"), (2**30, 2**20, "MiB"),
         (math.inf, 2**30, "GiB")]
PLAIN = [(1e3, 1, ""), (1e6, 1e3, "K"), (math.inf, 1e6, "Mil")]


def written(value, unit, decimals=None):
    if value is None or not math.isfinite(value):
        return "no data"
    if unit == "s":
        return "0 s" if value == 0 else scaled(value, SECONDS, decimals)
    if unit == "bytes":
        return scaled(value, BYTES, decimals)
    if unit == "percentunit":
        return digits(value * 100, decimals) + "%"
    if unit == "reqps":
        return scaled(value, PLAIN, decimals) + " req/s"
    if unit == "dB":
        return digits(value, decimals) + " dB"
    assert unit == "short", f"unit {unit} is not drawn"
    return scaled(value, PLAIN, decimals)


def threshold_color(value, steps):
    color = steps[0]["color"]
    for step in steps[1:]:
        if value is not None and value >= step["value"]:
            color = step["color"]
    return COLORS[color]


def nice_ticks(low, high, unit, count=5):
    """Round values in [low, high]: multiples of 1, 2 or 5, of bytes of 2^n."""
    span = (high - low) or 1
    base = 2 if unit == "bytes" else 10
    raw = span / count
    step = base ** math.floor(math.log(raw, base))
    if base == 10:
        step *= next(m for m in (1, 2, 5, 10) if m * step >= raw)
    else:
        step *= 1 if step >= raw else 2
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
