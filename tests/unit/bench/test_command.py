"""./inv bench: bad options are refused before anything is started."""

from __future__ import annotations

import pytest

from bench.command import bench
from bench.options import BenchOptions
from labs.errors import BadRequest


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"methods": "nat,dsr"}, "--methods 'dsr' is unknown: choose from nat, tun, dr"),
        ({"only": "squid"}, "--only 'squid' is unknown"),
        ({"figures": "speed"}, "--figures 'speed' is unknown"),
        ({"seconds": 0}, "--seconds is 1 to 60"),
        ({"rounds": 101}, "--rounds 1 to 100"),
        ({"keep": "../x"}, "letters, digits"),
        ({"growth": True, "methods": "nat"}, "leave out --methods"),
        (
            {"growth": True, "only": "direct,nftables"},
            "--growth cannot measure nftables: choose from direct, ipvs, ebpf, scapy",
        ),
        ({"family": 5}, "--family 5: choose 4, 6 or 46"),
        ({"family": 6, "growth": True}, "leave out --family"),
        ({"family": 46, "only": "ebpf"}, "leave out --family"),
        ({"growth": True, "only": "squid"}, "--only 'squid' is unknown"),
    ],
)
def test_a_bad_option_is_refused(changed: dict[str, object], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        bench(BenchOptions(**changed))  # type: ignore[arg-type]
