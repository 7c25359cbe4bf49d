"""Property tests have no deadline for an example: on a shared machine it would fail them by chance."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
