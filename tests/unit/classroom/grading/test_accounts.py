"""Who has handed in a file: by the names that learning platforms give, or by folders."""

from __future__ import annotations

import pytest

from classroom.grading.accounts import Account, account_of, own_account


@pytest.mark.parametrize(
    ("file", "account"),
    [
        ("e04-ada.lvs", ()),
        ("ada/e04-ada.lvs", ("ada",)),
        ("export.zip/ada/e04-ada.lvs", ("export.zip", "ada")),
        ("eve/work.zip/ada/e04-ada.lvs", ("eve",)),
        ("Ada Lovelace_17_assignsubmission_file_/x/e04-ada.lvs", ("Ada Lovelace_17",)),
        ("all.zip/Ada Lovelace_17_assignsubmission_file_/work.zip/e04-ada.lvs", ("Ada Lovelace_17",)),
        ("Ada Lovelace_17_assignsubmission_file_e04-ada.lvs", ("Ada Lovelace_17",)),
        ("lovelaceada_LATE_17_18_e04-ada.lvs", ("lovelaceada_17",)),
        ("Week 3_ada_attempt_2026-11-20-10-00-00_e04-ada.lvs", ("ada",)),
        ("Eve_12_assignsubmission_file_/Ada_11_assignsubmission_file_/e04-ada.lvs", ("Eve_12",)),
    ],
)
def test_the_account_of_a_file(file: str, account: Account) -> None:
    assert account_of(file) == account


@pytest.mark.parametrize(
    ("accounts", "student", "own"),
    [
        ([("ada",), ("eve",)], "ada", ("ada",)),
        ([("ada",), ("eve",)], "ADA", ("ada",)),
        ([("Ada Lovelace_17",), ("Eve_12",)], "ada.lovelace", ("Ada Lovelace_17",)),
        ([("Ada Lovelace_17",), ("Eve_12",)], "17", None),
        ([("17",), ("12",)], "17", ("17",)),
        ([("Ada Lovelace_17",), ("Ada Byron_18",)], "ada", None),
        ([("ada-2",), ("eve",)], "ada-1", None),
        ([("all.zip", "ada"), ("all.zip", "eve")], "ada", ("all.zip", "ada")),
        ([("eve.zip", "ada"), ("lovelace",)], "ada", None),
        ([("ada",), ("ada", "new")], "ada", None),
        ([(), ("ada",)], "ada", ("ada",)),
    ],
)
def test_the_account_that_is_the_students_own(
    accounts: list[Account], student: str, own: Account | None
) -> None:
    assert own_account(accounts, student) == own
