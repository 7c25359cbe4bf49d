"""What a director remembers of its clients: where their connections go, and where new ones have to."""

from __future__ import annotations

from typing import NamedTuple

from director.core.persistence import Templates
from director.core.table import Table


class Tables(NamedTuple):
    connections: Table
    templates: Templates
