"""What students get: all they need to do the exercises and hand in, and no answers."""

from __future__ import annotations

import io
import json
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from base64 import b64encode, b85decode
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from classroom import catalogue
from classroom.diagnosis import CAUSES
from classroom.grading.archive import _PACKAGES, FOLDER, archive, student_archive, without_answers
from classroom.keys import VARIABLE
from classroom.script_edits import edits_of
from classroom.submission import Refused, opened
from classroom.variants import variant_for
from labs.errors import BadRequest, Unable
from tests.unit.classroom.submissions import SECRET, key

ROOT = Path(__file__).resolve().parents[4]
OWN = (".git", ".venv", "runs", "__pycache__", ".*_cache", ".hypothesis", ".benchmarks")
PLAY = """
import json
import doctor.command
from classroom import catalogue, command, session
from classroom.script_edits import edits_of
from classroom.variants import variant_for
from classroom.keys import public_key
from classroom.submission import Submission, sealed
variants = {name: variant_for(name, "ada") for name in catalogue.names()}
told = {name: [dict(variant.facts), repr(edits_of(variant))] for name, variant in variants.items()}
made = Submission("e04", "ada", {}, {}, [])
print(json.dumps([catalogue.__file__, told, sealed(made, public_key())]))
"""

PACKED = re.compile(r"exec\(unpacked\(\s*'([^']+)'\s*\)\)")

TEACHERS = (
    "handed-in/e04-ada.lvs",
    "handed-in/class-list.csv",
    "handed-in/moodle-export.zip",
    "notes-for-exam.md",
    "notes.py",
    "docs/notes.md",
    "docs/teaching.md",
    "exercises/marks.csv",
    "exercises/notes.md",
    "exercises/e04/notes.md",
    "exercises/e04/notes.py",
    "labs/class-list.txt",
)

Members = Mapping[str, bytes]


def is_exercise(name: str) -> bool:
    return re.fullmatch(r"exercises/[a-z]\w*\.py", name) is not None


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without git, with files of the teacher's in it."""
    copy = tmp_path_factory.mktemp("archive") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*OWN))
    (copy / "words.txt").write_text(f"{SECRET}\n")
    (copy / "class.secret").write_text("another class's")
    for name in TEACHERS:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("the teacher's")
    (copy / "labs" / "outside.py").symlink_to("/etc/passwd")
    return copy


@pytest.fixture(scope="module")
def packed(checkout: Path) -> bytes:
    return archive(key().public_key, checkout, without=SECRET)


@pytest.fixture(scope="module")
def members(packed: bytes) -> Members:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.removeprefix(f"{FOLDER}/")] = file.read()
    return found


@pytest.fixture(scope="module")
def readable(members: Members) -> Members:
    """With packed parts unpacked, as a curious student could."""
    packed = {name: PACKED.findall(data.decode()) for name, data in members.items() if is_exercise(name)}
    unpacked = {
        f"{name} (unpacked {number})": zlib.decompress(b85decode(text))
        for name, texts in packed.items()
        for number, text in enumerate(texts)
    }
    assert len(unpacked) == sum(bool(catalogue.faults(name)) for name in catalogue.names())
    return {**members, **unpacked}


