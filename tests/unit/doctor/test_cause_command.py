"""Which lab, or the machine, `./inv doctor` examines, and what it prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from doctor import cause_table, command
from doctor.causes import diagnose, titles
from doctor.sightings import ASKS
from doctor.state import (
    FAILED,
    IN,
    NOTHING,
    OUT,
    TIMED_OUT,
    UNREACHABLE,
    FilterRule,
    LabState,
    PolicyRule,
    Process,
    Sighting,
)
from labs.errors import BadRequest, BuildFailed, Unable
from labs.run import attach
from labs.run.attach import AttachedLab
from tests.unit.doctor.recorded import director, healthy, host, http, http_service, on, setting, without

asked: list[tuple[str, str, dict[str, Any]]] = []


class Lab(AttachedLab):
    """A lab whose control socket is faked."""

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        asked.append((str(self), what, details))
        return {"state": self.about["state"]} if what == "state" else {}


def lab(state: LabState | dict[str, Any], **who: str) -> Lab:
    form = state.as_dict() if isinstance(state, LabState) else state
    return Lab(Path("/runs/one"), {"lab": "lab-nat", "state": form, **who}, first_pid=0)


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command while these labs are running."""

    def doctor(*labs: Lab, **options: Any) -> int:
        def running() -> Iterator[Lab]:
            return iter(labs)

        monkeypatch.setattr(attach, "running_labs", running)
        monkeypatch.setattr(command, "show_machine", lambda: 77)
        return command.doctor(**options)

    return doctor


def test_without_a_lab_the_machine_is_examined(run: Any) -> None:
    assert run() == 77
    assert run(lab(healthy("nat")), machine=True) == 77


def test_a_healthy_lab(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lab(healthy("nat"))) == 0
    assert "Nothing wrong was found" in capsys.readouterr().out
    assert [what for _, what, _ in asked] == ["state"]


class DualLab(Lab):
    """With a state for each IP version."""

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        return {**super().ask(what, **details), "more": [self.about["more"]]}


def dual(first: LabState, second: LabState) -> DualLab:
    about: dict[str, Any] = {"lab": "lab-dr", "state": first.as_dict(), "more": second.as_dict()}
    return DualLab(Path("/runs/one"), about, first_pid=0)


