"""Reads a configuration file: its blocks become virtual servers, real servers and checks.

Defaults are those of keepalived 2.2.7. Values that contradict each other are refused, with file and line.
"""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from availability.config import text, values
from availability.config.model import (
    CHECKS,
    Check,
    Configuration,
    Fields,
    Mail,
    Page,
    RealServer,
    Timing,
    VirtualServer,
)
from availability.config.text import Place
from availability.config.values import Block, Script
from director.formats import parse_number
from director.formats.ipvsadm_words import endpoint

_WITHOUT_PORT = ("PING_CHECK", "MISC_CHECK")
_RETRY = {"DNS_CHECK": 3, "MISC_CHECK": 0}
_DELAY_BEFORE_RETRY = {"HTTP_GET": 3.0, "SSL_GET": 3.0}
_PERSISTENT = 360  # seconds
_HOST_MASKS = ("255.255.255.255", "128")  # each client has its own template, as without a mask
_MAX_ADDRESSES = 65536  # of a group
_REGEX_OPTIONS = {"caseless": re.I, "multiline": re.M, "dotall": re.S, "extended": re.X, "utf": 0}
_FLAGS = ("sh-fallback", "sh-port", "mh-fallback", "mh-port")
_FAMILIES: tuple[list[str], ...] = ([], ["inet"], ["inet6"])
_SECONDS = range(1, 31 * 24 * 3600 + 1)


def load(file: Path, name: str = "") -> Configuration:
    """Read a configuration file; `name` chooses the lines with @NAME. Raises ConfigError."""
    return build(values.read(text.read(file, name)))


def build(whole: Block) -> Configuration:
    """The configuration in the block of a whole file. Raises ConfigError."""
    settings = _merged(whole.all("global_defs"))
    mail = settings.get("smtp_alert_checker", settings.get("smtp_alert", False))
    if settings.get("no_checker_emails"):
        mail = False
    servers = tuple(
        _Reader(block, whole, settings, mail).virtual_server() for block in whole.all("virtual_server")
    )
    _refuse_twice(whole, servers)
    return Configuration(
        servers=servers,
        router_id=settings.get("router_id", ""),
        mail=_mail(settings),
        script_user=settings.get("script_user", ()),
        script_security=settings.get("enable_script_security", False),
        init_notifies=settings.get("rs_init_notifies", False),
        timeouts=_timeouts(settings),
        flush=settings.get("lvs_flush", False),
        settings=settings,
        vrrp=tuple(whole.all("vrrp_instance", "vrrp_sync_group", "vrrp_script")),
    )


def _merged(blocks: list[Block]) -> Block:
    """Several blocks global_defs count as one."""
    merged = Block("global_defs", [], Place("", 0))
    for block in blocks:
        merged.values.update(block.values)
        merged.places.update(block.places)
        merged.inside += block.inside
        merged.place = block.place
    return merged


def _refuse_twice(whole: Block, servers: tuple[VirtualServer, ...]) -> None:
    keys: list[Fields] = []
    for block, server in zip(whole.all("virtual_server"), servers, strict=True):
        if any(key in keys for key in server.keys):
            raise block.error(f"virtual_server {' '.join(block.words)} exists twice.")
        keys += server.keys


def _mail(settings: Block) -> Mail | None:
    """None if the file names no recipient or no mail server."""
    recipients = [
        word for block in settings.all("notification_email") for line in block.lines for word in line.words
    ]
    server = settings.get("smtp_server", [])
    if "smtp_server" in settings.values and not 1 <= len(server) <= 2:
        raise settings.error("smtp_server: expected a host and perhaps a port.", "smtp_server")
    if not recipients or not server:
        return None
    return Mail(
        recipients=tuple(recipients),
        sender=settings.get("notification_email_from", "keepalived"),
        host=server[0],
        port=_port(settings, "smtp_server", server[1]) if len(server) > 1 else 25,
        helo=settings.get("smtp_helo_name", ""),
        timeout=settings.get("smtp_connect_timeout", 30.0),
    )


def _timeouts(settings: Block) -> Fields:
    words = list(settings.get("lvs_timeouts", []))
    seconds: Fields = {}
    while words:
        name, value = words.pop(0), words.pop(0) if words else ""
        number = parse_number(value)
        if name not in ("tcp", "tcpfin", "udp") or number not in _SECONDS:
            raise settings.error(
                f"lvs_timeouts: expected tcp, tcpfin or udp and seconds, got {name!r:.40} {value!r:.40}.",
                "lvs_timeouts",
            )
        seconds[name] = number
    return seconds


