"""Checks docker/ as files against the programs that they start.

    python3 docker_test.py SOURCE_DIR BIN_DIR

Flags are ones that the programs have, ports are the programs' defaults, paths
exist, and what one file calls something the others call the same. Building and
running the image is `make test-image`.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

import yaml

bin_dir = pathlib.Path(sys.argv.pop(2)).resolve()
source = pathlib.Path(sys.argv.pop(1)).resolve()
docker = source / "docker"

compose = yaml.safe_load((docker / "compose.yaml").read_text())
services = compose["services"]
# Continuation lines joined, comments dropped: one instruction a line.
dockerfile = re.sub(r"\\\n\s*", "", re.sub(
    r"^\s*#.*\n", "", (docker / "Dockerfile").read_text(), flags=re.M))


def instructions(name):
    return re.findall(rf"^{name} (.*)$", dockerfile, re.M)


def exec_form(text):
    """The command of CMD ["…"] or ENTRYPOINT ["…"]."""
    return json.loads(text[text.index("["):])


entrypoint = exec_form(instructions("ENTRYPOINT")[0])
health = exec_form(instructions("HEALTHCHECK")[0])


def help_page(*command):
    return subprocess.run([bin_dir / command[0], *command[1:], "--help"],
                          capture_output=True, text=True, check=True).stdout


def default(flag):
    return re.search(rf"--{flag} \(default ([^)]*)\)",
                     help_page("quantserve_server")).group(1)


def program(path):
    """The built program behind a path of the image."""
    name = path.removeprefix("/usr/bin/")
    return "quantserve_server" if name == "quantserve" else name


def command_of(service):
    """Entrypoint and command, as the container runs them."""
    return [*service.get("entrypoint", entrypoint), *service.get("command", [])]


def ours():
    return {name: service for name, service in services.items()
            if service["image"] == "quantserve:latest"}


class DockerTest(unittest.TestCase):

    def check_flags(self, command):
        words = [word for word in command if not word.startswith("-")]
        page = help_page(program(words[0]), *words[1:])
        known = set(re.findall(r"^  --([a-z0-9_]+)", page, re.M))
        for word in command:
            if word.startswith("--"):
                self.assertIn(word[2:].split("=")[0], known, " ".join(command))

    def test_flags_are_the_programs_own(self):
        self.check_flags(entrypoint)
        self.check_flags(health)
        for service in ours().values():
            self.check_flags(command_of(service))

    def test_commands_need_no_shell_and_are_installed(self):
        for command in [entrypoint, health, *map(command_of, ours().values())]:
            self.assertRegex(command[0], "^/usr/bin/")
        for text in instructions("ENTRYPOINT") + instructions("CMD"):
            self.assertTrue(text.startswith("["), text)
        runtime = dockerfile[dockerfile.index("AS runtime"):]
        for text in re.findall("^RUN (.*)$", runtime, re.M):
            self.assertTrue(text.startswith("["), text)

    def test_user_is_a_number_that_owns_the_volumes(self):
        user = instructions("USER")[0]
        self.assertRegex(user, r"^[1-9]\d+:[1-9]\d+$")
        self.assertIn(f"--chown={user} /stage/volumes/", dockerfile)
        stage = (docker / "stage_runtime.sh").read_text()
        made = re.search(r"volumes/\{(.*?)\}", stage).group(1).split(",")
        self.assertEqual(["/" + path for path in made],
                         json.loads(instructions("VOLUME")[0]))

    def test_copied_files_are_there(self):
        for text in instructions("COPY"):
            words = shlex.split(text)
            if not words[0].startswith("--from"):
                for path in words[:-1]:
                    self.assertTrue((source / path).exists(), path)

    def test_base_has_what_the_build_needs(self):
        def packages(argument):
            script = (source / "scripts/install_deps.sh").read_text()
            body = re.search(rf"^{argument}=\((.*?)^\)", script, re.M | re.S)
            return set(re.sub("#.*", "", body.group(1)).split())
        listed = subprocess.run([source / "scripts/install_deps.sh", "--list"],
                                capture_output=True, text=True, check=True)
        self.assertEqual(packages("to_build") | packages("to_test"),
                         set(listed.stdout.split()))
        self.assertNotIn("chromium", packages("to_build"))

    def test_configuration_is_one_that_the_server_reads(self):
        done = subprocess.run(
            [bin_dir / "quantserve_server",
             f"--config={docker / 'quantserve.textproto'}"],
            capture_output=True, text=True)
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, r"^quantserve_server: no model.*\n$")
        text = (docker / "quantserve.textproto").read_text()
        self.assertIn('address: "0.0.0.0"', text)
        for path in re.findall(r'_dir: "(.*)"', text):
            self.assertTrue(path.startswith("/var/lib/quantserve/"), path)

    def test_ports_agree(self):
        port, metrics = default("port"), default("metrics_port")
        self.assertEqual([port, metrics], instructions("EXPOSE")[0].split())
        self.assertEqual([f"127.0.0.1:{p}:{p}" for p in (port, metrics)],
                         services["quantserve"]["ports"])
        targets = yaml.safe_load((docker / "prometheus-targets.yml").read_text())
        self.assertEqual([f"quantserve:{metrics}"], targets[0]["targets"])
        for service in ours().values():
            for word in service.get("command", []):
                if word.startswith("--server="):
                    self.assertEqual(f"--server=quantserve:{port}", word)

    def test_every_service_publishes_on_the_loopback_only(self):
        for service in services.values():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_our_containers_have_no_more_rights_than_they_need(self):
        for name, service in ours().items():
            self.assertTrue(service["read_only"], name)
            self.assertEqual(["ALL"], service["cap_drop"], name)

    def test_mounted_paths_and_volumes_are_there(self):
        for name, service in services.items():
            for mount in service.get("volumes", []):
                path = mount.split(":")[0]
                if path.startswith("."):
                    self.assertTrue((docker / path).exists(), f"{name}: {path}")
                else:
                    self.assertIn(path, compose["volumes"], name)
            for other in service.get("depends_on", {}):
                self.assertIn(other, services, name)

    def test_prometheus_finds_its_configuration_and_the_server(self):
        mounts = dict(m.split(":")[:2] for m in services["prometheus"]["volumes"])
        self.assertEqual("/etc/prometheus", mounts["../deploy/prometheus"])
        self.assertIn("--config.file=/etc/prometheus/prometheus.yml",
                      services["prometheus"]["command"])
        config = yaml.safe_load(
            (source / "deploy/prometheus/prometheus.yml").read_text())
        files = config["scrape_configs"][0]["file_sd_configs"][0]["files"]
        self.assertEqual(["targets/*.yml"], files)
        # It hides the targets of the folder, which are not in this network.
        shipped = [path.name for path in
                   (source / "deploy/prometheus/targets").iterdir()]
        self.assertEqual(
            [mounts["./prometheus-targets.yml"]],
            [f"/etc/prometheus/targets/{name}" for name in shipped])

    def test_grafana_finds_prometheus_and_the_dashboard(self):
        grafana = source / "deploy/grafana"
        mounts = dict(m.split(":")[:2] for m in services["grafana"]["volumes"])
        self.assertEqual("/etc/grafana/provisioning",
                         mounts["../deploy/grafana/provisioning"])
        sources = yaml.safe_load(next(
            (grafana / "provisioning/datasources").iterdir()).read_text())
        self.assertEqual("http://prometheus:9090",
                         sources["datasources"][0]["url"])
        providers = yaml.safe_load(next(
            (grafana / "provisioning/dashboards").iterdir()).read_text())
        folder = providers["providers"][0]["options"]["path"]
        self.assertEqual(folder, mounts["../deploy/grafana/dashboards"])
        home = services["grafana"]["environment"][
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        shown = grafana / "dashboards" / home.removeprefix(folder + "/")
        uid = json.loads(shown.read_text())["uid"]
        for text in [(source / "scripts/run_compose.sh").read_text(),
                     (docker / "compose.yaml").read_text()]:
            self.assertIn(f"http://127.0.0.1:3000/d/{uid}\n", text)

    def test_containers_have_the_time_to_drain(self):
        grace = services["quantserve"]["stop_grace_period"].removesuffix("s")
        self.assertGreater(float(grace), float(default("drain_seconds")) +
                           float(default("lame_duck_seconds")))


if __name__ == "__main__":
    unittest.main()
