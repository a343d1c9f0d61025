"""What must hold between the manifests, the programs and one another.

Each check takes a Case and gives a list of problems, each a line.
"""

import re
from dataclasses import dataclass

from manifests import (Programs, flags_of, of_kind, pods, selects,
                       server_settings, title)

# What the operator makes by hand, as deploy/README.md tells; and by key.
SECRETS = {"quantserve-tls": {"tls.crt", "tls.key", "ca.crt"},
           "quantserve-admin": {"token"}}
VERSIONS = {
    "Namespace": "v1", "ServiceAccount": "v1", "Service": "v1",
    "ConfigMap": "v1", "PersistentVolumeClaim": "v1", "Pod": "v1",
    "Deployment": "apps/v1", "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "ClusterServingRuntime": "serving.kserve.io/v1alpha1",
    "InferenceService": "serving.kserve.io/v1beta1",
}
CLUSTER_WIDE = ("Namespace", "ClusterServingRuntime")
HEALTH_NAMES = ("", "live")
# Between the lame duck's end and the process's: closing the port (2 s).
MARGIN_SECONDS = 5


@dataclass
class Case:
    objects: list
    programs: Programs
    image: str = ""
    uid: int = 10001

    def servers(self):
        for name, labels, pod in pods(self.objects):
            if any("args" in c and "command" not in c
                   for c in pod["containers"]):
                yield name, labels, pod


def names_and_versions(case):
    seen = set()
    for o in case.objects:
        meta = o["metadata"]
        name = meta.get("name") or meta["generateName"] + "x"
        if VERSIONS.get(o["kind"]) != o["apiVersion"]:
            yield f'{title(o)} has apiVersion {o["apiVersion"]}'
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            yield f"{title(o)} has a name that is none"
        key = (o["kind"], meta.get("namespace"), name)
        if key in seen:
            yield f"{title(o)} is there twice"
        seen.add(key)
        wide = o["kind"] in CLUSTER_WIDE
        if not wide and meta.get("namespace") != "quantserve":
            yield f'{title(o)} is in namespace {meta.get("namespace")}'
        if "app.kubernetes.io/name" not in meta.get("labels", {}):
            if o["kind"] != "ConfigMap":
                yield f"{title(o)} has no app.kubernetes.io/name"


def selectors(case):
    labels = [labels for _, labels, _ in pods(case.objects)]

    def hits(selector):
        return any(selects(selector, one) for one in labels)

    for o in case.objects:
        spec = o.get("spec", {})
        if o["kind"] == "Service" and not hits(spec["selector"]):
            yield f"{title(o)} selects no pod"
        if o["kind"] in ("Deployment", "PodDisruptionBudget"):
            if not hits(spec["selector"]["matchLabels"]):
                yield f"{title(o)} selects no pod"
        if o["kind"] == "NetworkPolicy":
            if not hits(spec["podSelector"]["matchLabels"]):
                yield f"{title(o)} selects no pod"
        if o["kind"] == "HorizontalPodAutoscaler":
            ref = spec["scaleTargetRef"]
            targets = [d for d in of_kind(case.objects, ref["kind"])
                       if d["metadata"]["name"] == ref["name"]]
            if not targets:
                yield f"{title(o)} scales {ref['name']}, which is not there"
            elif "replicas" in targets[0]["spec"]:
                yield f"{title(o)} and the Deployment both say how many replicas"
        if o["kind"] == "ServiceMonitor":
            yield from monitored(case, o)
    for name, own, pod in pods(case.objects):
        for spread in pod.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"]["matchLabels"], own):
                yield f"{name} spreads others' pods"
        account = pod.get("serviceAccountName")
        accounts = of_kind(case.objects, "ServiceAccount")
        if account and account not in [a["metadata"]["name"] for a in accounts]:
            yield f"{name} has the service account {account}, which is not there"


def monitored(case, monitor):
    chosen = [s for s in of_kind(case.objects, "Service")
              if selects(monitor["spec"]["selector"]["matchLabels"],
                         s["metadata"]["labels"])]
    if len(chosen) != 1:
        yield f"{title(monitor)} selects {len(chosen)} services, want 1"
        return
    ports = [p["name"] for p in chosen[0]["spec"]["ports"]]
    for endpoint in monitor["spec"]["endpoints"]:
        if endpoint["port"] not in ports:
            yield f'{title(monitor)} scrapes port {endpoint["port"]}'
        if endpoint["path"] != "/metrics":
            yield f'{title(monitor)} scrapes {endpoint["path"]}'


