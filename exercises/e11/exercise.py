"""All three methods: everything works; who takes a break loses the connection."""

from __future__ import annotations

from classroom.checks.conversations import begun, patience, silence_survived
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Who stops to think is thrown out",
    methods=("nat", "tun", "dr"),
    checks=(begun, silence_survived, patience),
)
