"""From a line to the commands of its request."""

from __future__ import annotations

import pytest

from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetTimeouts,
    Zero,
    mark_key,
)
from director.core.family import IPV6
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.ipvsadm import main
from tests.unit.director.ipvsadm.support import Machine, Table

WEB = ServiceKey(TCP, Endpoint("203.0.113.1", 80))
NAMES = ServiceKey(UDP, Endpoint("203.0.113.1", 53))
MARK = ServiceKey(mark=7)
WEB6, ALL6 = (ServiceKey(TCP, Endpoint("2001:db8::80", port)) for port in (80, 0))
MARK6 = mark_key(7, IPV6)
FIRST6, SECOND6 = Endpoint("fd00::2", 80), Endpoint("fd00::3", 8000)
FIRST, SECOND, ANY = Endpoint("172.16.0.2", 80), Endpoint("172.16.0.3", 8000), Endpoint("172.16.0.2", 0)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("-A -t 203.0.113.1:80", AddService(WEB, "wlc", persistent=0)),
        ("-A -t 203.0.113.1:80 -p", AddService(WEB, "wlc", persistent=360)),
        ("-A -u 203.0.113.1:53 -s rr -o", AddService(NAMES, "rr", persistent=0, one_packet=True)),
        ("-A -f 7 -p 9 -M 255.0.0.0", AddService(MARK, "wlc", persistent=9, netmask="255.0.0.0")),
        ("-A -f 7 -s sh -b sh-port", AddService(MARK, "sh", ("sh-port",), persistent=0)),
        ("-A -f 7 -s mh -b flag-2,flag-1", AddService(MARK, "mh", ("mh-fallback", "mh-port"), persistent=0)),
        ("-A -f 7 -s sh -b flag-3", AddService(MARK, "sh", persistent=0)),
        ("-E -t 203.0.113.1:80 -s wrr", EditService(WEB, "wrr", persistent=0)),
        ("-D -t 203.0.113.1:80", DeleteService(WEB)),
        ("-D -f 7", DeleteService(MARK)),
        ("-a -t 203.0.113.1:80 -r 172.16.0.2", AddServer(WEB, FIRST, 1, Method.DR)),
        ("-a -t 203.0.113.1:80 -r 172.16.0.2:8000", AddServer(WEB, FIRST, 1, Method.DR)),
        ("-a -t 203.0.113.1:80 -r 172.16.0.2:8000 -i", AddServer(WEB, FIRST, 1, Method.TUN)),
        ("-a -t 203.0.113.1:80 -r 172.16.0.3:8000 -m -w 2", AddServer(WEB, SECOND, 2, Method.NAT)),
        ("-a -t 203.0.113.1:80 -r 172.16.0.2 -m -x 9 -y 5", AddServer(WEB, FIRST, 1, Method.NAT, 9, 5)),
        ("-a -f 7 -r 172.16.0.2", AddServer(MARK, ANY, 1, Method.DR)),
        ("-a -f 7 -r 172.16.0.3:8000", AddServer(MARK, SECOND, 1, Method.DR)),
        ("-e -t 203.0.113.1:80 -r 172.16.0.2", EditServer(WEB, FIRST, 1, Method.DR, 0, 0)),
        ("-d -t 203.0.113.1:80 -r 172.16.0.3:8000", DeleteServer(WEB, SECOND)),
        ("-d -t 203.0.113.1:80 -r 172.16.0.2", DeleteServer(WEB, FIRST)),
        ("-C", Clear()),
        ("-Z", Zero()),
        ("-Z -u 203.0.113.1:53", Zero(NAMES)),
        ("--set 1 0 2678400", SetTimeouts(1, 0, 2678400)),
        ("-A -t www:http", AddService(WEB, "wlc", persistent=0)),
        ("-A -u www:domain", AddService(NAMES, "wlc", persistent=0)),
        ("-a -f 7 -r www:http", AddServer(MARK, WEB.address, 1, Method.DR)),
        ("-A -t [2001:db8::80]:80", AddService(WEB6, "wlc", persistent=0)),
        ("-A -t [2001:DB8:0::80]:http", AddService(WEB6, "wlc", persistent=0)),
        ("-A -t [2001:db8::80]:80 -p 9 -M 64", AddService(WEB6, "wlc", persistent=9, netmask="64")),
        ("-A -t 2001:db8::80 -p 9", AddService(ALL6, "wlc", persistent=9)),
        ("-D -t [2001:db8::80]:80", DeleteService(WEB6)),
        ("-a -t [2001:db8::80]:80 -r fd00::2", AddServer(WEB6, FIRST6, 1, Method.DR)),
        ("-a -t [2001:db8::80]:80 -r [fd00::2]:8000 -i", AddServer(WEB6, FIRST6, 1, Method.TUN)),
        ("-a -t [2001:db8::80]:80 -r [fd00::3]:8000 -m", AddServer(WEB6, SECOND6, 1, Method.NAT)),
        ("-a -t [2001:db8::80]:80 -r 172.16.0.2 -i", AddServer(WEB6, FIRST, 1, Method.TUN)),
        ("-A -f 7 -6", AddService(MARK6, "wlc", persistent=0)),
        ("-A -f 7 --ipv6 -p 9 -M 32", AddService(MARK6, "wlc", persistent=9, netmask="32")),
        ("-a -f 7 -6 -r fd00::2", AddServer(MARK6, FIRST6._replace(port=0), 1, Method.DR)),
        ("-d -f 7 -6 -r [fd00::3]:8000", DeleteServer(MARK6, SECOND6)),
        ("-Z -f 7 -6", Zero(MARK6)),
    ],
)
def test_a_line_becomes_a_command_of_the_core(
    table: Table, machine: Machine, line: str, command: Command
) -> None:
    machine.set_hosts({"203.0.113.1": "www"})
    main(line.split())
    assert table.commands == [command]


def test_a_number_is_not_looked_up(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("socket.gethostbyname")
    assert main(["-A", "-t", "203.0.113.256:80"]) == 2
    assert main(["-A", "-t", "203.0.113.1:80"]) == 0
    assert len(table.commands) == 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("010.0.0.1:80", "8.0.0.1"),
        ("1.2.3:80", "1.2.0.3"),
        ("10.1:80", "10.0.0.1"),
        ("0x7f.1:80", "127.0.0.1"),
        ("3405803777:80", "203.0.113.1"),
    ],
)
def test_numbers_are_read_as_inet_aton_does(table: Table, text: str, address: str) -> None:
    assert main(["-A", "-t", text]) == 0
    assert main(["-A", "-f", "1"]) == main(["-a", "-f", "1", "-r", text]) == 0
    service, _, server = table.commands
    assert service == AddService(ServiceKey(TCP, Endpoint(address, 80)), "wlc", persistent=0)
    assert server == AddServer(ServiceKey(mark=1), Endpoint(address, 80), 1, Method.DR)
