"""Firewall marks: numbers that packets carry, by which they can be assigned to a virtual service.

In the kernel, netfilter marks packets before IPVS sees them. The director sees a packet before netfilter
does, so it has a short list of its own: the first rule that matches a packet marks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from director.core.commands import AddMark, DeleteMark
from director.core.errors import BadValue, NoSuchMark
from director.core.family import family_of, ip_to_int
from director.core.packet import PROTOCOL_NAMES, TCP, UDP, Packet

_PROTOCOLS = {0: "any", **{number: PROTOCOL_NAMES[number] for number in (TCP, UDP)}}


@dataclass(frozen=True, slots=True)
class Mark:
    """Packets to `network` and to ports `first` to `last` carry `mark`; protocol 0: TCP and UDP."""

    mark: int
    network: IPv4Network | IPv6Network
    protocol: int
    first: int
    last: int

    @classmethod
    def of(cls, command: AddMark | DeleteMark) -> Mark:
        """The rule that a command describes. Raises BadValue."""
        check_mark(command.mark)
        try:
            network = ip_network(command.network)
        except ValueError:
            example = "2001:db8::/64" if ":" in str(command.network) else "203.0.113.0/24"
            expected = f"an address, or a network such as {example} with no host bits set"
            raise BadValue("network", expected, command.network) from None
        if command.protocol not in _PROTOCOLS:
            raise BadValue("protocol", "6 (TCP), 17 (UDP) or 0 (both)", command.protocol)
        if not 0 <= command.first <= command.last <= 65535:
            raise BadValue("ports", "a range within 0 to 65535", f"{command.first}:{command.last}")
        return cls(command.mark, network, command.protocol, command.first, command.last)

    def matches(self, packet: Packet) -> bool:
        return (
            self.protocol in (0, packet.protocol)
            and self.first <= packet.destination.port <= self.last
            and self.covers(packet.destination.address)
        )

    def covers(self, address: str) -> bool:
        """Whether the address is in its network."""
        network = self.network
        if family_of(address).version != network.version:
            return False
        return ip_to_int(address) & int(network.netmask) == int(network.network_address)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        network = self.network.with_prefixlen.removesuffix(f"/{self.network.max_prefixlen}")
        ports = {"first": self.first, "last": self.last}
        return {"mark": self.mark, "network": network, "protocol": _PROTOCOLS[self.protocol], **ports}


Marks = tuple[Mark, ...]


def mark_of(packet: Packet, marks: Marks) -> int:
    """The mark that a packet carries, or 0."""
    return next((rule.mark for rule in marks if rule.matches(packet)), 0)


def without(marks: Marks, rule: Mark) -> Marks:
    """The list without the first rule that is equal. Raises NoSuchMark."""
    if rule not in marks:
        raise NoSuchMark(f"No such rule: mark {rule.mark} for {rule.network} with these ports and protocol.")
    index = marks.index(rule)
    return marks[:index] + marks[index + 1 :]


def check_mark(mark: int) -> None:
    """Raises BadValue."""
    if type(mark) is not int or not 0 < mark < 2**32:
        raise BadValue("mark", "1 to 4294967295", mark)
