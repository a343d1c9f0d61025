"""Panels with a time axis, as SVG. A series is (name, [(time, value)])."""

import html
import math
import time

from .units import COLORS, PALETTE, nice_ticks, written


def text(x, y, words, anchor="start", css="tick"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'class="{css}">{html.escape(words)}</text>')


def svg(width, height, body):
    return (f'<svg width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{"".join(body)}</svg>')


class Axes:
    """Maps times and values to a rectangle with labels left and below."""

    def __init__(self, width, height, span, low, high, unit, left=None):
        longest = max((len(written(v, unit)) for v in nice_ticks(low, high, unit)),
                      default=0)
        self.left = left or 16 + 7 * longest
        self.right, self.top, self.bottom = width - 8, 8, height - 20
        self.span, self.low, self.high, self.unit = span, low, high, unit

    def x(self, t):
        start, end = self.span
        return self.left + (t - start) / (end - start) * (self.right - self.left)

    def y(self, value):
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.bottom - share * (self.bottom - self.top)

    def times(self):
        start, end = self.span
        step = next(s for s in (10, 20, 30, 60, 300, 900)
                    if (end - start) / s <= max(2, (self.right - self.left) / 75))
        t = math.ceil(start / step) * step
        while t <= end:
            clock = time.strftime("%H:%M:%S", time.gmtime(t))
            if self.x(t) > self.right - 22:  # it would be cut off
                clock = ""
            yield t, text(self.x(t), self.bottom + 15, clock, "middle")
            t += step

    def grid(self, values=True):
        body = []
        for t, label in self.times():
            body += [f'<path class="grid" d="M{self.x(t):.1f},{self.top}'
                     f'V{self.bottom}"/>', label]
        for value in (nice_ticks(self.low, self.high, self.unit)
                      if values else []):
            y = self.y(value)
            body += [f'<path class="grid" d="M{self.left},{y:.1f}'
                     f'H{self.right}"/>',
                     text(self.left - 6, y + 4, written(value, self.unit), "end")]
        return body


def style_of(panel, name):
    """The panel's drawing style with what is overridden for this series."""
    style = dict(panel["fieldConfig"]["defaults"].get("custom", {}))
    for override in panel["fieldConfig"]["overrides"]:
        wanted = override["matcher"]["options"]
        names = wanted.split("|") if override["matcher"]["id"] == "byRegexp" \
            else [wanted]
        if name in names:
            for change in override["properties"]:
                style[change["id"].removeprefix("custom.")] = change["value"]
    return style


def stacked(series, styles):
    """Each series with the one that it stands on; None: the axis."""
    below = {}
    for (name, points), style in zip(series, styles):
        if style.get("stacking", {}).get("mode") != "normal":
            yield name, points, None, style
            continue
        base = [below.get(t, 0) for t, _ in points]
        top = [(t, b + v) for (t, v), b in zip(points, base)]
        below.update(top)
        yield name, top, base, style


def line(axes, points, stepped):
    path, last = [], None
    for t, value in points:
        x, y = axes.x(t), axes.y(value)
        if last is None:
            path.append(f"M{x:.1f},{y:.1f}")
        elif stepped:
            path.append(f"H{x:.1f}V{y:.1f}")
        else:
            path.append(f"L{x:.1f},{y:.1f}")
        last = t
    return "".join(path)


def legend(rows):
    return '<div class="legend">' + "".join(
        f'<span><i style="background:{color}"></i>{html.escape(name)} '
        f'<b>{html.escape(value)}</b></span>' for name, color, value in rows
    ) + "</div>"


