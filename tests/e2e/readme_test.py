"""Runs the README's chapter "Bring your own model" as it stands.

    python3 readme_test.py SOURCE_DIR BUILD_DIR

Every block behind "<!-- run -->" runs to its end, the one behind
"<!-- serve -->" beside those that follow it. The commands name build/release
and docs, so they run in a folder of its own with links to both.
"""

import html.parser
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
LIMIT_SECONDS = 240


def blocks():
    text = (source / "README.md").read_text()
    chapter = text.split("## Bring your own model", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"<!-- (run|serve) -->\n```\n(.*?)```", chapter, re.S)
    marks = chapter.count("```") // 2
    assert len(found) == marks, f"{marks} blocks, {len(found)} with a mark"
    return found


def wait_for(port, server):
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


class Page(html.parser.HTMLParser):
    """Whether the report is one page that asks for nothing else."""

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            assert name not in ("src", "srcset"), f"{tag} has {name}={value}"
            outside = name == "href" and not (value or "").startswith("#")
            assert not outside, f"{tag} refers to {value}"


def main():
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home, "tree")
        (folder / "build").mkdir(parents=True)
        (folder / "build" / "release").symlink_to(build)
        (folder / "docs").symlink_to(source / "docs")
        environment.update(HOME=home, XDG_CACHE_HOME=f"{home}/cache")
        server = None
        try:
            for kind, command in blocks():
                print("$ " + command, flush=True)
                if kind == "serve":
                    server = subprocess.Popen(
                        ["bash", "-ec", "exec " + command], cwd=folder,
                        env=environment)
                    wait_for(8001, server)
                    subprocess.run(
                        [build / "bin" / "quantctl", "wait"], cwd=folder,
                        env=environment, check=True, timeout=LIMIT_SECONDS)
                    continue
                subprocess.run(["bash", "-ec", command], cwd=folder,
                               env=environment, check=True,
                               timeout=LIMIT_SECONDS)
            for report in ("report.html", "served.html"):
                page = (folder / "build" / "mine" / report).read_text()
                Page().feed(page)
                assert "<svg" in page, f"{report} has no picture"
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0, "the server ended badly"
            server = None
        finally:
            if server is not None:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