def ports_agree(case):
    want = {"grpc": case.programs.port("port"), "h2c": case.programs.port("port"),
            "metrics": case.programs.port("metrics_port")}
    for name, labels, pod in case.servers():
        told, _ = server_settings(case.objects, pod)
        listens = {n: int(told.get(f, case.programs.server[f]))
                   for n, f in (("grpc", "port"), ("h2c", "port"),
                                ("metrics", "metrics_port"))}
        if told.get("address") != "0.0.0.0":
            yield f'{name} listens on {told.get("address")}, out of reach'
        opened = {p["name"]: p["containerPort"]
                  for p in pod["containers"][0]["ports"]}
        for port, number in opened.items():
            if number != want.get(port) or number != listens.get(port):
                yield f"{name} has port {port} {number}"
        for s in of_kind(case.objects, "Service"):
            for p in s["spec"]["ports"]:
                if p["targetPort"] not in opened or \
                        p["port"] != opened[p["targetPort"]]:
                    yield f'{title(s)} has port {p["port"]} to {p["targetPort"]}'
        for policy in of_kind(case.objects, "NetworkPolicy"):
            rules = policy["spec"]["ingress"]
            allowed = {p["port"] for r in rules for p in r.get("ports", [])}
            if allowed != set(opened.values()):
                yield f"{title(policy)} opens {sorted(allowed)}"
            if any(not r.get("ports") or not r.get("from") for r in rules):
                yield f"{title(policy)} opens a port to everybody, or every port"


def probes(case):
    wait = case.programs.help("quantctl", "wait")
    for name, _, pod in case.servers():
        told, _ = server_settings(case.objects, pod)
        main = pod["containers"][0]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = main.get(kind)
            if probe is None:
                if kind == "startupProbe" and "initialDelaySeconds" in main[
                        "livenessProbe"]:
                    continue  # Knative's newer versions alone have one
                yield f"{name} has no {kind}"
                continue
            if ("grpc" in probe) == ("exec" in probe):
                yield f"{name}: {kind} has not one way to ask"
                continue
            if "grpc" in probe:
                service = probe["grpc"].get("service", "")
                if "tls_cert" in told:
                    yield f"{name}: {kind} does not speak TLS"
                if probe["grpc"]["port"] != int(told["port"]):
                    yield f'{name}: {kind} asks port {probe["grpc"]["port"]}'
            else:
                words = probe["exec"]["command"]
                asked = flags_of(words)
                service = asked.get("service", "")
                admin = told.get("admin_port", case.programs.server["admin_port"])
                if words[:2] != ["quantctl", "wait"] or set(asked) - set(wait):
                    yield f"{name}: {kind} runs {words}"
                if asked.get("server") != f"127.0.0.1:{admin}":
                    yield f'{name}: {kind} asks {asked.get("server")}'
                if int(asked["timeout"].rstrip("s")) >= probe["timeoutSeconds"]:
                    yield f"{name}: {kind} is cut off before it answers"
            if service not in HEALTH_NAMES:
                yield f'{name}: health knows no "{service}"'
            # Not serving must never restart a server.
            if (service == "live") != (kind != "readinessProbe"):
                yield f'{name}: {kind} asks for "{service}"'


def flags_and_fields(case):
    for name, _, pod in case.servers():
        _, args = server_settings(case.objects, pod)
        for word in args:
            flag = word.partition("=")[0]
            if not flag.startswith("--") or flag[2:] not in case.programs.server:
                yield f"{name}: the server has no flag {word}"
    for name, _, pod in pods(case.objects):
        for container in pod["containers"]:
            command = container.get("command", [])
            if command[:1] != ["quantctl"]:
                continue
            known = case.programs.help(*command[:2])
            for flag in set(flags_of(command)) - set(known):
                yield f"{name}: quantctl {command[1]} has no flag --{flag}"


