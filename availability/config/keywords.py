"""The keywords of keepalived.conf as a table: where each belongs, its values, and what it does here.

Block by block: a keyword (other spellings behind slashes), the form of its values (values.py), and what it
does. REFUSED has, for each block, keywords of keepalived 2.2.7 that are not supported, by the reason why.
docs/keepalived.md has both tables; a test compares them. Everything else in a file is not a keyword.
Sources: keepalived.conf(5), and keepalived's own answers to `keepalived -t`.
"""

from __future__ import annotations

from dataclasses import dataclass

_TIMES = """
    alpha                        bool               the server counts as down until a check succeeds
    connect_timeout              seconds            after this long a check has failed (5)
    retry                        number 1..         further attempts before a server is down (1; DNS_CHECK 3)
    delay_before_retry           seconds 0..        between two attempts (1; HTTP_GET and SSL_GET 3)
    warmup                       seconds 0..        the first check starts within this time (delay_loop)
    delay_loop                   seconds            between two checks (60)
"""
_SERVERS = (
    _TIMES
    + """
    inhibit_on_failure           bool               a server that is down gets weight 0, and keeps its rule
    virtualhost                  text               the Host of http requests
    smtp_alert                   bool               send mail when the state changes
"""
)
_CONNECTION = """
    connect_ip                   address            the address to connect to (the server's)
    connect_port                 number 1..65535    the port to connect to (the server's)
    bindto                       address            the source address
    bind_if                      word               the interface
    bind_port                    number 1..65535    the source port
    fwmark                       number 1..4294967295  a mark on the check's own packets
"""
_LOG = """
    log_all_failures             bool               every failed check is an event, not only a change of state
"""
_CHECK = _CONNECTION + _TIMES + _LOG
_HTTP = (
    _CHECK
    + """
    nb_get_retry                 number 1..         an older name of retry
    url                          block              a page to fetch; all of them must be right
    http_protocol                one 1.0|1.0C|1.1   the protocol's version (1.0)
    fast_recovery                bool               no delay_loop between the pages while the server is down
"""
)
_NOTIFIED = """
    notify_master                script             run on becoming master
    notify_backup                script             run on becoming backup
    notify_fault                 script             run on a fault
    notify_stop                  script             run at the end
    notify                       script             run on every change, with type, name, state and priority
"""
_TRACKING = """
    track_interface              list               further interfaces: NAME [weight NUMBER [reverse]];
                                                    without a weight, a failure is a fault
    track_script                 list               scripts: NAME [weight NUMBER [reverse]] (the weight
                                                    in vrrp_script)
"""

