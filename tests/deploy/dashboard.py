"""The queries of a Grafana dashboard, as Grafana would send them."""

import json
import re


class Dashboard:
    """`prometheus` answers the variables' own queries."""

    def __init__(self, path):
        self.model = json.loads(path.read_text())
        self.variables = {}

    def panels(self):
        """Rows and panels, from top to bottom."""
        return self.model["panels"]

    def templates(self):
        return [v for v in self.model["templating"]["list"]
                if v["type"] == "query"]

    def choose_all(self, prometheus):
        """Gives each variable all of its values, as "All" does."""
        for variable in self.templates():
            query = self.interpolate(variable["definition"], 0)
            selector, label = re.fullmatch(
                r"label_values\((.*), (\w+)\)", query).groups()
            values = prometheus.get(f"label/{label}/values",
                                    **{"match[]": selector})
            assert values, f"{variable['definition']} has no value"
            # Within a quoted string, so that a backslash is doubled.
            escaped = [re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", v)
                       for v in values]
            self.variables[variable["name"]] = (
                escaped[0] if len(escaped) == 1 else
                "(" + "|".join(escaped) + ")")

    def interpolate(self, expr, interval, span=3600):
        """`interval`: seconds between scrapes, and of a step."""
        known = dict(self.variables, __interval=f"{interval}s",
                     # Grafana's: a step and a scrape, but four scrapes at least.
                     __rate_interval=f"{4 * interval}s", __range=f"{span}s")
        for name in sorted(known, key=len, reverse=True):
            expr = expr.replace("${" + name + "}", known[name])
            expr = re.sub(rf"\${name}\b", lambda _: known[name], expr)
        assert "$" not in expr, f"unknown variable: {expr}"
        return expr

    def targets(self):
        """(where, target) of every query, annotations included."""
        for panel in self.panels():
            for target in panel.get("targets", []):
                yield f'panel "{panel["title"]}"', target
        for annotation in self.model["annotations"]["list"]:
            yield f'annotation "{annotation["name"]}"', annotation
