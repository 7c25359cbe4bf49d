"""A keepalived.conf for the rules that a director has: `lvs-monitor --from-rules`."""

from __future__ import annotations

from collections.abc import Iterable

from availability.config.model import Fields

_HEAD = """\
! A check for each real server of the director's present rules. A server that fails is out within 2 s.
global_defs {
    router_id lvs-director
}
"""
_SERVICE = """\

virtual_server {name} {{
    delay_loop 0.5
    connect_timeout 0.4
    retry 1
    delay_before_retry 0.3
    lvs_sched {scheduler}
    lvs_method {method}
"""
_HTTP = """\
        HTTP_GET {
            url {
                path /
                status_code 200-299
            }
        }
"""
_HTTP_PORTS = (80, 8000, 8080)
_METHODS = {"Masq": "NAT", "Local": "NAT", "Tunnel": "TUN", "Route": "DR"}  # as the listing has them
_HOST_MASKS = ("255.255.255.255", "128")


def text(services: Iterable[Fields]) -> str:
    """The file for the services in the director's list, without those that have no servers."""
    return _HEAD + "".join(_service(service) for service in services if service["servers"])


def _service(service: Fields) -> str:
    mark = service["mark"]
    name = f"fwmark {mark}" if mark else f"{service['address']} {service['port'] or ''}".rstrip()
    methods = [_METHODS[server["method"]] for server in service["servers"]]
    head = _SERVICE.format(name=name, scheduler=service["scheduler"], method=methods[0])
    options = [*([] if mark else [f"protocol {service['protocol']}"]), *service["flags"]]
    if service["persistent"]:
        options.append(f"persistence_timeout {service['persistent']}")
    if str(service["netmask"]) not in _HOST_MASKS:
        options.append(f"persistence_granularity {service['netmask']}")
    if service["one_packet"]:
        options.append("ops")
    servers = (
        _server(service, server, method if method != methods[0] else "")
        for server, method in zip(service["servers"], methods, strict=True)
    )
    return head + "".join(f"    {option}\n" for option in options) + "".join(servers) + "}\n"


def _server(service: Fields, server: Fields, method: str) -> str:
    limits = {"lvs_method": method, "uthreshold": server["upper"], "lthreshold": server["lower"]}
    lines = [f"weight {server['weight']}", *(f"{name} {value}" for name, value in limits.items() if value)]
    port = server["port"]
    endpoint = f"{server['address']} {port or ''}".rstrip()
    body = "".join(f"        {line}\n" for line in lines)
    return f"    real_server {endpoint} {{\n{body}{_check(service, port)}    }}\n"


def _check(service: Fields, port: int) -> str:
    if not port:
        return "        PING_CHECK {\n        }\n"
    if service["protocol"] == "UDP":
        kind = "DNS_CHECK" if port == 53 else "UDP_CHECK"
        return f"        {kind} {{\n        }}\n"
    is_http = {port, service["port"]} & set(_HTTP_PORTS)
    return _HTTP if is_http else "        TCP_CHECK {\n        }\n"