_BLOCKS = {
    "": """
    global_defs                  block              settings for all servers
    virtual_server               block              a virtual service: ADDRESS [PORT] (none or 0: all ports),
                                                    fwmark MARK or group NAME
    virtual_server_group         list               services that share their real servers: a list of
                                                    ADDRESS[-ADDRESS|/BITS] PORT and fwmark MARK
    vrrp_instance                block              a virtual router
    vrrp_sync_group              block              virtual routers that change state together
    vrrp_script                  block              a program that is run at intervals, for track_script
    """,
    "global_defs": """
    router_id                    text               the director's name, in mail
    notification_email           list               who gets mail about changes of state
    notification_email_from      text               its sender
    smtp_server                  words              host and port (25)
    smtp_helo_name               text               the name in HELO
    smtp_connect_timeout         seconds            time limit for sending mail (30)
    smtp_alert                   bool               mail is sent unless a server says otherwise
    smtp_alert_checker           bool               as smtp_alert
    no_checker_emails            flag               no mail about real servers
    script_user                  user               who runs scripts (keepalived_script, or else root)
    enable_script_security       flag               refuse scripts that a user other than root could change
    rs_init_notifies             flag               notify_up runs at the start, too
    checker_log_all_failures     bool               every failed check is an event
    lvs_timeouts                 words              tcp, tcpfin and udp with seconds, as ipvsadm --set
    lvs_flush                    flag               all rules are removed at the start
    lvs_sync_daemon              words              interface, [inst] INSTANCE, id, maxlen, port, ttl, group
    vrrp_version                 one 2|3            version of VRRP (2)
    vrrp_mcast_group4            group4             where advertisements go (224.0.0.18)
    vrrp_mcast_group6            group6             where IPv6 advertisements go (ff02::12)
    vrrp_garp_master_delay       seconds 0..        until gratuitous ARP is sent again (5; 0: never)
    vrrp_garp_master_repeat      number 1..         gratuitous ARP requests at a time (5)
    vrrp_garp_master_refresh     seconds 0..        between further requests (0: none)
    vrrp_garp_master_refresh_repeat  number 1..     how many at a time then (1)
    vrrp_garp_lower_prio_delay   seconds 0..        as vrrp_garp_master_delay, after an advertisement of lower
                                                    priority (vrrp_garp_master_delay)
    vrrp_garp_lower_prio_repeat  number 0..         as vrrp_garp_master_repeat, which is its default
    vrrp_skip_check_adv_addr     flag               addresses are checked all the same, at no cost here
    vrrp_priority                number -20..19     the nice value of lvs-vrrp
    vrrp_rt_priority             number 1..99       lvs-vrrp runs before all ordinary programs (SCHED_RR)
    checker_priority             number -20..19     the nice value of lvs-monitor
    checker_rt_priority          number 1..99       lvs-monitor runs before all ordinary programs (SCHED_RR)
    """,
    "virtual_server": _SERVERS + """
    lvs_sched/lb_algo            word               the scheduler (wlc)
    lvs_method/lb_kind           one NAT|TUN|DR     the forwarding method (NAT)
    protocol                     one TCP|UDP        needed, except for a firewall mark
    persistence_timeout          number? 1..2678400 seconds a client keeps its server (360)
    persistence_granularity      mask               clients that are the same under this mask, or for IPv6
                                                    prefix length, count as one
    ops                          flag               each packet is scheduled (UDP)
    sh-port                      flag               the scheduler's flag
    sh-fallback                  flag               the scheduler's flag
    mh-port                      flag               the scheduler's flag
    mh-fallback                  flag               the scheduler's flag
    omega                        flag               notify_down and quorum_down run at the end, too
    quorum                       number 1..         total weight of live servers that the service needs (1)
    hysteresis                   number 0..         gained this far above the quorum, lost this far below (0)
    quorum_up                    script             run when the quorum is gained
    quorum_down                  script             run when it is lost
    sorry_server                 words              address and port of a server for a lost quorum
    sorry_server_inhibit         flag               while unused it has weight 0, instead of no rule
    sorry_server_lvs_method      one NAT|TUN|DR     its forwarding method
    ip_family                    one inet|inet6     the family of a firewall mark's packets (that of its
                                                    real servers)
    real_server                  block              a real server: ADDRESS [PORT] (none or 0: its service's)
    """,
    "real_server": _SERVERS + """
    weight                       number 0..65535    (1)
    lvs_method                   one NAT|TUN|DR     its forwarding method
    uthreshold                   number 0..         no new connections from this number on
    lthreshold                   number 0..         ... until it has fewer than this
    notify_up                    script             run when the server is up
    notify_down                  script             run when it is down
    TCP_CHECK                    block              can be connected to
    HTTP_GET                     block              answers http requests
    SSL_GET                      block              as HTTP_GET, over TLS; certificates are not verified
    SMTP_CHECK                   block              greets and answers HELO
    DNS_CHECK                    block              answers a query over UDP without an error
    UDP_CHECK                    block              no ICMP error comes back
    PING_CHECK                   block              answers ping
    MISC_CHECK                   block              a program exits with 0, as mon's monitors do
    """,
    "TCP_CHECK": _CHECK,
    "HTTP_GET": _HTTP,
    "SSL_GET": _HTTP + """
    enable_sni                   flag               send the virtualhost's name in the handshake
    """,
    "url": """
    path                         text               (/)
    digest                       word               MD5 of the page, as genhash(1) prints it
    status_code                  words              codes and ranges (200-299)
    virtualhost                  text               the Host of this request
    regex                        text               a regular expression that the page must match
    regex_no_match               flag               ... must not match
    regex_options                words              caseless, multiline, dotall, extended
    regex_min_offset             number 0..         where in the page to begin
    regex_max_offset             number 1..         where a match begins at the latest
    """,
    "SMTP_CHECK": _CHECK + """
    helo_name                    text               the name in HELO
    """,
    "DNS_CHECK": _CHECK + """
    type                         one A|NS|CNAME|SOA|MX|TXT|AAAA  the type of record to ask for (SOA)
    name                         word               the name to ask for (.)
    """,
    "UDP_CHECK": _CHECK + """
    payload                      words              what to send, in hexadecimal (a few random bytes)
    require_reply                words              a reply must come, and begin like this; x is any digit
    min_reply_length             number 0..         its smallest length, if bytes of it are given
    max_reply_length             number 0..         its largest length (255), if bytes of it are given
    """,
    "PING_CHECK": _CHECK,
    "MISC_CHECK": """
    misc_path                    text               the program and its arguments, in quotation marks
    misc_timeout                 number 1..         seconds after which it has failed (delay_loop)
    misc_dynamic                 flag               exit code 2 to 255: alive, and the weight plus 2
    user                         user               who runs it
    alpha                        bool               as above
    retry                        number 1..         as above (0)
    delay_before_retry           seconds 0..        as above
    warmup                       seconds 0..        as above
    delay_loop                   seconds            as above
    """ + _LOG,
    "vrrp_instance": _NOTIFIED + _TRACKING + """
    state                        one MASTER|BACKUP  the first state
    interface                    word               the interface for advertisements
    virtual_router_id            number 1..255      the virtual router
    priority                     number 1..255      (100; with state MASTER 255, the owner of the addresses)
    advert_int                   seconds            between advertisements (1)
    version                      one 2|3            (vrrp_version)
    preempt                      flag               take over from a master of lower priority (the default)
    nopreempt                    flag               ... or not, which needs state BACKUP
    preempt_delay                seconds 0..1000    ... after this long, which needs state BACKUP, too
    down_timer_adverts           number 1..100      advertisements that may be missed (3)
    virtual_ipaddress            list               its addresses: ADDRESS[/BITS] [brd ADDRESS] [dev NAME]
                                                    [scope SCOPE] [label NAME]
    virtual_ipaddress_excluded   list               as virtual_ipaddress, but not advertised
    authentication               block              of version 2
    mcast_src_ip                 address            the source of advertisements
    garp_master_delay            seconds 0..        as in global_defs
    garp_master_repeat           number 1..         as in global_defs
    garp_master_refresh          seconds 0..        as in global_defs
    garp_master_refresh_repeat   number 1..         as in global_defs
    garp_lower_prio_delay        seconds 0..        as in global_defs
    garp_lower_prio_repeat       number 0..         as in global_defs
    skip_check_adv_addr          flag               as vrrp_skip_check_adv_addr
    dont_track_primary           flag               its own interface is not watched
    native_ipv6                  flag               its addresses are IPv6 (the first of them shows that, too)
    use_vmac                     words              [NAME] [MAC]: its addresses are on an interface of their
                                                    own (vrrp.ID) with the virtual router's MAC address
    vmac_xmit_base               flag               ... but advertisements have the interface's MAC address
    """,
    "authentication": """
    auth_type                    one PASS           a password in the clear
    auth_pass                    word               its first 8 characters count
    """,
    "vrrp_sync_group": _NOTIFIED + """
    group                        list               the instances
    track_interface              list               as in vrrp_instance, for all of them, without a weight
    track_script                 list               as in vrrp_instance, for all of them, with weight 0
    """,
    "vrrp_script": """
    script                       text               the program and its arguments, in quotation marks;
                                                    exit code 0 means success
    interval                     number 1..4294     seconds from one start to the next (1)
    timeout                      number 1..4294     seconds after which it has failed (interval)
    weight                       weight             NUMBER [reverse]: with 0 a failure is a fault, any
                                                    other number changes the priority (0)
    fall                         number 1..         failures in a row until it is down (1)
    rise                         number 1..         successes in a row until it is up (1)
    user                         user               who runs it
    init_fail                    flag               it is down until it has succeeded
    """,
}  # fmt: skip

