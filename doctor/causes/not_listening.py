"""Nothing on a real server listens where requests arrive."""

from __future__ import annotations

from collections.abc import Iterator

from director.formats.ipvsadm_words import endpoint
from doctor.causes import Cause
from doctor.causes.port_remapped import listens_elsewhere
from doctor.queries import (
    FTP,
    end_process,
    ends_at,
    is_redirected,
    leads_to_program,
    may_be_redirected,
    redirected,
    restart_httpd,
    restore_httpd,
    served_port,
    start_ftpd,
    start_httpd,
)
from doctor.state import SERVER, FilterRule, HostState, LabState

TITLE = "no program on the real server listens on the service's port"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        address = host.main.address if state.method == "nat" else state.vip
        for port in _expected(state, host):
            rule = redirected(host, address, port)
            some = may_be_redirected(host, address, port) if ends_at(state, host) else None
            if some and not leads_to_program(host, port, some):
                yield _redirected_away(host, address, port, some)
            elif rule and not is_redirected(host, address, port):
                yield _redirected_away(host, address, port, rule)
            elif not rule and not host.listens(address, port) and not listens_elsewhere(state, host):
                yield _cause(host, address, port)


def _expected(state: LabState, host: HostState) -> Iterator[int]:
    """The ports on which requests for http arrive, and for ftp where it serves that."""
    planned = next((server for server in state.servers if server.name == host.name), None)
    if planned:
        yield served_port(state, planned)
        if planned.ftp:
            yield FTP


def _redirected_away(host: HostState, address: str, port: int, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    return Cause(
        "not_listening",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}; no program listens there",
        f"Requests reach {host.name} at {endpoint(address, port)}, and the rule redirects them to a port "
        "that no program listens on: the kernel answers with RST.",
        f"nft delete rule {place} handle {rule.handle}",
    )


def _cause(host: HostState, address: str, port: int) -> Cause:
    others = [listener for listener in host.listeners if listener.protocol == "TCP"]
    here = [listener for listener in others if listener.port == port]
    if here:
        places = ", ".join(sorted({listener.address for listener in here}))
        evidence = f"port {port} is only open on {places}, not on {address}"
        repair = list(restart_httpd(host))
    else:
        ports = ", ".join(str(number) for number in sorted({listener.port for listener in others}))
        evidence = f"it listens on port {ports or 'none'}, not on {port}"
        repair = [*restore_httpd(host), *start_httpd(host)]
    if port == FTP:
        ended = dict.fromkeys(end_process(listener.pid) for listener in here if listener.pid)
        repair = [*ended, *start_ftpd(host)]
    service = "ftp" if port == FTP else "http"
    return Cause(
        "not_listening",
        host.name,
        evidence,
        f"Requests for {service} reach {host.name} at {endpoint(address, port)}. Where no program listens, "
        "the kernel answers with RST: the connections that are scheduled to it are refused at once.",
        "\n".join(repair),
    )
