"""deploy/kubernetes: each overlay is rendered and checked against the programs.

    python3 kubernetes_test.py SOURCE_DIR BUILD_DIR

The last test breaks the manifests, one mistake at a time, and wants each found.
"""

import copy
import pathlib
import re
import subprocess
import sys
import unittest

import yaml

import checks
from manifests import Programs, of_kind, pods, read, render

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
HERE = source / "deploy" / "kubernetes"
OVERLAYS = ("single", "production", "kserve")
IMAGE = "quantserve"
PROGRAMS = Programs(build)


def case_of(name):
    objects = render(HERE / "overlays" / name)
    if name == "kserve":
        # Its volume of models is the base's claim.
        base = render(HERE / "base")
        objects += of_kind(base, "PersistentVolumeClaim")
    if name == "production":
        objects += read(HERE / "jobs" / "quantize-all.yaml")
    if name == "single":
        objects += read(HERE / "jobs" / "fill.yaml")
    return checks.Case(objects, PROGRAMS, IMAGE)


def problems(case, only=None):
    return [f"{check.__name__}: {line}"
            for check in checks.ALL if only in (None, check.__name__)
            for line in check(case)]


class Overlays(unittest.TestCase):
    def test_agree_with_the_programs_and_themselves(self):
        for name in OVERLAYS:
            with self.subTest(name):
                self.assertEqual(problems(case_of(name)), [])

    def test_have_what_they_are_for(self):
        def kinds(name):
            return {o["kind"] for o in render(HERE / "overlays" / name)}
        grows = {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
        self.assertLessEqual(grows | {"ServiceMonitor"}, kinds("production"))
        self.assertFalse(grows & kinds("single"))
        # Nothing that a plain cluster lacks.
        self.assertFalse({"ServiceMonitor"} & kinds("single"))
        self.assertEqual(kinds("kserve"),
                         {"ClusterServingRuntime", "InferenceService"})

    def test_headless_services_reach_every_replica(self):
        services = {s["metadata"]["name"]: s["spec"]
                    for s in of_kind(case_of("production").objects, "Service")}
        self.assertEqual(set(services), {"quantserve", "quantserve-replicas"})
        for spec in services.values():
            self.assertEqual(spec["clusterIP"], "None")
        self.assertTrue(services["quantserve-replicas"]
                        ["publishNotReadyAddresses"])

    def test_the_job_asks_the_service_of_all_replicas(self):
        case = case_of("production")
        job, = of_kind(case.objects, "Job")
        spec = job["spec"]["template"]
        target, = [w for w in spec["spec"]["containers"][0]["command"]
                   if w.startswith("--all=")]
        self.assertEqual(
            target, "--all=dns:///quantserve-replicas.quantserve.svc:8001")
        policy, = of_kind(case.objects, "NetworkPolicy")
        peers = [f["podSelector"]["matchLabels"]
                 for r in policy["spec"]["ingress"] for f in r["from"]
                 if "podSelector" in f and r["ports"][0]["port"] == 8001]
        labels = spec["metadata"]["labels"]
        self.assertTrue(any(checks.selects(p, labels) for p in peers))
        images = {p["containers"][0]["image"] for _, _, p in pods(case.objects)}
        self.assertEqual(len(images), 1, images)

    def test_kserve_shifts_traffic_to_a_runtime_that_is_there(self):
        objects = render(HERE / "overlays" / "kserve")
        runtime, = of_kind(objects, "ClusterServingRuntime")
        service, = of_kind(objects, "InferenceService")
        predictor = service["spec"]["predictor"]
        model = predictor["model"]
        self.assertEqual(model["runtime"], runtime["metadata"]["name"])
        self.assertIn(model["protocolVersion"],
                      runtime["spec"]["protocolVersions"])
        self.assertIn(model["modelFormat"]["name"],
                      [f["name"] for f in runtime["spec"]
                       ["supportedModelFormats"]])
        self.assertTrue(0 < predictor["canaryTrafficPercent"] < 100)
        claim = model["storageUri"].removeprefix("pvc://").partition("/")[0]
        self.assertIn(claim, [c["metadata"]["name"] for c in of_kind(
            render(HERE / "base"), "PersistentVolumeClaim")])
        # Knative takes one port for each container, under this name.
        port, = runtime["spec"]["containers"][0]["ports"]
        self.assertEqual(port["name"], "h2c")

    def test_the_autoscaler_the_adapter_and_prometheus_name_one_metric(self):
        hpa, = of_kind(case_of("production").objects, "HorizontalPodAutoscaler")
        asked = [m["pods"]["metric"]["name"]
                 for m in hpa["spec"]["metrics"] if m["type"] == "Pods"]
        rules = read(HERE / "components" / "prometheus-adapter" /
                     "rules.yaml")[0]["rules"]
        self.assertEqual([r["name"]["as"] for r in rules], asked)
        for rule in rules:
            series = rule["seriesQuery"].partition("{")[0]
            self.assertRegex(series, rule["name"]["matches"])
            self.assertEqual(set(rule["resources"]["overrides"]),
                             {"namespace", "pod"})
            recorded = [r.read_text() for r in
                        (source / "deploy" / "prometheus").rglob("*.y*ml")]
            if recorded:
                self.assertTrue(any(re.search(
                    rf"record: ['\"]?{re.escape(series)}\b", text)
                    for text in recorded), f"nobody records {series}")
        self.assertIn("cpu", [m.get("resource", {}).get("name")
                              for m in hpa["spec"]["metrics"]])

    def test_the_readme_makes_rules_of_the_operators_kind(self):
        text = (source / "deploy" / "README.md").read_text()
        loop, = re.findall(r"^(for file in .*?^done) \| kubectl apply -n quantserve",
                           text, re.S | re.M)
        done = subprocess.run(["bash", "-ec", loop], cwd=source, check=True,
                              capture_output=True, text=True)
        objects = [o for o in yaml.safe_load_all(done.stdout) if o]
        files = list((source / "deploy/prometheus/rules").glob("*.yml"))
        self.assertEqual(len(objects), len(files))
        for o in objects:
            self.assertEqual(o["kind"], "PrometheusRule")
            self.assertRegex(o["metadata"]["name"], "^quantserve-[a-z]+$")
            self.assertTrue(o["spec"]["groups"][0]["rules"])

    def test_the_readmes_commands_have_their_flags(self):
        text = (source / "deploy" / "README.md").read_text()
        blocks = "\n".join(re.findall(r"(?ms)^```\n(.*?)^```", text))
        commands = re.findall(r"(?:^|-- )quantctl ([a-z]+)(.*)$",
                              blocks.replace("\\\n", " "), re.M)
        self.assertGreater(len(commands), 5)
        for command, rest in commands:
            known = PROGRAMS.help("quantctl", command)
            for flag in re.findall(r"--(\w+)", rest):
                self.assertIn(flag, known, command)

    def test_the_container_image_is_the_one_meant(self):
        dockerfile = source / "docker" / "Dockerfile"
        if not dockerfile.exists():
            return
        text = dockerfile.read_text()
        self.assertRegex(text, r"(?m)^USER 10001\b")
        self.assertRegex(text, r'(?m)^ENTRYPOINT \[.*quantserve"')


def server(objects):
    return of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]