_NAMESPACE = "run the monitor in the namespace instead, with ip netns exec"
_SCHEDULING = "start the monitor with nice, chrt or taskset instead"
_ONE_PROCESS = "there is one process, without its own name or files"
_BUFFERS = "buffers have the kernel's sizes"
_SNMP = "there is no SNMP and no D-Bus"
_FIFO = "changes of state are events (--events) instead of lines in a FIFO"
_FIREWALL = "no firewall rules are made"
_STATIC = "addresses, routes and rules are left to the system"
_TRACKED = "files, processes and BFD are not tracked"
_UNICAST = "advertisements are sent by multicast only"
_UNSPACED = "gratuitous ARP is not spaced out (and 0, as in older samples, is refused by keepalived 2.2.7)"

REFUSED = {
    "": {
        _NAMESPACE: "net_namespace net_namespace_ipvs namespace_with_ipsets",
        _ONE_PROCESS: "instance use_pid_dir child_wait_time",
        _STATIC: "static_ipaddress static_routes static_rules track_group",
        _TRACKED: "track_file vrrp_track_file vrrp_track_process bfd_instance",
        "interfaces are watched by netlink": "linkbeat_use_polling linkbeat_interfaces "
        "interface_up_down_delays",
        "gratuitous ARP is not spaced out": "garp_group",
        "certificates are not verified": "SSL",
    },
    "global_defs": {
        _ONE_PROCESS: "process_names process_name vrrp_process_name checker_process_name lvs_process_name "
        "bfd_process_name tmp_config_directory config_save_dir umask random_seed data_use_instance",
        "SIGHUP reloads, after the whole file has been checked": "reload_check_config reload_time_file "
        "reload_repeat reload_file include_check",
        "start the monitor from a script instead": "startup_script startup_script_timeout shutdown_script "
        "shutdown_script_timeout",
        _SCHEDULING: "max_auto_priority min_auto_priority_delay bfd_priority "
        "vrrp_no_swap checker_no_swap bfd_no_swap bfd_rt_priority "
        "vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity vrrp_rlimit_rttime checker_rlimit_rttime "
        "bfd_rlimit_rttime vrrp_rlimit_rtime checker_rlimit_rtime bfd_rlimit_rtime",
        _SNMP: "snmp_socket enable_traps enable_snmp_vrrp enable_snmp_keepalived enable_snmp_rfc "
        "enable_snmp_rfcv2 enable_snmp_rfcv3 enable_snmp_checker enable_dbus dbus_service_name",
        _FIFO: "notify_fifo notify_fifo_script vrrp_notify_fifo vrrp_notify_fifo_script lvs_notify_fifo "
        "lvs_notify_fifo_script vrrp_notify_priority_changes fifo_write_vrrp_states_on_reload",
        _BUFFERS: "vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs "
        "vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force "
        "lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs "
        "process_monitor_rcv_bufs_force vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier",
        _FIREWALL: "vrrp_iptables vrrp_ipsets nftables nftables_priority nftables_ifindex nftables_counters "
        "nftables_ipvs nftables_ipvs_priority nftables_ipvs_start_fwmark disable_local_igmp",
        _UNICAST: "vrrp_check_unicast_src",
        "it makes keepalived drop packets for the VIP, unless the priority is 255": "vrrp_strict",
        _UNSPACED: "vrrp_garp_interval vrrp_gna_interval",
        "settings that differ from VRRP's defaults go into vrrp_instance": "vrrp_min_garp vrrp_garp_extra_if "
        "vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_down_timer_adverts "
        "vrrp_startup_delay dynamic_interfaces default_interface "
        "log_unknown_vrids vmac_prefix vmac_addr_prefix",
        "mail is about real servers only": "smtp_alert_vrrp no_email_faults",
        "the monitor always removes its own rules at the end": "lvs_flush_on_stop lvs_flush_onstop",
    },
    "virtual_server": {
        "a server is checked even while this director does not own the VIP": "ha_suspend",
        "there are no persistence engines": "persistence_engine",
        "say sh-port, sh-fallback, mh-port or mh-fallback": "flag-1 flag-2 flag-3 hashed",
        _SNMP: "snmp_name",
    },
    "real_server": {_TRACKED: "FILE_CHECK BFD_CHECK", _SNMP: "snmp_name"},
    "SMTP_CHECK": {"say connect_ip, connect_port and bindto without it": "host"},
    "url": {"Python's regular expressions have no such stack": "regex_stack"},
    "vrrp_instance": {
        _UNICAST: "unicast_peer unicast_src_ip unicast_ttl unicast_fault_no_peer check_unicast_src "
        "old_unicast_checksum",
        _TRACKED: "track_file track_process track_bfd track_src_ip",
        _STATIC: "virtual_routes virtual_rules promote_secondaries vrf linkbeat_use_polling",
        _BUFFERS: "kernel_rx_buf_size",
        _FIREWALL: "accept no_accept",
        _FIFO: "notify_priority_changes notify_master_rx_lower_pri notify_deleted",
        "say lvs_sync_daemon in global_defs": "lvs_sync_daemon_interface",
        "use_vmac is for addresses on the instance's own interface": "use_vmac_addr",
        "say use_vmac": "use_ipvlan",
        "mail is about real servers only": "smtp_alert",
        "a master answers lower priorities at once, as in the RFC": "lower_prio_no_advert "
        "higher_prio_send_advert garp_extra_if mcast_dst_ip debug",
        "it makes keepalived drop packets for the VIP, unless the priority is 255": "strict_mode",
    },
    "vrrp_sync_group": {
        _TRACKED: "track_file track_process track_bfd",
        "in a sync group, weights are not supported": "sync_group_tracking_weight global_tracking",
        _FIFO: "notify_priority_changes",
        "mail is about real servers only": "smtp_alert",
    },
}


