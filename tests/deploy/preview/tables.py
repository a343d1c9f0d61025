"""Panels without a time axis: numbers, bars, tables."""

import html

from .charts import svg
from .units import threshold_color, written


def sparkline(points, span, color, width, height):
    values = [v for _, v in points]
    low, high = min(values + [0]), max(values) or 1
    if high <= low:
        high = low + 1
    start, end = span
    corner = [(width * (t - start) / (end - start),
               height - (v - low) / (high - low) * (height - 2))
              for t, v in points]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corner)
    return svg(width, height, [
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.2"/>',
        f'<path d="{path}L{corner[-1][0]:.1f},{height}L{corner[0][0]:.1f},{height}Z" '
        f'fill="{color}" fill-opacity=".14"/>'])


def stat(panel, series, span, width, height):
    defaults = panel["fieldConfig"]["defaults"]
    steps = defaults["thresholds"]["steps"]
    spark = panel["options"]["graphMode"] == "area" and len(series) == 1
    cells = []
    for name, points in series:
        value = points[-1][1] if points else None
        color = threshold_color(value, steps)
        words = written(value, defaults["unit"], defaults.get("decimals"))
        size = min(34, int(1.5 * width / max(1, len(series)) / max(4, len(words))))
        label = f"<small>{html.escape(name)}</small>" if len(series) > 1 else ""
        cells.append(f'<div class="stat">{label}<span style="color:{color};'
                     f'font-size:{size}px">{html.escape(words)}</span></div>')
    body = f'<div class="stats">{"".join(cells)}</div>'
    if spark and len(series[0][1]) > 1:
        color = threshold_color(series[0][1][-1][1], steps)
        body += ('<div class="spark">'
                 + sparkline(series[0][1], span, color, width, 34) + "</div>")
    return body


def bar_gauge(panel, rows):
    """`rows`: (name, value)."""
    defaults = panel["fieldConfig"]["defaults"]
    most = max([value for _, value in rows] + [0]) or 1
    body = []
    for name, value in rows:
        color = threshold_color(value, defaults["thresholds"]["steps"])
        words = written(value, defaults["unit"], defaults.get("decimals"))
        body.append(
            f'<span class="name">{html.escape(name)}</span><span class="bar">'
            f'<i style="width:{100 * value / most:.1f}%;background:{color}"></i>'
            f'</span><span class="number" style="color:{color}">'
            f'{html.escape(words)}</span>')
    return f'<div class="bars">{"".join(body)}</div>'


def table(panel, rows):
    """`rows`: the labels of each series."""
    options = panel["transformations"][0]["options"]
    order = options["indexByName"]
    names = sorted({name for row in rows for name in row}
                   - set(options["excludeByName"]),
                   key=lambda name: (order.get(name, 99), name))
    head = "".join(f"<th>{html.escape(n)}</th>" for n in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row.get(n, ''))}</td>" for n in names)
        + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
