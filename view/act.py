"""What a student may do from the page: each action is a command, shown as it would be typed.

`c1 curl http://203.0.113.1/name` can be typed at Mininet's prompt, and without the host's name in
`./inv shell c1`. An argument is one of its choices or a whole number: a page cannot send any other command.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, call
from director.formats.ipvsadm_words import endpoint
from labs.methods import FLAGS
from labs.run import json_lines
from labs.run.control_server import socket_in
from labs.wait import patient
from view.server import Refused

_TIMEOUT = 30  # seconds for a command
_MOST_OUTPUT = 8000  # characters
_WHOLE_NUMBER = re.compile(r"[0-9]{1,5}")
_SHELL = "sh"  # Mininet's own prompt, for commands outside of any host
_INV = "./inv"


@dataclass(frozen=True, slots=True)
class Argument:
    """One of `choices`, or a whole number from 0 to `most`."""

    name: str
    choices: tuple[str, ...] = ()
    default: str = ""
    most: int = 0

    def checked(self, value: Any) -> str:
        """The value as text. Raises Refused for one that is not allowed."""
        text = str(value if value is not None else self.default)
        if self.choices:
            if text not in self.choices:
                raise Refused(f"{self.name}: choose from {', '.join(self.choices)}.")
        elif not _WHOLE_NUMBER.fullmatch(text) or int(text) > self.most:
            raise Refused(f"{self.name}: expected a whole number, 0 to {self.most}.")
        return text

    def as_json(self) -> dict[str, Any]:
        values = {"choices": list(self.choices)} if self.choices else {"default": self.default}
        return {"name": self.name, **values}


@dataclass(frozen=True, slots=True)
class Action:
    """`command` begins with a host's name, `sh` or `./inv`; {NAME} stands for an argument."""

    name: str
    label: str
    command: str
    arguments: tuple[Argument, ...] = ()

    def as_json(self) -> dict[str, Any]:
        arguments = [argument.as_json() for argument in self.arguments]
        return {"name": self.name, "label": self.label, "arguments": arguments, "command": self.command}


