"""The class as JUnit's XML: a suite for each submission, a case for each part; errors were refused."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from classroom.grading.gradebook import Entry, Gradebook, Refusal
from classroom.grading.marking import Part
from classroom.grading.reports.text import points


def suites(gradebook: Gradebook) -> str:
    root = Element("testsuites", name="LVS exercises")
    for entry in gradebook.entries:
        _add(root, entry)
    if gradebook.refusals:
        _add_refused(root, gradebook.refusals)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add(root: Element, entry: Entry) -> None:
    mark = entry.mark
    name, failures = f"{mark.exercise}-{mark.student}", sum(not part.ok for part in mark.parts)
    suite = _suite(root, name, len(mark.parts), failures=failures)
    for part in mark.parts:
        case = SubElement(suite, "testcase", classname=name, name=part.name, time="0")
        if not part.ok:
            SubElement(case, "failure", message=_message(part), type="points")


def _message(part: Part) -> str:
    told = f"expected {part.expected}; observed {part.observed}"
    return "; ".join(filter(None, (points(part), told, part.why)))


def _add_refused(root: Element, refusals: tuple[Refusal, ...]) -> None:
    suite = _suite(root, "refused", len(refusals), errors=len(refusals))
    for refusal in refusals:
        case = SubElement(suite, "testcase", classname="refused", name=refusal.file, time="0")
        SubElement(case, "error", message=refusal.reason, type="refused")


def _suite(root: Element, name: str, tests: int, *, failures: int = 0, errors: int = 0) -> Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    about = {"name": name, "time": "0", **{what: str(count) for what, count in counts.items()}}
    return SubElement(root, "testsuite", about)
