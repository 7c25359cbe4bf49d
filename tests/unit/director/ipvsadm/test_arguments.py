"""The messages for wrong lines; test_recorded.py has which lines are wrong."""

from __future__ import annotations

import pytest

from director.control.cli import UsageError
from director.ipvsadm import arguments, main, names
from tests.unit.director.ipvsadm.support import Table


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-A", "--add-service needs a service: -t, -u or -f."),
        ("-a -t 203.0.113.1:80", "--add-server needs a real server: -r."),
        ("-A -D", "--delete-service is a second command, after --add-service: give one."),
        ("-A -t 1.1.1.1:1 -f 1", "more than one of --tcp-service and --udp-service and --fwmark-service"),
        ("-A -t 1.1.1.1:1 -s rr -s rr", "--scheduler was given twice."),
        ("-C -n", "--numeric does not go with --clear."),
        ("-L more", "'more' is unexpected at the end of the line."),
        ("-L -c --timeout", "--connection and --timeout are two listings: give one."),
        ("--set 1 2", "--set needs three numbers"),
        ("-A -t 1.1.1.1", "port 0 is every port of the address: that needs a persistent service, -p."),
        ("-A -t 1.1.1.1:80 -o", "-o is for UDP and firewall marks"),
        ("-A -t 1.1.1.256:80", "bad virtual service '1.1.1.256:80': expected ADDRESS[:PORT], such as"),
        ("-A -t 80", "bad virtual service '80': expected ADDRESS[:PORT], such as"),
        ("-A -t 1.1.1.1:80:90", "bad virtual service '1.1.1.1:80:90': expected a port from 0 to 65535"),
        (
            "-A -t 2001:db8::5]:80",
            "bad virtual service '2001:db8::5]:80': expected [ADDRESS]:PORT, such as",
        ),
        (
            "-A -t [2001:db8::g]:80",
            "bad virtual service '[2001:db8::g]:80': expected [ADDRESS]:PORT, such as",
        ),
        ("-A -t [2001:db8::1]", "bad virtual service '[2001:db8::1]': expected [ADDRESS]:PORT"),
        ("-A -t 2001:db8::1:80:80:80:80:80:80", "bad virtual service '2001:db8::1:80:80:80:80:80:80'"),
        ("-A -t [203.0.113.1]:80", "bad virtual service '[203.0.113.1]:80': expected ADDRESS[:PORT]"),
        ("-a -f 1 -6 -r fe80::1%eth0", "bad real server 'fe80::1%eth0': expected an address without a zone"),
        ("-A -t [2001:db8::1]:80 -p -M 129", "bad prefix length '129': expected a number from 1 to 128"),
        ("-A -f 1 -6 -p -M 255.255.255.0", "bad prefix length '255.255.255.0'"),
        ("-A -f 1 -p -M 64", "bad netmask '64'"),
        ("-A -t [2001:db8::1]:80 -6", "--ipv6 is for --fwmark-service only"),
        ("-a -f 1 -6 -r 172.16.0.2 -m", "Different address family is allowed only for tunneling servers"),
        ("-a -f 1 -r fd00::2", "Different address family is allowed only for tunneling servers"),
        ("-A -6 -f 1", "--ipv6 is for --fwmark-service only"),
        ("-A -t 1.1.1.1:x", "bad virtual service '1.1.1.1:x': expected a port from 0 to 65535, or its name."),
        ("-A -f 0", "bad firewall mark '0': expected a number from 1 to 4294967295."),
        ("-a -f 1 -r 1.1.1.1 -w x", "bad weight 'x': expected a number from 0 to 2147483647."),
        ("-a -f 1 -r 1.1.1.1 --weight=", "bad weight ''"),
        ("-A -f 1 -p 0", "bad time for -p '0': expected a number from 1 to 2678400."),
        # differs: netmask-in-full
        ("-A -f 1 -M 24", "bad netmask '24': expected a netmask such as 255.255.255.0."),
        ("-A -f 1 -s rr -b flag-1", "-b 'flag-1' is for sh and mh, not for rr."),
        ("-A -f 1 -s mh -b sh-port", "bad flags 'sh-port': mh has mh-fallback and mh-port."),
        ("-a -f 1 -r 1.1.1.1 --tun-type ipip", "--tun-type 'ipip': expected ipip, and -i with it."),
        ("-a -f 1 -r 1.1.1.1 -i --tun-type gre", "--tun-type 'gre': expected ipip, and -i with it."),
        ("--start-daemon mistress", "--start-daemon 'mistress': expected master or backup."),
        ("--stop-daemon all", "--stop-daemon 'all': expected master or backup."),
        ("--start-daemon master --syncid 256", "bad syncid '256': expected a number from 0 to 255."),
        ("--start-daemon master --sync-maxlen 65508", "bad sync-maxlen '65508'"),
        ("--start-daemon master --mcast-group ff02::81", "bad mcast-group 'ff02::81'"),
        ("--start-daemon master -t 203.0.113.1:80", "--tcp-service does not go with --start-daemon."),
        ("--stop-daemon master --syncid 1", "--syncid does not go with --stop-daemon."),
        ("-L --syncid 1", "--syncid does not go with --list."),
        ("-A -u 1.1.1.1:5060 --pe sip", "--pe is for"),
        ("-A --sctp-service 1.1.1.1:80", "--sctp-service is for"),
        ("-a -f 1 -r 1.1.1.1 -i --tun-type gue --tun-port 6080", "--tun-port is for"),
        ("-L --tun-info", "--tun-info is for"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_sends_no_request(
    table: Table, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert main(line.split()) == 2
    output, error = capsys.readouterr()
    assert error.startswith(f"ipvsadm: {says}")
    assert (error.count("\n"), output, table.requests) == (1, "", [])


@pytest.mark.parametrize("text", ["a\0:80", "\udcff:80", "203.0.113.1:a\0", "203.0.113.1:\udcff", "[\0]:80"])
def test_a_name_that_is_not_a_c_string_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="bad virtual service"):
        names.read_endpoint("virtual service", text, "TCP")


@pytest.mark.parametrize("line", ["-h", "--help"])
def test_help_sends_no_request(table: Table, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert main([line]) == 0
    assert (capsys.readouterr().out, table.requests) == (arguments.USAGE, [])


@pytest.mark.parametrize("line", ["-v", "--version", "--version extra"])
def test_the_version(table: Table, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert main(line.split()) == 0
    assert (capsys.readouterr().out, table.requests) == (arguments.VERSION, [])


def test_without_a_director_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LVS_SOCKET", "/nowhere/director.sock")
    assert [main([line]) for line in ("-L", "-S", "-C")] == [1, 1, 1]
    assert capsys.readouterr().err.count("/nowhere/director.sock") == 3


def test_what_the_director_refuses(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-D", "-t", "203.0.113.1:80"]) == 255
    assert capsys.readouterr().err == "ipvsadm: No such service: TCP 203.0.113.1:80.\n"
    assert len(table.requests) == 1


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("-A -f 1", 255, "Service already exists"),
        ("-A -f 2 -s nosuch", 255, "Scheduler or persistence engine not found"),
        ("-A -f 2 --scheduler=", 255, "Scheduler or persistence engine not found: ''"),
        ("-E -f 2", 255, "No such service"),
        ("-E -f 1 -s nosuch", 255, "Scheduler or persistence engine not found"),
        ("-D -f 2", 255, "No such service"),
        ("-Z -f 2", 255, "No such service"),
        ("-L -f 2", 1, "No such service"),
        ("-a -f 2 -r 172.16.0.2", 255, "Service not defined"),
        ("-a -f 1 -r 172.16.0.2", 255, "Destination already exists"),
        ("-e -f 2 -r 172.16.0.2", 255, "Service not defined"),
        ("-e -f 1 -r 172.16.0.3", 255, "No such destination"),
        ("-d -f 2 -r 172.16.0.2", 255, "Service not defined"),
        ("-d -f 1 -r 172.16.0.3", 255, "No such destination"),
    ],
)
@pytest.mark.usefixtures("table")
def test_a_refusal_begins_with_the_words_of_ipvsadm(
    capsys: pytest.CaptureFixture[str], line: str, code: int, words: str
) -> None:
    """The words of ipvsadm 1.31, which scripts look for."""  # differs: sentences
    main(["-A", "-f", "1"])
    main(["-a", "-f", "1", "-r", "172.16.0.2"])
    assert main(line.split()) == code
    assert capsys.readouterr().err.startswith(f"ipvsadm: {words}")


@pytest.mark.usefixtures("table")
def test_every_option_of_the_help_exists() -> None:
    words = arguments.USAGE.replace("[", " ").replace("]", " ").replace("|", " ").split()
    for word in sorted({word for word in words if word.startswith("-")}):
        assert main(["-L", word, "1"] if word != "-h" else ["-h"]) != 255, word
