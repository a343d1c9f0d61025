"""deploy/kubernetes: the rendered configuration, arguments, probes and job are
given to the real programs, with only paths and ports put in their place.

    python3 serve_test.py SOURCE_DIR BUILD_DIR

Where the system gives its users mount namespaces, the servers run on a read-only
file system like the pods', and the name of the headless service stands for two
replicas. The models are the demo's, made in BUILD_DIR/e2e_model.
"""

import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from manifests import (config_of, of_kind, pods, read, render,
                       server_settings)

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
HERE = source / "deploy" / "kubernetes"
LIMIT_SECONDS = 240
SERVICE = "quantserve-replicas.quantserve.svc"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--"]
NAMESPACES = subprocess.run([*NAMESPACE, "true"], capture_output=True,
                            check=False).returncode == 0


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True,
                          text=True, check=False, timeout=LIMIT_SECONDS,
                          **options)


def demo_model():
    folder = build / "e2e_model"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = run(build / "bin" / "make_demo_model", "--output_dir", folder,
                   "--epochs=1", "--train_samples=4000")
    assert made.returncode == 0, made.stderr
    return folder


class Replica:
    """One pod's server: what the manifests say, mapped into `root`."""

    def __init__(self, objects, root, address="127.0.0.1", port=0):
        _, _, pod = next(p for p in pods(objects) if "args" in
                         p[2]["containers"][0])
        self.pod, self.root, self.address = pod, root, address
        _, args = server_settings(objects, pod)
        config = config_of(objects, pod)
        if config:
            (root / "etc/quantserve").mkdir(parents=True, exist_ok=True)
            (root / "etc/quantserve/quantserve.textproto").write_text(
                self.mapped(config))
        self.ports_file = root / "var/lib/quantserve" / f"{address}.json"
        # Trained for seconds: the gate is not what this is about.
        flags = [self.mapped(a.replace("{{.Name}}", "demo")) for a in args]
        flags += ["--max_accuracy_drop=0.1", "--samples=64",
                  "--bias_correction=none", "--equalize=off",
                  f"--address={address}",
                  f"--port={port}", "--metrics_port=0", "--admin_port=0",
                  f"--port_file={self.ports_file}"]
        command = [str(build / "bin/quantserve_server"), *flags]
        if NAMESPACES:
            writable = root / "var/lib/quantserve"
            command = [*NAMESPACE, "sh", "-c",
                       'mount --bind "$0" "$0" && mount -o remount,bind,ro / &&'
                       ' { mountpoint -q /tmp && mount -o remount,bind,ro /tmp;'
                       ' exec "$@"; }', str(writable), *command]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stderr=self.log, stdout=self.log, cwd="/",
            env={"PATH": os.environ["PATH"]})
        self.ports = self.read_ports()

    def mapped(self, text):
        for inside in ("/models", "/shards", "/mnt/models", "/etc/quantserve",
                       "/var/lib/quantserve"):
            for opening in ('"', "="):
                text = text.replace(opening + inside,
                                    f"{opening}{self.root}{inside}")
        return text

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def read_ports(self):
        deadline = time.monotonic() + LIMIT_SECONDS
        while not self.ports_file.exists():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return json.loads(self.ports_file.read_text())

    def ask(self, kind, seconds):
        """The probe, as the kubelet would ask it, but for `seconds`."""
        probe = self.pod["containers"][0][kind]
        if "grpc" in probe:
            service = probe["grpc"].get("service", "")
            command = ["quantctl", "wait", f"--service={service}",
                       f'--server={self.address}:{self.ports["grpc"]}']
        else:
            command = [w.replace(":8003", f':{self.ports["admin"]}')
                       for w in probe["exec"]["command"]]
        return run(build / "bin" / command[0], *command[1:],
                   f"--timeout={seconds}s")

    def end(self):
        """Its exit code; it is told before, and a second signal would kill."""
        return self.process.wait(timeout=self.pod[
            "terminationGracePeriodSeconds"])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Serve(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=build)
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        demo = demo_model()
        for place, names in (
                ("models", ("model.pt", "labels.txt")),
                ("shards", ("calibration.bin", "test.bin")),
                ("mnt/models", ("model.pt", "calibration.bin", "test.bin"))):
            (self.root / place).mkdir(parents=True)
            for name in names:
                (self.root / place / name).symlink_to(demo / name)
            if "test.bin" in names:
                # Starts are all of this test: fewer samples make them short.
                (self.root / place / "test.bin").unlink()
                with open(demo / "test.bin", "rb") as test:
                    (self.root / place / "test.bin").write_bytes(
                        test.read(200 * 3073))
        (self.root / "var/lib/quantserve").mkdir(parents=True)

    def start(self, objects, **options):
        replica = Replica(objects, self.root, **options)
        self.addCleanup(replica.kill)
        return replica

    def check_life(self, replica):
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if kind in replica.pod["containers"][0]:
                answer = replica.ask(kind, LIMIT_SECONDS)
                self.assertEqual(answer.returncode, 0,
                                 answer.stderr + replica.said())

    def test_one_pod_lives_becomes_ready_and_goes_in_time(self):
        objects = render(HERE / "overlays" / "single")
        replica = self.start(objects)
        self.check_life(replica)
        self.assertTrue(list((self.root / "var/lib/quantserve/artifacts")
                             .iterdir()), replica.said())
        replica.process.send_signal(signal.SIGTERM)
        # A lame duck: not ready, and no reason for a restart.
        deadline = time.monotonic() + LIMIT_SECONDS
        while "not ready any more" not in replica.said():
            self.assertLess(time.monotonic(), deadline, replica.said())
            time.sleep(0.05)
        self.assertEqual(replica.ask("livenessProbe", 5).returncode, 0)
        self.assertEqual(replica.ask("readinessProbe", 1).returncode, 1)
        self.assertEqual(replica.end(), 0, replica.said())

    def test_kserves_arguments_serve_under_the_services_name(self):
        replica = self.start(render(HERE / "overlays" / "kserve"))
        self.check_life(replica)
        status = run(build / "bin/quantctl", "status", "--format=json",
                     f'--server=127.0.0.1:{replica.ports["grpc"]}')
        model, = json.loads(status.stdout)["models"]
        self.assertEqual(model["name"], "demo")

    def write_secrets(self):
        tls = self.root / "etc/quantserve-tls"
        admin = self.root / "etc/quantserve-admin"
        tls.mkdir(parents=True)
        admin.mkdir(parents=True)
        (admin / "token").write_text("a token of the test's own\n")
        made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                   "-days", "2", "-subj", "/CN=quantserve",
                   "-addext", f"subjectAltName=DNS:{SERVICE}",
                   "-keyout", tls / "tls.key", "-out", tls / "tls.crt")
        self.assertEqual(made.returncode, 0, made.stderr)
        (tls / "ca.crt").write_bytes((tls / "tls.crt").read_bytes())

    def test_the_job_quantizes_on_all_pods_over_tls(self):
        if not NAMESPACES:
            self.skipTest("this system gives no mount namespaces to its users")
        self.write_secrets()
        objects = render(HERE / "overlays" / "production")
        first = self.start(objects)
        port = first.ports["grpc"]
        second = self.start(objects, address="127.0.0.2", port=port)
        for replica in (first, second):
            self.check_life(replica)
        job, = of_kind(read(HERE / "jobs" / "quantize-all.yaml"), "Job")
        command = job["spec"]["template"]["spec"]["containers"][0]["command"]
        hosts = self.root / "hosts"
        hosts.write_text(f"127.0.0.1 {SERVICE}\n127.0.0.2 {SERVICE}\n")
        in_cluster = [*NAMESPACE, "sh", "-c",
                      'mount --bind "$0" /etc/hosts && exec "$@"', hosts,
                      build / "bin" / command[0]]
        done = run(*in_cluster, *[first.mapped(w).replace(":8001", f":{port}")
                                  for w in command[1:]])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 2, done.stdout)
        self.assertIn(f"127.0.0.1:{port}: published as generation 2", lines[0])
        self.assertIn("calibrated, gate passed", lines[0])
        self.assertIn(f"127.0.0.2:{port}: published as generation 2", lines[1])
        self.assertIn("loaded, gate passed", lines[1])
        # With another token, nothing.
        other = self.root / "other"
        other.write_text("another token than theirs\n")
        refused = run(*in_cluster, *[
            first.mapped(w).replace(":8001", f":{port}") for w in command[1:]],
            f"--token_file={other}")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("PERMISSION_DENIED", refused.stderr)
        self.assertIn("replica 1 of 2", refused.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