def edit_config(old, new):
    def change(objects):
        for o in of_kind(objects, "ConfigMap"):
            text = o["data"]["quantserve.textproto"]
            assert old in text, old
            o["data"]["quantserve.textproto"] = text.replace(old, new)
    return change


def edit_args(old, new):
    def change(objects):
        args = server(objects)["containers"][0]["args"]
        args[args.index(old)] = new
    return change


def edit(path, value):
    """Sets a value in the server's pod, or removes it."""
    def change(objects):
        *way, last = path
        at = server(objects)
        for step in way:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return change


def edit_object(kind, path, value):
    def change(objects):
        *way, last = path
        at = of_kind(objects, kind)[0]
        for step in way:
            at = at[step]
        at[last] = value
    return change


MAIN = ("containers", 0)
MISTAKES = (
    ("ports_agree", edit((*MAIN, "ports", 0, "containerPort"), 8005)),
    ("ports_agree", edit_config("port: 8001", "port: 9001")),
    ("ports_agree", edit_config('"0.0.0.0"', '"127.0.0.1"')),
    ("ports_agree", edit_object("Service", ("spec", "ports", 0, "port"), 80)),
    ("ports_agree", edit_object(
        "NetworkPolicy", ("spec", "ingress", 0, "ports", 0, "port"), 8003)),
    ("ports_agree", edit_object(
        "NetworkPolicy", ("spec", "ingress", 0, "from"), [])),
    ("probes", edit((*MAIN, "livenessProbe", "grpc", "service"), "alive")),
    ("probes", edit((*MAIN, "livenessProbe", "grpc", "service"), "")),
    ("probes", edit((*MAIN, "readinessProbe", "grpc", "port"), 8002)),
    ("probes", edit((*MAIN, "startupProbe"), None)),
    ("probes", edit((*MAIN, "args"), ["--port=8001", "--tls_cert=/x"])),
    ("flags_and_fields", edit((*MAIN, "args", 0), "--conf=/etc/x")),
    ("security", edit((*MAIN, "securityContext", "readOnlyRootFilesystem"),
                      False)),
    ("security", edit((*MAIN, "securityContext", "capabilities"), None)),
    ("security", edit(("securityContext", "runAsUser"), 0)),
    ("security", edit(("automountServiceAccountToken",), None)),
    ("security", edit((*MAIN, "resources", "limits"), {"cpu": "2"})),
    ("grace", edit(("terminationGracePeriodSeconds",), 30)),
    ("grace", edit_config("drain_seconds: 30", "drain_seconds: 300")),
    ("grace", edit_config("lame_duck_seconds: 10", "lame_duck_seconds: 0")),
    ("cpus", edit_config("workers: 2", "workers: 64")),
    ("references", edit(("volumes", 0, "configMap", "name"), "quantserv")),
    ("references", edit(("volumes", 1, "persistentVolumeClaim", "claimName"),
                        "data")),
    ("references", edit((*MAIN, "volumeMounts", 0, "name"), "conf")),
    ("paths", edit_config('"/models/model.pt"', '"/model/model.pt"')),
    ("paths", edit_config('"/var/lib/quantserve/cache"', '"/models/cache"')),
    ("paths", edit((*MAIN, "volumeMounts", 3, "readOnly"), True)),
    ("images", edit((*MAIN, "image"), "quantserver:latest")),
    ("selectors", edit_object("Service", ("spec", "selector"), {"app": "x"})),
    ("names_and_versions", edit_object(
        "Deployment", ("apiVersion",), "extensions/v1beta1")),
)


