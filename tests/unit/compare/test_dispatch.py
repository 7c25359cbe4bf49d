"""Results from the logs of clients and servers, and the configurations of the approaches."""

from __future__ import annotations

import http.client
import json
import math
import random
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from compare import report
from compare.dispatch import browse
from compare.dispatch.outcome import Outcome, Page, between, busiest_share, failing, pages_in, times
from labs.plan import RealServer
from realserver_setup.render import configuration
from tests.unit.compare.made import whole


def page(at: float, *, ok: bool = True, seconds: float = 0.1) -> Page:
    return Page(at, seconds, ok, 1000 if ok else 0, "" if ok else "refused")


def test_pages_count_if_they_begin_and_end_in_between() -> None:
    pages = [page(1.05), page(1.5), page(2.0), page(2.05)]
    assert between(pages, 1.0, 2.0) == [page(1.5)]


def test_share_of_failures_and_times_of_successful_pages() -> None:
    pages = [page(1, seconds=0.1), page(2, seconds=0.3), page(3, ok=False, seconds=9), page(4, seconds=0.2)]
    assert failing(pages) == 0.25
    assert times(pages)[0] == pytest.approx(0.2)
    assert math.isnan(failing([]))
    assert math.isnan(times([])[0])


def test_the_busiest_server_of_any_window() -> None:
    totals = [{"a": 0, "b": 0}, {"a": 5, "b": 5}, {"a": 14, "b": 6}, {"a": 14, "b": 6}]
    assert busiest_share(totals) == pytest.approx(0.9)
    assert math.isnan(busiest_share(totals[-2:]))


def test_a_clients_log_is_read_while_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "browse.log"
    assert pages_in(log) == []
    line = json.dumps({"at": 1.0, "seconds": 0.1, "ok": True, "bytes": 1000, "why": ""})
    log.write_text(f"a warning\n{line}\n{line[:20]}")
    assert pages_in(log) == [page(1.0)]


def new_outcome(*visitors: str) -> Outcome:
    counts = {"rs1": 1, "rs2": 3}
    clients = ("198.51.100.101", "198.51.100.102")
    return Outcome(
        "dr", "VS-DR", counts, counts, 0.75, 3, 4, 0.001, 0.002, 0, 0.25, 0, "x", visitors, clients
    )


def test_whether_the_servers_see_the_client() -> None:
    assert new_outcome("198.51.100.101").sees_client
    assert not new_outcome("203.0.113.2").sees_client
    outcome = new_outcome("198.51.100.101")
    assert Outcome.from_dict(json.loads(json.dumps(outcome.as_dict()))) == outcome
    assert report.shares(outcome.requests) == "25 75"
    assert report.shares({"rs1": 0}) == "-"


@pytest.mark.parametrize("redirects", [False, True])
def test_haproxy_has_every_server(redirects: bool) -> None:
    servers = [RealServer(f"rs{n}", f"203.0.113.1{n}", 80, 1, ftp=False) for n in (1, 2)]
    text = configuration(
        "compare/haproxy.cfg.j2", address="203.0.113.2", servers=servers, redirects=redirects
    )
    assert text.count("check inter 500ms") == 2
    assert text.count("redir http://203.0.113.1") == (2 if redirects else 0)


def test_a_picking_client_tries_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def page_of(host: str, _path: str) -> int:
        asked.append(host)
        if len(asked) == 1:
            raise browse.Failed("refused")
        return 1000

    monkeypatch.setattr(browse, "page", page_of)
    assert browse.pick(["a", "b"], "/1k.bin", "", random.Random(1)) == 1000
    assert sorted(asked) == ["a", "b"]


def test_an_error_page_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.handle_request, daemon=True).start()
    real = http.client.HTTPConnection
    monkeypatch.setattr(
        "http.client.HTTPConnection",
        lambda host, _port: real(host, server.server_port, timeout=60),
    )
    with pytest.raises(browse.Failed, match="404"):
        browse.page("127.0.0.1", "/1k.bin")
    server.server_close()


def test_results_show_the_approaches(capsys: pytest.CaptureFixture[str]) -> None:
    made = whole()
    from dataclasses import replace

    report.show(replace(made, dispatch=(new_outcome("203.0.113.2"),)))
    shown = capsys.readouterr().out
    assert "Approaches to dispatching" in shown
    assert "203.0.113.2" in shown
