#!/usr/bin/env python3
"""Opens sample reports in headless Chromium, without a network.

  browser_test.py WRITE_SAMPLE_PAGES [--keep FOLDER]

Exit 77, "skipped" for ctest, where there is no Chromium. --keep leaves the
pages and screenshots (wide, narrow, dark) in FOLDER, for eyes.
"""

import argparse
import html
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

VOID = {"meta", "br", "hr", "img", "input", "link"}  # SVG closes its own
ROWS = {"sample": 59, "large": 500, "hostile": 4, "empty": 0}

# Runs inside a copy of the page and tells the page around it what it sees.
PROBE = """<script>
const errors = [];
addEventListener('error', event => errors.push(String(event.message)));
addEventListener('load', () => setTimeout(() => {
  const all = selector => [...document.querySelectorAll(selector)];
  const table = document.getElementById('layer-table');
  const column = n => [...table.tBodies[0].rows].map(row => row.cells[n]);
  const seen = {errors, title: document.title};
  seen.width = innerWidth;
  seen.scrollWidth = document.documentElement.scrollWidth;
  all('details').forEach(details => { details.open = true; });
  seen.openScrollWidth = document.documentElement.scrollWidth;
  seen.rows = table ? table.tBodies[0].rows.length : 0;
  seen.cards = all('article').length;
  seen.svgs = all('svg[role=img]').length;
  seen.untitled = all('svg[role=img]').filter(
      svg => !svg.querySelector('title').textContent).length;
  seen.fetched = performance.getEntriesByType('resource').map(r => r.name);
  seen.broken = all('main a').map(a => a.hash.slice(1)).filter(
      id => !document.getElementById(id));
  // Tables and charts may scroll or clip inside; text must not be cut off.
  seen.wide = all('p, h1, h2, h3, dl, figcaption, li').filter(
      e => e.scrollWidth > e.clientWidth + 1 &&
           getComputedStyle(e).display !== 'inline').map(e => e.outerHTML.slice(0, 80));
  if (table) {
    const head = table.tHead.rows[0].cells[4].querySelector('button');
    head.click();
    seen.ascending = column(4).map(cell => cell.dataset.v);
    head.click();
    seen.descending = column(4).map(cell => cell.dataset.v);
    const filter = document.querySelector('input');
    filter.value = 'fp32';
    filter.dispatchEvent(new Event('input'));
    seen.shown = [...table.tBodies[0].rows].filter(row => !row.hidden).length;
  }
  parent.postMessage(JSON.stringify(seen), '*');
}, 0));
</script>"""

# A window has a least width; a frame has none.
AROUND = """<!DOCTYPE html><body style="margin:0"><pre id="seen"></pre>
<script>addEventListener('message', event => {
  document.getElementById('seen').textContent = event.data;
});</script>
<iframe src="%s" style="width:%dpx;height:%dpx;border:0"></iframe>"""


class Balance(html.parser.HTMLParser):
    """Every tag closes, in order; the rows of a table have as many cells."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.cells = []  # of each row of the table

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.cells = []
        elif tag == "tr":
            self.cells.append(0)
        elif tag in ("td", "th"):
            self.cells[-1] += 1

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-5:], self.getpos())
        self.open.pop()
        assert tag != "table" or len(set(self.cells)) == 1, self.cells


class Browser:
    def __init__(self, program, folder):
        self.command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu",
            "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile"]

    def run(self, page, *flags):
        done = subprocess.run(
            self.command + list(flags) + [page.as_uri()], timeout=90,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return done.stdout.decode()

    def dom(self, page, *flags):
        return self.run(page, "--virtual-time-budget=10000", "--dump-dom", *flags)


def probe(browser, folder, page, width):
    """What PROBE sees in `page`, `width` pixels wide."""
    text = page.read_text()
    # The policy forbids every script but the page's own, the probe, too.
    text, policies = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert policies == 1, policies
    probed = folder / f"{page.stem}_probed.html"
    probed.write_text(text.replace("<head>", "<head>" + PROBE, 1))
    around = folder / f"{page.stem}_{width}.html"
    around.write_text(AROUND % (probed.name, width, 800))
    dom = browser.dom(around)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    assert seen and seen.group(1), f"the probe in {around} said nothing"
    return json.loads(html.unescape(seen.group(1)))


def check_source(page):
    text = page.read_text()
    if page.stem != "hostile":  # whose text may say anything
        for fetched in ("http:", "https:", "url(", "src=", "@import", "<link",
                        "<object", "<iframe", "<base"):
            assert fetched not in text, f"{page.name} has {fetched}"
    balance = Balance()
    balance.feed(text)
    assert not balance.open, balance.open


def check_page(browser, folder, page, width):
    seen = probe(browser, folder, page, width)
    what = f"{page.name} at {width} px"
    assert seen["width"] == width, (what, seen["width"])
    assert seen["scrollWidth"] <= width, (what, seen["scrollWidth"])
    assert seen["openScrollWidth"] <= width, (what, seen["openScrollWidth"])
    assert seen["errors"] == [], (what, seen["errors"])
    assert seen["fetched"] == [], (what, seen["fetched"])
    assert seen["broken"] == [], (what, seen["broken"])
    assert seen["wide"] == [], (what, seen["wide"])
    assert seen["untitled"] == 0, (what, seen["untitled"])
    rows = ROWS[page.stem]
    assert seen["rows"] == seen["cards"] == rows, (what, seen["rows"], seen["cards"])
    if page.stem == "sample":
        # 55 histograms, 3 charts, 2 splits, the phases.
        assert seen["svgs"] == 61, (what, seen["svgs"])
        assert seen["shown"] == 3, (what, seen["shown"])
    if rows:
        up = [float(v) for v in seen["ascending"] if v]
        down = [float(v) for v in seen["descending"] if v]
        assert up == sorted(up) and down == sorted(down, reverse=True), (what, up)
        assert len(seen["ascending"]) == rows, what
    print(f"ok: {what}: {seen['rows']} rows, {seen['svgs']} pictures")


def check_untouched(browser, page):
    """The page as it is: its script runs under its policy, no other does."""
    dom = browser.dom(page)
    buttons = dom.count("<button>")
    assert (buttons > 0) == ("<table" in page.read_text()), (page.name, buttons)
    assert "<title>owned" not in dom, "a name from the model ran as a script"
    print(f"ok: {page.name} under its own policy: {buttons} buttons")


def take_pictures(browser, folder):
    around = folder / "narrow.html"
    around.write_text(AROUND % ("sample.html", 360, 9000))
    for name, page, size, flags in (
            ("wide", folder / "sample.html", "1280,8500", []),
            ("dark", folder / "sample.html", "1280,8500",
             ["--blink-settings=preferredColorScheme=0"]),
            ("narrow", around, "500,9000", []),
            ("hostile", folder / "hostile.html", "1280,4000", [])):
        browser.run(page, f"--window-size={size}", *flags,
                    f"--screenshot={folder / name}.png")
    browser.run(folder / "sample.html", "--no-pdf-header-footer",
                f"--print-to-pdf={folder / 'paper.pdf'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("write_sample_pages")
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, (
        "chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        print("skipped: no Chromium here (Debian's package is \"chromium\")")
        return 77
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = pathlib.Path(arguments.keep or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([arguments.write_sample_pages, str(folder)], check=True)
        browser = Browser(program, temporary)
        for name in ROWS:
            page = folder / f"{name}.html"
            check_source(page)
            check_untouched(browser, page)
            for width in (360, 1280):
                check_page(browser, folder, page, width)
        if arguments.keep:
            take_pictures(browser, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
