"""The network of scenarios: one director between clients and real servers that exist as packets only.

    clients 198.18.N.* ── gateway ── director, VIP 198.19.0.N ── real servers 172.16.0.11, .12, ...

Every scenario has a place N of its own: a VIP, clients and a firewall mark that no other scenario
uses, so that many scenarios can run on the same director one after the other. 198.18.0.0/15 is
reserved for benchmarks (RFC 2544).
"""

from __future__ import annotations

from dataclasses import dataclass

from labs.methods import FLAGS

CLIENTS, SERVERS = "c", "s"  # the two sides
LOCAL = "local"  # instead of a side: the director's own kernel got the packet
PLACES = 250
GATEWAY, DIP, INSIDE = "203.0.113.1", "203.0.113.2", "172.16.0.1"
VIPS, BOTH = "198.19.0.0/24", "198.18.0.0/15"
MTU = {CLIENTS: 1500, SERVERS: 1400}  # bytes; different, so that some packets do not fit
GATEWAY_MAC = "02:00:00:00:00:c0"
DIRECTOR_MACS = {CLIENTS: "02:00:00:00:00:d0", SERVERS: "02:00:00:00:00:d1"}
SERVER_COUNT = 9


@dataclass(frozen=True)
class Place:
    """The addresses of one scenario."""

    number: int

    @property
    def vip(self) -> str:
        return f"198.19.0.{self.number}"

    @property
    def mark(self) -> int:
        return 1000 + self.number

    def client(self, host: int) -> str:
        return f"198.18.{self.number}.{host}"

    def words(self, method: str) -> dict[str, str]:
        """What the words in a scenario stand for."""
        servers = {f"RS{n}": server(n) for n in range(1, SERVER_COUNT + 1)}
        return {"VIP": self.vip, "MARK": str(self.mark), "HOW": FLAGS[method], "DIP": DIP, **servers}


def server(number: int) -> str:
    return f"172.16.0.{10 + number}"


def mac_of(server_address: str) -> str:
    """A real server's hardware address."""
    return f"02:00:00:00:01:{int(server_address.rpartition('.')[2]):02x}"


def is_server(address: str) -> bool:
    return address.startswith("172.16.0.") and address != INSIDE


def side_of(address: str) -> str:
    """The side that an address is on."""
    return SERVERS if address.startswith("172.16.0.") else CLIENTS
