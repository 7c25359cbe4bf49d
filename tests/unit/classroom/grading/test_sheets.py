"""An exercise on paper: a sheet for each student, and the solution for the teacher."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from classroom import catalogue
from classroom.grading.sheets import handout, solution, solution_text
from classroom.variants import variant_for
from labs.errors import BadRequest
from labs.wait import patient

CHROMIUM = shutil.which("chromium")
STUDENTS = [f"s{number}" for number in range(3)]
_SHEET = re.compile(r'<section class="sheet">')


@pytest.mark.parametrize("name", catalogue.names())
def test_a_handout_has_a_sheet_for_each_student_and_no_answers(name: str, tmp_path: Path) -> None:
    assert handout(name, ",".join(STUDENTS), str(tmp_path / "x.html")) == 0
    page = (tmp_path / "x.html").read_text()
    assert len(_SHEET.findall(page)) == page.count("<svg") == len(STUDENTS)
    for student in STUDENTS:
        variant = variant_for(name, student)
        assert variant.plan.vip in page
        assert f"--student {student}<" in page
        causes = {known.cause for known in catalogue.solutions(name) if "_" in known.cause}
        assert not [cause for cause in causes if cause in page]
    assert "{" not in re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL).replace(
        "{ t", ""
    )
    assert "The symptom" in page
    assert "src=" not in page  # it is one file


def test_the_handout_of_a_worksheet_does_not_fill_it_in(tmp_path: Path) -> None:
    handout("packet-table", "ada", str(tmp_path / "x.html"))
    assert ":80" not in (tmp_path / "x.html").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_every_sheet_prints_on_one_page(tmp_path: Path) -> None:
    pages = []
    for name in catalogue.names():
        handout(name, ",".join(STUDENTS), str(tmp_path / f"{name}.html"))
        pages.append((tmp_path / f"{name}.html").read_text())
    head, sheets = pages[0].partition("<body>")[0], [page.partition("<body>")[2] for page in pages]
    (tmp_path / "all.html").write_text(head + "<body>" + "".join(sheets).replace("</body>\n</html>", ""))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [str(CHROMIUM), *options, f"--print-to-pdf={tmp_path / 'all.pdf'}", str(tmp_path / "all.html")],
        capture_output=True,
        check=True,
        timeout=patient(60),
    )
    printed = re.findall(rb"/Type /Page\b(?!s)", (tmp_path / "all.pdf").read_bytes())
    assert len(printed) == len(pages) * len(STUDENTS)


@pytest.mark.parametrize("name", catalogue.names())
def test_a_solution_has_every_fault_with_its_repair(name: str) -> None:
    text = solution_text(name)
    for number, known in enumerate(catalogue.solutions(name), 1):
        if catalogue.faults(name):
            assert f"## Fault {number} of {len(catalogue.faults(name))}" in text
        assert known.cause in text
    assert text.count("**One repair**") == len(catalogue.solutions(name))
    assert not re.search(r"(?<!\$)\{(rip|vip|server|inside|interface|count)\}", text)


def test_a_students_solution_is_that_of_their_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert solution("e04", "ada", "") == 0
    shown = " ".join(capsys.readouterr().out.split())
    variant = variant_for("e04", "ada")
    assert f"Fault {(variant.number or 0) + 1} of 4" in shown
    assert f"{variant.server}# ip addr add {variant.plan.vip}/32 dev lo" in shown
    assert shown.count("Fault ") == 1
    assert solution("e04", "", str(tmp_path / "x.html")) == 0
    assert (tmp_path / "x.html").read_text().count("<h2>") == 4


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(BadRequest, match="--output /dev/null/x"):
        handout("e04", "ada", "/dev/null/x")
    with pytest.raises(BadRequest, match="choose from"):
        handout("e99", "ada", "")
    with pytest.raises(BadRequest, match="--student ''"):
        handout("e04", "ada,,bob", "")