class Mistakes(unittest.TestCase):
    def test_each_is_found_by_its_check(self):
        good = case_of("single")
        for number, (check, change) in enumerate(MISTAKES):
            with self.subTest(f"{number}: {check}"):
                bad = copy.deepcopy(good)
                change(bad.objects)
                self.assertNotEqual(problems(bad, check), [])

    def test_those_of_many_pods_too(self):
        good = case_of("production")
        wait = (*MAIN, "livenessProbe", "exec", "command")
        names = [v["name"] for v in server(good.objects)["volumes"]]
        tls = ("volumes", names.index("tls"), "secret", "secretName")
        for check, change in (
                ("probes", edit((*wait, 2), "--server=127.0.0.1:8001")),
                ("probes", edit((*wait, 4), "--timeout=10s")),
                ("probes", edit((*wait, 1), "status")),
                ("references", edit(tls, "quantserve-certificate")),
                ("paths", edit_args("--tls_key=/etc/quantserve-tls/tls.key",
                                    "--tls_key=/etc/tls/tls.key")),
                ("selectors", edit_object(
                    "Deployment", ("spec", "replicas"), 3)),
                ("selectors", edit_object(
                    "HorizontalPodAutoscaler",
                    ("spec", "scaleTargetRef", "name"), "quantserver")),
                ("selectors", edit_object(
                    "ServiceMonitor", ("spec", "selector", "matchLabels"),
                    {"app.kubernetes.io/name": "quantserve"})),
                ("selectors", edit_object(
                    "ServiceMonitor", ("spec", "endpoints", 0, "port"), "http")),
        ):
            with self.subTest(check):
                bad = copy.deepcopy(good)
                change(bad.objects)
                self.assertNotEqual(problems(bad, check), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
