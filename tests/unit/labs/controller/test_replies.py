from __future__ import annotations

import threading

from labs.controller.replies import Replies


def test_parts_are_joined_by_switch() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number, [f"{dpid}a"], last=False)
        replies.part(dpid, number, [f"{dpid}b"], last=True)

    assert replies.collect([1, 2], ask, 0) == ({1: ["1a", "1b"], 2: ["2a", "2b"]}, [])


def test_switches_without_a_complete_reply_are_listed() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number, ["one"], last=dpid == 1)

    assert replies.collect([1, 2], ask, 0) == ({1: ["one"]}, [2])


def test_replies_to_other_requests_are_dropped() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number + 1000, ["late"], last=True)
        replies.part(dpid + 1, number, ["a stranger's"], last=True)
        replies.part(dpid, number, ["right"], last=True)

    assert replies.collect([1], ask, 0) == ({1: ["right"]}, [])


def test_a_switch_that_disconnects_is_not_waited_for() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        if dpid == 1:
            replies.part(1, number, ["there"], last=True)
        else:
            replies.disconnected(dpid)

    assert replies.collect([1, 2], ask, 0) == ({1: ["there"]}, [])


def test_without_switches_nothing_is_waited_for() -> None:
    assert Replies().collect([], lambda *_: None, 0) == ({}, [])


def test_a_reply_from_another_thread_ends_the_wait() -> None:
    replies, threads = Replies(), list[threading.Thread]()

    def ask(dpid: int, number: int) -> None:
        threads.append(threading.Thread(target=replies.part, args=(dpid, number, [1]), kwargs={"last": True}))
        threads[-1].start()

    assert replies.collect([1], ask, 30) == ({1: [1]}, [])
    threads[0].join()
