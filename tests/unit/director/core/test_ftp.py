"""The endpoints in the lines of ftp's control connection, and lines that only look as if they had one."""

from __future__ import annotations

import pytest

from director.core import ftp
from director.core.packet import Endpoint

HERE = Endpoint("198.51.100.101", 40000)


@pytest.mark.parametrize(
    "line",
    [
        b"PORT 198,51,100,101,156,64\r\n",
        b"port 198,51,100,101,156,64\n",
        b"PORT  198,51,100,101,156,64\r\n",
        b"PORT 198,51,100,101,156,64 if you please\r\n",
        b"EPRT   |1|198.51.100.101|40000| \r\n",
        b"EPRT |1|198.51.100.101|40000|\r\n",
        b"EPRT !1!198.51.100.101!40000!\r\n",
    ],
)
def test_where_the_client_listens(line: bytes) -> None:
    assert ftp.active(line) == HERE


@pytest.mark.parametrize(
    "line",
    [
        b"XPORT 198,51,100,101,156,64\r\n",
        b"PORT198,51,100,101,156,64\r\n",
        b"PORT 198,51,100,101,156\r\n",
        b"PORT 198,51,100,101,156,64,1\r\n",
        b"PORT 198,51,100,256,156,64\r\n",
        b"PORT 198,51,100,101,256,64\r\n",
        b"PORT 198,51,100,101,0,0\r\n",
        b"EPRT |2|198.51.100.101|40000|\r\n",
        b"EPRT |1|2001:db8::1|40000|\r\n",
        b"EPRT |2|2001:db8::1|0|\r\n",
        b"EPRT |1|198.51.100.101|65536|\r\n",
        b"EPRT |1|198.51.100.101!40000|\r\n",
        b"STOR 227 (198,51,100,101,156,64)\r\n",
    ],
)
def test_lines_without_a_clients_endpoint(line: bytes) -> None:
    assert ftp.active(line) is None


def test_where_the_real_server_listens() -> None:
    line = b"227 Entering passive mode (172,16,0,3,117,48).\r\n"
    found = ftp.passive(line)
    assert found is not None
    assert found.endpoint == Endpoint("172.16.0.3", 30000)
    assert line[found.start : found.end] == b"172,16,0,3,117,48"
    assert ftp.six_numbers(found.endpoint) == b"172,16,0,3,117,48"


@pytest.mark.parametrize("numbers", [b"1172,16,0,3,117,48", b"172,16,0,3,117,481", b"172,16,0,3,117", b""])
def test_replies_without_a_servers_endpoint(numbers: bytes) -> None:
    assert ftp.passive(b"227 (" + numbers + b")\r\n") is None


@pytest.mark.parametrize(
    ("line", "port"), [(b"(|||30001|)", 30001), (b"(!!!1!)", 1), (b"(|||0|)", None), (b"(|||65536|)", None)]
)
def test_the_port_of_an_extended_reply(line: bytes, port: int | None) -> None:
    assert ftp.extended_passive(b"229 Extended passive mode " + line + b"\r\n") == port


@pytest.mark.parametrize(
    ("begun", "holds"), [(b"227 Entering", False), (b"227 (1", True), (b"22", False), (b"220 (1", False)]
)
def test_an_unfinished_passive_reply_is_recognised(begun: bytes, holds: bool) -> None:
    assert ftp.begins_address(begun) is holds
