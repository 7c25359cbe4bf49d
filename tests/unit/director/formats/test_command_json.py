"""Commands as JSON and back, and wrong values refused by field."""

from __future__ import annotations

import json

import pytest

from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    ServiceKey,
)
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.formats.command_json import decode, encode

KEY = ServiceKey(6, Endpoint("203.0.113.1", 80))
SERVER = Endpoint("172.16.0.2", 8000)
KEY_FIELDS = {"protocol": "TCP", "address": "203.0.113.1:80"}
SERVER_FIELDS = {"command": "AddServer", "key": KEY_FIELDS, "server": "172.16.0.2:8000"}


@pytest.mark.parametrize(
    "command",
    [
        AddService(KEY),
        AddService(KEY, "wlc", exist_ok=True),
        DeleteService(KEY),
        AddServer(KEY, SERVER),
        AddServer(KEY, SERVER, 0, Method.TUN),
        EditServer(KEY, SERVER),
        EditServer(KEY, SERVER, 0, Method.DR),
        DeleteServer(KEY, SERVER),
        Clear(),
    ],
)
def test_there_and_back(command: Command) -> None:
    assert decode(json.loads(json.dumps(encode(command)))) == command


def test_what_is_left_out_has_the_commands_default() -> None:
    assert decode(SERVER_FIELDS) == AddServer(KEY, SERVER)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (None, "a command"),
        ([], "a command"),
        ({}, "command"),
        ({"command": ["Clear"]}, "command"),
        ({"command": "Destroy"}, "command"),
        ({**SERVER_FIELDS, "key": None}, "AddServer.key"),
        ({**SERVER_FIELDS, "key": {**KEY_FIELDS, "more": 1}}, "AddServer.key"),
        ({**SERVER_FIELDS, "key": {**KEY_FIELDS, "protocol": 6}}, "AddServer.key.protocol"),
        ({**SERVER_FIELDS, "key": {**KEY_FIELDS, "protocol": []}}, "AddServer.key.protocol"),
        ({**SERVER_FIELDS, "key": {**KEY_FIELDS, "address": "203.0.113.1"}}, "AddServer.key.address"),
        ({**SERVER_FIELDS, "server": ["172.16.0.2", 8000]}, "AddServer.server"),
        ({**SERVER_FIELDS, "server": "172.16.0.2:http"}, "AddServer.server"),
        ({**SERVER_FIELDS, "server": "172.16.0.2:-1"}, "AddServer.server"),
        ({**SERVER_FIELDS, "weight": 1.5}, "AddServer.weight"),
        ({**SERVER_FIELDS, "weight": True}, "AddServer.weight"),
        ({**SERVER_FIELDS, "method": "Teleport"}, "AddServer.method"),
        ({**SERVER_FIELDS, "method": []}, "AddServer.method"),
        ({"command": "AddService", "key": KEY_FIELDS, "scheduler": 3}, "AddService.scheduler"),
        ({"command": "AddService", "key": KEY_FIELDS, "exist_ok": 1}, "AddService.exist_ok"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(message: object, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected "):
        decode(message)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"command": "AddServer", "key": KEY_FIELDS}, "AddServer needs the field 'server'"),
        ({**SERVER_FIELDS, "wieght": 2}, "AddServer has no field 'wieght'"),
    ],
)
def test_fields_that_are_missing_or_unknown(message: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(message)
