"""The page's server: who may ask, what streams do, and that it bears strangers and slow readers."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

pytest.importorskip("starlette", reason="Starlette is missing: run sudo ./inv --list, which installs it")
pytest.importorskip("uvicorn", reason="uvicorn is missing: run sudo ./inv --list, which installs it")

from labs.wait import patient, poll_until
from view import server
from view.log import Log
from view.server import Refused, Site

SECRET = "s3cret"
Headers = Mapping[str, str]
Item = dict[str, Any]


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of two files."""
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "main.js").write_text("export const x = 1;")
    monkeypatch.setattr(server, "PAGE", tmp_path)


def act(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    if name != "request":
        raise Refused("There is no such action.")
    return {"command": f"{arguments['client']} curl", "output": "rs1\n", "code": 0}


def new_site(log: Log | None = None, **settings: Any) -> Site:
    return Site(SECRET, lambda: {"name": "a run"}, log or Log(), **settings)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def ask_app(
    site: Site, path: str, headers: Headers | None = None, method: str = "GET", body: bytes = b""
) -> Answer:
    """The answer of the application itself, without a socket (ASGI 3.0)."""
    given = {"host": "127.0.0.1:8000", **(headers or {})}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with suppress(RuntimeError):  # Starlette raises it again for the server's log
        app: Any = site.app
        asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:]).decode())


def post(site: Site, value: Any, headers: Headers | None = None) -> Answer:
    kind = {"content-type": "application/json"}
    body = json.dumps(value).encode()
    return ask_app(site, f"/{SECRET}/act", {**kind, **(headers or {})}, "POST", body)


def items(count: int, size: int = 0, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": first + n, "t": 0.0, "kind": "event", "text": "x" * size} for n in range(count)]


def test_the_page_and_its_run() -> None:
    assert ask_app(new_site(), f"/{SECRET}/").text == "<!doctype html>"
    script = ask_app(new_site(), f"/{SECRET}/page/main.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert json.loads(ask_app(new_site(), f"/{SECRET}/run").text) == {"name": "a run"}


def test_what_keeps_the_page_to_itself() -> None:
    headers = ask_app(new_site(), f"/{SECRET}/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/", "/run", "/wrong/run", "//run", f"/{SECRET}x/run", f"/{SECRET[:-1]}/run", "/é/"]
)
def test_a_wrong_secret_finds_nothing(path: str) -> None:
    answer = ask_app(new_site(), path)
    assert (answer.status, answer.text.count("\n")) == (404, 1)
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "name", ["../server.py", "..%2fserver.py", "%2e%2e/log.py", "x.py", "none.js", "a/b.js", "%00.js"]
)
def test_no_other_file_is_served(name: str) -> None:
    assert ask_app(new_site(), f"/{SECRET}/page/{name}").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_a_stranger_s_host_is_refused(host: str) -> None:
    answer = ask_app(new_site(act=act), f"/{SECRET}/run", {"host": host})
    assert (answer.status, answer.text.count("\n")) == (403, 1)


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1:36211", "[::1]:1", "LOCALHOST"])
def test_an_address_of_this_machine_with_any_port_is_ours(host: str) -> None:
    """ssh -L may use another port than the server's."""
    assert ask_app(new_site(), f"/{SECRET}/run", {"host": host}).status == 200


def test_an_asked_for_address_is_ours_but_no_name_of_others() -> None:
    on_all = new_site(host="0.0.0.0")
    assert ask_app(on_all, f"/{SECRET}/run", {"host": "192.0.2.7:80"}).status == 200
    assert ask_app(on_all, f"/{SECRET}/run", {"host": "evil.example"}).status == 403
    on_one = new_site(host="192.0.2.7")
    assert ask_app(on_one, f"/{SECRET}/run", {"host": "192.0.2.7:80"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8001"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ],
)
def test_a_stranger_s_page_may_not_ask(headers: Headers) -> None:
    done: list[str] = []

    def note(name: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        done.append(name)
        return {}

    answer = post(new_site(act=note), {"action": "request"}, headers)
    assert (answer.status, done) == (403, [])


def test_an_action_returns_its_command() -> None:
    answer = post(
        new_site(act=act),
        {"action": "request", "arguments": {"client": "c1"}},
        {"origin": "http://127.0.0.1:8000"},
    )
    assert json.loads(answer.text) == {"command": "c1 curl", "output": "rs1\n", "code": 0}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"action": "rm"}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"nonsense", "application/json", 400),
        (b'{"action": "request", "arguments": 3}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"x" * 100_000, "application/json", 413),
        (b'{"action": "request"}', "text/plain", 415),
        (b'{"action": "request"}', "", 415),
    ],
)
def test_a_wrong_action_is_one_sentence(body: bytes, kind: str, status: int) -> None:
    answer = ask_app(new_site(act=act), f"/{SECRET}/act", {"content-type": kind}, "POST", body)
    assert (answer.status, answer.text.count("\n")) == (status, 1)


def test_a_page_that_only_looks_cannot_act() -> None:
    answer = post(new_site(), {"action": "request"})
    assert answer.status == 404
    assert "cannot give commands" in answer.text


def test_what_fails_inside_is_no_traceback() -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("inside")

    answer = ask_app(Site(SECRET, fails, Log()), f"/{SECRET}/run")
    assert (answer.status, answer.text) == (500, "The view failed with RuntimeError: please report it.\n")


# ---- streams, from a server that runs ----


