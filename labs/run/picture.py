"""A drawing of a lab, made from its plan: the network, the way of a request, the way of the reply.

Machines stand from left to right by their distance from the clients. Each way has its own
dashes, so that the drawing can be read without its colours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from labs.network.topology import Role, Topology
from labs.plan import Plan

_COLUMN, _ROW, _MARGIN = 150, 84, 70  # pixels
_WIDTH, _HEIGHT = 104, 46  # of a machine
_FILL = {Role.CLIENT: "#eef3fb", Role.ROUTER: "#f1f1f1", Role.DIRECTOR: "#ffe9c7", Role.SERVER: "#e6f4e6"}
_INK, _CABLE = "#222222", "#b4b4b4"

Point = tuple[float, float]


class _Way(NamedTuple):
    """How a path is drawn: so far above or below the cable, in this colour and with these dashes."""

    aside: float
    name: str
    colour: str
    dashes: str


_WAYS = (
    _Way(-7, "request", "#1f5fbf", ""),
    _Way(-14, "request, sent on by the director", "#6d28d9", "2 4"),
    _Way(7, "reply", "#c2410c", "9 5"),
)


def draw(plan: Plan) -> str:
    """An SVG document of the lab with the path of one connection to its second real server, if any."""
    topology = plan.topology
    places = _places(topology)
    server = topology.by_role(Role.SERVER)[:2][-1].name
    client, director = topology.by_role(Role.CLIENT)[0].name, topology.director.name
    ways = (
        _path(topology, client, director),
        _path(topology, director, server),
        _path(topology, server, client),
    )
    width = max(x for x, _ in places.values()) + _MARGIN + _WIDTH / 2
    height = max(y for _, y in places.values()) + _MARGIN + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>{escape(plan.title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        *_arrowheads(),
        *_cables(topology, places),
        *(_way([places[node] for node in nodes], *way) for nodes, way in zip(ways, _WAYS, strict=True)),
        *_machines(topology, places, plan),
        *_legend(_MARGIN - _WIDTH / 2, height - 22),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _neighbours(topology: Topology) -> dict[str, list[str]]:
    graph: dict[str, list[str]] = defaultdict(list)
    for node in topology.nodes:
        for interface in node.interfaces:
            graph[node.name].append(interface.switch)
            graph[interface.switch].append(node.name)
    return graph


def _path(topology: Topology, start: str, goal: str) -> list[str]:
    """The only path between two nodes of the network, which is a tree; both ends included."""
    graph = _neighbours(topology)
    ways = [[start]]
    for way in ways:
        if way[-1] == goal:
            return way
        ways += [[*way, node] for node in graph[way[-1]] if node not in way]
    raise ValueError(f"no way from {start} to {goal}")


def _places(topology: Topology) -> dict[str, Point]:
    """The centre of every node: columns by distance from the first client, rows by order."""
    client = topology.by_role(Role.CLIENT)[0].name
    columns: dict[int, list[str]] = defaultdict(list)
    for node in dict.fromkeys([m.name for m in topology.nodes] + list(topology.switches)):
        columns[_column(topology, client, node)].append(node)
    tallest = max(map(len, columns.values()))
    return {
        node: (
            _MARGIN + column * _COLUMN,
            _MARGIN + (row + (tallest - len(nodes)) / 2) * _ROW,
        )
        for column, nodes in columns.items()
        for row, node in enumerate(nodes)
    }


def _column(topology: Topology, client: str, node: str) -> int:
    if topology.is_client(node):
        return 0
    return len(_path(topology, client, node)) - 1


def _cables(topology: Topology, places: dict[str, Point]) -> list[str]:
    return [
        f'<line x1="{places[m.name][0]}" y1="{places[m.name][1]}" x2="{places[interface.switch][0]}" '
        f'y2="{places[interface.switch][1]}" stroke="{_CABLE}" stroke-width="3"/>'
        for m in topology.nodes
        for interface in m.interfaces
    ]


def _way(points: Sequence[Point], aside: float, name: str, colour: str, dashes: str) -> str:
    """A line along `points`, moved aside so that request and reply do not cover each other."""
    first, last = points[0], points[-1]
    ends = [_toward(first, points[1]), *points[1:-1], _toward(last, points[-2])]
    moved = " ".join(f"{x:.0f},{y + aside:.0f}" for x, y in ends)
    return (
        f'<polyline points="{moved}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'stroke-dasharray="{dashes}" marker-end="url(#{_marker(name)})"/>'
    )


def _marker(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def _toward(point: Point, other: Point) -> Point:
    """The edge of the machine at `point` that looks at `other`."""
    side = 1 if other[0] > point[0] else -1
    return point[0] + side * (_WIDTH / 2 + 4), point[1]


def _machines(topology: Topology, places: dict[str, Point], plan: Plan) -> list[str]:
    notes = {server.name: server.address for server in plan.servers}
    parts: list[str] = []
    for node in topology.nodes:
        x, y = places[node.name]
        parts += [
            f'<rect x="{x - _WIDTH / 2}" y="{y - _HEIGHT / 2}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
            f'fill="{_FILL[node.role]}" stroke="{_INK}"/>',
            _text(x, y - 3, f"{node.name}, {node.role.value}"),
            _text(x, y + 14, notes.get(node.name, node.address), 11),
        ]
    for switch in topology.switches:
        x, y = places[switch]
        parts += [
            f'<circle cx="{x}" cy="{y}" r="19" fill="white" stroke="{_INK}"/>',
            _text(x, y + 4, switch),
        ]
    return parts


def _arrowheads() -> list[str]:
    return [
        f'<marker id="{_marker(way.name)}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{way.colour}"/></marker>'
        for way in _WAYS
    ]


def _legend(x: float, y: float) -> list[str]:
    parts: list[str] = []
    for way in _WAYS:
        parts += [
            f'<line x1="{x}" y1="{y}" x2="{x + 46}" y2="{y}" stroke="{way.colour}" stroke-width="2.5" '
            f'stroke-dasharray="{way.dashes}" marker-end="url(#{_marker(way.name)})"/>',
            f'<text x="{x + 56}" y="{y + 4}" fill="{_INK}">{way.name}</text>',
        ]
        x += 84 + 7.5 * len(way.name)
    return parts


def _text(x: float, y: float, text: str, size: int = 12) -> str:
    style = f'text-anchor="middle" font-size="{size}" fill="{_INK}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
