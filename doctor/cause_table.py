"""The output of `./inv doctor` for a running lab: clients' failures, root causes, differences on paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from director.formats.ipvsadm_words import endpoint
from doctor.causes import Cause
from doctor.difference import Difference
from doctor.path import differences
from doctor.queries import FTP
from doctor.shell_lines import ShellLines
from doctor.sightings import ASKS, last_seen
from doctor.state import (
    CLIENT,
    DIRECTOR,
    FAILED,
    IN,
    NOTHING,
    OUT,
    RESET,
    ROUTER,
    SERVER,
    HostState,
    LabState,
    Sighting,
    Trial,
)
from doctor.trials import PORTS
from labs.terminal.screen import make_console, table_box

_WIDE = 100  # columns, without a terminal
_NOTHING = "Nothing wrong was found."
# Causes that do not keep a client from being served by any real server.
_HARMLESS = (
    *("persistence", "ports_apart", "server_deleted", "short_timeout", "no_ftp_helper"),
    *("icmp_filtered", "packet_too_big_filtered", "small_mtu", "no_space"),
)
_OF_LONG_PACKETS = ("icmp_filtered", "packet_too_big_filtered", "small_mtu")
_OF_A_DIRECTOR = ("director_down", "frozen", "no_files")  # causes for which a director does not answer
_TUNNELLED = {4: "ip proto 4", 6: "ip6 proto 41"}  # of tcpdump: the packets of VS-TUN's tunnels
_FEW = 3  # rules of a packet filter that are printed
_DROPS = (
    *("IpInAddrErrors", "IpOutNoRoutes", "IpInDiscards", "IpOutDiscards", "TcpInCsumErrors"),
    *("TcpExtIPReversePathFilter", "TcpExtListenDrops", "TcpExtListenOverflows"),
)


def show(
    state: LabState, causes: Sequence[Cause], titles: Mapping[str, str], console: Console | None = None
) -> int:
    """Print the diagnosis; exit code 0 if clients are served and nothing is wrong, else 1."""
    console = console or make_console(_WIDE)
    unread = list(_unread(state, causes))
    explaining = [cause for cause in causes if cause.cause not in _harmless(state)]
    explained = {host for cause in explaining for host in (cause.host, *cause.affects)}
    found = [difference for difference in differences(state) if difference.host not in explained]
    for line in (*unread, *_failures(state), *_resent(state)):
        console.print(line, markup=False)
    if causes:
        console.print(
            _table("root cause", ((cause.host, _block(cause, titles[cause.cause])) for cause in causes))
        )
        if any(".sh" in cause.repair or "../" in cause.repair for cause in causes):
            console.print("Paths in a repair are those of ./inv shell HOST, not of the lab's prompt.")
    fails = bool(state.troubled)
    if (fails or found) and not explained:
        none = f"None of the {len(titles)} known causes applies."
        console.print("That does not explain why clients fail." if causes else none, markup=False)
    lost = {} if explained else _lost(state)
    if found:
        elsewhere = [place for host, seen in lost.items() for place in seen if host != found[0].host]
        places = [lost.get(found[0].host, elsewhere), *([()] * (len(found) - 1))]
        blocks = [
            (difference.host, _difference(difference, seen))
            for difference, seen in zip(found, places, strict=True)
        ]
        console.print(_table("first difference on the path", blocks))
    elif lost:
        rows = ((host, _place(state, host, sightings)) for host, sightings in lost.items())
        console.print(_table("where packets were seen last", rows))
    wrong = bool(causes or unread or found or fails)
    for line in dict.fromkeys(
        (*_quiesced(state), *(() if wrong else (*_at_first(state), *_suspects(state))))
    ):
        console.print(line, markup=False)
    if not wrong:
        console.print(f"{_NOTHING} {_checked(state)}", markup=False)
    return 1 if wrong else 0


def _harmless(state: LabState) -> set[str]:
    """Causes that do not explain why clients fail, unless only such trials fail."""
    fits: set[str] = set()
    if state.troubled and all(trial.long for trial in state.troubled):
        fits.update(_OF_LONG_PACKETS)
    if state.troubled and all(trial.port == FTP for trial in state.troubled):
        fits.add("no_ftp_helper")
    return set(_HARMLESS) - fits


def _unread(state: LabState, causes: Sequence[Cause]) -> Iterator[str]:
    """The director or hosts that did not answer, unless a cause explains it."""
    if state.director.error and not any(_silences(state, cause) for cause in causes):
        name, process = state.director_host.name, state.director_process
        if process and process.stopped:
            yield (
                f"The director on {name} does not answer: its process {process.pid} is stopped; continue it "
                f"there: kill -CONT {process.pid}"
            )
        else:
            yield (
                f"The director on {name} does not answer; start it again there: setsid sh start.sh & "
                f"and then sh rules.sh ({state.director.error})"
            )
    for host in state.hosts:
        if host.error:
            yield f"{host.name} could not be read: {host.error}"


def _silences(state: LabState, cause: Cause) -> bool:
    return cause.cause in _OF_A_DIRECTOR and cause.host == state.director_host.name


def _failures(state: LabState) -> Iterator[str]:
    """`Clients fail at 203.0.113.1:80: 2 of 4 timed out (c1 c2).`"""
    for port in dict.fromkeys(trial.port for trial in state.failures):
        all_of = [trial for trial in state.client_trials if trial.port == port]
        ends = Counter(trial.outcome for trial in all_of if not trial.served)
        counted = ", ".join(f"{count} of {len(all_of)} {outcome}" for outcome, count in ends.items())
        hosts = " ".join(dict.fromkeys(trial.host for trial in all_of if not trial.served))
        yield f"Clients fail at {endpoint(state.vip, port)}: {counted} ({hosts}).{_only(all_of)}"
    if (state.failures or state.silent_servers) and any(trial.wanted for trial in state.trials):
        straight = dict.fromkeys(
            f"{trial.wanted} {_end(trial)}" for trial in state.trials if trial.wanted and not trial.served
        )
        yield f"Real servers, tried directly from the director: {', '.join(straight) or 'all answer'}."


def _only(trials: Sequence[Trial]) -> str:
    """What the failed trials have in common, but the served ones do not."""
    failed = [trial for trial in trials if not trial.served]
    served = [trial for trial in trials if trial.served]
    if served and all(trial.long for trial in failed) and not any(trial.long for trial in served):
        return " Only long requests and answers fail."
    hosts = {trial.host for trial in failed}
    ours = [trial for trial in trials if trial.host in hosts]
    reached = {trial.server for trial in ours if trial.served}
    is_of_usual = all(trial.usual != trial.served for trial in ours) and any(trial.usual for trial in ours)
    # A single failure may be chance, and several those of a real server that these clients had not reached.
    if len(failed) > 1 and is_of_usual and reached == {trial.server for trial in served}:
        return " They came from source ports that the kernel chose, with the User-Agent curl."
    return ""


def _resent(state: LabState) -> Iterator[str]:
    """`Packets get lost: 5 of 18 connections were served only after a packet had been sent again.`"""
    if state.resent:
        yield (
            f"Packets get lost: {len(state.resent)} of {len(state.trials)} connections were served only "
            "after a packet had been sent again."
        )


def _at_first(state: LabState) -> Iterator[str]:
    """A note on what may have been a slow machine, or an intermittent fault."""
    if state.failed_at_first:
        yield (
            f"Note: {state.failed_at_first} connections failed at first, and none when all were tried again "
            "for longer. If clients fail now and then, ask again."
        )


def _quiesced(state: LabState) -> Iterator[str]:
    """Notes on what may be intended: real servers without new connections."""
    for service in state.director.services:
        quiet = [state.server_name(target.address) for target in service.targets if not target.weight]
        if 0 < len(quiet) < len(service.targets):
            yield f"Note: {', '.join(quiet)} has weight 0 in {service}, and gets no new connections."


def _suspects(state: LabState) -> Iterator[str]:
    """Notes on what is not in the plan and could affect some client, although no trial failed."""
    for host in state.by_role(CLIENT, ROUTER, SERVER):
        drops = [rule.text or rule.verdict for rule in host.filters if rule.verdict in ("drop", "reject")]
        found = {
            "a packet filter": drops,
            "rules of iptables-legacy": host.legacy_rules,
            "a traffic-control filter": [hook.text for hook in host.traffic_filters],
            "an XDP program": [link.interface for link in host.links if link.xdp],
            "an IPsec policy": host.ipsec,
            "another nginx.conf than at first": host.site.changed,
        }
        for what, texts in found.items():
            if texts:
                yield f"Note: {host.name} has {what}, which failed no trial: {'; '.join(texts[:_FEW])}"


def _end(trial: Trial) -> str:
    observed = trial.server or (trial.detail if trial.outcome in (FAILED, RESET) else "")
    return f"{trial.outcome}, {observed}" if observed else trial.outcome


def _lost(state: LabState) -> dict[str, list[tuple[Trial, Sighting]]]:
    """By host: the failed trials whose packets were last seen there."""
    found: dict[str, list[tuple[Trial, Sighting]]] = {}
    for trial in state.troubled:
        last = last_seen(trial)
        if last:
            found.setdefault(last.host, []).append((trial, last))
    return found


def _checked(state: LabState) -> str:
    names = " ".join(host.name for host in state.hosts)
    served = f" {len(state.client_trials)} connections of clients were served." if state.client_trials else ""
    return f"Checked in {state.lab}: {names}; the director's rules, connections and timeouts.{served}"


# ---- tables ----


def _table(title: str, rows: Iterable[tuple[str, Table]]) -> Table:
    table = Table(box=table_box(), show_lines=True)
    table.add_column("host")
    table.add_column(title, ratio=1)
    for host, block in rows:
        table.add_row(Text(host, "bold"), block)
    return table


def _grid(*rows: tuple[str, Text | ShellLines]) -> Table:
    """Without frame lines, so that the commands can be copied."""
    block = Table.grid(padding=(0, 1))
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold")
    for name, text in rows:
        block.add_row(name, text)
    return block


def _block(cause: Cause, title: str) -> Table:
    return _grid(
        ("cause", Text(f"{title} ({cause.cause})", "bold red")),
        ("evidence", Text(cause.evidence)),
        ("why", Text(cause.why)),
        ("repair", ShellLines(cause.repair)),
    )


def _difference(difference: Difference, lost: Sequence[tuple[Trial, Sighting]]) -> Table:
    return _grid(
        ("what", Text(f"{difference.what} ({', '.join(difference.paths)})", "bold red")),
        ("should be", Text(difference.expected)),
        ("is", Text(difference.observed)),
        *_seen(lost),
        ("look at", ShellLines(difference.look)),
    )


def _place(state: LabState, name: str, lost: Sequence[tuple[Trial, Sighting]]) -> Table:
    host = state.host(name)
    counted = {counter: host.counters[counter] for counter in _DROPS if host and counter in host.counters}
    counters = [("counters", Text(", ".join(f"{key} {value}" for key, value in counted.items())))]
    came = [(trial, sighting) for trial, _ in lost for sighting in trial.seen if sighting.way == IN]
    place, ports = lost[0][1], [trial.source_port for trial, _ in lost]
    which = "portrange 61000-64999" if all(port in PORTS for port in ports) else f"port {ports[0]}"
    others = "icmp6" if state.version == 6 else "arp or icmp"
    if place.tunnel:
        others += f" or {_TUNNELLED[state.version]}"
    look = f"tcpdump -ni {place.interface or 'any'} '{others} or tcp {which}'\n"
    if place.what == NOTHING:
        why = ", ".join(dict.fromkeys(trial.detail for trial, _ in lost if trial.detail))
        inside = Text(f"{name} sends nothing{f': {why}' if why else ''}")
        look = "ip route; ip neighbour; nft list ruleset; tc -s qdisc show\n"
        look += "sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports"
    elif place.what in ASKS and place.way == OUT and not _is_known(state, place.dest):
        inside = Text(f"{name} asks for {place.dest}, an address that no host of the lab has")
        look = f"ip route get {lost[0][0].address}; ip rule; ip route show table all"
    elif place.what in ("RST", "FIN") and place.way == OUT:
        inside = Text(f"{name} ends the connection")
        look += "nft list ruleset; ss -ltnp; cat /proc/PID/limits"
    elif place.what.startswith("ICMP"):
        inside = Text(f"{name} answers with an error: {place.what}")
        look += "ip route; nft list ruleset"
    elif place.way == OUT and any(
        sighting.host == trial.host and sighting.what == place.what for trial, sighting in came
    ):
        what = (
            "passes on a part of the answer"
            if host and host.role == DIRECTOR
            else "sends a part of its answer"
        )
        inside = Text(f"{name} {what}, and no more; what it sends arrives")
        look += f"ss -tni (on {lost[0][0].host}, too: a small receive window there holds an answer back)"
    elif place.way == OUT:
        way = _towards(state, host, place)
        inside = Text(f"the packet left {name}{way}; nothing that the doctor reads explains it")
        look += "at the lab's prompt: dpctl dump-flows"
    else:
        inside = Text(f"{name} got the packet, and neither answered it nor passed it on")
        look += "nft list ruleset; ip rule; ip route show table all; ip -br link; tc -s qdisc show"
    if host and host.legacy_tables:
        look += f"\niptables-legacy-save (tables {', '.join(host.legacy_tables)}, which nft does not list)"
    # The director's own filter, which keeps packets from its kernel, is not the cause.
    shown = host.filters if host and host.role != DIRECTOR else ()
    drops = [rule.text for rule in shown if rule.verdict in ("drop", "reject")]
    filters = [("filters", Text("\n".join(drops[:_FEW])))] if drops else []
    policy = [("ip rule", Text("\n".join(map(str, host.rules))))] if host and host.rules else []
    rows = (*_seen(lost), ("is", inside), *filters, *policy, *(counters if counted else ()))
    return _grid(*rows, ("look at", ShellLines(look)))


def _is_known(state: LabState, address: str) -> bool:
    planned = {plug.address for host in state.hosts for plug in host.plugs}
    return address in planned | {state.vip, *state.moving} or any(host.has(address) for host in state.hosts)


def _towards(state: LabState, host: HostState | None, place: Sighting) -> str:
    """` for the switch s2`, and the host behind it that did not get the packet."""
    plug = next((plug for plug in host.plugs if plug.interface == place.interface), None) if host else None
    if not plug:
        return f" through {place.interface}"
    dest = place.tunnel or place.dest.rpartition(":")[0].strip("[]") or place.dest
    behind = [other.name for other, at in state.on_switch(plug.switch) if at.address == dest]
    return f" for the switch {plug.switch}" + (f", and {behind[0]} did not get it" if behind else "")


def _seen(lost: Sequence[tuple[Trial, Sighting]]) -> Iterator[tuple[str, Text]]:
    """`3 x SYN in on d-eth0, first 198.51.100.101:61034 > 203.0.113.1:80`"""
    places: dict[str, list[Sighting]] = {}
    for _, sighting in lost:
        where = f"{sighting.way} on {sighting.interface}" if sighting.interface else "sent"
        places.setdefault(f"{sighting.what} {where}", []).append(sighting)
    if places:
        lines = (
            f"{len(seen)} x {place}, first {seen[0].source} > {seen[0].dest}".replace("first  >", "to")
            for place, seen in places.items()
        )
        yield "last seen", Text("\n".join(lines))
