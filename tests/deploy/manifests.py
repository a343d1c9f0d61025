"""Kubernetes' objects as the overlays give them, and what the programs say."""

import pathlib
import re
import subprocess

import yaml

SERVER_LABEL = "app.kubernetes.io/name"


def render(folder):
    """The objects of a kustomization, as `kubectl apply -k` would send them."""
    run = subprocess.run(["kubectl", "kustomize", str(folder)],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{folder}: {run.stderr}"
    return [o for o in yaml.safe_load_all(run.stdout) if o]


def read(path):
    return [o for o in yaml.safe_load_all(pathlib.Path(path).read_text()) if o]


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def title(thing):
    meta = thing["metadata"]
    return f'{thing["kind"]} {meta.get("name", meta.get("generateName"))}'


def pods(objects):
    """(title, labels, pod specification) of whatever makes pods."""
    for o in objects:
        if o["kind"] in ("Deployment", "Job"):
            template = o["spec"]["template"]
            yield title(o), template["metadata"]["labels"], template["spec"]
        elif o["kind"] == "Pod":
            yield title(o), o["metadata"]["labels"], o["spec"]
        elif o["kind"] == "ClusterServingRuntime":
            yield title(o), o["metadata"]["labels"], o["spec"]


def selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def flags_of(words):
    """--name=value as a dict; a lone --name is "true"."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        if name.startswith("--"):
            found[name[2:]] = value or "true"
    return found


class Programs:
    """The flags that the binaries take, with their defaults."""

    def __init__(self, build):
        self.bin = pathlib.Path(build, "bin")
        self.known = {}
        self.server = self.help("quantserve_server")

    def help(self, *words):
        if words not in self.known:
            command = [str(self.bin / words[0]), *words[1:], "--help"]
            text = subprocess.run(command, capture_output=True, text=True,
                                  check=True).stdout
            self.known[words] = dict(re.findall(
                r"^  --(\w+)(?: \(default (.*)\))?$", text, re.M))
        return self.known[words]

    def port(self, name):
        return int(self.server[name])


def config_of(objects, pod):
    """The text of the server's configuration that a pod mounts, or None."""
    names = [v["configMap"]["name"] for v in pod.get("volumes", [])
             if "configMap" in v]
    for o in of_kind(objects, "ConfigMap"):
        if o["metadata"]["name"] in names:
            return o["data"]["quantserve.textproto"]
    return None


def settings(text):
    """The plain fields of a textproto, one a line."""
    found = re.findall(r'^(\w+): (?:"([^"]*)"|(\S+))$', text, re.M)
    return {name: quoted or bare for name, quoted, bare in found}


def server_settings(objects, pod):
    """What the server is told: its configuration, and the flags that win."""
    config = config_of(objects, pod)
    told = settings(config) if config else {}
    args = list(pod["containers"][0].get("args", []))
    for o in of_kind(objects, "InferenceService"):
        args += o["spec"]["predictor"]["model"].get("args", [])
    told.update(flags_of(args))
    return told, args
