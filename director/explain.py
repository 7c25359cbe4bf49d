"""lvs-explain: what a running director would do with a packet, and why.

Nothing is sent and nothing changes: the director does a dry run of the code that forwards, on copies of its
tables. Exit codes: 0 done, 1 no director, 2 a wrong request.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from director.control import cli
from director.control.channel import Message
from director.control.cli import REFUSED, WRONG, ToolError, UsageError
from director.formats.ipvsadm_words import address_and_port

PROGRAM = "lvs-explain"
EXAMPLES = """\
lvs-explain 198.51.100.101:40000 203.0.113.1:80          the first packet of a connection
lvs-explain -u 198.51.100.101:40000 203.0.113.1:53       the same for UDP
lvs-explain --flags A 198.51.100.101:40000 203.0.113.1:80    a later packet of it
lvs-explain '[2001:db8:1::65]:40000' '[2001:db8::80]:80'     IPv6
lvs-explain --pcap d-eth0.pcap --frame 7                 a captured packet (frame number as in Wireshark)
lvs-explain --table 198.51.100.101:40000                 the packet table of a client's connections
"""
_ETHERNET, _RAW = 1, (12, 101, 228)  # link types of pcap files
_LABEL = 12  # columns


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise UsageError with one sentence, instead of printing the usage."""
        raise UsageError(f"{message}; {PROGRAM} -h shows examples.")

    def print_help(self, _file: object = None) -> None:
        cli.print_output(self.format_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; returns the exit code."""
    return cli.run(PROGRAM, _work, sys.argv[1:] if arguments is None else arguments)


def _work(arguments: Sequence[str]) -> str:
    """What one command line prints. Raises ToolError."""
    options = _parser().parse_args(arguments)
    request = _request(options)
    try:
        answer = cli.query(request)
    except ToolError as error:
        raise ToolError(str(error), WRONG if error.code == REFUSED else error.code) from None
    if options.json:
        return json.dumps(answer, indent=2) + "\n"
    lines = _packet_tables(answer) if options.table else _explanation(answer)
    return "".join(f"{line}\n" for line in lines)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog=PROGRAM, description=__doc__, epilog=EXAMPLES, formatter_class=form)
    parser.add_argument("source", nargs="?", metavar="ADDRESS:PORT", help="source of the packet")
    parser.add_argument("destination", nargs="?", metavar="ADDRESS:PORT", help="its destination")
    protocol = parser.add_mutually_exclusive_group()
    protocol.add_argument("-t", dest="protocol", action="store_const", const="TCP", default="TCP", help="TCP")
    protocol.add_argument("-u", dest="protocol", action="store_const", const="UDP", help="UDP")
    parser.add_argument("--flags", default="S", help="TCP flags, from SAFRPU (default: S)")
    parser.add_argument("--pcap", type=Path, metavar="FILE", help="take the packet from a capture")
    parser.add_argument("--frame", type=int, default=1, metavar="N", help="frame of the capture (default: 1)")
    parser.add_argument("--table", metavar="ADDRESS:PORT", help="the packet table of a client's connections")
    parser.add_argument("--json", action="store_true", help="print the director's answer as JSON")
    return parser


def _request(options: argparse.Namespace) -> Message:
    if options.table:
        return {"do": "packet_table", "client": options.table}
    if options.pcap:
        return {"do": "explain", "ip": _frame(options.pcap, options.frame).hex()}
    if not (options.source and options.destination):
        raise UsageError(f"two endpoints, --pcap or --table are needed; {PROGRAM} -h shows examples.")
    packet = {"protocol": options.protocol, "source": options.source, "destination": options.destination}
    if options.protocol == "TCP":
        packet["flags"] = options.flags
    return {"do": "explain", "packet": packet}


def _frame(path: Path, number: int) -> bytes:
    """The IP packet in frame `number` of a capture. Raises UsageError."""
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    try:
        with RawPcapReader(str(path)) as reader:
            for place, (data, metadata) in enumerate(reader, 1):
                if place == number:
                    return _ip_of(data, getattr(metadata, "linktype", None) or reader.linktype)
    except (OSError, EOFError, Scapy_Exception) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} can't be read as a capture ({why}).") from None
    raise UsageError(f"{path} has no frame {number}.")


def _ip_of(data: bytes, link: int) -> bytes:
    if link in _RAW:
        return data
    if link != _ETHERNET:
        raise UsageError(f"link type {link} is not supported: capture on an Ethernet interface.")
    if data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        raise UsageError(f"the frame is not an IP packet (EtherType {data[12:14].hex()}).")
    return data[14:]


# ---- the explanation in words ----


def _explanation(answer: Message) -> Iterator[str]:
    packet = answer["packet"]
    flags = f" [{packet['flags']}]" if packet["flags"] else ""
    ends = f"{packet['source']} > {packet['destination']}"
    yield _line("packet", f"{packet['protocol']} {ends}{flags}, {packet['length']} bytes")
    if answer["connection"]:
        yield _line("connection", _connection(answer["connection"]))
    if answer["service"]:
        yield from _service(answer["service"])
    yield from _list("because", answer["reasons"])
    yield _line("decision", _decision(answer))
    if answer.get("rows"):
        yield ""
        yield from _table(answer["rows"])
    events = [_event(event) for event in answer["events"] if event["kind"] in ("new", "state", "expired")]
    if events:
        yield ""
        yield from _list("would happen", events)


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}  {text}".rstrip()


def _list(label: str, texts: Sequence[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        yield _line("" if place else label, text)


def _connection(entry: Message) -> str:
    ends = f"{entry['client']} > {entry['vip']} > {entry['server']}"
    return f"{ends}, {entry['state']}, expires in {entry['expires']:.0f} s"


def _service(service: Message) -> Iterator[str]:
    name = f"FWM {service['mark']}" if service["mark"] else address_and_port(service)
    kind = "" if service["mark"] else f"{service['protocol']} "
    persistent = f", persistent {service['persistent']} s" if service["persistent"] else ""
    yield _line("service", f"{kind}{name} {service['scheduler']}{persistent}")
    servers = [
        {
            "real server": address_and_port(server),
            "method": server["method"],
            "weight": str(server["weight"]),
            "active": str(server["active"]),
            "inactive": str(server["inactive"]),
        }
        for server in service["servers"]
    ]
    for line in _table(servers):
        yield _line("", line)


def _decision(answer: Message) -> str:
    decision, hop = answer["decision"], answer.get("way") or {}
    if decision == "forward" and answer["method"] == "LOCAL":
        return "pass it to the director's own kernel: this is the local node"
    if decision == "forward":
        over = (
            f" over {hop['interface']}, next hop {hop['next_hop']}" if hop else ", to which no route is known"
        )
        mac = f" ({hop['dest_mac']})" if hop.get("dest_mac") else ""
        return f"forward by VS-{answer['method']} to {answer['next_hop']}{over}{mac}"
    if decision == "reject":
        mtu = f", MTU {answer['mtu']}" if answer["mtu"] else ""
        return f"reject with ICMP type {answer['icmp_type']} code {answer['icmp_code']}{mtu}"
    return {"drop": "drop it", "pass": "pass it to the director's own kernel"}[str(decision)]


def _event(event: Message) -> str:
    ends = f"{event['client']} > {event['vip']} > {event['server']}"
    if event["kind"] == "state":
        return f"{ends}: {event['before']} becomes {event['state']}"
    what = "new connection" if event["kind"] == "new" else "the connection ends"
    return f"{ends}: {what}"


def _packet_tables(answer: Message) -> Iterator[str]:
    for place, connection in enumerate(answer["connections"]):
        if place:
            yield ""
        yield _line("connection", _connection(connection))
        yield from _table(connection["rows"])


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
