"""A live server, watched by a live Prometheus with the shipped configuration.

    with Stand(source, build) as stand:
        stand.put_load_on()
        stand.prometheus.value("quantserve_ready")

Everything is on free ports of the loopback and in a folder that goes away.
What differs from what operators run: the targets file names this server, and
prometheus.yml's 15s are 1s.
"""

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# What a scrape in Kubernetes would add.
POD_LABELS = {"namespace": "default", "pod": "quantserve-0"}
INTERVAL_SECONDS = 1


class Prometheus:
    """Prometheus' HTTP API."""

    def __init__(self, url):
        self.url = url

    def get(self, path, **arguments):
        query = urllib.parse.urlencode(arguments, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}",
                                        timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from None

    def instant(self, expr):
        return self.get("query", query=expr)["result"]

    def range(self, expr, start, end, step):
        return self.get("query_range", query=expr, start=start, end=end,
                        step=step)["result"]

    def rules(self):
        return [rule for group in self.get("rules")["groups"]
                for rule in group["rules"]]

    def value(self, expr):
        """The only number that `expr` has; None if it has none."""
        result = self.instant(expr)
        assert len(result) < 2, f"{expr} has {len(result)} values"
        return float(result[0]["value"][1]) if result else None


def await_true(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s: {what}"
        time.sleep(0.1)


def make_model(build):
    """The model that the other end-to-end tests train, made once for all."""
    folder = build / "e2e_model"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [build / "bin" / "make_demo_model", "--output_dir", folder,
             "--epochs=1", "--train_samples=4000"],
            check=True, timeout=600, stdout=subprocess.DEVNULL)
    return folder


class Stand:
    def __init__(self, source, build, server_flags=(), model=None):
        self.source, self.build = source, build
        self.server_flags, self.model = list(server_flags), model
        self.started = time.time()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self._processes, self._threads = [], []
        self._stop = threading.Event()

    def __enter__(self):
        try:
            self._start_server()
            self._start_prometheus()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()

    def _run(self, command, log):
        environment = dict(os.environ, HOME=str(self.folder))
        with open(self.folder / log, "w") as err:
            process = subprocess.Popen(
                command, stdout=err, stderr=err, cwd=self.folder,
                env=environment)
        self._processes.append(process)
        return process

    def log(self, name):
        return (self.folder / name).read_text()

    def _start_server(self):
        model = self.model or make_model(self.build)
        ports = self.folder / "ports.json"
        server = self._run(
            [self.build / "bin" / "quantserve_server", "--model_name=demo",
             f"--model={model}/model.pt", f"--labels={model}/labels.txt",
             f"--calibration_shard={model}/calibration.bin",
             f"--test_shard={model}/test.bin", "--mean=0.5", "--std=0.25",
             "--port=0", "--metrics_port=0", f"--port_file={ports}",
             f"--cache_dir={model}/cache", "--artifact_dir=none",
             "--keep_previous", *self.server_flags], "server.log")
        await_true("the server listens",
                   lambda: ports.exists() or server.poll() is not None)
        assert server.poll() is None, self.log("server.log")
        self.ports = json.loads(ports.read_text())

    def _start_prometheus(self):
        config = self.folder / "prometheus"
        shutil.copytree(self.source / "deploy" / "prometheus", config)
        targets = [{"targets": [f"127.0.0.1:{self.ports['metrics']}"],
                    "labels": POD_LABELS}]
        # JSON is YAML.
        (config / "targets" / "quantserve.yml").write_text(json.dumps(targets))
        file = config / "prometheus.yml"
        text, changed = re.subn(r"(_interval): 15s",
                                rf"\1: {INTERVAL_SECONDS}s", file.read_text())
        assert changed == 2, "prometheus.yml has other intervals than 15s"
        file.write_text(text)
        process = self._run(
            ["prometheus", f"--config.file={file}",
             f"--storage.tsdb.path={self.folder}/tsdb",
             "--web.listen-address=127.0.0.1:0"], "prometheus.log")

        def port():
            assert process.poll() is None, self.log("prometheus.log")
            return re.search(r"Listening on.*?127\.0\.0\.1:(\d+)",
                             self.log("prometheus.log"))
        await_true("Prometheus listens", port)
        self.prometheus = Prometheus(f"http://127.0.0.1:{port()[1]}")
        await_true("the first scrape", self._is_up)

    def _is_up(self):
        try:
            return self.prometheus.value('up{job="quantserve"}') == 1
        except (ValueError, OSError):  # it still starts
            return False

    def metrics(self):
        with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['metrics']}/metrics",
                timeout=30) as reply:
            return reply.read().decode()

    def ctl(self, command, *flags, code=0):
        done = subprocess.run(
            [self.build / "bin" / "quantctl", command,
             f"--server=127.0.0.1:{self.ports['grpc']}", "--timeout=5m",
             *flags], capture_output=True, text=True, timeout=320)
        assert code is None or done.returncode == code, done.stderr
        return done

    def load(self, variant, rate, seconds, *flags):
        """Open-loop: as many calls a second, whatever the answers."""
        self.ctl("bench", f"--variant={variant}", f"--rate={rate}",
                 f"--requests={max(1, int(rate * seconds))}", *flags, code=None)

    def put_load_on(self, loads=(("fp32", 50), ("int8", 100))):
        """(variant, calls a second), until the stand goes."""
        def run(variant, rate):
            while not self._stop.is_set():
                self.load(variant, rate, 2)
        for load in loads:
            thread = threading.Thread(target=run, args=load)
            thread.start()
            self._threads.append(thread)
