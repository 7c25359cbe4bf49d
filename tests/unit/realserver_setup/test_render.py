"""Rendered scripts: as the golden files have them, and safe whatever the values are.

UPDATE_GOLDEN=1 rewrites the golden files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from director.core.real_server import Method
from labs.wait import patient
from realserver_setup import render
from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    Interface,
    RealServerSetup,
    Route,
    RouterSetup,
    Rule,
    Setup,
)
from realserver_setup.errors import InvalidValue, RenderError
from realserver_setup.render import Script, configuration, rules_for, script_for, scripts_for

GOLDEN = Path(__file__).parent / "golden"
VIP = "203.0.113.1"
OUTSIDE = Interface("d-eth0", "203.0.113.2", 24)
R0 = (Interface("r0-eth0", "198.51.100.254", 24), Interface("r0-eth1", "203.0.113.254", 24))
R1 = (Interface("r1-eth0", "198.51.100.11", 24), Interface("r1-eth1", "192.0.2.1", 27))


def director(method: Method, inside: Interface | None, *rules: Rule) -> DirectorSetup:
    return DirectorSetup(method, "d", VIP, OUTSIDE, inside, "203.0.113.254", rules)


def replicas(*servers: str) -> tuple[Rule, ...]:
    return tuple(Rule("tcp", port, server, port) for port in (80, 21) for server in servers)


MACHINES: dict[str, tuple[Setup, ...]] = {
    "nat": (
        director(
            Method.NAT,
            Interface("d-eth1", "172.16.0.1", 24),
            Rule("tcp", 80, "172.16.0.2", 80, 1),
            Rule("tcp", 80, "172.16.0.3", 8000, 2),
            Rule("tcp", 21, "172.16.0.3", 21),
            Rule("udp", 53, "172.16.0.2", 53),
        ),
        RealServerSetup(Method.NAT, "rs1", Interface("rs1-eth0", "172.16.0.2", 24), "172.16.0.1", VIP),
        RealServerSetup(Method.NAT, "rs2", Interface("rs2-eth0", "172.16.0.3", 24), "172.16.0.1", VIP, 8000),
        RouterSetup("r0", R0),
        ClientSetup("c1", Interface("c1-eth0", "198.51.100.101", 24), "198.51.100.254"),
    ),
    "tun": (
        director(Method.TUN, None, *replicas("192.0.2.2", "192.0.2.34")),
        RealServerSetup(Method.TUN, "rs1", Interface("rs1-eth0", "192.0.2.2", 27), "192.0.2.1", VIP),
        RouterSetup(
            "r0", R0, (Route("192.0.2.0/27", "198.51.100.11"), Route("192.0.2.32/27", "198.51.100.12"))
        ),
        RouterSetup("r1", R1, (Route("default", "198.51.100.254"),)),
    ),
    "dr": (
        director(Method.DR, None, *replicas("203.0.113.11", "203.0.113.12")),
        RealServerSetup(Method.DR, "rs1", Interface("rs1-eth0", "203.0.113.11", 24), "203.0.113.254", VIP),
    ),
}
VIP6 = "2001:db8:cb00:71::1"
OUTSIDE6 = Interface("d-eth0", "2001:db8:cb00:71::2", 64)
ROUTER6 = "2001:db8:cb00:71::254"
R0_6 = (
    Interface("r0-eth0", "2001:db8:c633:64::254", 64),
    Interface("r0-eth1", ROUTER6, 64),
)
MACHINES |= {
    "nat6": (
        DirectorSetup(
            Method.NAT,
            "d",
            VIP6,
            OUTSIDE6,
            Interface("d-eth1", "fd00:ac10::1", 64),
            ROUTER6,
            (Rule("tcp", 80, "fd00:ac10::2", 80), Rule("tcp", 80, "fd00:ac10::3", 8000, 2)),
        ),
        RealServerSetup(
            Method.NAT, "rs2", Interface("rs2-eth0", "fd00:ac10::3", 64), "fd00:ac10::1", VIP6, 8000
        ),
        ClientSetup("c1", Interface("c1-eth0", "2001:db8:c633:64::101", 64), "2001:db8:c633:64::254"),
    ),
    "tun6": (
        RealServerSetup(
            Method.TUN,
            "rs1",
            Interface("rs1-eth0", "2001:db8:c000:200::2", 64),
            "2001:db8:c000:200::1",
            VIP6,
        ),
        RouterSetup("r0", R0_6, (Route("2001:db8:c000:200::/64", "2001:db8:c633:64::11"),)),
    ),
    "dr6": (
        RealServerSetup(Method.DR, "rs1", Interface("rs1-eth0", "2001:db8:cb00:71::11", 64), ROUTER6, VIP6),
    ),
    "dr46": (
        RealServerSetup(
            Method.DR, "rs1", Interface("rs1-eth0", "203.0.113.11", 24), "203.0.113.254", VIP, dual=True
        ),
        RealServerSetup(
            Method.DR, "rs1", Interface("rs1-eth0", "2001:db8:cb00:71::11", 64), ROUTER6, VIP6, dual=True
        ),
    ),
}
SCRIPTS: dict[str, Script] = {
    f"{lab}/{name}": script
    for lab, setups in MACHINES.items()
    for setup in setups
    for name, script in scripts_for(setup).items()
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_as_in_its_golden_file(name: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(SCRIPTS[name].text)
    assert golden.exists(), "no golden file: run once with UPDATE_GOLDEN=1, and read what it wrote"
    assert SCRIPTS[name].text == golden.read_text()


def test_every_golden_file_belongs_to_a_script() -> None:
    found = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*") if path.is_file()}
    assert found == set(SCRIPTS)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    golden = sorted(str(path) for path in GOLDEN.rglob("*.sh"))
    done = subprocess.run(["shellcheck", "--shell=sh", *golden], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_scripts_are_readable(script: Script) -> None:
    """A shebang, a stop at the first failure, no double blank lines, no line that needs scrolling."""
    lines = script.text.splitlines()
    assert lines[0] == "#!" + script.interpreter
    assert "set -e" in lines
    assert script.text.endswith("\n")
    assert "\n\n\n" not in script.text
    assert not script.text.endswith("\n\n")
    assert max(map(len, lines)) <= 110
    assert all(line == line.rstrip() for line in lines)


def test_every_node_has_both_dialects_with_undo_and_the_director_its_rules() -> None:
    names = set(scripts_for(MACHINES["nat"][0]))
    assert names == {
        *(f"d/{dialect}/director{undo}.sh" for dialect in ("1999", "iproute2") for undo in ("", "-undo")),
        "d/rules.sh",
        "d/rules-undo.sh",
    }


def test_arp_is_disabled_before_the_vip_is_added() -> None:
    for dialect in render.DIALECTS:
        for lab in ("tun", "dr"):
            text = script_for(MACHINES[lab][1], dialect).text
            vip = "203.0.113.1/32" if dialect == "iproute2" else "203.0.113.1 netmask"
            assert text.index("/arp_ignore" if dialect == "1999" else ".arp_ignore") < text.index(vip)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^dialect: expected one of 1999, iproute2, got '2024'\.$"):
        script_for(MACHINES["nat"][0], "2024")


def test_a_dot_in_an_interface_name_is_a_slash_for_sysctl() -> None:
    server = RealServerSetup(Method.DR, "rs1", Interface("eth0.7", "203.0.113.11", 24), "203.0.113.254", VIP)
    assert "net.ipv4.conf.eth0/7.arp_ignore=1" in script_for(server, "iproute2").text
    assert "/proc/sys/net/ipv4/conf/eth0.7/arp_ignore" in script_for(server, "1999").text


def test_a_missing_name_is_an_error_with_template_and_name() -> None:
    with pytest.raises(RenderError, match=r"templates/nginx\.conf\.j2: 'failing' is undefined"):
        configuration("nginx.conf.j2", name="rs1", endpoints=("80",))
    with pytest.raises(RenderError, match=r"templates/no-such\.j2"):
        configuration("no-such.j2")


# What build.py refuses anyway, put straight into the templates: quoting is the second line of defence.

EVIL = [
    "$(: >pwned)",
    "`: >pwned`",
    "'; : >pwned; '",
    '"; : >pwned; "',
    "a b",
    "*",
    "#",
    "& : >pwned",
    "",
]
STUBS = ("ifconfig", "route", "ethtool", "ip", "sysctl", "ippfvsadm", "cat")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Commands that only record their arguments, each between < and >."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    for name in STUBS:
        stub = folder / name
        stub.write_text('#!/bin/sh\nfor word; do printf "<%s>" "$word" >&9; done\n')
        stub.chmod(0o755)
    return folder


def run(text: str, stubs: Path, cwd: Path) -> str:
    """Run a script with only the stubs and a substitute for /proc/sys; returns their arguments."""
    log = cwd / "arguments"
    text = text.replace("/proc/sys", str(cwd / "sys"))
    subprocess.run(
        ["/bin/sh", "-c", f'exec 9>"{log}"; exec /bin/sh -c "$0"', text],
        cwd=cwd,
        env={"PATH": str(stubs)},
        capture_output=True,
        timeout=patient(20),
    )
    return log.read_text()


def evil_host(value: str) -> SimpleNamespace:
    interface = SimpleNamespace(
        name=value, address=value, prefix=value, netmask=value, broadcast=value, sysctl=value
    )
    route = SimpleNamespace(destination=value, network=value, netmask=value, gateway=value)
    return SimpleNamespace(
        name=value,
        interface=interface,
        interfaces=(interface,),
        outside=interface,
        gateway=value,
        vip=value,
        http_port=value,
        serving_address=value,
        method=Method.NAT,
        routes=(route,),
        commands=(("-A", "-t", value, "-R", value, "-w", value),),
        dual=False,
        owns_vip=True,
    )


TEMPLATES = sorted(
    str(path.relative_to(render.TEMPLATES))
    for path in render.TEMPLATES.rglob("*.sh.j2")
    if path.read_text().startswith("#!")
)


def test_all_templates_are_tested() -> None:
    assert len(TEMPLATES) == 2 * 2 * (2 * 3 + 6) + 4


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_value_becomes_a_command(template: str, stubs: Path, tmp_path: Path) -> None:
    for value in EVIL:
        names = {"host": evil_host(value), "tunnel": value, "script": value}
        names |= {"name": value, "command": ("ippfvsadm", value), "folder": value}
        text = render._render(render._template(template, render.quote_for_shell), names)
        # A stub may fail on such a value, and there is no such device: go on, to see every command.
        output = run(text.replace("set -e", "").replace("exit 1", ":"), stubs, tmp_path)
        assert not (tmp_path / "pwned").exists(), f"{value!r} was executed"
        if template != "rules-undo.sh.j2":  # the only one without values
            assert value in output, f"{value!r} did not arrive as it is in {output}"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "\n", "\x1b[31m"])
def test_a_value_with_several_lines_is_refused(value: str) -> None:
    template = render._template("rules.sh.j2", render.quote_for_shell)
    with pytest.raises(RenderError, match=r"expected one line of text, got "):
        render._render(template, {"host": evil_host(value), "tunnel": "tunl0", "script": "x"})


def test_a_value_is_one_word() -> None:
    assert render.quote_for_shell("d-eth0") == "d-eth0"
    assert render.quote_for_shell(8000) == "8000"
    assert render.quote_for_shell("a b") == "'a b'"
    assert render.quote_for_shell("") == "''"


@pytest.mark.parametrize(
    ("value", "quoted"), [("/srv/www", "/srv/www"), (80, "80"), ("/my files;", '"/my files;"')]
)
def test_nginx_gets_its_own_quotes(value: object, quoted: str) -> None:
    assert render.quote_for_nginx(value) == quoted


@pytest.mark.parametrize("value", ['a"b', "a\\b", "$host", "", "a\nb"])
def test_values_that_nginx_cannot_quote_are_refused(value: str) -> None:
    with pytest.raises(RenderError):
        render.quote_for_nginx(value)


def test_the_published_rules_are_rendered_verbatim() -> None:
    nat = MACHINES["nat"][0]
    assert isinstance(nat, DirectorSetup)
    rules = [line for line in rules_for(nat).text.splitlines() if line.startswith("ippfvsadm -A")]
    assert rules == [
        "ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.2:80",
        "ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.3:8000 -w 2",
        "ippfvsadm -A -t 203.0.113.1:21 -R 172.16.0.3:21",
        "ippfvsadm -A -u 203.0.113.1:53 -R 172.16.0.2:53",
    ]


def test_many_rules_are_given_at_once() -> None:
    servers = [f"203.0.113.{host}" for host in range(11, 24)]
    setup = director(Method.DR, None, *replicas(*servers))
    lines = [line for line in rules_for(setup).text.splitlines() if line and line[0] != "#"]
    given = [f"-A -t 203.0.113.1:{port} -R {server}:{port}" for port in (80, 21) for server in servers]
    assert lines == ["set -e", "ippfvsadm -C", "ippfvsadm -f <<'RULES'", *given, "RULES"]
