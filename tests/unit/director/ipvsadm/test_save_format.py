"""-S and -R: what one writes, the other reads, and so does the kernel's ipvsadm."""

from __future__ import annotations

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import AddServer, AddService, Command, ServiceKey, mark_key
from director.core.family import IPV4, IPV6, canonical
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.formats.command_json import decode, encode
from director.ipvsadm import save_format
from tests.unit.director.ipvsadm.support import Machine, Table, recording

SAVED = sorted({recorded.stdout for recorded in recording() if recorded.stdout.startswith("-A")})
SECONDS = st.integers(1, 31 * 24 * 3600)
COUNTS = st.integers(0, 2**31 - 1)
ADDRESSES = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str).map(canonical)
HOSTS = st.ip_addresses(network="1.0.0.0/8").map(str) | st.ip_addresses(network="192.0.0.0/4").map(str)
HOSTS6 = st.ip_addresses(network="2000::/3").map(str)
MASKS = {
    IPV4: st.sampled_from([None, "255.255.255.0", "0.0.0.0"]),
    IPV6: st.sampled_from([None, "1", "64", "127"]),
}
FLAGS = st.lists(st.sampled_from(["fallback", "port"]), unique=True).map(sorted)


@st.composite
def keys(draw: st.DrawFn) -> ServiceKey:
    if draw(st.booleans()):
        return mark_key(draw(st.integers(1, 2**32 - 1)), draw(st.sampled_from([IPV4, IPV6])))
    address = Endpoint(draw(ADDRESSES), draw(st.integers(0, 65535)))
    return ServiceKey(draw(st.sampled_from([TCP, UDP])), address)


@st.composite
def services(draw: st.DrawFn, key: ServiceKey) -> AddService:
    scheduler = draw(st.sampled_from(["rr", "wlc", "sh", "mh"]))
    flags = draw(FLAGS) if scheduler in ("sh", "mh") else []
    every_port = not key.mark and not key.address.port
    persistent = draw(SECONDS if every_port else SECONDS | st.just(0))
    return AddService(
        key,
        scheduler,
        flags=tuple(f"{scheduler}-{flag}" for flag in flags),
        persistent=persistent,
        netmask=draw(MASKS[key.family]) if persistent else None,
        one_packet=draw(st.booleans()) if key.protocol != TCP else False,
    )


@st.composite
def servers(draw: st.DrawFn, key: ServiceKey) -> AddServer:
    method = draw(st.sampled_from([Method.NAT, Method.TUN, Method.DR]))
    own = method is Method.NAT or key.mark
    port = draw(st.integers(0, 65535)) if own else key.address.port
    upper = draw(COUNTS)
    lower = draw(st.integers(0, upper))
    hosts = HOSTS6 if (key.family is IPV6) != (method is Method.TUN and draw(st.booleans())) else HOSTS
    return AddServer(key, Endpoint(draw(hosts), port), draw(COUNTS), method, upper, lower)


@st.composite
def rules(draw: st.DrawFn) -> list[Command]:
    commands: list[Command] = []
    for key in draw(st.lists(keys(), unique=True, max_size=4)):
        commands.append(draw(services(key)))
        commands += draw(st.lists(servers(key), unique_by=attrgetter("server"), max_size=4))
    return commands


@given(rules(), st.booleans())
def test_saved_rules_are_restored(commands: list[Command], numeric: bool) -> None:
    table = Table()
    assert table.call("", {"do": "apply", "commands": [encode(command) for command in commands]}) == {
        "ok": True
    }
    text = save_format.text(table.services, numeric=numeric)
    restored = [decode(command) for command in save_format.read(text)]
    assert sorted(map(str, restored)) == sorted(map(str, commands))


def test_the_name_of_an_ipv6_address_can_be_restored(table: Table, machine: Machine) -> None:
    """A hosts file names ::1; the kernel's ipvsadm prints such names but can't read them."""
    machine.set_hosts({"::1": "localhost", "2001:db8::80": "www"})
    text = "-A -t [localhost]:http -s rr\n-A -t [www]:http -s rr\n"
    assert table.call("", {"do": "apply", "commands": save_format.read(text)}) == {"ok": True}
    assert save_format.text(table.services, numeric=True).count("[::1]:80") == 1
    assert save_format.text(table.services, numeric=False) == text


@pytest.mark.parametrize("text", SAVED)
def test_what_the_kernels_ipvsadm_saves_can_be_restored(table: Table, machine: Machine, text: str) -> None:
    long = "a-rather-long-name-for-a-real-server.example.org"
    addresses = {"127.0.0.1": "localhost", "172.16.0.2": long, "172.16.0.3": "short", "203.0.113.1": "www"}
    machine.set_hosts({address: name for address, name in addresses.items() if name in text})
    commands = save_format.read(text)
    assert table.call("", {"do": "apply", "commands": commands}) == {"ok": True}
    numeric = "127.0.0.1" in text or not any(character in text for character in ("http", "domain", ":snpp"))
    assert save_format.text(table.services, numeric=numeric) == text
