"""What the kernel is asked, one question after another; needs no root."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from director.engines.rtnetlink import FoundRoute, RouteQuery


class LateSocket(socket.socket):
    """The first answer is not there in time."""

    is_late = True

    def recv(self, *given: int) -> bytes:
        if self.is_late:
            self.is_late = False
            raise TimeoutError
        return super().recv(*given)


@pytest.fixture
def query(monkeypatch: pytest.MonkeyPatch) -> Iterator[RouteQuery]:
    monkeypatch.setattr("director.engines.rtnetlink.socket.socket", LateSocket)
    query = RouteQuery()
    yield query
    query.close()


def test_a_late_answer_is_not_taken_for_that_to_the_next_question(query: RouteQuery) -> None:
    lo = socket.if_nametoindex("lo")
    assert query("127.0.0.2") == FoundRoute()
    assert query("255.255.255.255").ifindex != lo  # leaves by another interface, or is refused
    assert query("127.0.0.3") == FoundRoute(lo, socket.inet_aton("127.0.0.1"))
