"""Commands as they travel over the control socket, and back: JSON whose form the dataclasses give.

    {"command": "AddServer", "key": {"protocol": "TCP", "address": "203.0.113.1:80"},
     "server": "172.16.0.2:80", "weight": 1}

A key is a protocol and an address, or {"mark": 1}.

The name of the class, then its fields; fields with a default may be left out. Whether an address
or a weight makes sense is the core's business. ippfvsadm writes this form itself, because
importing dataclasses would double the time it takes; its tests read it back with `decode`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_args

from director.core.commands import Command, ServiceKey
from director.core.packet import PROTOCOL_NAMES, TCP, UDP, Endpoint
from director.core.real_server import Method

Json = dict[str, Any]

_CLASSES: dict[str, type[Command]] = {kind.__name__: kind for kind in get_args(Command)}
_TRANSPORTS = {PROTOCOL_NAMES[number]: number for number in (TCP, UDP)}


class CodecError(ValueError):
    """A message that is no command; its text says what was expected where."""


def encode(command: Command) -> Json:
    """The JSON form; fields that have their default value are left out."""
    message: Json = {"command": type(command).__name__}
    for field in fields(command):
        value = getattr(command, field.name)
        if value != field.default:
            message[field.name] = _plain(value)
    return message


def decode(message: object) -> Command:
    """The command that `message` stands for. Raises CodecError."""
    if not isinstance(message, dict):
        raise CodecError(f"a command: expected an object, got {message!r}.")
    kind = _CLASSES.get(str(message.get("command")))
    if kind is None:
        raise CodecError(f"command: expected one of {', '.join(_CLASSES)}, got {message.get('command')!r}.")
    known, needed = _fields_of(kind.__name__)
    given = {name: value for name, value in message.items() if name != "command"}
    for name in given.keys() - known.keys():
        raise CodecError(f"{kind.__name__} has no field {name!r}.")
    for name in needed:
        if name not in given:
            raise CodecError(f"{kind.__name__} needs the field {name!r}.")
    return kind(**{name: _read(name, known[name], value) for name, value in given.items()})


@cache
def _fields_of(name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The annotations of a command's fields by their names, and the names of those without a default."""
    known = fields(_CLASSES[name])
    annotations = {field.name: str(field.type) for field in known}
    return annotations, tuple(field.name for field in known if field.default is MISSING)


def _plain(value: object) -> object:
    if isinstance(value, ServiceKey):
        if value.mark:
            return {"mark": value.mark}
        return {"protocol": PROTOCOL_NAMES[value.protocol], "address": str(value.address)}
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value.name if isinstance(value, Method) else value


def endpoint(name: str, value: object) -> Endpoint:
    """`a.b.c.d:port`; whether the address makes sense is not looked at. Raises CodecError."""
    address, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise CodecError(f"{name}: expected ADDRESS:PORT, got {value!r}.")
    return Endpoint(address, int(port))


def _key(name: str, value: object) -> ServiceKey:
    if isinstance(value, dict) and value.keys() == {"mark"}:
        return ServiceKey(mark=_integer("mark", value["mark"]))
    if not isinstance(value, dict) or value.keys() != {"protocol", "address"}:
        raise CodecError(f"{name}: expected an object with protocol and address, got {value!r}.")
    if value["protocol"] not in [*_TRANSPORTS]:
        raise CodecError(f"protocol: expected TCP or UDP, got {value['protocol']!r}.")
    return ServiceKey(_TRANSPORTS[value["protocol"]], endpoint("address", value["address"]))


def _method(name: str, value: object) -> Method:
    if isinstance(value, str) and value in Method.__members__:
        return Method[value]
    raise CodecError(f"{name}: expected one of {', '.join(Method.__members__)}, got {value!r}.")


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(type(text) is str for text in value):
        return tuple(value)
    raise CodecError(f"{name}: expected a list of strings, got {value!r}.")


def _of(kind: type) -> Callable[[str, object], Any]:
    def read(name: str, value: object) -> Any:
        if type(value) is kind:
            return value
        raise CodecError(f"{name}: expected {kind.__name__}, got {value!r}.")

    return read


_integer = _of(int)

_READERS: dict[str, Callable[[str, object], Any]] = {
    "ServiceKey": _key,
    "Endpoint": endpoint,
    "Method": _method,
    "int": _integer,
    "str": _of(str),
    "bool": _of(bool),
    "tuple[str, ...]": _texts,
}


def _read(name: str, annotation: str, value: object) -> Any:
    """The value of a field, by how commands.py annotates it."""
    kind, _, optional = annotation.partition(" | ")
    return None if optional and value is None else _READERS[kind](name, value)
