"""The options of a comparison, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from compare.command import settings_of
from compare.options import CompareOptions
from compare.settings import Settings, counts_up_to
from labs.errors import BadRequest
from labs.run.options import from_words, signature_of

TYPED: dict[str, Any] = {
    name: parameter.default
    for name, parameter in signature_of(CompareOptions).parameters.items()
    if name != "context"
}


def typed(**words: Any) -> Settings:
    """The settings from options as they are typed."""
    return settings_of(from_words(CompareOptions, {**TYPED, **words}))


def test_counts_end_with_the_requested_number() -> None:
    assert counts_up_to(50, quick=False) == (1, 2, 5, 10, 20, 50)
    assert counts_up_to(30, quick=False) == (1, 2, 5, 10, 20, 30)
    assert counts_up_to(200, quick=False)[-2:] == (100, 200)
    assert counts_up_to(1, quick=True) == (1,)


def test_the_default_is_everything_up_to_fifty() -> None:
    settings = typed()
    assert settings == Settings()
    assert max(settings.counts) == 50
    assert max(typed(quick=True).counts) == 20


def test_the_directors_link_is_ten_servers_links() -> None:
    settings = typed(rate="1000")
    assert settings.director_rate == 10 * settings.server_rate == 1_250_000


def test_a_comparison_is_of_one_ip_version() -> None:
    assert typed(family="6").family == 6
    with pytest.raises(BadRequest, match="compare two runs"):
        typed(family="46")


def test_dispatch_has_settings_of_its_own() -> None:
    with pytest.raises(BadRequest, match="IPv4"):
        typed(dispatch=True, family="6")
    with pytest.raises(BadRequest, match="--dispatch"):
        typed(dispatch=True, rate="200")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("servers", "0"),
        ("servers", "201"),
        ("servers", "-3"),
        ("servers", "many"),
        ("methods", "nat,lvs"),
        ("servers", "5.5"),
        ("engine", "magic"),
        ("rate", "5"),
        ("rate", "1e9"),
        ("rate", "fast"),
        ("family", "5"),
        ("family", "46"),
        ("family", "six"),
    ],
)
def test_a_bad_value_is_refused_with_its_option(option: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"--{option} "):
        typed(**{option: value})
