"""The real keepalived accepts what our tests use, and knows every keyword of our tables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from availability.config.keywords import REFUSED, TABLE, Keyword
from labs.methods import METHODS
from labs.plan import plan_for
from labs.run.options import HaOptions
from labs.wait import patient
from realserver_setup.render import configuration
from tests.unit.availability.keepalived_files import FILES

pytestmark = pytest.mark.skipif(
    not shutil.which("keepalived"), reason="keepalived is missing (packages-ha.txt: apt install keepalived)"
)
_NAMESPACES = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
_SAMPLES = {
    "flag": "",
    "bool": "on",
    "number": "1",
    "number?": "",
    "seconds": "1",
    "word": "rr",
    "text": "x",
    "words": "1",
    "address": "192.0.2.9",
    "group4": "224.0.0.19",
    "group6": "ff02::13",
    "mask": "255.255.255.0",
    "user": "root",
    "script": "/bin/true",
    "weight": "-5 reverse",
}
_HEADS = {
    "": [],
    "global_defs": ["global_defs"],
    "virtual_server": ["virtual_server 203.0.113.1 80"],
    "vrrp_instance": ["vrrp_instance a"],
    "authentication": ["vrrp_instance a", "authentication"],
    "vrrp_sync_group": ["vrrp_sync_group a"],
    "vrrp_script": ["vrrp_script a"],
}
_SERVER = [*_HEADS["virtual_server"], "real_server 192.0.2.2 80"]
_WITH_BRACES = {
    *("static_ipaddress", "static_routes", "static_rules", "track_group", "track_file", "vrrp_track_file"),
    *("vrrp_track_process", "bfd_instance", "linkbeat_interfaces", "interface_up_down_delays", "garp_group"),
    *("SSL", "FILE_CHECK", "BFD_CHECK", "host", "unicast_peer", "track_process", "track_bfd"),
    *("virtual_routes", "virtual_rules"),
}
_NOT_IN_DEBIAN = {"vrrp_ipsets"}  # built without ipset
_NOT_TRIED = {"net_namespace", "net_namespace_ipvs", "namespace_with_ipsets", "instance"}  # they act at once


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """What `keepalived -t` says, in a network namespace of its own, with an interface eth0."""
    line = 'ip link add eth0 type veth peer name eth1 && exec keepalived -i main -t -f "$1"'
    words = [*_NAMESPACES, "sh", "-c", line, "sh", str(file)]
    return subprocess.run(words, capture_output=True, text=True, timeout=patient(30), check=False)


@pytest.fixture(autouse=True)
def _namespace() -> None:
    if subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a network namespace")


@pytest.mark.parametrize("name", FILES)
def test_it_accepts_the_files_of_our_tests(tmp_path: Path, name: str) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(FILES[name])
    done = check(file)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_it_accepts_the_files_of_lab_ha(tmp_path: Path, method: str, sync: bool) -> None:
    file = tmp_path / "keepalived.conf"
    for setup in plan_for("ha", HaOptions(method=method, sync=sync)).pair:
        text = configuration("keepalived.conf.j2", host=setup)
        file.write_text(text.replace(f"{setup.name}-eth", "eth"))  # what exists where it is tried
        done = check(file)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def block(name: str, lines: Iterable[str]) -> str:
    """The lines in a block of this name, and that in those around it."""
    heads = _HEADS.get(name) or [*_SERVER, *(["HTTP_GET"] if name == "url" else []), *_inner(name)]
    heads = [] if name == "" else heads
    return "".join(f"{head} {{\n" for head in heads) + "\n".join(lines) + "\n" + "}\n" * len(heads)


def _inner(name: str) -> list[str]:
    return [] if name == "real_server" else [name]


def _line(keyword: Keyword) -> str:
    if keyword.form in ("block", "list"):
        return f"{keyword.name} x {{\n}}"
    value = keyword.choices.split("|")[0] if keyword.form == "one" else _SAMPLES[keyword.form]
    return "\n".join(f"{name} {value}" for name in keyword.names)


def unknown(tmp_path: Path, text: str) -> set[str]:
    """The keywords in a file that keepalived does not know."""
    file = tmp_path / "keepalived.conf"
    file.write_text(text)
    done = check(file)
    output = done.stdout + done.stderr
    assert done.returncode in (0, 4, 5, 6), output  # not a signal, nor a refusal to read on
    return set(re.findall(r"Unknown keyword '(\w+)'", output))


def test_it_knows_every_supported_keyword(tmp_path: Path) -> None:
    text = "".join(block(name, map(_line, keywords)) for name, keywords in TABLE.items())
    assert unknown(tmp_path, text + "no_such_word\n") == {"no_such_word"}


def test_it_knows_every_keyword_that_is_refused_here(tmp_path: Path) -> None:
    text = ""
    for name, reasons in REFUSED.items():
        words = [word for listed in reasons.values() for word in listed.split() if word not in _NOT_TRIED]
        text += block(name, (f"{word} x {{\n}}" if word in _WITH_BRACES else f"{word} 1" for word in words))
    assert unknown(tmp_path, text + "no_such_word\n") == {"no_such_word"} | _NOT_IN_DEBIAN
