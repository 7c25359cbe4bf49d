"""arp_ignore is set, but not for the interface on which ARP requests arrive."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import is_silenced
from doctor.state import LabState

TITLE = "ARP was silenced on the wrong interface"
VERSIONS = (4,)  # of IP


_ELSEWHERE = ("lo", "default")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.servers_on_director_segment():
        lan = host.main.interface
        wrong = [name for name in _ELSEWHERE if host.settings.get(f"conf.{name}.arp_ignore", 0)]
        if wrong and host.setting("arp_ignore", lan) == 0 and not is_silenced(host, state.vip):
            yield Cause(
                "arp_ignore_on_lo",
                host.name,
                f"{host.setting_text('arp_ignore', 'all', lan, *wrong)}; it has {host.has(state.vip)}",
                "The settings of `all` and of the interface on which a request arrives count. No request "
                "arrives on lo, and `default` is only for interfaces created later. So "
                f"{host.name} answers for {state.vip}, and requests bypass the director.",
                f"sysctl -w net.ipv4.conf.{lan}.arp_ignore=1",
            )
