"""What was found out about one subject."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The words are what people see: none of them is told by colour alone."""

    OK = "ok"
    LESS = "less"  # it works in another way, or not everything does
    NO = "no"


@dataclass(frozen=True, slots=True)
class Finding:
    """`observed` is a fact; `helps` says what to do, where something can be done."""

    subject: str
    state: State
    observed: str
    helps: str = ""
