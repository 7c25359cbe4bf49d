"""The director started again with its helper, and its rules given to it again."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_COMMANDS = (
    "sed -i 's/ *--no-ftp-helper//' start.sh",
    "pkill -f '[d]irector --method'",
    "while pgrep -f '[d]irector --method' > /dev/null; do sleep 0.1; done",
    "setsid sh start.sh > start.log 2>&1 &",
    "until ippfvsadm -L > /dev/null 2>&1; do sleep 0.1; done",
    "sh rules.sh",
)

SOLUTIONS = tuple(
    Solution(
        cause="no_ftp_helper",
        host="d",
        evidence=("process", "capture"),
        fails=("ftp_passive", "ftp_active"),
        repairs=(Repair("d", _COMMANDS),),
    )
    for _ in range(2)
)
