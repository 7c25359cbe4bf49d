"""Property tests have no deadline for an example: a busy machine would fail them for no reason.

They try the same examples in every run, unless LVS_LONG is set (`./inv test --long`): then others, and more.
"""

from __future__ import annotations

from hypothesis import settings

from tests.conftest import LONG

settings.register_profile(
    "lvs", deadline=None, derandomize=not LONG, max_examples=300 if LONG else 40, print_blob=True
)
settings.load_profile("lvs")
