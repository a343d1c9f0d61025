"""A dashboard as one page of HTML, drawn from what its queries returned."""

import html
import re

from . import charts, tables

WIDTH, CELL, GAP = 1480, 30, 8

CSS = """
body { margin: 0; background: #111217; color: #ccccdc; width: %dpx;
  font: 13px Inter, Roboto, "DejaVu Sans", sans-serif; }
header { padding: 10px 14px 6px; font-size: 16px; display: flex; gap: 14px;
  align-items: center; }
header span { background: #181b1f; border: 1px solid #2c3037; border-radius: 2px;
  padding: 4px 10px; font-size: 12px; }
header span b { color: #6e9fff; font-weight: 500; padding-right: 8px; }
header time { margin-left: auto; font-size: 12px; color: #9fa3ad; }
main { position: relative; }
h2 { position: absolute; margin: 0; font-size: 15px; font-weight: 500;
  line-height: 30px; }
h2::before { content: "\\2304"; padding-right: 8px; position: relative; top: -3px; }
section { position: absolute; background: #181b1f; border: 1px solid #25272e;
  border-radius: 2px; box-sizing: border-box; overflow: hidden; }
h3 { margin: 0; padding: 6px 8px 0; font-size: 13px; font-weight: 500;
  white-space: nowrap; }
svg { display: block; }
.tick { font-size: 10.5px; fill: #9fa3ad; }
.grid { stroke: #2a2d34; stroke-width: 1; fill: none; }
.legend { padding: 0 10px; font-size: 11px; display: flex; flex-wrap: wrap;
  gap: 1px 14px; color: #b4b7c0; }
.legend i { display: inline-block; width: 12px; height: 3px; border-radius: 1px;
  margin-right: 5px; vertical-align: middle; }
.legend b { font-weight: 500; color: #ccccdc; }
.stats { display: flex; justify-content: space-evenly; position: absolute;
  inset: 26px 4px 8px; align-items: center; }
.stat { text-align: center; font-weight: 500; position: relative; z-index: 1; }
.stat small { display: block; color: #ccccdc; font-size: 12px; font-weight: 400; }
.spark { position: absolute; left: 0; bottom: 0; }
.bars { display: grid; position: absolute; inset: 26px 0 4px; grid-template-columns: auto 1fr auto; gap: 5px 8px;
  padding: 4px 10px; align-items: stretch; align-content: stretch;
  font-size: 12px; }
.bars span { display: flex; align-items: center; white-space: nowrap; }
.bars .name { justify-content: end; }
.bars .bar { background: #22252b; }
.bars .bar i { display: block; height: 100%%; opacity: .75; }
.bars .number { font-weight: 500; }
table { border-collapse: collapse; margin: 6px 8px; font-size: 12px;
  width: calc(100%% - 16px); }
th { text-align: left; color: #6e9fff; font-weight: 500; padding: 5px 6px;
  border-bottom: 1px solid #2c3037; white-space: nowrap; }
td { padding: 6px; border-bottom: 1px solid #22252b; }
""" % WIDTH


def named(target, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""),
                  target["legendFormat"]) or labels.get("__name__", "")


def rows_of_legend(series):
    """A guess at how many lines a legend of these takes: widths in pixels."""
    return sum(40 + 7 * (len(name) + 9) for name, _ in series)


def content(panel, answers, span, step, width, height, marks):
    """`answers`: (target, [(labels, points)]) of each target."""
    kind = panel["type"]
    if kind == "table":
        return tables.table(panel, [labels for _, found in answers
                                    for labels, _ in found])
    series = [(named(target, labels), points) for target, found in answers
              for labels, points in found]
    if kind == "bargauge":
        return tables.bar_gauge(panel, [(n, p[-1][1]) for n, p in series])
    if kind == "stat":
        return tables.stat(panel, series, span, width, height)
    lines = -(-rows_of_legend(series) // (width - 20)) \
        if kind == "timeseries" else 1
    height -= 28 + 16 * max(1, int(lines)) + 4
    if kind == "timeseries":
        return charts.timeseries(panel, series, span, width, height, marks)
    if kind == "state-timeline":
        return charts.state_timeline(panel, series, span, width, height, step)
    assert kind == "heatmap", f"panels of type {kind} are not drawn"
    return charts.heatmap(panel, series, span, width, height, step)


def draw(dashboard, answers, span, step, marks, when):
    """`answers`: by panel id, what content() wants. Returns (HTML, height)."""
    column = (WIDTH - 2 * GAP) / 24
    body, bottom = [], 0
    for panel in dashboard.panels():
        at = panel["gridPos"]
        x, y = GAP + at["x"] * column, at["y"] * (CELL + GAP)
        if panel["type"] == "row":
            body.append(f'<h2 style="left:{x + 6:.0f}px;top:{y}px">'
                        f'{html.escape(panel["title"])}</h2>')
            continue
        width = int(at["w"] * column - GAP)
        height = at["h"] * (CELL + GAP) - GAP
        bottom = max(bottom, y + height)
        inner = content(panel, answers[panel["id"]], span, step, width - 2,
                        height, marks)
        body.append(f'<section style="left:{x:.0f}px;top:{y}px;width:{width}px;'
                    f'height:{height}px"><h3>{html.escape(panel["title"])}</h3>'
                    f"{inner}</section>")
    chosen = "".join(f"<span><b>{v['label']}</b>All</span>"
                     for v in dashboard.templates())
    return (f'<!doctype html><meta charset="utf-8"><style>{CSS}</style><header>'
            f'{html.escape(dashboard.model["title"])}{chosen}'
            f"<time>{when}</time></header><main>{''.join(body)}</main>",
            bottom + 50)