def _port(block: Block, keyword: str, word: str, minimum: int = 1) -> int:
    try:
        return values.port(word, minimum)
    except ValueError as error:
        raise block.error(f"{keyword}: {error}.", keyword) from None


def _address(block: Block, keyword: str, word: str) -> str:
    try:
        return values.address(word)
    except ValueError as error:
        raise block.error(f"{keyword}: {error}.", keyword) from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one virtual_server."""

    block: Block
    whole: Block
    settings: Block
    mail: bool

    def virtual_server(self) -> VirtualServer:
        block = self.block
        name, keys = self._keys()
        scheduler = block.get("lvs_sched", "wlc")
        persistent = (
            (block.get("persistence_timeout") or _PERSISTENT) if "persistence_timeout" in block.values else 0
        )
        for key in keys:
            if key.get("address", "").endswith(":0") and not persistent:
                raise block.error("a virtual_server without a port needs persistence_timeout.")
        if block.get("ops") and any(key.get("protocol") == "TCP" for key in keys):
            raise block.error("ops is for UDP: a TCP connection has many packets.", "ops")
        granularity = block.get("persistence_granularity")
        flags = [flag for flag in _FLAGS if block.get(flag)]
        wrong = next((flag for flag in flags if not flag.startswith(f"{scheduler}-")), None)
        if wrong:
            raise block.error(f"{wrong} is for the scheduler {wrong[:2]}, not for {scheduler}.", wrong)
        service = {
            "scheduler": scheduler,
            "flags": flags,
            "persistent": persistent,
            "netmask": None if granularity in _HOST_MASKS else granularity,
            "one_packet": block.get("ops", False),
        }
        port = _service_port(keys)
        servers = tuple(self._server(inner, port) for inner in block.all("real_server"))
        self._refuse_servers(servers)
        self._refuse_families(servers, keys)
        sorry = self._sorry(port)
        for inner, server in zip(block.all("real_server"), servers, strict=True):
            self._refuse_ports(server, keys, inner)
        if sorry:
            self._refuse_ports(sorry, keys, block, "sorry_server")
        return VirtualServer(
            name=name,
            keys=tuple(keys),
            service=service,
            servers=servers,
            sorry=sorry,
            quorum=block.get("quorum", 1),
            hysteresis=block.get("hysteresis", 0),
            omega=block.get("omega", False),
            quorum_up=block.get("quorum_up"),
            quorum_down=block.get("quorum_down"),
            mail=block.get("smtp_alert", self.mail),
            place=block.place,
        )

    def _refuse_ports(self, server: RealServer, keys: list[Fields], where: Block, keyword: str = "") -> None:
        """Only NAT can change a port."""
        ports = {int(key["address"].rpartition(":")[2]) for key in keys if "address" in key}
        if server.method != "NAT" and ports - {server.port}:
            ports_named = " and ".join(map(str, sorted(ports - {server.port})))
            raise where.error(
                f"{server} needs the service's port, {ports_named}: {server.method} can't change it.", keyword
            )

    def _refuse_families(self, servers: tuple[RealServer, ...], keys: list[Fields]) -> None:
        """Only a tunnel can change the family (Linux: ip_vs_add_dest)."""
        families = {key.get("family") == 6 or key.get("address", "").startswith("[") for key in keys}
        if len(families) > 1:
            raise self.block.error("all addresses of a virtual_server must be of one family.")
        for inner, server in zip(self.block.all("real_server"), servers, strict=True):
            if (":" in server.address) not in families and server.method != "TUN":
                raise inner.error(f"{server.address} is not of the service's family: that needs TUN.")

    def _refuse_servers(self, servers: tuple[RealServer, ...]) -> None:
        if not servers:
            raise self.block.error("a virtual_server needs a real_server.")
        if (
            self.block.get("hysteresis", 0) >= self.block.get("quorum", 1)
            and "hysteresis" in self.block.values
        ):
            raise self.block.error(
                f"hysteresis must be less than the quorum, {self.block.get('quorum', 1)}.", "hysteresis"
            )
        seen = set[str]()
        for inner, server in zip(self.block.all("real_server"), servers, strict=True):
            if str(server) in seen:
                raise inner.error(f"real_server {server} exists twice.")
            seen.add(str(server))

    # ---- services ----

    def _keys(self) -> tuple[str, list[Fields]]:
        """The name of the virtual server, and what identifies its services."""
        words = self.block.words
        if words[:1] == ["group"] and len(words) == 2:
            return f"group {words[1]}", list(self._group(words[1]))
        if words[:1] == ["fwmark"] and len(words) == 2:
            return f"FWM {self._mark(words[1])}", [self._marked(words[1], self._is_ipv6())]
        if not 1 <= len(words) <= 2:
            raise self.block.error("virtual_server: expected ADDRESS [PORT], fwmark MARK or group NAME.")
        address = _address(self.block, "virtual_server", words[0])
        port = _port(self.block, "virtual_server", words[1], 0) if len(words) > 1 else 0
        key = self._key(address, port)
        return f"{key['protocol']} {key['address']}", [key]

    def _key(self, address: str, port: int) -> Fields:
        protocol = self.block.get("protocol")
        if not protocol:
            raise self.block.error("a virtual_server needs protocol TCP or protocol UDP.")
        return {"protocol": protocol, "address": endpoint(address, port)}

    def _marked(self, word: str, is_ipv6: bool) -> Fields:
        return {"mark": self._mark(word), **({"family": 6} if is_ipv6 else {})}

    def _is_ipv6(self) -> bool:
        """Whether a service by mark is for IPv6 packets."""
        words = [inner.words[0] for inner in self.block.all("real_server") if inner.words]
        family: str = self.block.get("ip_family", "inet6" if ":" in (words or [""])[0] else "inet")
        return family == "inet6"

    def _mark(self, word: str) -> int:
        number = parse_number(word)
        if not 1 <= number < 2**32:
            raise self.block.error(f"fwmark: expected a number from 1 to 4294967295, got {word!r:.60}.")
        return number

    def _group(self, name: str) -> Iterator[Fields]:
        found = [block for block in self.whole.all("virtual_server_group") if block.words == [name]]
        if not found or not found[0].lines:
            raise self.block.error(f"there is no virtual_server_group {name!r:.60} with an address.")
        count = 0
        for line in found[0].lines:
            if line.words[0] == "fwmark" and line.words[2:] in _FAMILIES and len(line.words) > 1:
                is_ipv6 = line.words[2] == "inet6" if len(line.words) > 2 else self._is_ipv6()
                yield self._marked(line.words[1], is_ipv6)
                continue
            if len(line.words) > 2:
                raise line.place.error("virtual_server_group: expected ADDRESSES [PORT] or fwmark MARK.")
            try:
                port = values.port(line.words[1], 0) if len(line.words) > 1 else 0
                for address in _addresses(line.words[0]):
                    count += 1
                    if count > _MAX_ADDRESSES:
                        raise ValueError(f"expected at most {_MAX_ADDRESSES} addresses")
                    yield self._key(address, port)
            except ValueError as error:
                raise line.place.error(f"virtual_server_group: {error}.") from None

    # ---- real servers ----

    def _endpoint(self, inner: Block, keyword: str, words: list[str], port: int) -> tuple[str, int]:
        """A server without a port, or with port 0, gets `port`, the service's."""
        if not 1 <= len(words) <= 2:
            raise inner.error(f"{keyword}: expected ADDRESS [PORT].", keyword)
        address = _address(inner, keyword, words[0])
        return address, (_port(inner, keyword, words[1], 0) if len(words) > 1 else 0) or port

    def _sorry(self, port: int) -> RealServer | None:
        block = self.block
        if "sorry_server" not in block.values:
            return None
        method = block.get("sorry_server_lvs_method", block.get("lvs_method", "NAT"))
        inhibit = block.get("sorry_server_inhibit", False)
        return RealServer(
            *self._endpoint(block, "sorry_server", block.get("sorry_server"), port), 1, method, inhibit
        )

    def _server(self, inner: Block, port: int) -> RealServer:
        address, port = self._endpoint(inner, "real_server", inner.words, port)
        upper, lower = inner.get("uthreshold", 0), inner.get("lthreshold", 0)
        if lower > upper:
            raise inner.error(f"lthreshold must be at most uthreshold, {upper}.", "lthreshold")
        return RealServer(
            address=address,
            port=port,
            weight=inner.get("weight", 1),
            method=inner.get("lvs_method", self.block.get("lvs_method", "NAT")),
            inhibit=inner.get("inhibit_on_failure", self.block.get("inhibit_on_failure", False)),
            upper=upper,
            lower=lower,
            checks=tuple(self._check(check, inner, address, port) for check in inner.all(*CHECKS)),
            notify_up=inner.get("notify_up"),
            notify_down=inner.get("notify_down"),
            mail=inner.get("smtp_alert", self.block.get("smtp_alert", self.mail)),
        )

    def _timing(self, check: Block, server: Block) -> Timing:
        def inherited(keyword: str, default: Any) -> Any:
            found = (
                block.values[keyword] for block in (check, server, self.block) if keyword in block.values
            )
            return next(found, default)

        kind = check.keyword
        delay_loop = inherited("delay_loop", 60.0)
        before_retry = delay_loop if kind == "DNS_CHECK" else _DELAY_BEFORE_RETRY.get(kind, 1.0)
        return Timing(
            alpha=inherited("alpha", False),
            connect_timeout=inherited("connect_timeout", 5.0),
            retry=check.get("nb_get_retry", inherited("retry", _RETRY.get(kind, 1))),
            delay_before_retry=inherited("delay_before_retry", before_retry),
            warmup=inherited("warmup", delay_loop),
            delay_loop=delay_loop,
        )

    def _check(self, check: Block, server: Block, address: str, port: int) -> Check:
        timing = self._timing(check, server)
        address, port = check.get("connect_ip", address), check.get("connect_port", port)
        if not port and check.keyword not in _WITHOUT_PORT:
            raise check.error(f"{check.keyword} needs connect_port, because the real server has no port.")
        command = None
        if check.keyword == "MISC_CHECK":
            command = self._command(check)
            timing = _with_timeout(timing, check.get("misc_timeout", timing.delay_loop))
        shortest, longest = check.get("min_reply_length", 0), check.get("max_reply_length", 255)
        if shortest > longest:
            raise check.error(
                f"min_reply_length must be at most max_reply_length, {longest}.", "min_reply_length"
            )
        log_all = self.settings.get("checker_log_all_failures", False)
        return Check(
            kind=check.keyword,
            address=address,
            port=port,
            timing=timing,
            source=(check.get("bindto", ""), check.get("bind_port", 0)),
            interface=check.get("bind_if", ""),
            mark=check.get("fwmark", 0),
            log_all_failures=check.get("log_all_failures", log_all),
            pages=self._pages(check, server),
            version=check.get("http_protocol", "1.0"),
            fast_recovery=check.get("fast_recovery", False),
            server_name=check.get("enable_sni", False),
            helo=check.get("helo_name", ""),
            query=(check.get("type", "SOA"), _domain(check)),
            payload=_payload(check),
            reply=_reply(check),
            lengths=(shortest, longest),
            command=command,
            dynamic=check.get("misc_dynamic", False),
        )

    def _command(self, check: Block) -> Script:
        if "misc_path" not in check.values:
            raise check.error("MISC_CHECK needs misc_path.")
        try:
            words = values.command(check.get("misc_path"))
        except ValueError as error:
            raise check.error(f"misc_path: {error}.", "misc_path") from None
        return Script(words, check.get("user", ()), check.places["misc_path"])

    def _pages(self, check: Block, server: Block) -> tuple[Page, ...]:
        if check.keyword not in ("HTTP_GET", "SSL_GET"):
            return ()
        host = server.get("virtualhost", self.block.get("virtualhost"))
        pages = tuple(_page(block, host) for block in check.all("url"))
        if not pages:
            raise check.error(f"{check.keyword} needs a url.")
        return pages