def security(case):
    for name, _, pod in pods(case.objects):
        runtime = name.startswith("ClusterServingRuntime")
        if not runtime and pod.get("automountServiceAccountToken") is not False:
            yield f"{name} mounts a service account's token"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield f"{name} has {key}"
        for container in pod["containers"]:
            own = {**pod.get("securityContext", {}),
                   **container.get("securityContext", {})}
            want = {"runAsNonRoot": True, "runAsUser": case.uid,
                    "readOnlyRootFilesystem": True,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"}}
            for key, value in want.items():
                if own.get(key) != value:
                    yield f"{name} has {key} {own.get(key)}"
            if own.get("privileged"):
                yield f"{name} is privileged"
            if "memory" not in container["resources"]["limits"]:
                yield f"{name} has no limit of memory"


def grace(case):
    for name, _, pod in case.servers():
        if name.startswith("ClusterServingRuntime"):
            continue  # Knative's own: the service's timeout
        told, _ = server_settings(case.objects, pod)
        hook = pod["containers"][0].get("lifecycle", {}).get("preStop", {})
        sleep = hook.get("sleep", {}).get("seconds", 0)
        lame_duck = float(told.get("lame_duck_seconds", 0))
        needed = sleep + lame_duck + MARGIN_SECONDS + float(told.get(
            "drain_seconds", case.programs.server["drain_seconds"]))
        if pod["terminationGracePeriodSeconds"] < needed:
            yield f"{name} is killed before it is done: needs {needed} s"
        if sleep + lame_duck < 5:
            yield f"{name} stops listening before endpoints have noticed"


def cpus(case):
    for name, _, pod in case.servers():
        told, _ = server_settings(case.objects, pod)
        limit = pod["containers"][0]["resources"]["limits"]["cpu"]
        if told.get("workers") != limit:
            yield f'{name} has {told.get("workers")} workers on {limit} CPUs'


def references(case):
    there = {kind: {o["metadata"]["name"] for o in of_kind(case.objects, kind)}
             for kind in ("ConfigMap", "PersistentVolumeClaim")}
    for name, _, pod in pods(case.objects):
        volumes = {v["name"]: v for v in pod.get("volumes", [])}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            config = volume.get("configMap", {}).get("name")
            secret = volume.get("secret", {})
            if claim and claim not in there["PersistentVolumeClaim"]:
                yield f"{name}: no claim {claim}"
            if config and config not in there["ConfigMap"]:
                yield f"{name}: no configuration map {config}"
            if secret:
                keys = SECRETS.get(secret["secretName"])
                if keys is None:
                    yield f'{name}: no secret {secret["secretName"]}'
                elif {i["key"] for i in secret.get("items", [])} - keys:
                    yield f'{name}: no such key in {secret["secretName"]}'
        for container in pod["containers"]:
            mounted = [m["name"] for m in container.get("volumeMounts", [])]
            if set(mounted) - set(volumes):
                yield f"{name} mounts {set(mounted) - set(volumes)}"
            if set(volumes) - set(mounted):
                yield f"{name} leaves {set(volumes) - set(mounted)} unmounted"


def paths(case):
    """Every path lies in a volume; what is written, in one that may be."""
    for name, _, pod in pods(case.objects):
        container = pod["containers"][0]
        mounts = {m["mountPath"]: m.get("readOnly", False)
                  for m in container.get("volumeMounts", [])}
        if name.startswith("ClusterServingRuntime"):
            mounts["/mnt/models"] = True  # KServe's storage initializer
        if "args" in container:
            told, _ = server_settings(case.objects, pod)
        else:
            told = flags_of(container.get("command", []))
        for key, value in told.items():
            if not value.startswith("/"):
                continue
            holders = [m for m in mounts if value.startswith(m + "/")]
            if not holders:
                yield f"{name}: {key} {value} is in no volume"
            elif mounts[holders[0]] == key.endswith("_dir"):
                yield f"{name}: {key} {value} is in a volume of the wrong kind"


def images(case):
    for name, _, pod in pods(case.objects):
        image = pod["containers"][0]["image"]
        repository = image.rpartition(":")[0].rpartition("/")[2]
        if name == "Pod fill":
            continue
        if repository != case.image:
            yield f"{name} runs the image {image}, not {case.image}"


ALL = [names_and_versions, selectors, ports_agree, probes, flags_and_fields,
       security, grace, cpus, references, paths, images]
