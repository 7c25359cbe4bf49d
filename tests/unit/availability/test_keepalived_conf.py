"""keepalived.conf is read as the real program reads it; what is wrong is one sentence with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import availability
from availability.config import ConfigError, config_reader, text
from availability.config.keywords import KEYWORDS, REFUSED
from availability.config.model import Configuration, Timing
from availability.monitor import command
from availability.vrrp import instances, sync_follower
from director.formats import command_json
from tests.unit.availability.keepalived_files import FILES, WEB

EXAMPLE = Path(availability.__file__).parent / "example.conf"
VIRTUAL = "virtual_server 203.0.113.1 80 "


def load(folder: Path, content: str, name: str = "") -> Configuration:
    file = folder / "keepalived.conf"
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    return config_reader.load(file, name)


def refusal(folder: Path, content: str) -> str:
    """The sentence, without the folder."""
    with pytest.raises(ConfigError) as refused:
        load(folder, content)
    return str(refused.value).replace(f"{folder}/", "")


def words(folder: Path, content: str, name: str = "") -> list[list[str]]:
    """The words of the statements at the top."""
    file = folder / "a.conf"
    file.write_text(content)
    return [statement.words for statement in text.read(file, name)]


def test_the_published_example(tmp_path: Path) -> None:
    (server,) = load(tmp_path, WEB).servers
    assert (server.name, server.keys) == (
        "TCP 203.0.113.1:80",
        ({"protocol": "TCP", "address": "203.0.113.1:80"},),
    )
    assert [(str(real), real.weight, real.method) for real in server.servers] == [
        ("172.16.0.2:80", 1, "NAT"),
        ("172.16.0.3:8000", 2, "NAT"),
    ]
    http, tcp = (real.checks[0] for real in server.servers)
    assert (http.kind, [page.codes for page in http.pages]) == ("HTTP_GET", [(range(200, 201),)])
    assert tcp.timing == Timing(False, 0.4, 1, 0.3, 0.5, 0.5)


def test_defaults_are_those_of_keepalived(tmp_path: Path) -> None:
    checks = "TCP_CHECK {\n}\nHTTP_GET {\nurl {\n}\n}\nDNS_CHECK {\n}\nMISC_CHECK {\nmisc_path /bin/true\n}\n"
    server = "virtual_server 203.0.113.1 80 {\nprotocol TCP\nreal_server 192.0.2.2 80 {\n" + checks + "}\n}\n"
    (virtual,) = load(tmp_path, server).servers
    timing = {check.kind: check.timing for check in virtual.servers[0].checks}
    assert timing == {
        "TCP_CHECK": Timing(False, 5, 1, 1, 60, 60),
        "HTTP_GET": Timing(False, 5, 1, 3, 60, 60),
        "DNS_CHECK": Timing(False, 5, 3, 60, 60, 60),
        "MISC_CHECK": Timing(False, 60, 0, 1, 60, 60),
    }
    assert (virtual.service["scheduler"], virtual.servers[0].method, virtual.quorum) == ("wlc", "NAT", 1)


def test_a_checks_times_are_its_own_its_servers_or_its_services(tmp_path: Path) -> None:
    server = (
        "virtual_server 203.0.113.1 80 {\nprotocol TCP\nretry 7\ndelay_loop 9\nconnect_timeout 8\n"
        "real_server 192.0.2.2 80 {\nconnect_timeout 6\nretry 3\nTCP_CHECK {\nretry 2\n}\n}\n}\n"
    )
    (virtual,) = load(tmp_path, server).servers
    assert virtual.servers[0].checks[0].timing == Timing(False, 6, 2, 1, 9, 9)


def test_the_services_of_a_group(tmp_path: Path) -> None:
    group, marked = load(tmp_path, FILES["every_check"]).servers
    assert [key["address"] for key in group.keys] == [
        f"203.0.113.{host}:80" for host in (1, 2, 3, 4, 6, 7, 8, 9)
    ]
    assert (marked.name, marked.keys) == ("FWM 8", ({"mark": 8},))
    udp = next(check for check in group.servers[1].checks if check.kind == "UDP_CHECK")
    assert udp.payload == bytes.fromhex("AB 12 0F 03 45 06")
    assert udp.reply == ((0, 0xF0), (0x12, 0xFF))


def test_parameters_and_conditions(tmp_path: Path) -> None:
    main, other = (load(tmp_path, FILES["parameters"], name).servers[0] for name in ("main", "other"))
    assert [server.service["scheduler"] for server in (main, other)] == ["wlc", "lc"]
    assert [(str(server), server.weight) for server in main.servers] == [
        ("192.0.2.2:53", 2),
        ("192.0.2.3:53", 3),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b#c", ["a", "b"]),
        ("a ! b", ["a"]),
        ('abcd" efg h jkl "mnop', ["abcd efg h jkl mnop"]),
        ("a 'b # c' \"d ! e\"", ["a", "b # c", "d ! e"]),
        (r"a \"b \x41\102\n\cA \#", ["a", '"b', "AB\n\x01", "#"]),
        ('a ""', ["a", ""]),
        ("a \\\nb", ["a", "b"]),
        ("a ${NO} $NO", ["a", "${NO}", "$NO"]),
        ("a '{' \"}\"", ["a", "{", "}"]),
        ('a"{x}"', ["a{x}"]),
    ],
)
def test_words(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert words(tmp_path, line + "\n") == [expected]


def test_braces_need_no_space_around_them(tmp_path: Path) -> None:
    """As in keepalived 2.2.7: a brace ends a word, quotes protect it."""
    tight = "$IN=two\na{${IN} 'x}'{three ${NO}}}b{} #}\nc\n{\n}d"

    def whole(statements: list[text.Statement]) -> list[object]:
        return [
            statement.words if statement.inside is None else (statement.words, whole(statement.inside))
            for statement in statements
        ]

    file = tmp_path / "a.conf"
    file.write_text(tight)
    assert whole(text.read(file)) == [
        (["a"], [(["two", "x}"], [["three", "${NO}"]])]),
        (["b"], []),
        (["c"], []),
        ["d"],
    ]


def test_port_0_is_every_port_and_a_server_without_a_port_has_its_services(tmp_path: Path) -> None:
    every, marked, web = load(tmp_path, FILES["tight"]).servers
    assert [key["address"] for key in every.keys] == ["203.0.113.1:0", "203.0.113.2:0"]
    assert ([str(server) for server in every.servers], str(every.sorry)) == (["192.0.2.2:0"], "192.0.2.9:0")
    assert [str(server) for server in marked.servers] == ["192.0.2.2:0"]
    assert [str(server) for server in web.servers] == ["192.0.2.2:80", "192.0.2.3:80"]
    dns, http = web.servers[1].checks
    assert (dns.query, http.version) == (("TXT", "example.com"), "1.0C")


def test_a_parameter_is_replaced_when_it_is_used(tmp_path: Path) -> None:
    lines = "$A=1.${B}\n$B=2\nx ${A}.3\n$B=3\nx $A\ny ${_PWD}\n"
    assert words(tmp_path, lines) == [["x", "1.2.3"], ["x", "1.3"], ["y", str(tmp_path)]]


def test_included_files_are_relative_to_their_own(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("one\ninclude deeper.conf\n")
    (tmp_path / "more" / "deeper.conf").write_text("two ${_PWD}\n")
    deep = str(tmp_path / "more")
    assert words(tmp_path, "zero\ninclude more/a*.conf\ninclude none*.conf\nthree\n") == [
        *(["zero"], ["one"], ["two", deep], ["three"])
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("foo 1\n", "keepalived.conf:1: 'foo' is not a keyword."),
        ("\nvirtual_sever 1 2 {\n}\n", "did you mean virtual_server?"),
        (
            "global_defs {\n enable_traps\n}\n",
            ":2: enable_traps in global_defs is not supported here",
        ),
        (
            "delay_loop 3\n",
            "delay_loop does not belong at the top level, but in virtual_server or",
        ),
        ("}\n", "keepalived.conf:1: a closing brace has no opening brace."),
        ("\n\n{\n", "keepalived.conf:3: an opening brace needs a keyword before it."),
        ("a {\n}\n{\n", "keepalived.conf:3: an opening brace needs a keyword before it."),
        ("global_defs {\n", "keepalived.conf:1: the brace after global_defs is never closed."),
        ("global_defs\n", "keepalived.conf:1: global_defs needs braces."),
        ("global_defs {\n router_id 'a\n}\n", ":2: the quotation mark ' is never closed."),
        (
            "include keepalived.conf\n",
            "keepalived.conf:1: includes are nested more than 10 deep: does a file include itself?",
        ),
        ("include no.conf\n", "keepalived.conf:1: no.conf can't be read: No such file or directory."),
        ("includea no*.conf\n", "keepalived.conf:1: no file matches no*.conf."),
        ("$A=$A $A\nx $A\n", "keepalived.conf:2: parameters make"),
        ("~SEQ(A, 1, 2) x\n", "keepalived.conf:1: ~SEQ blocks are not supported: write the lines out."),
        (
            "virtual_server 203.0.113.1 80 {\n delay_loop x\n}\n",
            ":2: delay_loop: expected seconds, more than 0, got 'x'.",
        ),
        (
            "virtual_server 203.0.113.1 80 {\n retry 0\n}\n",
            ":2: retry: expected a number from 1 to",
        ),
        (
            "virtual_server 203.0.113.1 80 {\n protocol SCTP\n}\n",
            ":2: protocol: expected TCP or UDP, got 'SCTP'.",
        ),
        (
            "virtual_server ::1% 80 {\n protocol TCP\n}\n",
            ":1: virtual_server: expected an IP address, got '::1%'.",
        ),
        (
            "virtual_server fe80::1%eth0 80 {\n protocol TCP\n}\n",
            ":1: virtual_server: expected an address without a zone, got 'fe80::1%eth0'.",
        ),
        (
            "virtual_server 2001:db8::1 80 {\n protocol TCP\n real_server 192.0.2.1 80 {\n}\n}\n",
            ":3: 192.0.2.1 is not of the service's family: that needs TUN.",
        ),
        (VIRTUAL + "{\n}\n", ":1: a virtual_server needs protocol TCP or protocol UDP."),
        (VIRTUAL + "{\n protocol TCP\n}\n", ":1: a virtual_server needs a real_server."),
        (
            "virtual_server group a {\n}\n",
            ":1: there is no virtual_server_group 'a' with an address.",
        ),
        (WEB + WEB.partition("}\n")[2], "keepalived.conf:31: virtual_server 203.0.113.1 80 exists twice."),
        (WEB.replace("172.16.0.3 8000", "172.16.0.2 80"), ":24: real_server 172.16.0.2:80 exists twice."),
        (WEB.replace("path /", "regex ("), ":19: regex: Python can't use this expression"),
        (WEB.replace("path /", "digest 12"), ":19: digest: expected 32 hexadecimal digits, got '12'."),
        (WEB.replace("status_code 200", "status_code 2000"), ":20: status_code: expected codes such as 200"),
        (WEB.replace("url {", "uri {"), ":18: 'uri' is not a keyword in HTTP_GET; did"),
        (WEB.replace("TCP_CHECK {", "MISC_CHECK {"), ":26: MISC_CHECK needs misc_path."),
        (WEB.replace("lvs_sched wrr", "sh-port"), ":8: sh-port is for the scheduler sh, not for wlc."),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    message = refusal(tmp_path, content)
    assert sentence in message
    assert message.startswith("keepalived.conf:")
    assert "\n" not in message


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.conf can't be read: No such file or directory\.$"):
        config_reader.load(tmp_path / "no.conf")


@pytest.mark.parametrize("block", REFUSED)
def test_no_keyword_is_both_supported_and_refused(block: str) -> None:
    refused = [word for listed in REFUSED[block].values() for word in listed.split()]
    assert len(refused) == len(set(refused))
    assert not set(refused) & set(KEYWORDS[block])


_NOISE = st.sampled_from(
    [
        *("{", "}", "\n", '"', "'", "\\", "#", "!", "$A=", "${A}", "@x ", "~SEQ(", "\0", "\udcff", "9" * 30),
        *("-1", "0", "include ", "1.2.3.4", " ", "é", "fwmark", "group"),
        *(word for table in KEYWORDS.values() for word in table),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A file of our tests with pieces removed, doubled and put in."""
    content = draw(st.sampled_from(list(FILES.values())))
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        cut = last if draw(st.booleans()) else min(last, first + 9)
        piece = draw(st.one_of(_NOISE, st.just(""), st.just(content[first:cut] * 2)))
        content = content[:first] + piece + content[cut:]
    return content


