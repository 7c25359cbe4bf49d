"""The explanations of causes in reports and solutions: what a cause means, what settles it, and the lesson.

For a cause that is not listed here, it is the first sentence of its file in doctor/causes, and the method's
lesson. Words in braces are facts of the student's variant.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass

from classroom.model import Solution, Variant


@dataclass(frozen=True, slots=True)
class Explanation:
    """`lesson` is a page of the students' archive, with an anchor."""

    means: str
    settled: str
    lesson: str = "labs/vs_{method}/README.md#how-it-works"

    @property
    def link(self) -> str:
        """The name of the page and its section, for people."""
        page, _, anchor = self.lesson.partition("#")
        return f"{page}, {anchor.replace('-', ' ')}" if anchor else page


_ARP = "labs/vs_dr/README.md#the-arp-problem"
_NEW = "docs/director.md#4-the-first-packet-of-a-new-connection"
_KNOWN = "docs/director.md#3-a-packet-of-a-known-connection"

KNOWN = {
    "arp_answered": Explanation(
        "In VS-DR the real servers also have the VIP, and only the director may answer ARP for it: the host "
        "that answers first gets all requests of that router.",
        "On r0, `tcpdump -eni r0-eth1 arp` while it asks again shows more than one reply; `ip neigh` "
        "there shows the MAC address that it has for {vip}.",
        _ARP,
    ),
    "arp_ignore_on_lo": Explanation(
        "arp_ignore takes effect on the interface on which the ARP request arrives, or if set for all; on "
        "lo, which has the VIP, and as the default of later interfaces, it has no effect.",
        "`sysctl -a -r arp_ignore` on a real server: 0 for all and for its network card.",
        _ARP,
    ),
    "arp_announced": Explanation(
        "With arp_announce below 2, a real server that asks for its router's MAC address uses the VIP as the "
        "sender address, and the router stores that server's MAC address for the VIP.",
        "On r0, `tcpdump -eni r0-eth1 arp`: a who-has request with {vip} as its sender, after which the "
        "entry moves.",
        _ARP,
    ),
    "vip_missing": Explanation(
        "VS-TUN and VS-DR do not change the destination of a request, the VIP; a host that does not have "
        "this address silently drops the packet.",
        "`ip addr` on {server} lacks {vip}, and `nstat -az IpInAddrErrors` grows there with each lost "
        "request.",
    ),
    "rp_filter": Explanation(
        "With rp_filter=1 a host accepts a packet only on the interface by which it would answer; "
        "decapsulated requests come in on tunl0 and are answered by the network card.",
        "`nstat -az TcpExtIPReversePathFilter` on {server} grows with each lost request.",
    ),
    "no_gateway": Explanation(
        "In VS-NAT replies must pass the director, which restores the VIP as their source; so it must be the "
        "default gateway of every real server.",
        "`ip route get {c1}` on {server} does not lead to {inside}.",
    ),
    "direct_route": Explanation(
        "In VS-NAT a reply that bypasses the director keeps the real server's address as its source; the "
        "client has no connection with that address, and resets it.",
        "`tcpdump -ni c3-eth0 tcp` on c3 shows a SYN+ACK from {rip}, answered by a RST; `ip route` on "
        "{server} has the line that makes it.",
    ),
    "no_service": Explanation(
        "A packet for which the director has no service goes to the director's own kernel, which refuses the "
        "connection, because no program listens there.",
        "`ippfvsadm -L` on d has no service for TCP, {vip} and port 80.",
        _NEW,
    ),
    "icmp_filtered": Explanation(
        "A tunnel leaves 1480 bytes of 1500; senders learn that from ICMP 'fragmentation needed', and "
        "without it they keep sending packets that are too long.",
        "`tcpdump -ni any icmp`, host by host: the message is seen before the packet filter (`nft list "
        "ruleset`) and not after it.",
    ),
    "persistence": Explanation(
        "A persistent service sends a client's later connections to the server of its first one; the "
        "scheduler is not used while the template lasts.",
        "`ipvsadm -L -n` on d shows the service as persistent, and `ipvsadm -L -n -c` a template, with "
        "client port 0.",
        _NEW,
    ),
    "short_timeout": Explanation(
        "The director forgets a connection that is idle for longer than its timeout; a later packet "
        "belongs to no connection and is reset.",
        "`ipvsadm -L --timeout` on d, or the column expire of `ipvsadm -L -n -c`: a second or two.",
        _KNOWN,
    ),
    "server_deleted": Explanation(
        "Packets of a connection whose real server was deleted are dropped, although the connection is "
        "still in the table; weight 0 keeps them going and only stops new ones.",
        "`ipvsadm -L -n -c` on d shows connections with {rip}, which `ipvsadm -L -n` no longer lists.",
        _NEW,
    ),
    "no_ftp_helper": Explanation(
        "An ftp server names its own address in the control connection; without the helper the director "
        "does not rewrite it, and clients try to reach a private address.",
        "In a capture on the client, the reply 227 names a private address; `ps` on d shows --no-ftp-helper.",
        "docs/director.md#5-the-decision-carried-out",
    ),
    "ports_apart": Explanation(
        "Each service has its own persistence: a customer's two ports are scheduled separately, and reach "
        "the same server only by chance.",
        "`ipvsadm -L -n -c` on d: two templates of one customer with different servers.",
        _NEW,
    ),
    "checksum_offload": Explanation(
        "With tx offload a kernel leaves checksums to the network card; a virtual one computes none, and "
        "where packets are handled as bytes, the receiver discards them. Ping works: the kernel computes "
        "ICMP's.",
        "`nstat -az TcpInCsumErrors` grows on the receivers; `ethtool -k` shows tx-checksumming on at the "
        "sender.",
        "labs/vs_{method}/README.md#the-real-server",
    ),
    "ip_forward": Explanation(
        "The director's process rewrites packets; with ip_forward=1 its kernel also forwards the same "
        "packets unchanged, and clients reset connections from a real server's address.",
        "A capture on r0 has every reply twice, from {vip} and from a real server; `sysctl "
        "net.ipv4.ip_forward` on d is 1.",
        "labs/vs_nat/README.md#the-director",
    ),
    "port_remapped": Explanation(
        "VS-TUN and VS-DR do not change the port: a request arrives at the VIP's port, whatever port the "
        "rule names, and is refused if no program listens there.",
        "`ss -ltn` on {server}: its httpd listens on port 8000 only.",
    ),
    "frozen": Explanation(
        "A stopped process (SIGSTOP) still has its listening socket: the kernel completes handshakes "
        "for it, but nothing answers the request.",
        "`ps -o stat,cmd -C nginx` on {server} shows the state T; a capture has the handshake and the "
        "request, and no reply.",
    ),
    "wrong_netmask": Explanation(
        "With a netmask shorter than /32 on lo, a host treats all addresses of that network as its own, and "
        "packets to its neighbours there never leave it.",
        "`ip addr show lo` on {server} shows {vip}/24, and `ip route get {dip}` leads to lo.",
    ),
    "duplicate_address": Explanation(
        "Two hosts with the same address both answer ARP for it, and each neighbour sends to the one whose "
        "reply it has stored: packets for one host reach the other.",
        "`tcpdump -eni any arp` while a neighbour asks for {rip}: two MAC addresses reply.",
        _ARP,
    ),
    "wrong_neighbour": Explanation(
        "A host never verifies a static neighbour entry: it keeps the MAC address of a host that has been "
        "replaced, and packets go to a network card that no longer exists.",
        "`ip neigh` on the host before the loss shows a PERMANENT entry with a MAC address that no card has.",
        _ARP,
    ),
    "dad_failed": Explanation(
        "Before a host uses an IPv6 address on a segment, it asks whether a neighbour has it. If one "
        "answers, the address stays dadfailed, and the host drops packets to it. On lo it does not ask.",
        "`ip -6 addr show to {vip}` on {server}: it is on {interface}, and dadfailed.",
        _ARP,
    ),
    "router_flag_lost": Explanation(
        "A host that gets a neighbour advertisement from its router without the router flag deletes the "
        "default route that it has learnt from it (RFC 4861, 7.2.5), until the next router advertisement.",
        "`tcpdump -tvni r0-eth1 icmp6` on r0: an advertisement about its own address without `router` "
        "among the flags, after which `ip -6 route show default` on a real server is empty.",
        _ARP,
    ),
    "packet_too_big_filtered": Explanation(
        "A tunnel over IPv6 leaves 1460 bytes of 1500; senders learn that from ICMPv6 'packet too big', and "
        "without it they keep sending packets that are too long.",
        "`tcpdump -ni any 'icmp6 and ip6[40] == 2'`, host by host: the message is seen before the packet "
        "filter (`nft list ruleset`) and not after it.",
    ),
    "small_mtu": Explanation(
        "A cable whose MTU is smaller than its neighbours' drops long packets, and within a segment no ICMP "
        "message reports it: small requests work, long replies hang.",
        "`ping -M do -s 1472` along the path, hop by hop, and `ip link`: one interface has a smaller MTU.",
    ),
    "table_full": Explanation(
        "The director enters each connection in its table; when the table is full, it drops the first packet "
        "of every new connection until others expire.",
        "`ipvsadm -L -n -c` on d counts as many entries as `--conn-limit` in start.sh allows.",
        _NEW,
    ),
}


def explanation(solution: Solution, variant: Variant) -> Explanation:
    """The explanation of an exercise's cause, with the student's facts."""
    found = KNOWN.get(solution.cause) or Explanation(
        _first_sentence(solution.cause), "See the evidence that is accepted."
    )
    filled = map(variant.filled, (found.means, found.settled, found.lesson))
    return Explanation(*filled)


def _first_sentence(cause: str) -> str:
    module = importlib.import_module(f"doctor.causes.{cause}")
    return (inspect.getdoc(module) or cause).partition("\n\n")[0].replace("\n", " ")
