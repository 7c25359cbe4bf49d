"""Converts vrrp_instance and vrrp_sync_group of keepalived.conf to settings, with keepalived's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from availability.config import values
from availability.config.model import Configuration
from availability.config.text import Statement
from availability.config.values import Block, Script
from availability.vrrp import tracking
from availability.vrrp.router import OWNER, Settings
from availability.vrrp.tracking import Tracked, VrrpScript
from availability.vrrp.virtual_mac import VirtualMac, default_address, default_name
from director.formats import parse_number

MAX_ADDRESSES = 255  # the packet has one byte for their number
MAX_INTERVAL = {2: 255.0, 3: 40.95}  # seconds: 8 bits of seconds, 12 bits of hundredths
GROUPS = ("224.0.0.18", "ff02::12")  # of IPv4 and IPv6
_MAC, _NAME = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){4,5}"), re.compile(r"[\w.@-]{1,15}")
_COLONS_OF_A_PREFIX = 4
_OPTIONS = ("brd", "broadcast", "dev", "scope", "label")  # of an address, with a value each
_UNSUPPORTED = (  # keepalived has these, too
    *("peer", "home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "valid_lft", "preferred_lft"),
    *("use_vmac", "no_track", "track_group"),
)
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}  # linux/rtnetlink.h
_LABEL = 15  # characters: IFNAMSIZ without the end
_SCRIPTS = ("notify_master", "notify_backup", "notify_fault", "notify_stop", "notify")


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its prefix length, its interface, and options of ip-address(8)."""

    address: str
    bits: int
    interface: str
    broadcast: str = ""
    scope: int = 0  # rtnetlink(7): RT_SCOPE_UNIVERSE
    label: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One vrrp_instance: its router's settings, its addresses, what it tracks, and its scripts by keyword."""

    settings: Settings
    addresses: tuple[Address, ...]
    tracked: tuple[Tracked, ...]  # its own interface first
    scripts: dict[str, Script] = field(default_factory=dict)
    virtual_mac: VirtualMac | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Instances that change state together."""

    name: str
    members: tuple[str, ...]
    tracked: tuple[Tracked, ...] = ()  # `read` adds these to its members
    scripts: dict[str, Script] = field(default_factory=dict)


def read(configuration: Configuration) -> tuple[list[Instance], list[Group]]:
    """The virtual routers and sync groups of a configuration. Raises ConfigError."""
    blocks = [block for block in configuration.vrrp if block.keyword == "vrrp_instance"]
    programs = tracking.read_scripts(block for block in configuration.vrrp if block.keyword == "vrrp_script")
    instances = [_instance(block, configuration.settings, programs) for block in blocks]
    seen = set[tuple[str, object]]()
    for block, instance in zip(blocks, instances, strict=True):
        settings = instance.settings
        keys = {("name", settings.name), (settings.interface, (settings.vrid, settings.is_ipv6))}
        if keys & seen:
            raise block.error(
                "there is another vrrp_instance with this name, or this interface, router id and family."
            )
        seen |= keys
        virtual = instance.virtual_mac
        if virtual and ("use_vmac", virtual.interface) in seen:
            raise block.error(f"use_vmac: another vrrp_instance has the interface {virtual.interface}.")
        seen |= {("use_vmac", virtual.interface)} if virtual else set()
    by_name = {instance.settings.name: instance for instance in instances}
    groups = list[Group]()
    for block in (block for block in configuration.vrrp if block.keyword == "vrrp_sync_group"):
        group = _group(block, by_name.keys(), programs)
        for name in group.members:
            member = by_name[name]
            weighty = next(
                (tracked for tracked in (*group.tracked, *member.tracked) if tracked.weight.value), None
            )
            if weighty:
                raise block.error(
                    f"vrrp_sync_group: {weighty} has a weight, but {name} changes state with the group: "
                    "give it weight 0."
                )
            more = tuple(tracked for tracked in group.tracked if tracked not in member.tracked)
            by_name[name] = replace(member, tracked=(*member.tracked, *more))
        groups.append(group)
    return list(by_name.values()), groups


def _group(block: Block, names: Set[str], programs: Mapping[str, VrrpScript]) -> Group:
    members = [word for inner in block.all("group") for line in inner.lines for word in line.words]
    unknown = next((name for name in members if name not in names), None)
    if not members or len(block.words) != 1:
        raise block.error("a vrrp_sync_group needs a name, and a group with its instances.")
    if unknown is not None:
        raise block.error(f"vrrp_sync_group: there is no vrrp_instance {unknown!r:.60} in this file.")
    return Group(block.words[0], tuple(members), tracking.read_tracked(block, programs), _scripts(block))


def _scripts(block: Block) -> dict[str, Script]:
    return {name: block.values[name] for name in _SCRIPTS if name in block.values}


def _instance(block: Block, globals_: Block, programs: Mapping[str, VrrpScript]) -> Instance:
    def setting(keyword: str, default: Any) -> Any:
        """The instance's value, else that of global_defs, else the default."""
        return block.get(keyword, globals_.get(f"vrrp_{keyword}", default))

    for keyword in ("interface", "virtual_router_id"):
        if keyword not in block.values:
            raise block.error(f"a vrrp_instance needs {keyword}.")
    if len(block.words) != 1:
        raise block.error("a vrrp_instance needs a name.")
    version = int(setting("version", 2))
    interval = block.get("advert_int", 1.0)
    if interval > MAX_INTERVAL[version] or round(interval * 100) < 1 or (version == 2 and interval % 1):
        form = "whole seconds" if version == 2 else "hundredths of a second"
        raise block.error(
            f"advert_int: version {version} takes {form}, up to {MAX_INTERVAL[version]:g} s.", "advert_int"
        )
    first_master = block.get("state") == "MASTER"
    priority = block.get("priority", OWNER if first_master else 100)
    if block.get("nopreempt") and (first_master or priority == OWNER):
        raise block.error("nopreempt needs state BACKUP and a priority below 255.", "nopreempt")
    if block.get("preempt_delay") and (first_master or block.get("nopreempt")):
        raise block.error("preempt_delay needs state BACKUP, without nopreempt.", "preempt_delay")
    interface = block.get("interface")
    addresses = [
        _address(line, interface) for inner in block.all("virtual_ipaddress") for line in inner.lines
    ]
    excluded = [
        _address(line, interface) for inner in block.all("virtual_ipaddress_excluded") for line in inner.lines
    ]
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise block.error(f"a vrrp_instance needs 1 to {MAX_ADDRESSES} addresses in virtual_ipaddress.")
    is_ipv6 = ":" in addresses[0].address
    if {":" in address.address for address in addresses} | {bool(block.get("native_ipv6", is_ipv6))} != {
        is_ipv6
    }:
        raise block.error(
            "virtual_ipaddress takes addresses of one family, IPv6 with native_ipv6: put others into "
            "virtual_ipaddress_excluded."
        )
    if is_ipv6 and version != 3:
        raise block.error("IPv6 needs version 3 of VRRP.", "version")
    source = block.get("mcast_src_ip", "")
    if source and (":" in source) is not is_ipv6:
        raise block.error("mcast_src_ip must be of the family of virtual_ipaddress.", "mcast_src_ip")
    group = globals_.get("vrrp_mcast_group6" if is_ipv6 else "vrrp_mcast_group4", GROUPS[is_ipv6])
    again, times = globals_.get("vrrp_garp_master_delay", 5.0), globals_.get("vrrp_garp_master_repeat", 5)
    settings = Settings(
        name=block.words[0],
        interface=interface,
        vrid=block.get("virtual_router_id"),
        version=version,
        priority=priority,
        interval=interval,
        first_master=first_master,
        preempt=not block.get("nopreempt", False),
        preempt_delay=block.get("preempt_delay", 0.0),
        missed=block.get("down_timer_adverts", 3),
        addresses=tuple(address.address for address in addresses),
        excluded=tuple(address.address for address in excluded),
        source=source,
        group=group,
        password=_password(block, version),
        announce_again=block.get("garp_master_delay", again),
        announce_times=block.get("garp_master_repeat", times),
        contradict_again=setting("garp_lower_prio_delay", again),
        contradict_times=setting("garp_lower_prio_repeat", times),
        refresh=setting("garp_master_refresh", 0.0),
        refresh_times=setting("garp_master_refresh_repeat", 1),
    )
    own = [] if block.get("dont_track_primary") else [Tracked("interface", interface)]
    tracked = (*own, *tracking.read_tracked(block, programs))
    virtual_mac = _virtual_mac(block, settings)
    all_addresses = (*addresses, *excluded)
    if virtual_mac:
        all_addresses = tuple(
            replace(address, interface=virtual_mac.interface) if address.interface == interface else address
            for address in all_addresses
        )
    return Instance(settings, all_addresses, tracked, _scripts(block), virtual_mac)


