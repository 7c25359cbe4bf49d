"""A drawing of a lab, made from its plan: nodes with their addresses, and the path of one connection.

Nodes are placed from left to right by their distance from the clients. Each direction has its own dashes, so
the drawing can be read without its colours. Below it, the packet table of that connection shows what changes
at the director.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from ipaddress import ip_interface
from typing import NamedTuple
from xml.sax.saxutils import escape

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from labs.network.topology import Node, Role, Topology
from labs.plan import Plan
from labs.run.packet_table import Row
from realserver_setup.build import TUNNEL, TUNNEL6, RealServerSetup

_COLUMN, _GAP, _MARGIN = 165, 24, 20  # pixels: between columns, between boxes of a column, around
_WIDTH, _LINE, _RADIUS = 180, 15, 19  # of a box, of a line of text in it, of a switch
_FILL = {Role.CLIENT: "#eef3fb", Role.ROUTER: "#f1f1f1", Role.DIRECTOR: "#ffe9c7", Role.SERVER: "#e6f4e6"}
_INK, _CABLE = "#222222", "#b4b4b4"
_CLIENT_PORT = 40001
_CHANGES = {
    Method.NAT: "At the director: the destination of requests is rewritten, and the source of replies.",
    Method.TUN: "At the director: the request is put, unchanged, into another IP packet, to the real server.",
    Method.DR: "At the director: only the MAC addresses of the request change.",
}
_VIP_ON = {  # the interface of the real servers that has it, by the IP version
    (Method.TUN, 4): TUNNEL,
    (Method.TUN, 6): TUNNEL6,
    (Method.DR, 4): "lo:0",
    (Method.DR, 6): "lo",
}
_OF_DIRECTOR = {4: ("VIP {} on eth0:0", "answers ARP for it"), 6: ("VIP {}", "answers for it on eth0")}
_MACS_AT = {4: 500, 6: 630}  # pixels from the margin, in the legend
_SILENT = {4: "does not answer ARP for it", 6: "does not answer for it"}

Point = tuple[float, float]


class _Line(NamedTuple):
    """How a direction is drawn: `offset` in pixels below (or above) the cable, colour, dashes."""

    offset: float
    name: str
    colour: str
    dashes: str


_REQUEST = _Line(-7, "request", "#1f5fbf", "")
_FORWARDED = _Line(-14, "forwarded", "#6d28d9", "2 4")
_REPLY = _Line(7, "reply", "#c2410c", "9 5")
_LINES = (_REQUEST, _FORWARDED, _REPLY)


def draw(plan: Plan, *, packets: bool = True) -> str:
    """An SVG document of the lab with the path of one connection to its second real server, if any.

    Without `packets`, only the network.
    """
    topology = plan.topology
    labels = {node.name: _label(node, plan) for node in topology.nodes}
    places = _places(topology, labels)
    server = plan.servers[:2][-1]
    client, director = topology.by_role(Role.CLIENT)[0], topology.director.name
    paths = (
        _path(topology, client.name, director),
        _path(topology, director, server.name),
        _path(topology, server.name, client.name),
    )
    rows = [hop.expected for hop in plan.hops(server, client.interfaces[0], _CLIENT_PORT)] if packets else []
    below = max(y + _height(labels.get(name, [])) / 2 for name, (_, y) in places.items()) + 30
    width = max(x for x, _ in places.values()) + _WIDTH / 2 + _MARGIN
    width = max(width, *(_legend_width(row, plan.version) for row in rows), 0)
    height = below + 24 + 20 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>{escape(plan.title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        *map(_arrowhead, _LINES),
        *_cables(topology, places),
        *(
            _polyline([places[node] for node in nodes], *line)
            for nodes, line in zip(paths, _LINES, strict=True)
            if packets
        ),
        *_switches(topology, places),
        *(_box(node, labels[node.name], places[node.name]) for node in topology.nodes),
        *(_legend(plan, rows, below) if packets else ()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _label(node: Node, plan: Plan) -> list[str]:
    """The lines of a node's box: name, role and addresses."""
    lines = [f"{node.name}, {node.role.value}"]
    if node.role is Role.DIRECTOR:
        lines += [f"{node.address} (DIP)", *(interface.address for interface in node.interfaces[1:])]
        return [*lines, *(line.format(plan.vip) for line in _OF_DIRECTOR[plan.version])]
    if node.role is not Role.SERVER:
        return lines + [interface.address for interface in node.interfaces]
    server = next(server for server in plan.servers if server.name == node.name)
    address = endpoint(node.address, server.http_port) if server.http_port != 80 else node.address
    setup = next(setup for setup in plan.setups if setup.name == node.name)
    assert isinstance(setup, RealServerSetup)
    lines += [f"{address} (RIP)", f"gateway {setup.gateway}"]
    if (device := _VIP_ON.get((plan.method, plan.version))) is not None:
        lines += [f"VIP on {device}", _SILENT[plan.version]]
    return lines


def _adjacency(topology: Topology) -> dict[str, list[str]]:
    graph: dict[str, list[str]] = defaultdict(list)
    for interface in topology.interfaces:
        graph[interface.node].append(interface.switch)
        graph[interface.switch].append(interface.node)
    return graph


def _path(topology: Topology, start: str, goal: str) -> list[str]:
    """The only path between two nodes of the network, which is a tree; both ends included."""
    graph = _adjacency(topology)
    paths = [[start]]
    for path in paths:
        if path[-1] == goal:
            return path
        paths += [[*path, node] for node in graph[path[-1]] if node not in path]
    raise ValueError(f"no path from {start} to {goal}")


