"""A real browser for the tests of the live view: Debian's chromium, driven by Playwright, and axe-core.

`missing()` says what is not here. Nothing is downloaded; the pages come from loopback or a file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs.wait import patient, poll_until

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "chromium"
_PACKAGES = ("playwright", "axe_playwright_python")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S+")
serving: dict[str, subprocess.Popen[bytes]] = {}  # by the address of the page
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def missing() -> str:
    """Why there is no browser here; empty if there is one."""
    if not shutil.which(CHROMIUM):
        return "chromium is missing: sudo apt-get install chromium"
    if any(importlib.util.find_spec(name) is None for name in _PACKAGES):
        return (
            "playwright is missing: .venv/bin/python -m pip install --require-hashes -r requirements-view.txt"
        )
    return ""


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=options)
        yield chromium
        chromium.close()


@contextmanager
def served(*arguments: str, runs: Path, log: Path, code: str = "") -> Iterator[str]:
    """`./inv ARGUMENTS` while it serves a page: the page's address. `code` is a program in its place."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *(("-c", code) if code else (ROOT / "tasks.py",)), *arguments],
            cwd=ROOT,
            env={**os.environ, "LVS_RUNS": str(runs)},
            stdin=subprocess.PIPE,  # a prompt that waits
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def address() -> str:
            found = _ADDRESS.search(log.read_text())
            assert found or process.poll() is None, log.read_text()
            return found[0] if found else ""

        found = poll_until(address, bool, 120)
        assert found, log.read_text()
        serving[found] = process
        yield found
    finally:
        assert process.stdin
        process.stdin.close()  # ends a prompt
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=patient(30))


@contextmanager
def opened(chromium: Any, address: str, **options: Any) -> Iterator[Any]:
    """The page at `address` when all items of its run have arrived; its errors fail the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(patient(8) * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address, timeout=patient(60) * 1000)  # a lab answers once it is built
    wait(page, "window.page && (page.store.ended || page.store.document.live)", "all items of the run")
    settled(page)
    page.problems = errors
    yield page
    context.close()
    assert errors == []


def wait(page: Any, condition: str, what: str) -> None:
    """Until the condition, in JavaScript, holds. (Playwright's own needs `eval`, which the page forbids.)"""
    assert poll_until(lambda: page.evaluate(f"!!({condition})"), bool, 60), f"timed out waiting for {what}"


def settled(page: Any) -> None:
    """Until what has changed is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def violations(page: Any, *rules: str) -> list[str]:
    """What axe-core finds wrong with what is shown: by all rules of WCAG 2.2 A and AA, or these.

    The page must have been opened with bypass_csp.
    """
    import axe_playwright_python

    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _TAGS}
    found = page.evaluate(f"axe.run(document, {json.dumps({'runOnly': only})})")
    return [f"{violation['id']}: {violation['nodes'][0]['html'][:200]}" for violation in found["violations"]]