def _service_port(keys: list[Fields]) -> int:
    """The port of all services; 0 if their ports differ, or they have marks."""
    ports = {int(key.get("address", ":0").rpartition(":")[2]) for key in keys}
    return ports.pop() if len(ports) == 1 else 0


def _with_timeout(timing: Timing, seconds: float) -> Timing:
    return Timing(
        timing.alpha, seconds, timing.retry, timing.delay_before_retry, timing.warmup, timing.delay_loop
    )


def _addresses(word: str) -> Iterator[str]:
    """Yield the addresses of ADDRESS, ADDRESS-LAST, ADDRESS-ADDRESS or ADDRESS/BITS. Raises ValueError."""
    first, dash, last = word.partition("-")
    if "/" in word:
        network = ipaddress.ip_network(word, strict=False)
        yield from (str(network[number]) for number in range(min(network.num_addresses, _MAX_ADDRESSES + 1)))
        return
    begin = end = ipaddress.ip_address(values.address(first))
    if dash and (":" in last or "." in last):
        end = ipaddress.ip_address(values.address(last))
    elif dash:
        base, low = (16, 0xFFFF) if begin.version == 6 else (10, 0xFF)
        number = int(last, base) if re.fullmatch("[0-9A-Fa-f]{1,4}", last) else low + 1
        if number > low:
            raise ValueError(f"expected a range of addresses, got {word!r:.60}")
        end = begin + (number - (int(begin) & low))
    if end.version != begin.version or not 0 <= int(end) - int(begin) < _MAX_ADDRESSES:
        raise ValueError(f"expected a range of addresses, got {word!r:.60}")
    yield from (str(begin + number) for number in range(int(end) - int(begin) + 1))


