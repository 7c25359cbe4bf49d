"""The server of the page: the run document, its items as server-sent events, and commands by POST.

Access needs the page's address, which contains a secret: everything is below /SECRET/, and any other path is
refused with one sentence. Host is checked because another site's page could otherwise reach the lab through a
name that resolves to 127.0.0.1 (DNS rebinding), and Origin because another page could send a POST.

The number of streams is bounded; each costs only its position in the log. A page that reads nothing for a
while is dropped; it reconnects by itself and continues where it was (HTML, 9.2: Last-Event-ID).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from director.deadline import within
from director.formats import parse_number
from view.log import Log

PAGE = Path(__file__).resolve().parent / "page"
MOST_STREAMS = 100
MOST_CONNECTIONS = 400
_KEEPALIVE = 15.0  # seconds between comments in a stream without items
_STALLED = 60.0  # seconds after which a page that reads nothing is dropped
_MOST_BODY = 65_536  # bytes of a POST
_POLL = 1.0  # seconds after which a stream looks for items even if nothing has woken it
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_EVENT_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8")]
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_CURE = "use the whole address that the terminal shows"
_ANY = frozenset({"0.0.0.0", "::"})
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

Act = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Refused(Exception):
    """An action was refused; its message is one sentence for the page."""


class Site:
    """What one server shows.

    `run` gives the run document, `act` carries out an action, `wall` lists the running exercises.
    """

    def __init__(
        self,
        secret: str,
        run: Callable[[], Mapping[str, Any]],
        log: Log,
        *,
        host: str = "127.0.0.1",
        act: Act | None = None,
        wall: Callable[[], list[dict[str, Any]]] | None = None,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self._secret = secret
        self._run = run
        self._log = log
        self._hosts = _LOCAL | {host.strip("[]")} if host not in _ANY else None
        self._act = act
        self._wall = wall
        self._most = most_streams
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self.streams = 0
        self.behind = False  # whether the log lacks what happened while no page was open

    @property
    def app(self) -> ASGIApp:
        below = f"/{self._secret}"
        routes = [
            Route(f"{below}/", self._index),
            Route(f"{below}/page/{{name}}", self._file),
            Route(f"{below}/run", self._document),
            Route(f"{below}/items", self._items),
            Route(f"{below}/act", self._acted, methods=["POST"]),
            Route(f"{below}/wall", self._listed),
        ]
        sentences: dict[Any, Any] = {HTTPException: _sentence, Exception: _failed}
        inner = Starlette(routes=routes, exception_handlers=sentences)
        return _Guard(inner, self._secret, self._hosts)

    def wake(self) -> None:
        """Wake all streams, because the log has grown; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # ---- answers ----

    async def _index(self, _request: Request) -> Response:
        return _page_file("index.html")

    async def _file(self, request: Request) -> Response:
        return _page_file(request.path_params["name"])

    async def _document(self, _request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._run))

    async def _items(self, request: Request) -> ASGIApp:
        after = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
        if self.streams >= self._most:
            return _say(503, f"{self._most} pages of this lab are already open: close one of them.")
        number = max(0, parse_number(after, 15))
        self._loop = asyncio.get_running_loop()
        return _Stream(self._messages(number), self)

    async def _messages(self, number: int) -> AsyncIterator[str]:
        """The events of a stream, beginning after item `number`."""
        waited = 0.0
        is_catching_up = False  # as the page knows
        yield "retry: 1000\n\n"
        while True:
            changed = self._changed
            last, data, missed = self._log.after(number)
            if not is_catching_up and (self.behind or last < self._log.last):
                is_catching_up = True
                yield _behind(is_catching_up)
            if missed:
                lost = {
                    "kind": "missed",
                    "count": missed,
                    "why": "The oldest items are no longer on the server",
                }
                yield f"data: [{json.dumps(lost)}]\n\n"
            if data != "[]":
                number, waited = last, 0.0
                yield f"id: {last}\ndata: {data}\n\n"
            if is_catching_up and not self.behind and number >= self._log.last:
                is_catching_up = False
                yield _behind(is_catching_up)
            if data != "[]":
                await asyncio.sleep(0)  # another page's turn
                continue
            try:
                await within(_POLL, changed.wait())
            except asyncio.TimeoutError:
                waited += _POLL
                if waited >= _KEEPALIVE:
                    waited = 0.0
                    yield ": still here\n\n"

    async def _acted(self, request: Request) -> Response:
        if self._act is None:
            return _say(
                404,
                "This page cannot give commands: it replays a run, or the lab runs with --view-only.",
            )
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _say(415, "Send the action as application/json.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return _say(413, f"The request is too long: at most {_MOST_BODY} bytes.")
        try:
            wanted = json.loads(body)
            name, arguments = str(wanted["action"]), dict(wanted.get("arguments") or {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _say(400, 'Expected {"action": NAME, "arguments": {...}}.')
        try:
            return JSONResponse(dict(await asyncio.to_thread(self._act, name, arguments)))
        except Refused as refused:
            return _say(400, str(refused))

    async def _listed(self, _request: Request) -> Response:
        if self._wall is None:
            return _say(404, "The wall is shown by ./inv view --wall.")
        return JSONResponse(await asyncio.to_thread(self._wall))


def _behind(now: bool) -> str:
    return f"data: [{json.dumps({'kind': 'behind', 'now': now})}]\n\n"


class _Stream:
    """Server-sent events (HTML, 9.2), until the page is closed or reads nothing for too long."""

    def __init__(self, messages: AsyncIterator[str], site: Site) -> None:
        self._messages = messages
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self._site.streams += 1
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._site.streams -= 1
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM}
        try:
            await within(_STALLED, send(start))
            async for text in self._messages:
                part: Message = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await within(_STALLED, send(part))
        except (asyncio.TimeoutError, ClientDisconnect, OSError):
            return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Guard:
    """Refuses foreign requests before anything else sees them, and adds the headers that isolate the page."""

    def __init__(self, inner: ASGIApp, secret: str, hosts: frozenset[str] | None) -> None:
        """`hosts`: the allowed names of this server in Host; None allows any address, but no name."""
        self._inner = inner
        self._secret = secret.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        refusal = self._refusal(headers, scope["path"])
        await (refusal or self._inner)(scope, receive, with_headers)

    def _refusal(self, headers: Mapping[str, str], path: str) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _say(403, "Host is not a name of this server: use the address that the lab printed.")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _say(403, f"The request comes from another site's page: {_CURE}.")
        if (
            headers.get("sec-fetch-site", "none") == "cross-site"
            and headers.get("sec-fetch-mode") != "navigate"
        ):
            return _say(403, f"The request comes from another site's page: {_CURE}.")
        given = path.split("/")[1] if path.startswith("/") else ""
        if not hmac.compare_digest(given.encode(), self._secret):
            return _say(404, f"There is nothing at this address: {_CURE}.")
        return None

    def _is_ours(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if self._hosts is not None:
            return name.lower() in self._hosts
        if name.lower() == "localhost":
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _page_file(name: str) -> Response:
    """A file in the page's folder; 404 for any other path."""
    path = PAGE / name
    kind = _TYPES.get(path.suffix)
    if kind is None or path.parent != PAGE or not path.is_file():
        return _say(404, "The page has no file of that name.")
    return Response(path.read_bytes(), media_type=kind)


def _say(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status)


async def _sentence(_request: Request, error: HTTPException) -> Response:
    known = {404: "There is nothing at this address.", 405: "This address does not accept that HTTP method."}
    return _say(error.status_code, known.get(error.status_code, str(error.detail)))


async def _failed(_request: Request, error: Exception) -> Response:
    return _say(500, f"The view failed with {type(error).__name__}: please report it.")


# ---- the socket ----


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 means any free port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_STALLED * 1000))
        opened.bind((host, port))
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    return opened


def serve(app: ASGIApp, opened: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
        ws="none",
        lifespan="off",
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[opened])
