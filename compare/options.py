"""The options of ./inv compare, each spelled once. Imports next to nothing: `./inv --list` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest
from labs.run.options import BOTH, FAMILIES, MOST_SERVERS, option

_IPV4 = 4


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """The options of ./inv compare. Raises BadRequest for options that exclude each other.

    None stands for a number that was not given.
    """

    servers: int | None = option(
        None, f"Largest number of real servers, 1 to {MOST_SERVERS} (default 50; 20 with --quick)."
    )
    methods: str = option("", "Methods to compare, separated by commas (default nat,tun,dr).")
    engine: str = option("scapy", "Data plane of the director (default scapy).")
    family: int = option(4, "IP version of the labs: 4 (default) or 6.")
    rate: int | None = option(
        None, "Link rate of a real server in kbit/s, a tenth of the director's (default 200)."
    )
    quick: bool = option(False, "Measure fewer points for a shorter time: a minute and a half in all.")
    dispatch: bool = option(
        False, "Compare other ways to distribute requests: client side, DNS, proxy, redirection."
    )
    show: str = option("", "Show the results of an earlier comparison, from its folder.")

    def __post_init__(self) -> None:
        if self.family == BOTH:
            raise BadRequest(
                f"--family {BOTH}: a comparison measures one IP version, because both would share the links: "
                "choose 4 or 6, and compare two runs."
            )
        if self.family not in FAMILIES:
            raise BadRequest(f"--family {self.family}: choose 4 or 6.")
        given = self.servers is not None or self.rate is not None or self.methods or self.quick
        if self.dispatch and (given or self.family != _IPV4):
            raise BadRequest(
                "--dispatch has its own servers, methods and addresses (IPv4): leave out everything but "
                "--engine."
            )
