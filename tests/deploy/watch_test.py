"""Asks a live Prometheus, that watches a live server under load with the shipped
configuration, every query that the project ships.

    python3 watch_test.py SOURCE_DIR BUILD_DIR

Each query of the dashboard, of the rules and of the autoscaler must parse and
return a number, and the metrics that the server has are those that documents,
dashboard and rules name.
"""

import math
import pathlib
import re
import sys
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dashboard import Dashboard
from live_stand import INTERVAL_SECONDS, POD_LABELS, Stand, await_true
from promql import metrics_of, without_filters

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
ADAPTER = source / "deploy/kubernetes/components/prometheus-adapter/rules.yaml"
DOCUMENTS = ["README.md", "server/README.md", "client/README.md",
             "deploy/README.md"]
# What looks like a metric in the documents and is a program.
PROGRAMS = {"quantserve_server"}
PATIENCE_SECONDS = 60


def put_everything_on(stand):
    """What an operator's week brings: load on both variants, a quantization, one
    that is refused, a rollback, requests for which there is no room."""
    stand.put_load_on()
    stand.ctl("predict", f"--shard={build}/e2e_model/test.bin", "--index=3")
    stand.ctl("predict", "--variant=fp32",
              f"--shard={build}/e2e_model/test.bin", "--index=3")
    stand.ctl("quantize", "--samples=256")
    stand.ctl("quantize", "--samples=256", "--min_speedup=1000", code=1)
    stand.ctl("rollback")
    stand.ctl("bench", "--clients=32", "--requests=2000", code=None)


def adapter_rules():
    """The autoscaler's, of prometheus-adapter."""
    if not ADAPTER.exists():
        return []
    return yaml.safe_load(ADAPTER.read_text())["rules"]


def adapter_queries():
    """As prometheus-adapter would send them."""
    matchers = ",".join(f'{k}="{v}"' for k, v in POD_LABELS.items())
    for rule in adapter_rules():
        query = rule["metricsQuery"]
        series = re.match(r"[\w:]+", rule["seriesQuery"])[0]
        for name, value in (("Series", series), ("LabelMatchers", matchers),
                            ("GroupBy", "pod")):
            query = re.sub(rf"<<\s*\.{name}\s*>>", value, query)
        yield "the adapter's seriesQuery", rule["seriesQuery"]
        yield "the adapter's metricsQuery", query


class Queries:
    """Every shipped query: (where it is, as it is shipped, how it is asked)."""

    def __init__(self, stand):
        self.prometheus, self.started = stand.prometheus, stand.started
        dashboard = Dashboard(source / "deploy/grafana/dashboards/quantserve.json")
        dashboard.choose_all(stand.prometheus)
        self.all = []
        for where, target in dashboard.targets():
            expr = dashboard.interpolate(target["expr"], INTERVAL_SECONDS)
            if where.startswith("annotation"):
                expr = without_filters(expr)
            self.add(where, target["expr"], expr,
                     self.instant if target.get("instant") else self.range)
        for variable in dashboard.templates():
            expr = re.sub(r"label_values\((.*), \w+\)", r"\1",
                          variable["definition"])
            self.add(f'variable "{variable["name"]}"', expr,
                     dashboard.interpolate(expr, INTERVAL_SECONDS), self.instant)
        self.recorded = set()
        for rule in self.prometheus.rules():
            if rule["type"] == "recording":
                self.recorded.add(rule["name"])
                self.add(f"rule {rule['name']}", rule["query"], rule["query"],
                         self.instant)
                self.add(f"rule {rule['name']}", rule["query"], rule["name"],
                         self.instant)
            else:
                self.add(f"alert {rule['name']}", rule["query"],
                         without_filters(rule["query"]), self.instant)
        for where, expr in adapter_queries():
            self.add(where, expr, expr, self.instant)

    def add(self, where, shipped, asked, how):
        self.all.append((where, shipped, asked, how))

    def instant(self, expr):
        return [s["value"][1] for s in self.prometheus.instant(expr)]

    def range(self, expr):
        series = self.prometheus.range(expr, self.started, time.time(),
                                       INTERVAL_SECONDS)
        return [value for s in series for _, value in s["values"]]

    def without_answer(self):
        """Those that return no number yet."""
        return [query for query in self.all
                if not any(math.isfinite(float(v))
                           for v in query[3](query[2]))]


def check_queries(queries):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (missing := queries.without_answer()) and time.monotonic() < deadline:
        time.sleep(INTERVAL_SECONDS)
    for where, _, asked, _ in missing:
        print(f"no data: {where}: {asked}")
    print(f"{len(queries.all) - len(missing)} of {len(queries.all)} queries "
          "returned data")
    return not missing


def check_rules(stand):
    """Prometheus evaluates them without complaint, and what was refused above
    has set off its alert, and only that."""
    def firing():
        return {s["metric"]["alertname"] for s in
                stand.prometheus.instant('ALERTS{alertstate="firing"}')}
    await_true("the refused quantization is reported", firing)
    bad = [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
           for rule in stand.prometheus.rules() if rule["health"] != "ok"]
    if firing() != {"QuantServeQuantizationFailed"}:
        bad.append(f"firing: {sorted(firing())}")
    print("\n".join(bad) or "rules are healthy, the refusal is reported")
    return not bad


def check_names(scrape, queries):
    families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", scrape, re.M))
    # Prometheus' own, and what the adapter calls the series that it hands on.
    series = {"up"} | set(families)
    series |= {rule["name"]["as"] for rule in adapter_rules()}
    for name, kind in families.items():
        if kind in ("histogram", "summary"):
            series |= {name + "_bucket", name + "_sum", name + "_count"}
    bad = []
    for where, shipped, _, _ in queries.all:
        for name in sorted(metrics_of(shipped) - series - queries.recorded):
            bad.append(f"{where} asks for {name}, which nobody has")
    for document in DOCUMENTS:
        text = (source / document).read_text()
        named = set(re.findall(
            r"(?<![\w/.:-])((?:quantserve|process|exposer)[_:][a-z0-9_:]+)", text))
        named = {name.rstrip(":") for name in named}
        for name in sorted(named - series - queries.recorded - PROGRAMS):
            bad.append(f"{document} names {name}, which nobody has")
        if document == "server/README.md":
            for name in sorted(set(families) - named):
                bad.append(f"{document} does not name the server's {name}")
    print("\n".join(bad) or
          f"{len(families)} metrics, the same in server and documents")
    return not bad


def main():
    flags = ["--max_accuracy_drop=0.1", "--queue=8", "--shadow_percent=20"]
    with Stand(source, build, flags) as stand:
        stand.ctl("wait")
        put_everything_on(stand)
        queries = Queries(stand)
        results = [check_queries(queries), check_rules(stand),
                   check_names(stand.metrics(), queries)]
        sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
