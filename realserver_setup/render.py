"""Render: scripts and configurations from values and the templates in templates/.

Templates contain only loops and names. An undefined name is an error (StrictUndefined). Jinja2's `finalize`
quotes every inserted value, so no template can forget it. Nothing here runs a script.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, Undefined

from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    Line,
    RealServerSetup,
    RouterSetup,
    Setup,
)
from realserver_setup.errors import RenderError
from realserver_setup.validators import one_of

DIALECTS = ("1999", "iproute2")
TEMPLATES = Path(__file__).resolve().parent.parent / "templates"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[][A-Za-z0-9_@%+=:,./-]+", re.ASCII)
_ROLES: dict[type[Setup], str] = {
    RealServerSetup: "realserver",
    DirectorSetup: "director",
    RouterSetup: "router",
    ClientSetup: "client",
}


@dataclass(frozen=True, slots=True)
class Script:
    """A rendered script; `name` is a path such as `rs1/1999/realserver.sh`, meant for a folder of scripts."""

    name: str
    text: str
    interpreter: str = "/bin/sh"


def script_for(setup: Setup, dialect: str = "1999", undo: bool = False) -> Script:
    """The script that sets up a node with the commands of `dialect`, or with `undo` its undo script."""
    one_of("dialect", dialect, DIALECTS)
    name = name_for(setup, dialect, undo)
    folder = f"{dialect}/{setup.method.name.lower()}" if isinstance(setup, RealServerSetup) else dialect
    ipv6 = "6" if setup.version == 6 else ""
    return _script(f"{folder}/{_ROLES[type(setup)]}{ipv6}{_undo(undo)}.sh.j2", name, setup)


def name_for(setup: Setup, dialect: str = "1999", undo: bool = False) -> str:
    """The name of that script. The IPv6 script of a host with both versions ends in 6: realserver6.sh."""
    return f"{setup.name}/{dialect}/{_ROLES[type(setup)]}{'6' if setup.is_second else ''}{_undo(undo)}.sh"


def _undo(undo: bool) -> str:
    return "-undo" if undo else ""


def rules_for(setup: DirectorSetup, undo: bool = False) -> Script:
    """The script with the rules as ippfvsadm commands, for both dialects; the director must be running."""
    file = f"rules{_undo(undo)}.sh"
    return _script(f"{file}.j2", f"{setup.name}/{file}", setup)


def start_for(name: str, command: Sequence[str]) -> Script:
    """The script that starts the director's process on host `name` with `command`."""
    script = f"{name}/start.sh"
    text = _render(_template("start.sh.j2", quote_for_shell), {"name": name, "command": command})
    return Script(script, text)


def program_for(script: str, folder: Path, command: Sequence[str]) -> Script:
    """The script that starts a program in `folder`, which has its configuration."""
    name, _, file = script.rpartition("/")
    values = {"name": name, "script": file, "folder": folder, "command": command}
    return Script(script, _render(_template("program.sh.j2", quote_for_shell), values))


def scripts_for(setup: Setup) -> dict[str, Script]:
    """All scripts of a node by name: both dialects, each with its undo, and the rules of a director."""
    scripts = [script_for(setup, dialect, undo) for dialect in DIALECTS for undo in (False, True)]
    if isinstance(setup, DirectorSetup) and not setup.is_second:
        scripts += [rules_for(setup, undo) for undo in (False, True)]
    return {script.name: script for script in scripts}


def configuration(template: str, **names: object) -> str:
    """A configuration file in nginx's syntax, from `template` and named values."""
    return _render(_template(template, quote_for_nginx), names)


def quote_for_shell(value: object) -> object:
    """`value` as one word of a shell command (shlex.quote).

    Raises RenderError for control characters: a newline would end a comment even if quoted.
    """
    if isinstance(value, Undefined):
        return value
    return _one_line(value) if isinstance(value, Line) else shlex.quote(_one_line(value))


def quote_for_nginx(value: object) -> object:
    """`value` as one parameter in nginx's configuration, in double quotes if needed. Raises RenderError."""
    if isinstance(value, Undefined):
        return value
    text = _one_line(value)
    if _PLAIN.fullmatch(text):
        return text
    if not text or set(text) & set('"\\$'):
        raise RenderError(
            f"nginx's configuration: expected a value without quote, backslash or $, got {text!r}."
        )
    return f'"{text}"'


def _one_line(value: object) -> str:
    text = str(value)
    if _CONTROL.search(text):
        raise RenderError(f"A template's value: expected one line of text, got {text!r}.")
    return text


def _script(template: str, name: str, setup: Setup) -> Script:
    script = name.rpartition("/")[2].removesuffix(".sh")
    names: dict[str, object] = {"host": setup, "script": script.removesuffix("-undo"), "tunnel": setup.tunnel}
    return Script(name, _render(_template(template, quote_for_shell), names))


def _render(template: Template, names: dict[str, object]) -> str:
    try:
        return template.render(names)
    except TemplateError as error:
        raise RenderError(f"templates/{template.name}: {error}.") from error


@cache
def _template(name: str, quote: Callable[[object], object]) -> Template:
    try:
        return _environment(quote).get_template(name)
    except TemplateError as error:
        raise RenderError(f"templates/{name}: {error}.") from error


@cache
def _environment(quote: Callable[[object], object]) -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=quote,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
