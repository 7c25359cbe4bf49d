"""Its httpd listens on port 80 again, or its kernel takes port 80 there."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

_FOLDER = "../../servers/{server}"
_LISTEN = (
    f"sed -i 's/listen 8000;/listen 80;/' {_FOLDER}/nginx.conf",
    f"nginx -p {_FOLDER}/ -c nginx.conf -s stop",
    f"while [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done",
    f"setsid nginx -p {_FOLDER}/ -c nginx.conf > /dev/null 2>&1 &",
    f"until [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done",
)
_REDIRECT = (
    "nft add table ip nat",
    "nft add chain ip nat prerouting '{ type nat hook prerouting priority -100; }'",
    "nft add rule ip nat prerouting ip daddr {vip} tcp dport 80 redirect to :8000",
)

SOLUTIONS = tuple(
    Solution(
        cause="port_remapped",
        host=SERVER,
        evidence=("listening", "capture"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, commands),),
    )
    for commands in (_LISTEN, _REDIRECT, _LISTEN)
)