@dataclass(frozen=True, slots=True)
class Keyword:
    """A supported keyword: the form of its values with a range or choices, and what it does."""

    names: tuple[str, ...]
    form: str
    choices: str
    meaning: str

    @property
    def name(self) -> str:
        return self.names[0]


def _rows(text: str) -> list[Keyword]:
    """A line that begins far to the right continues the one before it."""
    rows: list[Keyword] = []
    for line in text.splitlines():
        if line.startswith(" " * 40):
            last = rows.pop()
            rows.append(Keyword(last.names, last.form, last.choices, f"{last.meaning} {line.strip()}"))
        elif line.strip():
            names, form, *rest = line.split()
            takes = len(rest) and form in ("number", "number?", "one", "seconds") and _is_range(form, rest[0])
            choices = rest.pop(0) if takes else ""
            rows.append(Keyword(tuple(names.split("/")), form, choices, " ".join(rest)))
    return rows


def _is_range(form: str, word: str) -> bool:
    return form == "one" or ".." in word


TABLE = {block: _rows(text) for block, text in _BLOCKS.items()}
KEYWORDS = {
    block: {name: keyword for keyword in keywords for name in keyword.names}
    for block, keywords in TABLE.items()
}


def why_refused(block: str, word: str) -> str | None:
    """Why a keyword of keepalived is not supported here; None if keepalived does not have it."""
    reasons = REFUSED.get(block, {})
    return next((reason for reason, words in reasons.items() if word in words.split()), None)
