"""The table "What is not there" in docs/differences.md agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from director.core.errors import BadValue
from director.core.sysctls import Sysctls
from director.ipvsadm import arguments
from director.ipvsadm.requests import OTHER_TUNNELS

TABLE = (
    (Path(__file__).resolve().parents[3] / "docs" / "differences.md")
    .read_text()
    .partition("\n## What is not there\n")[2]
    .partition("\n## ")[0]
)
ROWS = [line.split("|")[1:-1] for line in TABLE.splitlines() if line.startswith("| ")][1:]
SYSCTLS = {
    name
    for what, *_ in ROWS
    if what.strip().startswith("sysctl")
    for name in re.findall(r"`([a-z_]+)`", what)
}
OPTIONS = set(re.findall(r"(?<![a-z])--?[a-z0-9-]+", " ".join(asked for _, asked, _ in ROWS)))

# What Linux 6.12 has under net.ipv4.vs with the modules of lblc and lblcr; 6.1 lacks est_cpulist and est_nice
KERNELS = """
    am_droprate amemthresh backup_only cache_bypass conn_reuse_mode conntrack drop_entry drop_packet
    est_cpulist est_nice expire_nodest_conn expire_quiescent_template ignore_tunneled lblc_expiration
    lblcr_expiration nat_icmp_send pmtu_disc run_estimation schedule_icmp secure_tcp sloppy_sctp sloppy_tcp
    snat_reroute sync_persist_mode sync_ports sync_qlen_max sync_refresh_period sync_retries sync_sock_size
    sync_threshold sync_version
"""


def test_each_sysctl_of_the_kernel_is_there_or_in_the_table() -> None:
    here = set(Sysctls().as_dict()) - {"sync_period"}
    listed = set(re.findall(r"`([a-z_]+)`", TABLE.partition("The director has all other settings:")[2]))
    assert listed == {*here, "sync_period"}  # the second number of the kernel's sync_threshold
    assert here | SYSCTLS == set(KERNELS.split())
    assert not here & SYSCTLS


@pytest.mark.parametrize("name", sorted(SYSCTLS))
def test_a_sysctl_in_the_table_is_refused(name: str) -> None:
    with pytest.raises(BadValue, match="sysctl"):
        Sysctls().with_value(name, 1)


def test_each_option_that_is_refused_is_in_the_table() -> None:
    refused = {*arguments.ABSENT.values(), "--tun-type"}
    works = {"-t", "-f", "-L", "--daemon", "--conn-limit"}
    of_labs = {"--family", "--takeover"}
    assert OPTIONS - works - of_labs == refused
    assert all(f"`--tun-type {kind}`" in TABLE for kind in OTHER_TUNNELS)