def timeseries(panel, series, span, width, height, marks):
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    styles = [style_of(panel, name) for name, _ in series]
    drawn = list(stacked(series, styles))
    values = [v for _, points, _, _ in drawn for _, v in points] or [0]
    steps = defaults["thresholds"]["steps"][1:]
    dashed = defaults.get("custom", {}).get("thresholdsStyle")
    low = defaults.get("min", min(values))
    high = max(values) * 1.05
    if dashed:  # those that are near enough to matter
        high = max([high] + [s["value"] * 1.05 for s in steps
                             if s["value"] < 1.5 * high])
    high = min(high, defaults.get("max", high))
    if high <= low:
        high = steps[-1]["value"] * 1.05 if dashed else low + (abs(low) or 1)
    axes = Axes(width, height, span, low, high, unit)
    body = axes.grid()
    for mark in marks:
        body.append(f'<path d="M{axes.x(mark):.1f},{axes.top}V{axes.bottom}" '
                    f'stroke="{COLORS["purple"]}" stroke-dasharray="3 3"/>')
    rows = []
    for i, (name, points, base, style) in enumerate(drawn):
        fixed = style.get("color", {}).get("fixedColor")
        color = COLORS[fixed] if fixed else PALETTE[i % len(PALETTE)]
        last = series[i][1][-1][1] if series[i][1] else None
        rows.append((name, color, written(last, unit)))
        if not points:
            continue
        fill = style.get("fillOpacity", 0) / 100
        if style.get("drawStyle") == "bars":
            wide = max(2.0, axes.x(span[0] + 3) - axes.left)
            for j, (t, value) in enumerate(points):
                foot = axes.y(base[j] if base else 0)
                top = axes.y(value)
                if foot - top > 0.1:
                    body.append(f'<rect x="{axes.x(t):.1f}" y="{top:.1f}" '
                                f'width="{wide:.1f}" height="{foot - top:.1f}" '
                                f'fill="{color}" fill-opacity="{fill}"/>')
            continue
        path = line(axes, points, style.get("lineInterpolation") == "stepAfter")
        if fill:
            floor = [(t, b) for (t, _), b in zip(
                points, base or [axes.low] * len(points))]
            back = line(axes, floor[::-1], False).replace("M", "L", 1)
            body.append(f'<path d="{path}{back}Z" fill="{color}" '
                        f'fill-opacity="{fill}" stroke="none"/>')
        dash = style.get("lineStyle", {}).get("dash")
        body.append(f'<path d="{path}" fill="none" stroke="{color}" '
                    f'stroke-width="1.4"'
                    + (f' stroke-dasharray="{dash[0]} {dash[1]}"' if dash else "")
                    + "/>")
    for step in steps if dashed else []:
        if axes.low <= step["value"] <= axes.high:
            y = axes.y(step["value"])
            body.append(f'<path d="M{axes.left},{y:.1f}H{axes.right}" '
                        f'stroke="{COLORS[step["color"]]}" '
                        'stroke-dasharray="8 6" stroke-width="1.2"/>')
    return svg(width, height, body) + legend(rows)


def runs(points, step):
    """(value, from, to) of neighbouring points with the same value."""
    start, last = points[0]
    for t, value in points[1:]:
        if value != last:
            yield last, start, t
            start, last = t, value
    yield last, start, points[-1][0] + step


def state_timeline(panel, series, span, width, height, step):
    states = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    axes = Axes(width, height, span, 0, 1, "short", left=120)
    body = axes.grid(values=False)
    tall = min(44, (axes.bottom - axes.top) / max(1, len(series)) - 8)
    for i, (name, points) in enumerate(series):
        top = axes.top + (axes.bottom - axes.top) / len(series) * (i + 0.5) - tall / 2
        body.append(text(axes.left - 8, top + tall / 2 + 4, name, "end"))
        for value, start, end in runs(points, step):
            state = states[str(int(value))]
            end = min(end, span[1])
            body.append(f'<rect x="{axes.x(start):.1f}" y="{top:.1f}" '
                        f'width="{axes.x(end) - axes.x(start):.1f}" '
                        f'height="{tall:.1f}" fill="{COLORS[state["color"]]}" '
                        f'fill-opacity="{0.3 if state["color"] == "text" else 0.8}"/>')
    rows = [(s["text"], COLORS[s["color"]], "") for s in states.values()]
    return svg(width, height, body) + legend(rows)


def heatmap(panel, series, span, width, height, step):
    """Of cumulative buckets: a series for each bound."""
    series = sorted(series, key=lambda s: float(s[0]))
    bounds = [float(name) for name, _ in series]
    counts, below = [], {}
    for _, points in series:
        counts.append({t: max(0, v - below.get(t, 0)) for t, v in points})
        below = dict(points)
    used = [i for i, row in enumerate(counts) if any(v > 0 for v in row.values())]
    if not used:
        return svg(width, height, [])
    first, last = max(0, used[0] - 1), min(len(bounds) - 1, used[-1] + 1)
    axes = Axes(width, height, span, 0, last - first + 1, "short", left=58)
    body = axes.grid(values=False)
    most = max(v for i in used for v in counts[i].values())
    tall = (axes.bottom - axes.top) / (last - first + 1)
    for i in range(first, last + 1):
        top = axes.y(i - first + 1)
        label = "+Inf" if math.isinf(bounds[i]) else written(bounds[i], "s")
        if (i - first) % 3 == 0:
            body.append(text(axes.left - 6, top + 4, label, "end"))
        for t, value in counts[i].items():
            if value > 0:
                strength = 0.15 + 0.85 * math.sqrt(value / most)
                body.append(
                    f'<rect x="{axes.x(t):.1f}" y="{top + 0.5:.1f}" '
                    f'width="{axes.x(span[0] + step) - axes.left:.1f}" '
                    f'height="{tall - 1:.1f}" fill="{COLORS["orange"]}" '
                    f'fill-opacity="{strength:.2f}"/>')
    return svg(width, height, body) + legend(
        [("most in a cell", COLORS["orange"], written(most, "short"))])
