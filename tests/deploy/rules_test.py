"""Checks rules, their unit tests, their runbooks and the dashboard as files.

    python3 rules_test.py SOURCE_DIR

promtool checks the configuration and runs the unit tests; beyond that each alert
has one that makes it fire, one that keeps it silent, and a section in
deploy/README.md, and each panel says what it shows, in which unit.
"""

import json
import pathlib
import re
import subprocess
import sys
import unittest

import yaml

source = pathlib.Path(sys.argv.pop(1)).resolve()
deploy = source / "deploy"


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts():
    rules = yaml.safe_load((deploy / "prometheus/rules/alerts.yml").read_text())
    return {rule["alert"]: rule
            for group in rules["groups"] for rule in group["rules"]}


def sections():
    """Of deploy/README.md, as GitHub and Grafana make anchors of them."""
    text = (deploy / "README.md").read_text()
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.M)}


class RulesTest(unittest.TestCase):
    def test_promtool_likes_the_configuration(self):
        promtool("check", "config", deploy / "prometheus/prometheus.yml")

    def test_promtool_runs_the_unit_tests(self):
        promtool("test", "rules", *sorted(deploy.glob("prometheus/tests/*.yml")))

    def test_each_alert_is_seen_to_fire_and_to_keep_silent(self):
        fires, silent = set(), set()
        for file in deploy.glob("prometheus/tests/*.yml"):
            for test in yaml.safe_load(file.read_text())["tests"]:
                for case in test.get("alert_rule_test", []):
                    (fires if case["exp_alerts"] else silent).add(
                        case["alertname"])
        self.assertEqual(fires, set(alerts()))
        self.assertEqual(silent, set(alerts()))

    def test_each_alert_says_how_bad_it_is_and_what_to_do(self):
        for name, rule in alerts().items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"],
                              ("critical", "warning"))
                notes = rule["annotations"]
                self.assertTrue(notes["summary"] and notes["description"])
                self.assertEqual(notes["runbook_url"],
                                 f"deploy/README.md#{name.lower()}")
                self.assertIn(name.lower(), sections())

    def test_no_runbook_is_left_of_an_alert_that_is_gone(self):
        text = (deploy / "README.md").read_text()
        headings = set(re.findall(r"^#+ (QuantServe\w+)$", text, re.M))
        self.assertEqual(headings, set(alerts()))


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(
            (deploy / "grafana/dashboards/quantserve.json").read_text())
        self.panels = [panel for panel in self.dashboard["panels"]
                       if panel["type"] != "row"]

    def test_rows_come_in_the_order_of_an_operators_questions(self):
        rows = [panel["title"] for panel in self.dashboard["panels"]
                if panel["type"] == "row"]
        self.assertEqual(rows, [
            "Is it up?", "Is INT8 right?", "Is it fast?", "Is it full?",
            "What did quantization do?", "What does it cost?"])

    def test_each_panel_has_description_unit_and_thresholds(self):
        for panel in self.panels:
            with self.subTest(panel["title"]):
                defaults = panel["fieldConfig"]["defaults"]
                self.assertTrue(panel["description"].endswith("."))
                self.assertTrue(defaults["unit"])
                self.assertTrue(defaults["thresholds"]["steps"])
                self.assertTrue(panel["targets"])

    def test_panels_name_only_alerts_that_exist(self):
        named = set(re.findall(r"QuantServe[A-Z]\w+", json.dumps(self.panels)))
        self.assertEqual(named - set(alerts()), set())

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24)
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_queries_use_the_variables_that_there_are(self):
        names = {v["name"] for v in self.dashboard["templating"]["list"]}
        self.assertEqual(names, {"datasource", "instance", "model", "variant"})
        for panel in self.panels:
            for target in panel["targets"]:
                used = set(re.findall(r"\$(\w+)", target["expr"]))
                self.assertLessEqual(used, names | {"__rate_interval"})
                self.assertEqual(target["datasource"]["uid"], "${datasource}")


if __name__ == "__main__":
    unittest.main()
