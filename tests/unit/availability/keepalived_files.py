"""Files in the syntax of keepalived.conf, all of which the real program accepts (test_keepalived.py)."""

from __future__ import annotations

from pathlib import Path

import availability

WEB = (Path(availability.__file__).parent / "example.conf").read_text()

OLD_STYLE = """\
# As files of ten years ago are written.
global_defs {
   notification_email {
     admin@example.com
     second@example.com
   }
   notification_email_from director@example.com
   smtp_server 192.0.2.25
   smtp_connect_timeout 30
   router_id LVS_MAIN
}
virtual_server 203.0.113.1 443
{
    delay_loop 6
    lb_algo rr
    lb_kind DR
    persistence_timeout 50
    persistence_granularity 255.255.255.0
    protocol TCP
    sorry_server 192.0.2.9 443
    real_server 192.0.2.2 443 { weight 1
        SSL_GET {
            url {
              path /index.html
              digest ff20ad2481f97b1754ef3e12ecd3a9cc
            }
            url {
              path "/second.html"
            }
            connect_timeout 3
            retry 3
            delay_before_retry 3
        } }
}
"""

EVERY_CHECK = """\
global_defs {
    enable_script_security
    script_user root
    rs_init_notifies
    lvs_timeouts tcp 900 udp 300
}
virtual_server_group many {
    203.0.113.1 80
    203.0.113.2-4 80
    203.0.113.6-203.0.113.7 80
    203.0.113.8/31 80
}
virtual_server group many {
    protocol TCP
    lvs_sched sh
    sh-port
    lvs_method TUN
    alpha
    omega
    quorum 3
    hysteresis 1
    quorum_up "/bin/echo 'quorum is' up"
    quorum_down "/bin/echo down" root root
    inhibit_on_failure
    virtualhost www.example.com
    delay_loop 1.5
    real_server 192.0.2.2 80 {
        weight 2
        uthreshold 100
        lthreshold 80
        notify_up "/bin/echo up"
        notify_down "/bin/echo down"
        HTTP_GET {
            http_protocol 1.1
            fast_recovery
            url {
                path /a
                status_code 200-299 304 404
                regex "^work(s|ed)"
                regex_options caseless multiline
                regex_min_offset 2
                regex_max_offset 100
            }
            url {
                path /b
                virtualhost other.example.com
                regex error
                regex_no_match
            }
        }
        MISC_CHECK {
            misc_path "/bin/sh -c 'exit 0'"
            misc_timeout 2
            misc_dynamic
            user root
        }
    }
    real_server 192.0.2.3 80 {
        warmup 0
        SMTP_CHECK {
            helo_name lb.example.com
            connect_port 25
        }
        DNS_CHECK {
            connect_port 53
            type A
            name www.example.com
        }
        UDP_CHECK {
            connect_ip 192.0.2.33
            payload Ab12f 3 456
            require_reply 0X 12
            min_reply_length 2
            max_reply_length 20
            log_all_failures
        }
        PING_CHECK {
            bindto 192.0.2.1
            bind_if lo
            fwmark 9
            retry 4
        }
    }
}
virtual_server fwmark 8 {
    lvs_sched rr
    lvs_method DR
    delay_loop 2
    real_server 192.0.2.2 {
        TCP_CHECK {
            connect_port 80
        }
    }
}
"""

PARAMETERS = """\
$NET=192.0.2
$SERVER= \\
    real_server ${NET}.${NUMBER} 53 { \\
        weight $NUMBER \\
        DNS_CHECK { \\
            name example.com \\
        } \\
    }
virtual_server 203.0.113.1 53 {
    protocol UDP
    lvs_method NAT
    ops
    @main lvs_sched wlc
    @^main lvs_sched lc
    delay_loop 1
    $NUMBER=2
    $SERVER
    $NUMBER=3
    $SERVER
}
"""

ROUTERS = """\
global_defs {
    vrrp_version 3
    lvs_sync_daemon eth0 inst first id 5 maxlen 1472 port 8848 ttl 1 group 224.0.0.81
    enable_script_security
    script_user root
}
vrrp_instance first {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    nopreempt
    notify_master "/bin/echo master"
    track_interface {
        eth1
    }
    virtual_ipaddress {
        203.0.113.1/32 dev eth0
    }
}
vrrp_instance second {
    state BACKUP
    interface eth0
    virtual_router_id 52
    advert_int 0.1
    virtual_ipaddress {
        203.0.113.2/24 brd 203.0.113.255 dev eth0 scope link label eth0:second
    }
}
vrrp_sync_group both {
    group {
        first
        second
    }
}
virtual_server 203.0.113.1 80 {
    protocol TCP
    lvs_sched wlc
    lvs_method DR
    real_server 192.0.2.2 80 {
        TCP_CHECK {
        }
    }
}
"""

