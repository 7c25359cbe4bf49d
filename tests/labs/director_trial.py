"""The part of test_director_process.py that runs in its own namespaces (director_net.py).

Started as `python director_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from director.control.channel import call
from labs.wait import patient, poll_until
from tests.labs.director_net import (
    SERVERS,
    SOCKET,
    VIP,
    build,
    curl,
    make_anew,
    ok,
    serve,
    sh,
    start,
    start_director,
    tool,
)
from tests.labs.trial_server import CONTENT, digest

admin = partial(tool, "ippfvsadm")


def transfers() -> dict[str, Any]:
    uploaded = Path("/run/upload")
    uploaded.write_bytes(CONTENT[::-1])
    results: dict[str, Any] = {"download": curl(f"http://{VIP}/")}
    results["downloaded"] = Path("/run/got").read_bytes() == CONTENT
    results["upload"] = curl("-H", "Expect:", "--data-binary", f"@{uploaded}", f"http://{VIP}/")
    results["uploaded"] = Path("/run/got").read_text() == digest(CONTENT[::-1])
    return results


def kernel_of_director() -> dict[str, Any]:
    """What the director's kernel has sent itself, and what the director has set up."""
    words = sh("env", "NSTAT_HISTORY=/run/nstat", "nstat", "-az", host="d").stdout.split()
    return {
        "resets": int(words[words.index("TcpOutRsts") + 1]),
        "unreachables": int(words[words.index("IcmpOutDestUnreachs") + 1]),
        "redirects": int(words[words.index("IcmpOutRedirects") + 1]),
        "tables": sh("nft", "list", "tables", host="d").stdout.strip(),
        "device": ok(sh("ip", "link", "show", "lvs0", host="d", check=False)),
        "socket": Path(SOCKET).exists(),
    }


def try_out(method: str, folder: Path) -> dict[str, Any]:
    server = ":".join(map(str, SERVERS[method]))
    process = start_director(method, folder)
    results: dict[str, Any] = {"none": admin("-L"), "add": admin("-A", "-t", f"{VIP}:80", "-R", server)}
    results["list"] = admin("-L")
    results["again"] = admin("-A", "-t", f"{VIP}:80", "-R", server)
    before = call(SOCKET, {"do": "counters"})
    results |= transfers()
    results["kernel"] = kernel_of_director()
    after = call(SOCKET, {"do": "counters"})
    results["counters"] = after["engine"]
    results["cost"] = [after["process"][key] - before["process"][key] for key in ("cpu_seconds",)]
    results["second"] = start_second(folder)
    results["refused"] = curl(f"http://{VIP}:81/")[0]
    results["ping"] = ok(sh("ping", "-c", "1", "-W", f"{patient(2):.1f}", VIP, host="c", check=False))
    results["vip_mac"] = sh("ip", "neigh", "show", VIP, host="c").stdout.split()[4]
    (link,) = json.loads(sh("ip", "-j", "link", "show", "d-eth0", host="d").stdout)
    results["director_mac"] = link["address"]
    results["deleted"] = admin("-D", "-t", f"{VIP}:80", "-R", server)
    results["after_delete"] = curl(f"http://{VIP}/")[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    results["killed"] = kernel_of_director()
    process = start_director(method, folder)
    admin("-A", "-t", f"{VIP}:80", "-R", server)
    results["after_kill"] = curl(f"http://{VIP}/")[:2]
    with without_descriptors(process.pid):
        make_anew("d")
        log = folder / "director.log"
        results["failed"] = poll_until(log.read_text, lambda text: "Too many open files" in text, 10)
    results["made_anew"] = curl(f"http://{VIP}/")[:2]
    process.send_signal(signal.SIGTERM)
    results["exit"] = process.wait(patient(10))
    results["ended"] = kernel_of_director()
    results["events"] = sorted(
        {json.loads(line)["kind"] for line in (folder / "events").read_text().splitlines()}
    )
    return results


@contextmanager
def without_descriptors(process: int) -> Iterator[None]:
    """No process may open a descriptor whose number is not below its limit."""
    used = {int(entry.name) for entry in Path(f"/proc/{process}/fd").iterdir()}
    lowest = next(number for number in count() if number not in used)
    limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, limits)


def start_second(folder: Path) -> list[Any]:
    """A second director on the same host is refused."""
    log = folder / "second.log"
    other = start("d", sys.executable, "-m", "director", "--socket", "/run/other.sock", log=log)
    return [other.wait(patient(20)), log.read_text()]


def main(arguments: Sequence[str]) -> None:
    method, folder = arguments[0], Path(arguments[1])
    build(method)
    address, port = SERVERS[method]
    serve("s", f"{address if method == 'nat' else VIP}:{port}", log=folder / "server.log")
    (folder / "results.json").write_text(json.dumps(try_out(method, folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
