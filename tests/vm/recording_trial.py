"""The part of test_recording.py that runs in namespaces of its own: the real ipvsadm, command by command.

Reads a list of (command, standard input, hosts or null) as JSON, writes a list of (output, exit code).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

HOSTS = Path("/run/hosts")


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def new_machine(hosts: dict[str, str]) -> None:
    """Clear all rules, and name these addresses."""
    sh("ipvsadm", "-C")
    sh("ipvsadm", "--set", "900", "120", "300")
    HOSTS.write_text("".join(f"{address} {name}\n" for address, name in hosts.items()))


def main() -> None:
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    HOSTS.write_text("")
    sh("mount", "--bind", str(HOSTS), "/etc/hosts")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
    for device, address in (("d0", "203.0.113.1/24"), ("d1", "172.16.0.1/24")):
        sh("ip", "link", "set", device, "up")
        sh("ip", "addr", "add", address, "dev", device)
    answers = []
    for command, text, hosts in json.load(sys.stdin):
        if hosts is not None:
            new_machine(hosts)
        done = subprocess.run(shlex.split(command), input=text, capture_output=True, text=True, check=False)
        answers.append((done.stdout, done.returncode & 255))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
