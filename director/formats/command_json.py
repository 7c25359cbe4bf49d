"""Commands as JSON, for the control socket: an object with the class's name and the fields of its dataclass.

    {"command": "AddServer", "key": {"protocol": "TCP", "address": "203.0.113.1:80"},
     "server": "172.16.0.2:80", "weight": 1}

A key is a protocol and an address, or {"mark": 1}, with {"mark": 1, "family": 6} for packets of IPv6. An IPv6
address before a port is in brackets: [2001:db8::1]:80. Fields that have their default value may be left
out. The core checks addresses and weights. ippfvsadm writes this form by itself, because importing
dataclasses would double its running time; its tests decode what it writes.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

from director.core.commands import Command, ServiceKey, mark_key
from director.core.family import IPV4, IPV6, canonical
from director.core.packet import PROTOCOL_NAMES, TCP, UDP, Endpoint
from director.core.real_server import Method
from director.formats import parse_number
from director.formats.dataclass_json import Loader, shown

Json = dict[str, Any]

_COMMANDS: dict[str, type[Command]] = {kind.__name__: kind for kind in get_args(Command)}
_TRANSPORTS = {PROTOCOL_NAMES[number]: number for number in (TCP, UDP)}


def encode(command: Command) -> Json:
    """The JSON form, without fields that have their default value."""
    message: Json = {"command": type(command).__name__}
    for field in fields(command):
        value = getattr(command, field.name)
        if value != field.default:
            message[field.name] = _plain(value)
    return message


def decode(message: object) -> Command:
    """The command that `message` stands for. Raises ValueError, which says what was expected where."""
    if not isinstance(message, dict):
        raise ValueError(f"a command: expected an object, got {shown(message)}.")
    kind = _COMMANDS.get(str(message.get("command")))
    if kind is None:
        got = shown(message.get("command"))
        raise ValueError(f"command: expected one of {', '.join(_COMMANDS)}, got {got}.")
    return _LOADER.load(kind, {name: value for name, value in message.items() if name != "command"})


def read_endpoint(name: str, value: object) -> Endpoint:
    """`a.b.c.d:port` or `[address]:port`; the core checks the address. Raises ValueError."""
    address, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    number = parse_number(port)
    in_brackets = address.startswith("[") and address.endswith("]")
    if not colon or number < 0 or in_brackets is not (":" in address):
        raise ValueError(f"{name}: expected ADDRESS:PORT, or [ADDRESS]:PORT for IPv6, got {shown(value)}.")
    return Endpoint(canonical(address[1:-1]) if in_brackets else address, number)


def _read_key(name: str, value: Any) -> ServiceKey:
    if isinstance(value, dict) and type(value.get("mark")) is int and value.keys() <= {"mark", "family"}:
        if value.get("family", 4) not in (4, 6):
            raise ValueError(f"{name}.family: expected 4 or 6, got {shown(value['family'])}.")
        return mark_key(value["mark"], IPV6 if value.get("family") == 6 else IPV4)
    if not isinstance(value, dict) or value.keys() != {"protocol", "address"}:
        raise ValueError(f"{name}: expected protocol and address, or a mark, got {shown(value)}.")
    if value["protocol"] not in [*_TRANSPORTS]:
        raise ValueError(f"{name}.protocol: expected TCP or UDP, got {shown(value['protocol'])}.")
    return ServiceKey(_TRANSPORTS[value["protocol"]], read_endpoint(f"{name}.address", value["address"]))


def _read_method(name: str, value: object) -> Method:
    if isinstance(value, str) and value in Method.__members__:
        return Method[value]
    raise ValueError(f"{name}: expected one of {', '.join(Method.__members__)}, got {shown(value)}.")


_LOADER = Loader({ServiceKey: _read_key, Endpoint: read_endpoint, Method: _read_method})


def _plain(value: object) -> object:
    if isinstance(value, ServiceKey):
        if value.mark:
            return {"mark": value.mark} if value.family is IPV4 else {"mark": value.mark, "family": 6}
        return {"protocol": PROTOCOL_NAMES[value.protocol], "address": str(value.address)}
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value.name if isinstance(value, Method) else value
