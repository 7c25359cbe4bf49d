"""A packet table: is it complete, and does it say what was on the wire?"""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.exercise import Judge, Seen
from classroom.guided.answers import answer
from classroom.guided.packet_table import blanks, cells, hops, same
from classroom.probes.answers import answers
from classroom.probes.packet_table import packets
from classroom.variants import Variant
from labs.checks.result import Check


@needs(answers)
def first_packet(seen: Seen, variant: Variant) -> Check:
    """The first packet of the table."""
    return _rows(first_packet, seen, variant, slice(0, 1))


@needs(answers)
def packets_between(seen: Seen, variant: Variant) -> Check:
    """What becomes of it on the way."""
    return _rows(packets_between, seen, variant, slice(1, -1))


@needs(answers)
def last_packet(seen: Seen, variant: Variant) -> Check:
    """The last packet of the table."""
    return _rows(last_packet, seen, variant, slice(-1, None))


@needs(packets)
def table_on_wire(seen: Seen, variant: Variant) -> Check:
    """The captures hold the connection that the table is about."""
    right = [hop.expected.as_dict() for hop in hops(variant)]
    found = sum(row == one for row, one in zip(seen["packets"], right, strict=True))
    return Check(title(table_on_wire), found == len(right), f"{len(right)} packets", f"{found} packets")


def _rows(judge: Judge, seen: Seen, variant: Variant, which: slice) -> Check:
    """Says how many cells are right, and what is wrong with the first that is not; never what is right."""
    filled = seen["answers"]
    wrong: list[str] = []
    asked = 0
    for hop, blank in list(zip(hops(variant), blanks(variant), strict=True))[which]:
        name, right = hop.expected.packet, cells(hop)
        asked += len(blank)
        wrong += [_complaint(answer(filled, name, cell), right[cell], name, cell) for cell in blank]
    complaints = [one for one in wrong if one]
    ok = not complaints
    observed = "; ".join([f"{asked - len(complaints)} right", *complaints[:1], *filled["wrong"][:1]])
    return Check(title(judge), ok, f"{asked} right", f"{asked} right" if ok else observed)


def _complaint(given: str | None, right: str, section: str, cell: str) -> str:
    """Empty where the answer is right."""
    if given is None:
        return f"[{section}] has no line {cell!r}"
    if not given:
        return f"[{section}] {cell} is blank"
    return "" if same(given, right) else f"[{section}] {cell} is not {given}"
