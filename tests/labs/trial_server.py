"""A real server for trials of the director: http over TCP, and UDP, on the endpoints it is given.

    python trial_server.py NAME ADDRESS:PORT ...        [ADDRESS]:PORT for IPv6

GET returns CONTENT, or, for /held, data until the file RELEASE exists, and then the hash of it all; uploads
are answered with their hash; headers name the server and the client that it sees. A UDP datagram is answered
with the name, the length and hash of the datagram, and the number of datagrams so far.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Thread

SIZE = 1_000_000
CONTENT = bytes(range(250)) * (SIZE // 250)
RELEASE = Path("/run/release")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_whole(held: bytes) -> bool:
    """Whether it is all that /held has sent."""
    return len(held) > 64 and digest(held[:-64]).encode() == held[-64:]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        if self.path == "/held":
            self._hold()
        else:
            self._answer(CONTENT)

    def _hold(self) -> None:
        """About 100 kB a second until RELEASE exists, then the hash of it all."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        sent = hashlib.sha256()
        while not RELEASE.exists():
            self.wfile.write(CONTENT[:5000])
            sent.update(CONTENT[:5000])
            time.sleep(0.05)
        self.wfile.write(sent.hexdigest().encode())
        self.close_connection = True

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(digest(data).encode())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Client", self.client_address[0])
        self.send_header("Name", self.name)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self, endpoint: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = _family(endpoint)
        super().__init__(endpoint, handler)

    def server_bind(self) -> None:
        """Without looking up its own name: there is no resolver."""
        TCPServer.server_bind(self)


def _family(endpoint: tuple[str, int]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET


def datagrams(name: str, endpoint: tuple[str, int]) -> None:
    count = 0
    with socket.socket(_family(endpoint), socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        server.bind(endpoint)
        while True:
            data, client = server.recvfrom(65536)
            count += 1
            if data != b"only counted":
                server.sendto(f"{name} {len(data)} {digest(data)} {count}".encode(), client)


def main(name: str, endpoints: Sequence[str]) -> None:
    Handler.name = name
    threads = []
    for text in endpoints:
        address, _, port = text.rpartition(":")
        endpoint = address.strip("[]"), int(port)
        threads.append(Thread(target=datagrams, args=(name, endpoint)))
        threads.append(Thread(target=Server(endpoint, Handler).serve_forever))
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