class Actions:
    """The actions of one running lab; `services` gives the director's services, as last listed."""

    def __init__(
        self,
        folder: Path,
        hosts: Mapping[str, int],
        document: Mapping[str, Any],
        method: str,
        services: Callable[[], list[dict[str, Any]]],
        *,
        netem: bool = False,
        note: Callable[[dict[str, Any]], object] = lambda _entry: None,
    ) -> None:
        self._folder = folder
        self._hosts = hosts
        self._document = document
        self._method = method
        self._services = services
        self._netem = netem
        self._note = note
        self._busy = threading.Lock()

    def available(self) -> list[Action]:
        """The actions that are possible now."""
        found = [*self._of_clients(), *self._of_rules(), *self._of_servers(), *self._of_cables()]
        exercise = self._document["exercise"]
        name = "check" if exercise else "doctor"
        label = "Check the exercise" if exercise else "Ask the doctor"
        return [*found, Action(name, label, f"{_INV} {name}")]

    def _named(self, role: str) -> tuple[str, ...]:
        return tuple(host["name"] for host in self._document["hosts"] if host["role"] == role)

    def _of_clients(self) -> list[Action]:
        client, vips = Argument("client", self._named("client")), self._document["vips"]
        if not vips or not client.choices:
            return []
        vip = f"[{vips[0]}]" if ":" in vips[0] else vips[0]
        curl = f"curl -sS --max-time 10 http://{vip}/name"
        count = Argument("count", default="10", most=200)
        return [
            Action("request", "Request a page", f"{{client}} {curl}", (client,)),
            Action(
                "requests",
                "Request many pages, one after the other",
                f"{{client}} for n in $(seq {{count}}); do {curl}; done",
                (client, count),
            ),
            Action("ftp", "List files by ftp", f"{{client}} curl -sS --max-time 10 ftp://{vip}/", (client,)),
        ]

    def _of_rules(self) -> list[Action]:
        services, servers = [], []
        for service in self._services():
            if service["protocol"] in ("TCP", "UDP"):
                option = "-t" if service["protocol"] == "TCP" else "-u"
                services.append(f"{option} {endpoint(service['address'], service['port'])}")
                servers += [endpoint(server["address"], server["port"]) for server in service["servers"]]
        directors = self._named("director")
        if not services or not servers or not directors:
            return []
        where = () if len(directors) == 1 else (Argument("director", directors),)
        director = "{director}" if where else directors[0]
        which = (
            *where,
            Argument("service", tuple(services)),
            Argument("server", tuple(dict.fromkeys(servers))),
        )
        weight = Argument("weight", default="2", most=65_535)
        edit = f"{director} ipvsadm -e {{service}} -r {{server}} {FLAGS[self._method]} -w"
        return [
            Action(
                "weight",
                "Set a weight",
                f"{edit} {{weight}}",
                (*which, weight),
            ),
            Action("quiesce", "Quiesce a server (weight 0: no new connections)", f"{edit} 0", which),
            Action("list", "List the rules", f"{director} ipvsadm -Ln", where),
            Action("connections", "List the connections", f"{director} ipvsadm -Lcn", where),
        ]

    def _of_servers(self) -> list[Action]:
        server = Argument("server", self._named("realserver"))
        if not server.choices:
            return []
        place = "../../servers/{server}"  # from scripts/HOST, where ./inv shell begins
        run = f"nginx -p $(readlink -f {place}) -c $(readlink -f {place})/nginx.conf > /dev/null 2>&1 &"
        return [
            Action("stop", "Stop a server's httpd", f"{{server}} kill $(cat {place}/nginx.pid)", (server,)),
            Action("start", "Start it again", f"{{server}} {run}", (server,)),
        ]

    def _of_cables(self) -> list[Action]:
        ports = tuple(f"{link['b']}-eth{link['port']}" for link in self._document["links"])
        cable = Argument("port", ports)
        client = Argument("client", self._named("client"))
        found = (
            [
                Action("cut", "Cut a cable (at the switch)", f"{_SHELL} ip link set {{port}} down", (cable,)),
                Action("mend", "Repair it", f"{_SHELL} ip link set {{port}} up", (cable,)),
            ]
            if ports
            else []
        )
        if self._netem and client.choices:
            delay = "tc qdisc replace dev {client}-eth0 root netem delay {ms}ms"
            delayed = Argument("ms", default="100", most=2000)
            found.append(
                Action("delay", "Delay a client's packets", f"{{client}} {delay}", (client, delayed))
            )
        return found

    def carry_out(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Run an action's command and return the command, its output and its exit code. Raises Refused."""
        action = next((action for action in self.available() if action.name == name), None)
        if action is None:
            raise Refused(f"No action {name[:40]!r} is available now: reload the page.")
        values = {argument.name: argument.checked(given.get(argument.name)) for argument in action.arguments}
        command = action.command.format(**values)
        if not self._busy.acquire(timeout=1):
            raise Refused("Another command is still running: wait until it has finished.")
        try:
            code, output = self._run(command)
        finally:
            self._busy.release()
        return {"command": command, "output": output[-_MOST_OUTPUT:], "code": code}

    def _run(self, command: str) -> tuple[int, str]:
        host, _, rest = command.partition(" ")
        if host == _INV:
            return self._ask(rest)
        if self._document["exercise"]:
            self._note_in_journal(host, rest)
        place = self._folder / "scripts" / host
        inside = [] if host == _SHELL else ["mnexec", "-a", str(self._hosts[host])]
        limit = patient(_TIMEOUT)
        try:
            done = subprocess.run(
                [*inside, "/bin/sh", "-c", rest],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                cwd=place if place.is_dir() else self._folder,
                env={**os.environ},
            )
            code, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            code, output = 124, f"The command was stopped because it ran for more than {limit:g} s."
        self._record(host, rest, code, output)
        return code, output

    def _record(self, host: str, command: str, code: int, output: str) -> None:
        entry = {
            "host": host,
            "command": [command],
            "exit": code,
            "stdout": output,
            "stderr": "",
            "time": time.time(),
        }
        with suppress(OSError):
            json_lines.append(self._folder / "commands.jsonl", entry)

    def _note_in_journal(self, host: str, command: str) -> None:
        """As ./inv shell does: an exercise's journal records what the student tried."""
        with suppress(ChannelError, OSError):
            self._call({"do": "note", "entry": "shell", "details": {"host": host, "command": command}})

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket_in(self._folder) as path:
            return call(path, request, timeout=patient(_TIMEOUT))

    # ---- what ./inv asks the running lab ----

    def _ask(self, what: str) -> tuple[int, str]:
        try:
            answer = self._call({"do": {"doctor": "state"}.get(what, what)})
        except (ChannelError, OSError):
            raise Refused("The lab's checks are still running: try again when they have finished.") from None
        if not answer.get("ok"):
            raise Refused(f"The lab refused: {answer.get('error')}")
        return self._checked(answer) if what == "check" else self._diagnosed(answer)

    def _checked(self, answer: Mapping[str, Any]) -> tuple[int, str]:
        checks = answer["checks"]
        lines = [f"{'ok    ' if check['ok'] else 'failed'}  {check['name']}" for check in checks]
        return (0 if all(check["ok"] for check in checks) else 1), "\n".join(lines) + "\n"

    def _diagnosed(self, answer: Mapping[str, Any]) -> tuple[int, str]:
        """The doctor's findings, each shown at its host. Only for labs, never for an exercise."""
        from doctor.causes import diagnose, titles
        from doctor.state import states_of

        known, lines = titles(), []
        for cause in (cause for state in states_of(answer) for cause in diagnose(state)):
            lines.append(f"{cause.host}: {known[cause.cause]}: {cause.evidence}")
            self._note(
                {
                    "kind": "finding",
                    "host": cause.host,
                    "cause": cause.cause,
                    "title": known[cause.cause],
                    "evidence": cause.evidence,
                    "repair": cause.repair,
                }
            )
        return (1, "\n".join(lines) + "\n") if lines else (0, "Nothing wrong was found.\n")