@pytest.fixture(scope="module")
def unpacked(packed: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for member in tar:
            assert member.isfile()
            assert member.name.startswith(f"{FOLDER}/")
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.14's default
        tar.extractall(folder)
    return folder / FOLDER


@pytest.mark.parametrize(
    "gone",
    [
        "doctor/causes/__init__.py",
        "classroom/grading/marking.py",
        "classroom/grading/grade.py",
        "classroom/grading/reports/csv.py",
        "classroom/grading/students.md",
        "templates/classroom/report.html.j2",
        "templates/classroom/solution.html.j2",
        "classroom/grading/explanations.py",
        "tests/labs/exercise_trial.py",
        "tests/unit/classroom/grading/test_archive.py",
        "oracle/recorded/nat.json.gz",
        "docs/bench/README.md",
        "docs/comparison/scaling.png",
        "words.txt",
        "class.secret",
        "labs/outside.py",
        ".ci/run",
        ".gitignore",
        *TEACHERS,
    ],
)
def test_files_left_out(members: Members, gone: str) -> None:
    assert gone not in members


def test_files_students_need(members: Members) -> None:
    assert {"inv", "tasks.py", "README.md", "classroom/class.pub", "classroom/session.py"} <= set(members)
    assert {"exercises/e04.py", "exercises/e04.md", "exercises/starters/smooth.py"} <= set(members)
    assert not [name for name in members if name.endswith(".pyc")]


def test_neither_secret_nor_private_key_is_inside(readable: Members) -> None:
    private = bytes(key())
    secrets = (SECRET.encode(), private, private.hex().encode(), b64encode(private))
    assert not [name for name, data in readable.items() if any(secret in data for secret in secrets)]
    assert readable["classroom/class.pub"].decode().strip() == bytes(key().public_key).hex()


def test_no_solution_is_inside(readable: Members) -> None:
    ours = {name: data for name, data in readable.items() if name.startswith("exercises/")}
    for name in catalogue.names():
        for solution in catalogue.solutions(name):
            words = ["SOLUTIONS", "Solution("]
            if solution.cause:
                words += [f'"{solution.cause}"', CAUSES[solution.cause]]
            assert not [file for file, data in ours.items() if any(word.encode() in data for word in words)]


def test_no_page_gives_an_answer_away(members: Members) -> None:
    """Neither a complete diagnosis, nor a cause's word."""
    pages = {name: data.decode() for name, data in members.items() if name.endswith(".md")}
    answers = re.compile(r"--(host|cause|evidence) (?!HOST|CAUSE|EVIDENCE)")
    assert not [name for name, text in pages.items() if answers.search(text) or "vip_missing" in text]
    assert "--cause CAUSE" in pages["docs/exercises.md"]


def test_no_dead_links(members: Members) -> None:
    found = 0
    for name in members:
        for target in (
            re.findall(r"\]\((?!https:)([^)#:]+)", members[name].decode()) if name.endswith(".md") else ()
        ):
            found += 1
            assert posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) in members, (
                name,
                target,
            )
    assert found > 10
    assert b"measured here" in members["labs/vs_nat/README.md"]


_NAMED_PAGE = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.md)\b")
_NAMED_COMMAND = re.compile(r"\./inv ([a-z][a-z-]+)")
_FULL_CHECKOUT = {"grade", "handout", "solution", "student-archive", "test", "vm-test"}


def test_no_page_names_a_command_or_a_page_that_is_not_there(members: Members) -> None:
    """Nor does a message or a docstring of the packed Python name such a page."""
    wrong, pages, named = [], 0, 0
    for name, data in members.items():
        if not name.endswith((".md", ".py")):
            continue
        text, is_page = data.decode(), name.endswith(".md")
        pages += is_page
        found = [word for word in _NAMED_PAGE.findall(text) if is_page or word.startswith("docs/")]
        named += len(found)
        folders = (posixpath.dirname(name), "")
        wrong += [
            (name, word)
            for word in found
            if not any(posixpath.normpath(posixpath.join(folder, word)) in members for folder in folders)
        ]
        if is_page:
            wrong += [(name, word) for word in _NAMED_COMMAND.findall(text) if word in _FULL_CHECKOUT]
            wrong += [(name, word) for word in re.findall(r"pytest tests/\w+|\bdocs/bench\b", text)]
    assert wrong == [], wrong
    assert pages > 30
    assert named > 30


def test_the_archive_is_small_without_results_and_plots(members: Members, packed: bytes) -> None:
    assert len(packed) < 1_100_000
    wanted = ("docs/pictures/", "view/page/")
    kinds = {PurePosixPath(name).suffix for name in members if not name.startswith(wanted)}
    assert not kinds & {".png", ".svg", ".csv", ".json", ".jsonl", ".html", ".gz"}


def test_every_package_is_included_or_left_out_on_purpose() -> None:
    """A new package needs a decision whether students need it."""
    here = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert here - set(_PACKAGES) <= {"exercises", "tests"}