def _virtual_mac(block: Block, settings: Settings) -> VirtualMac | None:
    """use_vmac [NAME] [MAC]; the router's id becomes the sixth byte of a MAC address of five."""
    words = block.get("use_vmac")
    if words is None:
        if block.get("vmac_xmit_base"):
            raise block.error("vmac_xmit_base needs use_vmac.", "vmac_xmit_base")
        return None
    *names, address = ("", *words) if words and _MAC.fullmatch(words[-1]) else ("", *words, "")
    name = names[-1] or default_name(settings.vrid, is_ipv6=settings.is_ipv6)
    address = (address or default_address(settings.vrid, is_ipv6=settings.is_ipv6)).lower()
    if address.count(":") == _COLONS_OF_A_PREFIX:
        address = f"{address}:{settings.vrid:02x}"
    if len(names) > 2 or not _NAME.fullmatch(name) or int(address[:2], 16) & 1:
        raise block.error(
            "use_vmac: expected [NAME] [MAC], a name of up to 15 letters and digits and the MAC address of a "
            f"single host, got {' '.join(words)!r:.60}.",
            "use_vmac",
        )
    return VirtualMac(name, settings.interface, address, advertises=not block.get("vmac_xmit_base", False))


def _password(block: Block, version: int) -> str | None:
    found = [inner.get("auth_pass") for inner in block.all("authentication")]
    if not found:
        return None
    if version == 3 or not found[0]:
        raise block.error("authentication needs version 2 of VRRP, and an auth_pass.")
    return str(found[0])