# ---- the request of a check, and the reply that it requires ----


def _page(block: Block, host: str | None) -> Page:
    path = block.get("path", "/")
    host = block.get("virtualhost", host)
    for keyword, value in (("path", path), ("virtualhost", host or "")):
        if any(character.isspace() or ord(character) < 32 for character in value):
            raise block.error(f"{keyword}: expected no space, got {value!r:.60}.", keyword)
    digest = block.get("digest")
    if digest is not None and not re.fullmatch(r"[0-9A-Fa-f]{32}", digest):
        raise block.error(f"digest: expected 32 hexadecimal digits, got {digest!r:.60}.", "digest")
    offsets = (block.get("regex_min_offset", 0), block.get("regex_max_offset"))
    return Page(
        path=path,
        host=host,
        codes=_codes(block),
        digest=digest.lower() if digest else None,
        regex=_regex(block),
        must_match=not block.get("regex_no_match", False),
        offsets=offsets,
    )


def _codes(block: Block) -> tuple[range, ...]:
    codes = []
    for word in block.get("status_code", ["200-299"]):
        first, dash, last = word.partition("-")
        last = last if dash else first
        if not all(re.fullmatch("[1-9][0-9]{2}", part) for part in (first, last)) or first > last:
            raise block.error(
                f"status_code: expected codes such as 200 or 200-299, got {word!r:.60}.", "status_code"
            )
        codes.append(range(int(first), int(last) + 1))
    return tuple(codes)


