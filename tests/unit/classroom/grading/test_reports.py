"""Reports are what their readers expect, whatever students have written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest

from classroom import catalogue
from classroom.grading.explanations import explanation
from classroom.grading.gradebook import Entry, Gradebook, Refusal
from classroom.grading.marking import Mark, Part, mark
from classroom.grading.reports import (
    csv_cell,
    csv_table,
    gradescope_results,
    html_page,
    junit_suites,
    text_report,
    write,
)
from classroom.model import Variant
from classroom.variants import variant_for
from labs.errors import BadRequest
from tests.unit.classroom.submissions import submission

ROOT = Path(__file__).resolve().parents[4]
RIGHT = Entry("e04-ada.lvs", mark(submission("ada"), variant_for("e04", "ada")))
EVIL = "<script>alert('x')</script>&\"=1+1"
PARTS = (
    Part("All <b>served</b>", 17, 35, EVIL, f"{EVIL} \ufffd", why="half"),
    Part("no <i>more</i>", 0, 0, "x", EVIL),
    Part("diagnosis: host", 10, 10, "rs1", "rs1", answer=True),
)
WRONG = Entry(f"{EVIL}.lvs", Mark("e04", EVIL, "=cmd|' /C calc'!A0", PARTS, 3, 5, 1, 12.5), (f"@{EVIL}",))
BOOK = Gradebook((RIGHT, WRONG), (Refusal(EVIL, f"refused {EVIL}"),))


class Tags(HTMLParser):
    """The names of all elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.seen.add(tag)


@pytest.mark.parametrize("entry", [RIGHT, WRONG])
def test_html_is_escaped(entry: Entry) -> None:
    page = html_page(entry)
    assert not Tags(page).seen & {"script", "b" if entry is WRONG and "<b>served" in page else "i"}
    assert "<script" not in page
    assert entry.mark.exercise in page


def test_the_text_report_shows_what_is_missing() -> None:
    printed = text_report(WRONG)
    assert "27 of 100 points" in printed
    assert "FAIL  17/35  All <b>served</b>" in printed
    assert "half" in printed
    assert "3 hints, 5 checks, the doctor once, in 12.5 minutes" in printed
    assert "expected" not in text_report(RIGHT)


@pytest.mark.parametrize("report", [text_report, html_page, gradescope_results])
def test_every_report_explains_the_cause_and_what_settles_it(report: Callable[..., str]) -> None:
    text = " ".join(report(RIGHT, lessons="https://example.org/lvs").split())
    assert "a host that does not have this address silently drops the packet" in text
    assert "nstat -az IpInAddrErrors" in text
    assert "https://example.org/lvs/labs/vs_" in text
    assert "labs/vs_" in report(RIGHT)
    assert "://" not in report(RIGHT)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_cause_has_an_explanation_whose_lesson_exists(name: str) -> None:
    for number, solution in enumerate(catalogue.solutions(name)):
        variant = next(variant for variant in variants(name) if (variant.number or 0) == number)
        if not solution.cause:
            continue
        about = explanation(solution, variant)
        assert len(about.means) > 40
        assert about.settled
        assert not re.search(r"[{}]", about.means + about.settled + about.lesson)
        page, _, anchor = about.lesson.partition("#")
        headings = re.findall(r"^#+ (.*)", (ROOT / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert anchor in anchors


def variants(name: str) -> Iterator[Variant]:
    return (variant_for(name, f"s{number}") for number in range(200))


@pytest.mark.parametrize("report", [text_report, html_page, gradescope_results])
def test_reports_leave_out_the_teachers_notes(report: object) -> None:
    assert callable(report)
    assert "seen elsewhere" not in report(replace(RIGHT, notes=("seen elsewhere",)))


def test_csv_has_a_line_for_each_student_and_no_formulas() -> None:
    header, ada, evil = csv.reader(StringIO(csv_table(BOOK)))
    assert header == ["student", "e04", "total", "hints", "checks", "minutes", "notes"]
    assert ada == ["ada", "100", "100", "1", "2", "10.0", ""]
    assert evil[0] == "'=cmd|' /C calc'!A0"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in (*ada, *evil))


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"])
def test_cells_are_not_formulas(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert csv_cell(f"a{text}") == f"a{text}"


def test_csv_cells_without_a_submission_are_empty() -> None:
    other = replace(RIGHT, mark=replace(RIGHT.mark, exercise="e17", student="bob"))
    rows = list(csv.reader(StringIO(csv_table(Gradebook((RIGHT, other), ())))))
    if rows[0][1:3] == ["e04", "e17"]:  # where there is an e17
        assert [row[1:4] for row in rows[1:]] == [["100", "", "100"], ["", "100", "100"]]


def test_junit_is_well_formed_and_counts() -> None:
    root = ElementTree.fromstring(junit_suites(BOOK).encode())
    assert root.tag == "testsuites"
    printed = {suite.get("name"): suite for suite in root}
    assert set(printed) == {"e04-ada", "e04-=cmd|' /C calc'!A0", "refused"}
    for suite in root:
        assert suite.get("tests") == str(len(suite))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
    assert printed["e04-ada"].get("failures") == "0"
    assert [case.get("name") for case in printed["e04-=cmd|' /C calc'!A0"]] == [part.name for part in PARTS]
    assert EVIL in str(printed["refused"][0][0].get("message"))


def test_gradescope_results() -> None:
    form = json.loads(gradescope_results(WRONG))
    assert (form["score"], form["max_score"]) == (27, 100)
    assert isinstance(form["output"], str)
    assert [set(test) for test in form["tests"]] == [
        {"name", "score", "max_score", "output", "status", "visibility"}
    ] * 3
    assert [test["status"] for test in form["tests"]] == ["failed", "failed", "passed"]
    assert [test["visibility"] for test in form["tests"]] == ["visible", "visible", "after_published"]
    assert sum(test["score"] for test in form["tests"]) == form["score"]
    whole = json.loads(gradescope_results(RIGHT))
    assert sum(test["max_score"] for test in whole["tests"]) == whole["max_score"] == whole["score"]


def test_all_reports_are_written(tmp_path: Path) -> None:
    write(Gradebook((RIGHT,), ()), tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    own = {f"e04-ada/{name}" for name in ("report.txt", "report.html", "results.json")}
    assert found == {"class.csv", "junit.xml", *own}


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "class.csv").mkdir()
    with pytest.raises(BadRequest, match="--output"):
        write(BOOK, tmp_path)