@given(mutated())
def test_a_mutated_file_is_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    message = f"{folder}/keepalived.conf:"
    try:
        found = load(folder, content)
        routers, _ = instances.read(found)
        sync_follower.read(found.settings, [router.settings for router in routers])
    except ConfigError as refused:
        message = str(refused)
    assert "\n" not in message
    assert message.startswith(f"{folder}/keepalived.conf:")


# ---- lvs-monitor --check ----


def test_check_says_what_a_file_contains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(FILES["every_check"])
    assert command.main(["--check", str(file)]) == 0
    assert (
        capsys.readouterr().out
        == f"{file} is valid: virtual servers 2, real servers 3, checks 7, virtual routers 0.\n"
    )


def test_check_refuses_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text("foo\n")
    assert command.main(["--check", str(file)]) == 2
    assert capsys.readouterr().err == f"lvs-monitor: {file}:1: 'foo' is not a keyword.\n"


@pytest.mark.parametrize("words", [[], ["--from-rules", "file"], ["--check"]])
def test_a_file_or_the_rules(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("lvs-monitor: expected a FILE")


def test_without_a_director_the_rules_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = str(tmp_path / "none")
    for words in (["--from-rules"], [str(EXAMPLE)]):
        assert command.main([*words, "--socket", socket]) == 2
        assert capsys.readouterr().err.startswith(f"lvs-monitor: no director listens on {socket}: start one")


def test_ipv6_is_written_as_the_director_reads_it(tmp_path: Path) -> None:
    found = load(tmp_path, FILES["ipv6"])
    many, marked = found.servers
    assert [key["address"] for key in many.keys] == [
        f"[2001:db8:cb00:71::{last}]:80" for last in ("1", "10", "11", "12")
    ]
    assert marked.keys == ({"mark": 7, "family": 6},)
    assert many.service["netmask"] == "64"
    assert str(many.servers[0]) == "[2001:db8:cb00:71::11]:80"
    assert many.servers[0].checks[0].source == ("2001:db8:cb00:71::2", 0)
    for key in (*many.keys, *marked.keys):
        command_json.decode({"command": "AddService", "key": key, **many.service})
    router, of_ipv4 = instances.read(found)[0]
    assert (router.settings.vrid, router.settings.is_ipv6) == (of_ipv4.settings.vrid, True)
    assert (router.settings.is_ipv6, router.settings.addresses) == (True, ("fe80::51", "2001:db8:cb00:71::1"))
    assert [address.bits for address in router.addresses] == [64, 128, 32]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("version 2\n virtual_ipaddress {\n ::1\n}", "IPv6 needs version 3 of VRRP."),
        ("version 3\n virtual_ipaddress {\n ::1\n 192.0.2.1\n}", "addresses of one family"),
        ("native_ipv6\n virtual_ipaddress {\n 192.0.2.1\n}", "addresses of one family"),
        ("version 3\n mcast_src_ip 192.0.2.1\n virtual_ipaddress {\n ::1\n}", "mcast_src_ip must be of"),
        ("version 3\n virtual_ipaddress {\n ::1/129\n}", "a prefix length of 0 to 128, got '129'"),
        ("version 3\n virtual_ipaddress {\n ::1 label eth0:a\n}", "brd and label are for IPv4 addresses"),
        ("virtual_ipaddress {\n 192.0.2.1 peer 192.0.2.2\n}", "peer is not supported here, only brd, dev,"),
        ("virtual_ipaddress {\n 192.0.2.1 via 192.0.2.2\n}", "brd ADDRESS.*, got '192.0.2.1 via 192.0.2.2'"),
        ("virtual_ipaddress {\n 192.0.2.1 dev\n}", "got '192.0.2.1 dev'"),
        ("virtual_ipaddress {\n 192.0.2.1 scope planet\n}", "expected a scope, global, .*, got 'planet'"),
        ("virtual_ipaddress {\n 192.0.2.1 label a-label-too-long\n}", "up to 15 characters"),
    ],
)
def test_wrong_addresses_are_refused(tmp_path: Path, lines: str, says: str) -> None:
    content = "vrrp_instance a {\n interface eth0\n virtual_router_id 5\n " + lines + "\n}\n"
    with pytest.raises(ConfigError, match=says):
        instances.read(load(tmp_path, content))