def test_both_ip_versions_are_examined(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(dual(healthy("dr"), healthy("dr6"))) == 0
    told = capsys.readouterr().out
    assert told.index("IPv4:") < told.index("Nothing wrong") < told.index("IPv6:")
    assert told.count("Nothing wrong was found") == 2
    assert run(dual(healthy("dr"), setting(healthy("dr6"), "r0", all__forwarding=0))) == 1
    assert "router_forwarding" in capsys.readouterr().out.partition("IPv6:")[2]


def test_what_is_wrong_with_both_is_told_once(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    down = tuple(on(healthy(name), "rs1", listeners=()) for name in ("dr", "dr6"))
    assert run(dual(*down)) == 1
    told = capsys.readouterr().out.partition("IPv6:")
    assert "not_listening" in told[0]
    assert told[2].strip() == "The same: not_listening on rs1. The repair above is for both."
    both = replace(down[1], hosts=without(down[1], "rs2", down[1].vip).hosts)
    assert run(dual(down[0], both)) == 1
    told = capsys.readouterr().out.partition("IPv6:")
    assert "vip_missing" in told[2]
    assert "# as above: that repair is for both" in told[2]


def test_an_exercise_notes_it_in_its_journal(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    state = setting(healthy("dr"), "rs1", LAN__arp_ignore=0)
    assert run(lab(state, exercise="e01", student="ada")) == 1
    assert asked[0] == ("e01 of ada", "note", {"entry": "doctor", "details": {}})
    assert "arp_answered" in capsys.readouterr().out


def test_the_student_selects_one_of_several_labs(run: Any) -> None:
    labs = [lab(healthy("nat"), exercise="e04", student=student) for student in ("ada", "bob")]
    with pytest.raises(BadRequest, match=r"e04 of ada, e04 of bob.*--student"):
        run(*labs)
    assert run(*labs, student="bob") == 0
    assert asked[0][0] == "e04 of bob"
    with pytest.raises(Unable, match="No lab of carl is running"):
        run(*labs, student="carl")


@pytest.mark.parametrize("found", [None, ModuleSpec("doctor.causes", None)], ids=["none", "an empty folder"])
def test_a_students_archive_has_no_causes(
    run: Any, monkeypatch: pytest.MonkeyPatch, found: ModuleSpec | None
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _name: found)
    with pytest.raises(Unable, match="not in a student's archive") as refused:
        run(lab(healthy("nat"), exercise="e04", student="ada"))
    assert refused.value.exit_code == 2
    assert asked == []


def test_a_lab_of_another_version_is_refused(run: Any) -> None:
    with pytest.raises(BuildFailed, match="another version"):
        run(lab({"lab": "lab-nat", "colour": "red"}))


def printed(state: LabState, width: int = 80) -> tuple[int, str]:
    output = StringIO()
    console = Console(file=output, width=width, highlight=False)
    return cause_table.show(state, diagnose(state), titles(), console), output.getvalue()


def test_a_cause_is_shown_whole_within_the_terminal() -> None:
    state = on(healthy("nat"), "rs1", offloads={"rs1-eth0": True})
    code, text = printed(state)
    assert code == 1
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.isascii()
    words = ("checksum offload is on", "checksum_offload", "tx-checksumming is on for rs1-eth0")
    assert all(word in " ".join(text.replace("|", " ").split()) for word in words)
    assert "ethtool -K rs1-eth0 tx off" in text


def test_brackets_are_text() -> None:
    script = "# [b]\nippfvsadm -D -t $1 -R [/x]\n"
    assert "[/x]" in printed(on(healthy("nat"), "d", scripts={"drain.sh": script}))[1]


def failing(state: LabState, outcome: str, *, sighted: bool = False) -> LabState:
    """Without a client that is served; their packets were seen at rs1 last."""
    trials = tuple(
        trial if trial.wanted else replace(trial, outcome=outcome, server="") for trial in state.trials
    )
    if sighted:
        place = Sighting("rs1", "rs1-eth0", IN, "SYN", "198.51.100.101:61001", "172.16.0.2:80")
        trials = tuple(replace(trial, seen=(place,)) for trial in trials)
    return replace(state, trials=trials)


def words(text: str) -> str:
    """Without the lines of tables."""
    return " ".join(text.replace("|", " ").split())


def test_clients_that_fail_without_a_known_cause_end_where_the_path_differs() -> None:
    hops = host(healthy("nat"), "rs1").next_hops  # as after: ip rule add from 172.16.0.2 blackhole
    lost = tuple(
        replace(hop, gateway="", interface="") if hop.source == "172.16.0.2" else hop for hop in hops
    )
    code, text = printed(failing(on(healthy("nat"), "rs1", next_hops=lost), TIMED_OUT, sighted=True))
    assert code == 1
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.isascii()
    for sentence in (
        "Clients fail at 203.0.113.1:80: 3 of 3 timed out (c1 c2).",
        "Real servers, tried directly from the director: all answer.",
        f"None of the {len(titles())} known causes applies.",
        "rs1 what route (c1 to rs1, c2 to rs1)",
        "should be replies to 198.51.100.101 go to d",
        "is 198.51.100.101 is unreachable",
        "last seen 5 x SYN in on rs1-eth0, first 198.51.100.101:61001 > 172.16.0.2:80",
        "look at ip route get 198.51.100.101 from 172.16.0.2",
    ):
        assert sentence in words(text)
    assert "Nothing wrong" not in text


def test_clients_that_fail_for_no_known_reason_end_where_packets_were_seen_last() -> None:
    rule = FilterRule("ip", "f", "c", "forward", 0, 5, "drop", ({"unknown": {}},), "ether saddr x drop")
    state = on(healthy("nat"), "rs1", counters={"TcpExtListenDrops": 3, "IpInReceives": 9}, filters=(rule,))
    state = on(state, "rs1", rules=(PolicyRule(100, "from all ipproto tcp dport 21 blackhole"),))
    code, text = printed(failing(state, TIMED_OUT, sighted=True))
    assert code == 1
    assert "where packets were seen last" in text
    assert "rs1 last seen 5 x SYN in on rs1-eth0" in words(text)
    assert (
        "rs1 got the packet, and neither answered it nor passed it on filters ether saddr x drop "
        "ip rule 100: from all ipproto tcp dport 21 blackhole counters TcpExtListenDrops 3 look at"
        in words(text)
    )
    assert "Nothing wrong" not in text


def test_packets_that_a_host_has_sent_are_looked_for_at_the_switch() -> None:
    state = failing(healthy("dr"), TIMED_OUT)
    place = Sighting("d", "d-eth0", OUT, "SYN", "198.51.100.101:61001", "203.0.113.1:80")
    code, text = printed(
        replace(state, trials=tuple(replace(trial, seen=(place,)) for trial in state.trials))
    )
    assert code == 1
    assert "the packet left d for the switch s2" in words(text)
    assert "dpctl dump-flows" in text


def test_a_silent_server_that_no_client_got_is_not_well() -> None:
    """As with many servers: the clients' few connections went to others."""
    state = healthy("dr")
    trials = tuple(
        replace(trial, outcome=TIMED_OUT, server="")
        if trial.wanted == "rs1"
        else replace(trial, server="rs2")
        for trial in state.trials
    )
    code, text = printed(replace(state, trials=trials))
    assert code == 1
    assert "Real servers, tried directly from the director: rs1 timed out." in words(text)
    everyone = tuple(trial if trial.wanted else replace(trial, server="rs1") for trial in trials)
    assert printed(replace(state, trials=everyone))[0] == 0


def test_a_server_without_new_connections_is_noted() -> None:
    targets = http_service(healthy("nat")).targets
    quiet = (replace(targets[0], weight=0), *targets[1:])
    code, text = printed(http(healthy("nat"), targets=quiet))
    assert code == 0
    assert "Note: rs3 has weight 0 in TCP 203.0.113.1:80, and gets no new connections." in words(text)


def test_what_could_fail_but_failed_no_trial_is_noted() -> None:
    rule = FilterRule("ip", "f", "c", "input", 0, 5, "drop", ({"unknown": {}},), "ether saddr x drop")
    state = on(healthy("nat"), "rs2", filters=(rule,), ipsec=("dir in action block",))
    code, text = printed(state)
    assert code == 0
    assert "Note: rs2 has a packet filter, which failed no trial: ether saddr x drop" in words(text)
    assert "Note: rs2 has an IPsec policy, which failed no trial: dir in action block" in words(text)


def test_what_failing_trials_have_in_common_is_said() -> None:
    state = healthy("dr")
    first, second, *others = state.trials
    for long, said in (
        (True, "Only long requests and answers fail."),
        (False, "They came from source ports that the kernel chose, with the User-Agent curl."),
    ):
        failed = replace(first, outcome=TIMED_OUT, server="", seen=(), usual=True, long=long)
        assert said in words(printed(replace(state, trials=(failed, failed, *others)))[1])
        alone = words(printed(replace(state, trials=(failed, second, *others)))[1])
        assert (said in alone) is long  # of a single one, a port may be chance


def test_a_real_server_that_these_clients_had_not_reached_explains_more_than_a_port() -> None:
    state = healthy("dr")
    served = replace(state.trials[0], host="c1", server="rs1", usual=False)
    failed = replace(served, outcome=TIMED_OUT, server="", usual=True)
    for other, said in (("rs2", False), ("rs1", True)):
        trials = (served, failed, failed, replace(served, host="c2", server=other))
        text = words(printed(replace(state, trials=trials))[1])
        assert "2 of 4 timed out (c1)" in text
        assert ("source ports" in text) == said


def test_who_asks_for_an_address_of_nobody_is_where_packets_end() -> None:
    state = healthy("dr")
    first, *others = state.trials
    asks = Sighting("c1", "c1-eth0", OUT, ASKS[0], "198.51.100.101", "198.51.100.77")
    failed = replace(first, outcome=UNREACHABLE, server="", seen=(asks,))
    _, text = printed(replace(state, trials=(failed, *others)))
    assert "is c1 asks for 198.51.100.77, an address that no host of the lab has" in words(text)
    assert "ip route get 203.0.113.1; ip rule" in words(text)


def test_small_packets_only_are_explained_by_a_small_mtu() -> None:
    links = tuple(replace(one, mtu=1000) for one in host(healthy("dr"), "r0").links)
    state = on(healthy("dr"), "r0", links=links)
    first, *others = state.trials
    _, text = printed(replace(state, trials=(replace(first, outcome=TIMED_OUT, long=True), *others)))
    assert "small_mtu" in text
    assert "That does not explain" not in text
    _, text = printed(replace(state, trials=(replace(first, outcome=TIMED_OUT), *others)))
    assert "That does not explain why clients fail." in text


def test_a_trial_that_does_not_leave_its_host_ends_there() -> None:
    state = healthy("dr")
    first, *others = state.trials
    nothing = Sighting("c1", "", OUT, NOTHING, "", "203.0.113.1:80")
    failed = replace(first, outcome=UNREACHABLE, server="", detail="Address already in use", seen=(nothing,))
    code, text = printed(replace(state, trials=(failed, *others)))
    assert code == 1
    assert "c1 last seen 1 x nothing sent, to 203.0.113.1:80" in words(text)
    assert "is c1 sends nothing: Address already in use" in words(text)
    assert "sysctl net.ipv4.ip_local_port_range" in words(text)


def test_an_answer_that_ends_in_the_middle_ends_at_its_sender() -> None:
    state = healthy("dr")
    ends = "203.0.113.1:80", "198.51.100.101:61001"
    seen = (Sighting("rs1", "rs1-eth0", OUT, "data", *ends), Sighting("c1", "c1-eth0", IN, "data", *ends))
    first, *others = state.trials
    _, text = printed(replace(state, trials=(replace(first, outcome=TIMED_OUT, seen=seen), *others)))
    assert "is rs1 sends a part of its answer, and no more; what it sends arrives" in words(text)


def test_packets_that_get_lost_now_and_then_are_not_well() -> None:
    state = healthy("nat")
    sighting = Sighting("rs1", "rs1-eth0", IN, "SYN", "198.51.100.101:61000", "172.16.0.2:80")
    first, *others = state.trials
    code, text = printed(replace(state, trials=(replace(first, resent=True, seen=(sighting,)), *others)))
    assert code == 1
    assert f"Packets get lost: 1 of {len(state.trials)} connections were served only after" in words(text)
    assert "rs1 last seen 1 x SYN in on rs1-eth0" in words(text)


def test_where_the_paths_of_a_repair_hold_is_said() -> None:
    listeners = tuple(listener for listener in host(healthy("nat"), "rs2").listeners if listener.port != 8000)
    _, text = printed(on(healthy("nat"), "rs2", listeners=listeners))
    assert "Paths in a repair are those of ./inv shell HOST" in words(text)


def test_an_answer_that_is_an_error_is_no_service() -> None:
    state = healthy("dr")
    trials = tuple(
        replace(trial, outcome=FAILED, server="", detail="HTTP/1.1 404 Not Found")
        if trial.wanted == "rs1"
        else replace(trial, server="rs2")
        for trial in state.trials
    )
    code, text = printed(replace(state, trials=trials))
    assert code == 1
    assert "rs1 answered with an error, HTTP/1.1 404 Not Found." in words(text)
    assert "http_error" in text


def test_a_cause_that_keeps_no_client_from_a_server_does_not_explain_failures() -> None:
    code, text = printed(http(failing(healthy("dr"), TIMED_OUT, sighted=True), persistent=300))
    assert code == 1
    assert "persistence" in text
    assert "That does not explain why clients fail." in text
    assert "where packets were seen last" in text


def test_clients_that_fail_are_never_well() -> None:
    code, text = printed(failing(healthy("dr"), TIMED_OUT))
    assert code == 1
    assert "3 of 3 timed out" in text
    assert "Nothing wrong" not in text


def test_a_difference_on_a_host_with_a_cause_is_not_told_twice() -> None:
    state = setting(failing(healthy("dr"), TIMED_OUT), "rs1", LAN__arp_ignore=0)
    _, text = printed(state)
    assert "arp_answered" in text
    assert "None of the" not in text
    assert "first difference" not in text


def test_a_stopped_director_is_to_be_continued_not_started_beside() -> None:
    state = director(failing(healthy("nat"), TIMED_OUT), error="process 76 is stopped", services=())
    code, text = printed(replace(state, director_process=Process(76, "director", "T")))
    assert code == 1
    assert "kill -CONT 76" in words(text)
    assert "start.sh" not in text


def test_a_dead_director_and_an_unreadable_host_are_reported() -> None:
    state = director(healthy("nat"), error="no answer", services=(), connections=())
    code, text = printed(on(state, "rs2", error="gone"))
    assert code == 1
    assert "The director on d does not answer" in text
    assert "rs2 could not be read: gone" in text
    assert "Nothing wrong" not in text
    assert host(state, "d").error == ""


def test_a_stopped_director_is_told_once() -> None:
    silent = director(healthy("nat"), services=(), error="no answer")
    code, text = printed(replace(silent, director_process=Process(7, "director", "T")))
    assert (code, text.count("kill -CONT 7"), "The director on d" in text) == (1, 1, False)


def test_what_failed_at_first_only_is_noted() -> None:
    code, text = printed(replace(healthy("dr"), failed_at_first=2))
    assert code == 0
    assert "Note: 2 connections failed at first, and none when all were tried again" in words(text)