TRACKED = """\
global_defs {
    enable_script_security
    script_user root
}
vrrp_script web {
    script "/bin/sh -c 'exit 0'"
    interval 2
    timeout 1
    weight -20
    fall 3
    rise 2
    user root
}
vrrp_script drained {
    script "/bin/false"
    init_fail
}
vrrp_instance one {
    interface eth0
    virtual_router_id 51
    priority 100
    track_interface {
        eth1 weight 30
    }
    track_script {
        web
        drained weight 0 reverse
    }
    virtual_ipaddress {
        203.0.113.1/32 dev eth0
    }
}
vrrp_instance two {
    interface eth0
    virtual_router_id 52
    virtual_ipaddress {
        203.0.113.2/32 dev eth0
    }
}
vrrp_instance three {
    interface eth0
    virtual_router_id 53
    virtual_ipaddress {
        203.0.113.3/32 dev eth0
    }
}
vrrp_sync_group both {
    group {
        two
        three
    }
    track_interface {
        eth1
    }
    track_script {
        web weight 0
    }
}
"""

# As Debian's package comes, but for vrrp_strict and intervals of 0.
SAMPLE = """\
global_defs {
   notification_email {
     root@example.com
   }
   notification_email_from root@example.com
   smtp_server 192.0.2.25
   smtp_connect_timeout 30
   router_id LVS_DEVEL
   vrrp_skip_check_adv_addr
   vrrp_garp_lower_prio_delay 10
   vrrp_priority -10
   checker_priority 5
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        203.0.113.16
        203.0.113.17
    }
}
"""

IPV6 = """\
global_defs {
    vrrp_mcast_group6 ff02::12
}
vrrp_instance six {
    interface eth0
    virtual_router_id 56
    version 3
    priority 100
    advert_int 0.2
    native_ipv6
    virtual_ipaddress {
        fe80::51/64
        2001:db8:cb00:71::1/128
    }
    virtual_ipaddress_excluded {
        203.0.113.1/32
    }
}
vrrp_instance four {
    interface eth0
    virtual_router_id 56
    virtual_ipaddress {
        203.0.113.4
    }
}
virtual_server_group many {
    2001:db8:cb00:71::1 80
    2001:db8:cb00:71::10-12 80
}
virtual_server group many {
    lvs_sched rr
    lvs_method DR
    protocol TCP
    persistence_timeout 300
    persistence_granularity 64
    real_server 2001:db8:cb00:71::11 80 {
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            bindto 2001:db8:cb00:71::2
        }
    }
}
virtual_server fwmark 7 {
    ip_family inet6
    lvs_sched rr
    lvs_method TUN
    sorry_server 2001:db8:cb00:71::13
    real_server 2001:db8:cb00:71::12 {
        PING_CHECK {
        }
    }
}
"""

VIRTUAL_MAC = """\
global_defs {
    enable_script_security
    script_user root
}
vrrp_instance first {
    interface eth0
    use_vmac
    virtual_router_id 51
    virtual_ipaddress {
        203.0.113.1/32
    }
}
vrrp_instance second {
    interface eth0
    use_vmac own0 02:00:00:00:00:52
    vmac_xmit_base
    version 3
    virtual_router_id 52
    virtual_ipaddress {
        2001:db8:cb00:71::1/128
    }
}
"""

# As files in the wild are written: braces without spaces, port 0 for every port, small letters.
TIGHT = """\
virtual_server_group every{
    203.0.113.1 0
    203.0.113.2 0
}
virtual_server group every{
    lvs_sched wlc
    lvs_method DR
    protocol tcp
    persistence_timeout 60
    sorry_server 192.0.2.9 0
    real_server 192.0.2.2 0{
        PING_CHECK{}
    }
}
virtual_server fwmark 1 {
    lvs_sched wlc
    lvs_method DR
    real_server 192.0.2.2 0 {
        TCP_CHECK {connect_port 80}
    }
}
virtual_server 203.0.113.3 80{lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server 192.0.2.2 0 {weight 2}
    real_server 192.0.2.3 80 {DNS_CHECK{type txt
            name example.com}
        HTTP_GET{http_protocol 1.0c
            url{path /}}}}
vrrp_instance one{
    state MASTER
    interface eth0
    virtual_router_id 51
    track_interface{eth1}
    virtual_ipaddress{203.0.113.1}
}
"""

FILES = {
    "web": WEB,
    "old_style": OLD_STYLE,
    "every_check": EVERY_CHECK,
    "parameters": PARAMETERS,
    "routers": ROUTERS,
    "tracked": TRACKED,
    "virtual_mac": VIRTUAL_MAC,
    "sample": SAMPLE,
    "ipv6": IPV6,
    "tight": TIGHT,
}