def test_faults_are_not_read_by_accident(members: Members) -> None:
    for name in catalogue.names():
        source = catalogue.files_of(name)[0].read_text()
        section = re.search(r"# ---- Faults ----\n(.*?)# ---- ", source, re.DOTALL)
        lines = section[1].splitlines() if section else []
        assert bool(lines) == bool(catalogue.faults(name))
        edits = [
            line.strip().encode() for line in lines if len(line) > 30 and re.search(r"(Edit|Fault)\(", line)
        ]
        assert not [other for other, data in members.items() if any(line in data for line in edits)]


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("SOLUTIONS = ()\n", "SOLUTIONS"),
        ("FAULTS = ()\n", "FAULTS"),
        ("# ---- Solutions ----\n# ---- Exercise ----\nx = Repair('d', ())\n", "Repair"),
        ("# --- Faults ---\nFAULTS = ()\n", "FAULTS"),
    ],
)
def test_an_answer_outside_its_section_stops_the_archive(source: str, answer: str) -> None:
    with pytest.raises(Unable, match=f"exercises/x.py: {answer} must be below"):
        without_answers(source, "exercises/x.py")


def test_exercises_run_there_and_seal_for_the_teacher_only(unpacked: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAY], cwd=unpacked, env={"PYTHONPATH": str(unpacked)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    where, described, evidence = json.loads(done.stdout)
    assert Path(where).is_relative_to(unpacked)
    assert list(described) == list(catalogue.names())
    for name, (facts, edits) in described.items():
        variant = variant_for(name, "ada")
        assert (facts, edits) == (dict(variant.facts), repr(edits_of(variant)))
    assert opened(evidence.encode(), key()).student == "ada"
    with pytest.raises(Refused, match="another class"):
        opened(evidence.encode(), key("other"))


@pytest.mark.parametrize(
    "words",
    [("grade", "."), ("student-archive",), ("handout", "e04"), ("solution", "e04"), ("test",), ("vm-test",)],
)
def test_teachers_commands_are_refused_there(unpacked: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "tasks.py", *words]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "student's archive" in done.stderr


def test_only_commands_that_work_there_are_listed(unpacked: Path) -> None:
    for options in (["--list"], []):
        command = [sys.executable, "tasks.py", *options]
        done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True)
        listed = set(re.findall(r"^  ([a-z-]+)", done.stdout, re.MULTILINE))
        assert {"lab-nat", "exercise", "check", "submit", "doctor"} <= listed
        assert not listed & {"grade", "student-archive", "handout", "solution", "test", "vm-test"}


def test_the_archive_is_reproducible(checkout: Path, packed: bytes) -> None:
    assert archive(key().public_key, checkout, without=SECRET) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = tar.getmembers()
    assert [member.name for member in found] == sorted(member.name for member in found)
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found} == {
        (0, 0, "", 946_684_800)
    }
    modes = {member.name: member.mode for member in found}
    assert (modes[f"{FOLDER}/inv"], modes[f"{FOLDER}/tasks.py"]) == (0o755, 0o644)


def test_with_git_only_tracked_files_are_included(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "exercises").mkdir(parents=True)
    (root / "labs").mkdir()
    tracked = ("tasks.py", "labs/gone.py", "notes.md", "exercises/e1.py", "exercises/e1.md", "exercises/x.md")
    for name in (*tracked, "labs/own.py"):
        (root / name).write_text("1\n")
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", *tracked], check=True)
    (root / "labs" / "gone.py").unlink()
    with tarfile.open(fileobj=io.BytesIO(archive(key().public_key, root))) as tar:
        names = [name.removeprefix(f"{FOLDER}/") for name in tar.getnames()]
    assert names == ["classroom/class.pub", "exercises/e1.md", "exercises/e1.py", "tasks.py"]


def test_missing_or_failing_git_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "tasks.py").write_text("1")
    with pytest.raises(Unable, match=r"cannot list.*\(fatal: not a git repository.*without \.git") as failed:
        archive(key().public_key, tmp_path)
    assert "\n" not in str(failed.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unable, match=r"git: No such file or directory.*install"):
        archive(key().public_key, tmp_path)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("classroom.grading.archive.ROOT", tmp_path)
    (tmp_path / "secret").write_text(SECRET)
    assert student_archive("secret", "") == 0
    assert "practice" not in capsys.readouterr().out
    assert tarfile.is_tarfile(tmp_path / "lvs-lab-students.tar.gz")
    assert student_archive("", "practice.tar.gz") == 0
    assert "practice key" in capsys.readouterr().out
    with pytest.raises(BadRequest, match="--output"):
        student_archive("secret", "no/folder/x.tar.gz")
    with pytest.raises(BadRequest, match="--secret"):
        student_archive("nothing", "")