def _places(topology: Topology, labels: dict[str, list[str]]) -> dict[str, Point]:
    """The centre of every node and switch: columns by distance from the first client, rows by order."""
    client = topology.by_role(Role.CLIENT)[0].name
    columns: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys([*labels, *topology.switches]):
        column = 0 if topology.is_client(name) else len(_path(topology, client, name)) - 1
        columns[column].append(name)
    row = max(map(_height, labels.values())) + _GAP
    tallest = max(map(len, columns.values()))
    return {
        name: (
            _MARGIN + _WIDTH / 2 + column * _COLUMN,
            _MARGIN + row / 2 + (place + (tallest - len(names)) / 2) * row,
        )
        for column, names in columns.items()
        for place, name in enumerate(names)
    }


def _height(lines: Sequence[str]) -> float:
    return 16 + _LINE * len(lines)


def _cables(topology: Topology, places: dict[str, Point]) -> list[str]:
    ends = [(places[interface.node], places[interface.switch]) for interface in topology.interfaces]
    return [
        f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}" stroke="{_CABLE}" stroke-width="3"/>'
        for a, b in ends
    ]


def _polyline(points: Sequence[Point], offset: float, name: str, colour: str, dashes: str) -> str:
    """A line along `points`, moved aside so that request and reply do not cover each other."""
    first, last = points[0], points[-1]
    ends = [_edge(first, points[1]), *points[1:-1], _edge(last, points[-2])]
    moved = " ".join(f"{x:.0f},{y + offset:.0f}" for x, y in ends)
    return (
        f'<polyline points="{moved}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'stroke-dasharray="{dashes}" marker-end="url(#{name})"/>'
    )


def _edge(point: Point, other: Point) -> Point:
    """The edge of the box at `point` that faces `other`."""
    side = 1 if other[0] > point[0] else -1
    return point[0] + side * (_WIDTH / 2 + 4), point[1]


def _switches(topology: Topology, places: dict[str, Point]) -> list[str]:
    """Circles, each with the network behind it."""
    parts: list[str] = []
    for switch in topology.switches:
        x, y = places[switch]
        ports = [port for port in topology.interfaces if port.switch == switch]
        network = str(ip_interface(f"{ports[0].address}/{ports[0].prefix}").network)
        wide = 94 if "." in network else 124
        right = sum(places[port.node][0] > x for port in ports)
        middle = x - 20 if 2 * right > len(ports) else x  # the label makes room for the cables
        parts += [
            f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" fill="white" stroke="{_INK}"/>',
            _text(x, y + 4, switch),
            f'<rect x="{middle - wide // 2}" y="{y + 28}" width="{wide}" height="16" fill="white" '
            'fill-opacity="0.85"/>',
            _text(middle, y + 40, network, 11),
        ]
    return parts


def _box(node: Node, lines: Sequence[str], place: Point) -> str:
    x, y = place
    height = _height(lines)
    text = [
        _text(
            x,
            y - height / 2 + 19 + _LINE * number,
            line,
            11 if number else 12,
            bold="VIP" in line or "ARP" in line,
        )
        for number, line in enumerate(lines)
    ]
    rect = (
        f'<rect x="{x - _WIDTH / 2}" y="{y - height / 2}" width="{_WIDTH}" height="{height}" rx="6" '
        f'fill="{_FILL[node.role]}" stroke="{_INK}"/>'
    )
    return "\n".join([rect, *text])


def _arrowhead(line: _Line) -> str:
    return (
        f'<marker id="{line.name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{line.colour}"/></marker>'
    )


def _legend_width(row: Row, version: int) -> float:
    """Pixels of a line of the legend, estimated: IPv6 addresses are longer than most drawings are wide."""
    if version == 4:
        return 0
    return _MARGIN * 2 + (_MACS_AT[version] + 300 if row.source_mac else 210 + len(_addresses(row)) * 6.7)


def _legend(plan: Plan, rows: Sequence[Row], y: float) -> list[str]:
    """What changes at the director, and the packet table, each packet with a sample of its line."""
    names, macs_at = plan.topology.names_of_macs, _MARGIN + _MACS_AT[plan.version]
    parts = [_text(_MARGIN, y, _CHANGES[plan.method], 13, bold=True, anchor="start")]
    for number, row in enumerate(rows):
        at = y + 24 + 20 * number
        line = _REPLY if row.data.startswith("HTTP") else _FORWARDED if number else _REQUEST
        parts += [
            f'<line x1="{_MARGIN}" y1="{at - 4}" x2="{_MARGIN + 46}" y2="{at - 4}" stroke="{line.colour}" '
            f'stroke-width="2.5" stroke-dasharray="{line.dashes}" marker-end="url(#{line.name})"/>',
            _text(_MARGIN + 58, at, row.packet, anchor="start"),
            _text(_MARGIN + 210, at, _addresses(row), anchor="start"),
            *([_text(macs_at, at, _macs(row, names), anchor="start")] if row.source_mac else []),
        ]
    return parts


def _addresses(row: Row) -> str:
    inner = f"{row.source} > {row.dest}"
    return f"{row.outer_source} > {row.outer_dest}, with {inner} inside" if row.outer_source else inner


def _macs(row: Row, names: dict[str, str]) -> str:
    return f"MAC of {names.get(row.source_mac or '')} > MAC of {names.get(row.dest_mac or '')}"


def _text(
    x: float, y: float, text: str, size: int = 12, *, bold: bool = False, anchor: str = "middle"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    style = f'text-anchor="{anchor}" font-size="{size}" fill="{_INK}"{weight}'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