def _regex(block: Block) -> re.Pattern[bytes] | None:
    if "regex" not in block.values:
        return None
    flags = 0
    for option in block.get("regex_options", []):
        if option not in _REGEX_OPTIONS:
            raise block.error(f"regex_options: {option!r:.40} is not supported here.", "regex_options")
        flags |= _REGEX_OPTIONS[option]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(block.get("regex").encode("utf-8", "surrogateescape"), flags)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise block.error(f"regex: Python can't use this expression ({error}).", "regex") from None


def _domain(check: Block) -> str:
    name: str = check.get("name", ".")
    labels = name.rstrip(".").split(".") if name != "." else []
    if not name.isascii() or any(not 1 <= len(label) <= 63 for label in labels) or len(name) > 253:
        raise check.error(f"name: expected a domain name, got {name!r:.60}.", "name")
    return name


def _nibbles(check: Block, keyword: str, unknown: str) -> list[str]:
    """Pairs of hexadecimal digits; a single digit at the end of a word is a byte of its own."""
    found = []
    for word in check.get(keyword, []):
        if not re.fullmatch(f"[0-9A-Fa-f{unknown}]+", word):
            raise check.error(f"{keyword}: expected hexadecimal digits, got {word!r:.60}.", keyword)
        found += [word[place : place + 2].rjust(2, "0") for place in range(0, len(word), 2)]
    return found


def _payload(check: Block) -> bytes | None:
    return bytes.fromhex("".join(_nibbles(check, "payload", ""))) if "payload" in check.values else None


def _reply(check: Block) -> tuple[tuple[int, int], ...] | None:
    """(value, mask) of each byte; an x stands for any digit."""
    if "require_reply" not in check.values:
        return None
    pairs = (pair.lower() for pair in _nibbles(check, "require_reply", "Xx"))
    return tuple(
        (int(pair.replace("x", "0"), 16), int("".join("0" if digit == "x" else "f" for digit in pair), 16))
        for pair in pairs
    )
