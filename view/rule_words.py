"""A changed rule as the line that a student would type: for ipvsadm, fwmark or ipvs-sysctl.

The director's events contain a command's Python repr: `AddServer(key=ServiceKey(...), ...)`. It is parsed,
not evaluated: only literals and calls of the command classes are accepted.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from director.core import ALL_128_BITS, ALL_ONES, commands
from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteMark,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetSysctl,
    SetTimeouts,
    Zero,
)
from director.core.errors import LvsError
from director.core.family import IPV6
from director.core.packet import PROTOCOL_NAMES, Endpoint
from director.core.real_server import Method
from director.formats.ipvsadm_words import FORWARDING
from labs.literals import expression

_CALLS: dict[str, Any] = {
    name: getattr(commands, name)
    for name in (
        *("AddService", "EditService", "DeleteService", "AddServer", "EditServer", "DeleteServer", "Clear"),
        *("Zero", "SetTimeouts", "SetSysctl", "AddMark", "DeleteMark", "ClearMarks", "ServiceKey"),
    )
} | {"Endpoint": Endpoint, "IPv4Endpoint": Endpoint}
_METHOD = re.compile(r"<Method\.(\w+): [^>]*>")
_EVERY_PORT = (0, 65535)


def read_command(text: str) -> Command | None:
    """The command that an event contains; None if it is unknown or malformed."""
    try:
        command: Command = _value(expression(_METHOD.sub(r"'\1'", text)))
        return command
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError, LvsError):
        return None


def _value(node: ast.expr) -> Any:
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    if not isinstance(node.func, ast.Name) or node.args:
        raise ValueError("not a command")
    words = {str(word.arg): _value(word.value) for word in node.keywords}
    if words.get("method"):
        words["method"] = Method[words["method"]]
    return _CALLS[node.func.id](**words)


def as_typed(text: str) -> str:
    """The line for the command that an event contains; any other text is returned unchanged."""
    command = read_command(text)
    if command is None:
        return text
    try:
        return " ".join(_words(command))
    except (AttributeError, KeyError, TypeError):  # fields of types that no director writes
        return text


def _words(command: Command) -> Iterator[str]:
    if isinstance(command, SetSysctl):
        yield f"ipvs-sysctl -w {command.name}={command.value}"
    elif isinstance(command, (AddMark, DeleteMark)):
        yield from _mark(command)
    elif isinstance(command, SetTimeouts):
        yield f"ipvsadm --set {command.tcp} {command.tcpfin} {command.udp}"
    elif isinstance(command, Zero):
        yield f"ipvsadm -Z {_service(command.key)}" if command.key else "ipvsadm -Z"
    elif isinstance(command, (AddService, EditService)):
        yield f"ipvsadm {'-A' if isinstance(command, AddService) else '-E'} {_service(command.key)}"
        yield from _policy(command)
    elif isinstance(command, DeleteService):
        yield f"ipvsadm -D {_service(command.key)}"
    elif isinstance(command, (AddServer, EditServer, DeleteServer)):
        option = {AddServer: "-a", EditServer: "-e", DeleteServer: "-d"}[type(command)]
        yield f"ipvsadm {option} {_service(command.key)} -r {command.server}"
        if not isinstance(command, DeleteServer):
            yield from _server(command)
    else:
        yield "ipvsadm -C" if isinstance(command, Clear) else "fwmark -F"


def _service(key: ServiceKey) -> str:
    if key.mark:
        return f"-f {key.mark}{' -6' if key.family is IPV6 else ''}"
    return f"-{PROTOCOL_NAMES[key.protocol][0].lower()} {key.address}"


def _policy(command: AddService | EditService) -> Iterator[str]:
    """The options that are set; None stands for the director's default."""
    if command.scheduler:
        yield f"-s {command.scheduler}"
    if command.persistent:
        yield f"-p {command.persistent}"
    if command.netmask not in (None, ALL_ONES, ALL_128_BITS):
        yield f"-M {command.netmask}"
    if command.one_packet:
        yield "-o"
    if command.flags:
        yield f"-b {','.join(command.flags)}"


def _server(command: AddServer | EditServer) -> Iterator[str]:
    if command.method is not None and command.method.value in FORWARDING:
        yield FORWARDING[command.method.value]
    for option, value in (("-w", command.weight), ("-x", command.upper), ("-y", command.lower)):
        if value is not None and (value or option == "-w"):
            yield f"{option} {value}"


def _mark(command: AddMark | DeleteMark) -> Iterator[str]:
    yield "fwmark -A" if isinstance(command, AddMark) else "fwmark -D"
    if command.protocol:
        yield f"-p {PROTOCOL_NAMES[command.protocol].lower()}"
    yield f"-d {command.network}"
    if (command.first, command.last) != _EVERY_PORT:
        yield f"--dport {command.first}{'' if command.first == command.last else f':{command.last}'}"
    yield f"--set-mark {command.mark}"
