"""The options of ./inv compare, each spelled once. Imports next to nothing: `./inv --list` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest
from labs.run.options import MOST_SERVERS, option


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What a person may ask of a comparison; raises BadRequest for options that exclude each other.

    None stands for a number that was not given.
    """

    servers: int | None = option(
        None, f"Largest number of real servers, 1 to {MOST_SERVERS} (default 50; 20 with --quick)."
    )
    methods: str = option("", "Methods to compare, separated by commas (default nat,tun,dr).")
    engine: str = option("scapy", "Data plane of the director (default scapy).")
    rate: int | None = option(
        None, "Link rate of a real server in kbit/s, a tenth of the director's (default 200)."
    )
    quick: bool = option(False, "Measure fewer points for a shorter time: a minute and a half in all.")
    dispatch: bool = option(
        False, "Compare other ways to distribute requests: client side, DNS, proxy, redirection."
    )
    show: str = option("", "Show the results of an earlier comparison, from its folder.")

    def __post_init__(self) -> None:
        given = self.servers is not None or self.rate is not None or self.methods or self.quick
        if self.dispatch and given:
            raise BadRequest(
                "--dispatch has servers and methods of its own: leave out everything but --engine."
            )