@contextmanager
def served(site: Site) -> Iterator[int]:
    """Its port, while it serves in a thread."""
    import uvicorn

    with closing(server.listen("127.0.0.1", 0)) as opened:
        config = uvicorn.Config(site.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield opened.getsockname()[1]
        finally:
            running.should_exit = running.force_exit = True
            thread.join()


def ask(port: int, path: str = "items", headers: Headers | None = None) -> http.client.HTTPResponse:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=patient(30))
    asked.request("GET", f"/{SECRET}/{path}", headers=dict(headers or {}))
    return asked.getresponse()


def received(
    stream: http.client.HTTPResponse, until: Callable[[dict[str, Any]], bool], *, whole: bool = False
) -> list[dict[str, Any]]:
    """The items of a stream up to the first of which `until` is true; `whole`: also whether it is behind."""
    found: list[dict[str, Any]] = []
    while not (found and until(found[-1])):
        line = stream.readline()
        assert line, found
        if line.startswith(b"data: "):
            found += [item for item in json.loads(line[6:]) if whole or item["kind"] != "behind"]
    return found


def test_a_stream_has_all_items_and_goes_on() -> None:
    log = Log()
    log.add(items(1200))
    site = new_site(log)
    with served(site) as port, closing(ask(port)) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert [item["id"] for item in received(stream, lambda item: item["id"] == 1200)] == [*range(1, 1201)]
        log.add(items(1, first=1201))
        site.wake()
        assert [item["id"] for item in received(stream, lambda _item: True)] == [1201]


@pytest.mark.parametrize(("path", "headers"), [("items?after=700", {}), ("items", {"Last-Event-ID": "700"})])
def test_a_browser_that_comes_back_goes_on_where_it_was(path: str, headers: Headers) -> None:
    log = Log()
    log.add(items(1000))
    with served(new_site(log)) as port, closing(ask(port, path, headers)) as stream:
        assert [item["id"] for item in received(stream, lambda item: item["id"] == 1000)] == [
            *range(701, 1001)
        ]


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "1e3", "²", "999999"])
def test_a_strange_position_begins_anew(after: str) -> None:
    log = Log()
    log.add(items(3))
    with served(new_site(log)) as port, closing(ask(port, f"items?after={quote(after)}")) as stream:
        assert [item["id"] for item in received(stream, lambda item: item["id"] == 3)] == [1, 2, 3]


def test_a_browser_that_comes_back_too_late_is_told_what_it_has_missed() -> None:
    log = Log(most=100)
    for number in range(1000):
        log.add(items(1, first=number + 1))
    with served(new_site(log)) as port, closing(ask(port, "items?after=10")) as stream:
        first, *rest = received(stream, lambda item: item.get("id") == 1000)
    assert first["kind"] == "missed"
    assert first["count"] == rest[0]["id"] - 11
    assert 90 <= len(rest) <= 100


def test_a_stream_says_while_more_is_on_its_way_than_has_come() -> None:
    """Also before anything has: the process reads what happened while no page was open."""
    log = Log()
    log.add(items(600))
    site = new_site(log)
    site.behind = True
    with served(site) as port, closing(ask(port)) as stream:
        found = received(stream, lambda item: item.get("id") == 600, whole=True)
        assert [at for at, item in enumerate(found) if item["kind"] == "behind"] == [0]
        assert found[0]["now"]
        log.add(items(600, first=601))
        site.behind = False
        site.wake()
        found = received(stream, lambda item: item["kind"] == "behind", whole=True)
        assert [item["id"] for item in found[:-1]] == [*range(601, 1201)]
        assert not found[-1]["now"]


def test_a_thousand_pages_are_not_let_in() -> None:
    log = Log()
    log.add(items(5))
    site = new_site(log, most_streams=20)
    with served(site) as port, ExitStack() as kept:
        statuses = []
        for _ in range(1000):
            stream = ask(port)
            statuses.append(stream.status)
            if stream.status == 200:
                kept.enter_context(closing(stream))
            else:
                assert stream.read().count(b"\n") == 1
        assert (statuses.count(200), statuses.count(503)) == (20, 980)
        assert ask(port, "run").status == 200
        kept.close()
        assert poll_until(lambda: site.streams, lambda open_now: open_now == 0, 30) == 0
        with closing(ask(port)) as stream:
            assert stream.status == 200


def test_a_page_that_reads_nothing_is_dropped_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STALLED", 1.0)
    log = Log()
    log.add(items(3000, size=10_000))
    site = new_site(log)
    with served(site) as port, closing(socket.create_connection(("127.0.0.1", port))) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.sendall(f"GET /{SECRET}/items HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert poll_until(lambda: site.streams, lambda open_now: open_now == 1, 30) == 1
        with closing(ask(port, "items?after=2998")) as stream:  # less than what a socket takes at once
            assert len(received(stream, lambda item: item["id"] == 3000)) == 2
        assert poll_until(lambda: site.streams, lambda open_now: open_now == 0, 60) == 0


@pytest.mark.parametrize(
    "request_text",
    [b"\x16\x03\x01" * 50, b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000, b"GET /\xff HTTP/1.1\r\n\r\n"],
)
def test_noise_ends_no_server(request_text: bytes) -> None:
    with served(new_site()) as port:
        with closing(socket.create_connection(("127.0.0.1", port))) as peer:
            peer.settimeout(patient(20))
            peer.sendall(request_text)
            peer.shutdown(socket.SHUT_WR)
            try:
                while peer.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        assert ask(port, "run").status == 200