def _address(line: Statement, interface: str) -> Address:
    """Read a line: ADDRESS[/BITS], then options with a value each. Raises ConfigError."""
    word, *rest = line.words
    address, slash, bits = word.partition("/")
    options = dict(zip(rest[::2], rest[1::2], strict=False))
    strange = next((option for option in rest[::2] if option not in _OPTIONS), None)
    try:
        if strange in _UNSUPPORTED:
            raise ValueError(f"{strange} is not supported here, only brd, dev, scope and label")
        if strange or len(rest) != 2 * len(options):
            expected = "ADDRESS[/BITS] [brd ADDRESS] [dev NAME] [scope SCOPE] [label NAME]"
            raise ValueError(f"expected {expected}, got {' '.join(line.words)!r:.60}")
        found = values.address(address)
        longest = values.bits(found)
        if slash and not 0 <= parse_number(bits, 3) <= longest:
            raise ValueError(f"expected a prefix length of 0 to {longest}, got {bits!r:.40}")
        broadcast, label = options.get("brd", options.get("broadcast", "")), options.get("label", "")
        if ":" in found and (broadcast or label):
            raise ValueError("brd and label are for IPv4 addresses")
        return Address(
            found,
            int(bits) if slash else longest,
            options.get("dev", interface),
            values.ipv4(broadcast) if broadcast else "",
            _scope(options.get("scope", "global")),
            _label(label),
        )
    except ValueError as error:
        raise line.place.error(f"virtual_ipaddress: {error}.") from None


def _scope(word: str) -> int:
    number = _SCOPES.get(word, parse_number(word, 3))
    if not 0 <= number <= max(_SCOPES.values()):
        raise ValueError(f"expected a scope, {', '.join(_SCOPES)} or 0 to 255, got {word!r:.40}")
    return number


def _label(word: str) -> str:
    if len(word) > _LABEL:
        raise ValueError(f"a label has up to {_LABEL} characters, got {word!r:.40}")
    return word
