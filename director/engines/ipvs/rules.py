"""From the rules that the kernel has to those that it should have: the lines of ipvsadm that lead there.

Rules are the fields that the director's list has for them (see core/service.py), so that what
the kernel is told is written as ipvsadm -S writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from director.formats.ipvsadm_words import policy_options, server_options, service_option

Service = dict[str, Any]
_POLICY = ("scheduler", "flags", "persistent", "netmask", "one_packet")
_SETTINGS = ("weight", "method", "upper", "lower")


def lines(before: Sequence[Service], after: Sequence[Service]) -> Iterator[str]:
    """What is gone goes first; a service's servers are added the oldest first, as they were."""
    was, will_be = {service_option(one): one for one in before}, {service_option(one): one for one in after}
    for key in was.keys() - will_be.keys():
        yield f"-D {key}"
    for key, service in will_be.items():
        old = was.get(key)
        if old is None:
            yield " ".join(["-A", key, *policy_options(service)])
        elif any(old[name] != service[name] for name in _POLICY):
            yield " ".join(["-E", key, *policy_options(service)])
        yield from _servers(key, old["servers"] if old else [], service["servers"])


def _servers(key: str, before: Sequence[Service], after: Sequence[Service]) -> Iterator[str]:
    was, will_be = {_end(one): one for one in before}, {_end(one): one for one in after}
    for end in was.keys() - will_be.keys():
        yield f"-d {key} -r {end}"
    for end, server in reversed(will_be.items()):
        old = was.get(end)
        if old is None or any(old[name] != server[name] for name in _SETTINGS):
            yield " ".join(["-e" if old else "-a", key, "-r", end, *server_options(server)])


def _end(server: Service) -> str:
    return f"{server['address']}:{server['port']}"
