"""Draws the dashboard as an operator would see it after a few eventful minutes.

    python3 draw_dashboard.py SOURCE_DIR BUILD_DIR MODEL_DIR OUTPUT.png

MODEL_DIR is what make_demo_model wrote. A live server goes through light and
heavy load, quantizations, a refusal, a rollback and a burst; then the
dashboard's own queries are asked of the Prometheus that watched, and drawn.
"""

import math
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dashboard import Dashboard
from live_stand import Stand
from preview.page import WIDTH, draw

STEP_SECONDS = 2
TAIL_SECONDS = 30


def go_through(stand, model):
    """About three minutes; leaves with light load still on."""
    sample = f"--shard={model}/test.bin", "--index=3"

    def phase(loads, *commands):
        """Flags of bench for each load, and what operators do meanwhile."""
        threads = [threading.Thread(target=stand.ctl,
                                    args=("bench", *flags, *sample),
                                    kwargs={"code": None}) for flags in loads]
        for thread in threads:
            thread.start()
        for command in commands:
            time.sleep(8)
            stand.ctl(*command, code=None)
        for thread in threads:
            thread.join()

    def steady(seconds, fp32, int8):
        """Calls a second."""
        return [(f"--variant={variant}", f"--rate={rate}",
                 f"--requests={seconds * rate}")
                for variant, rate in (("fp32", fp32), ("int8", int8))]

    phase(steady(25, 100, 200))
    phase(steady(45, 150, 400),
          ("quantize", "--range_method=percentile", "--hold"), ("promote",))
    phase(steady(40, 200, 700), ("quantize", "--min_speedup=1000"), ("rollback",))
    # More at a time than may wait.
    phase([("--variant=int8", "--clients=48", "--requests=50000"),
           ("--variant=fp32", "--clients=8", "--requests=10000")])
    stand.put_load_on((("fp32", 100), ("int8", 200)))


def finite(values):
    return [(t, float(v)) for t, v in values if math.isfinite(float(v))]


def ask(dashboard, prometheus, span):
    """Answers by panel id, as preview.page wants them, and the swaps' times."""
    answers = {}
    for panel in dashboard.panels():
        found = []
        for target in panel.get("targets", []):
            expr = dashboard.interpolate(target["expr"], STEP_SECONDS)
            if target.get("instant"):
                series = [(s["metric"], finite([s["value"]]))
                          for s in prometheus.instant(expr)]
            else:
                series = [(s["metric"], finite(s["values"])) for s in
                          prometheus.range(expr, *span, STEP_SECONDS)]
            found.append((target, [s for s in series if s[1]]))
        answers[panel["id"]] = found
    marks = []
    for annotation in dashboard.model["annotations"]["list"]:
        expr = dashboard.interpolate(annotation["expr"], STEP_SECONDS)
        for series in prometheus.range(
                expr.replace("[1m]", f"[{2 * STEP_SECONDS}s]"), *span,
                STEP_SECONDS):
            times = [t for t, _ in series["values"]]
            marks += [t for i, t in enumerate(times)
                      if i == 0 or t - times[i - 1] > STEP_SECONDS]
    return answers, marks


def photograph(page, height, output):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "page.html")
        file.write_text(page)
        shot = pathlib.Path(folder, "page.png")
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu",
             "--hide-scrollbars", f"--user-data-dir={folder}/profile",
             f"--window-size={WIDTH},{height}", f"--screenshot={shot}",
             file.as_uri()], check=True, timeout=120,
            stderr=subprocess.DEVNULL)
        # Few colours: a quarter of the size.
        Image.open(shot).convert("RGB").quantize(128, dither=Image.Dither.NONE) \
            .save(output, optimize=True)


def main():
    source, build, model, output = (
        pathlib.Path(p).resolve() for p in sys.argv[1:5])
    flags = ["--queue=32", "--workers=2", "--shadow_percent=20"]
    with Stand(source, build, flags, model) as stand:
        stand.ctl("wait")
        start = time.time()
        go_through(stand, model)
        time.sleep(TAIL_SECONDS)
        dashboard = Dashboard(source / "deploy/grafana/dashboards/quantserve.json")
        dashboard.choose_all(stand.prometheus)
        span = (start - 10, time.time() - 1)
        answers, marks = ask(dashboard, stand.prometheus, span)
    when = "{} to {} UTC".format(
        *(time.strftime("%H:%M:%S", time.gmtime(t)) for t in span))
    page, height = draw(dashboard, answers, span, STEP_SECONDS, marks, when)
    photograph(page, height, output)
    print(f"{output}: {output.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
