"""Labs and an exercise in odd environments: each oddity is a fixture, and a lab has many at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from labs.wait import patient, poll_until

ROOT = Path(__file__).resolve().parents[2]
SLOWEST = 120  # seconds, for what takes ten on an idle machine
LABS = ("lab-nat", "lab-tun", "lab-dr")
PACKAGES = tuple(found.parent.name for found in ROOT.glob("*/__init__.py") if found.parent.name != "tests")
PARTS = (*PACKAGES, "templates", "tasks.py")
_PAGE = re.compile(r"Live view: http://127\.0\.0\.1:(\d+)(/\S+/)")
SOMEBODY, PUPIL, NOBODY_KNOWN = 12345, 54321, 54322  # uids

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@dataclass
class Caller:
    """The caller of a lab and its environment; `before` is a command in front of ./inv."""

    folder: Path
    checkout: Path = ROOT
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    umask: int = 0o022
    before: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.environment["LVS_RUNS"] = str(self.folder / "runs")

    def inv(self, *words: str, redirected: str = "") -> subprocess.CompletedProcess[str]:
        """As ./inv does, in a shell: `redirected` is what stands after the command."""
        inv = (sys.executable, str(self.checkout / "tasks.py"), "--search-root", str(self.checkout), *words)
        return subprocess.run(
            ["/bin/bash", "-c", f'"$@" {redirected}', "bash", *self.before, *inv],
            cwd=self.folder,
            env=self.environment,
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(SLOWEST),
        )


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    """A tidy caller. Its folder is open to all users, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield Caller(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def proxies(caller: Caller) -> None:
    """Proxies that do not answer."""
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy"):
        caller.environment |= {name: "http://127.0.0.1:9", name.upper(): "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def home(caller: Caller) -> Path:
    """Another user's, with dotfiles in it; the caller's own if it can't be given away."""
    home = caller.folder / "ho me"
    home.mkdir()
    (home / ".curlrc").write_text('-w "\\n"\ninclude\nproxy = http://127.0.0.1:9\n')
    for name in (".tcpdumprc", ".bashrc", ".profile", ".invoke.yaml", ".nanorc"):
        (home / name).write_text("run: [ not what you expect\n")
    packages = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(home / ".local")}))
    packages.mkdir(parents=True)
    (packages / "of_the_user.pth").write_text("import what_is_gone\n")  # run by each Python that reads it
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY)
    caller.environment |= {"HOME": str(home), "CURL_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return home


@pytest.fixture(scope="module")
def strange_variables(caller: Caller) -> None:
    caller.environment |= {"LOGNAME": "somebody", "USER": "somebody", "LC_ALL": "C", "TERM": "strange"}
    caller.environment |= {"POSIXLY_CORRECT": "1", "GREP_OPTIONS": "-v", "CDPATH": "/", "OVS_RUNDIR": "/no"}
    caller.environment |= dict.fromkeys(("BASH_ENV", "ENV", "PYTHONSTARTUP", "PYTHONPATH"), "/no/where")
    del caller.environment["PATH"]


@pytest.fixture(scope="module")
def umask(caller: Caller) -> None:
    caller.umask = 0o077


@pytest.fixture(scope="module")
def odd_checkout(caller: Caller) -> Path:
    """A copy of what a lab needs, in a path with special characters of the shell and nginx."""
    checkout = caller.folder / 'it\'s a "lab" & $HOME; ünïcode {x}'
    checkout.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, checkout / part)
    caller.checkout = checkout
    caller.environment["LVS_RUNS"] = str(checkout / "runs")
    return checkout


@pytest.fixture(scope="module")
def without_ipv6(caller: Caller) -> None:
    """In the caller's own network namespace."""
    off = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; exec"
    if os.geteuid() == 0:
        caller.before = ("unshare", "--net", "/bin/sh", "-c", f'{off} "$0" "$@"')


ALL_AT_ONCE = ("without_ipv6", "proxies", "home", "strange_variables", "umask", "odd_checkout")


@pytest.mark.parametrize("lab", LABS)
@pytest.mark.usefixtures(*ALL_AT_ONCE)
def test_a_lab_does_not_depend_on_its_caller(caller: Caller, home: Path, lab: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))}
    done = caller.inv(lab, "--servers", "1")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    if os.geteuid() == 0:
        after = {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))}
        assert after == before  # nothing was written there, not even by root


@pytest.mark.usefixtures(*ALL_AT_ONCE)
def test_an_exercise_does_not_depend_on_its_caller(caller: Caller) -> None:
    """e09 is about uploads, which curl would send to a proxy."""
    path, trial = str(caller.checkout), str(ROOT / "tests" / "labs" / "exercise_trial.py")
    code = f"import runpy, sys; sys.path[0] = {path!r}; runpy.run_path({trial!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-E", "-c", code, "e09", "ada", "fault"],
        cwd=caller.folder,
        env=caller.environment,
        capture_output=True,
        text=True,
        timeout=patient(SLOWEST),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"state": "mended"' in done.stdout


@pytest.fixture
def tidy(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


def test_a_closed_pipe_ends_a_lab_quietly(tidy: Caller) -> None:
    done = tidy.inv("lab-dr", "--servers", "1", redirected='| head -1; exit "${PIPESTATUS[0]}"')
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (141, "", 1)


@pytest.fixture
def small_disk(tidy: Caller) -> None:
    """300 kB for runs, in the caller's own mount namespace."""
    runs = tidy.environment["LVS_RUNS"]
    mount = 'mkdir "$0" && mount -t tmpfs -o size=300k tmpfs "$0" && exec "$@"'
    tidy.before = ("unshare", "--mount", "/bin/sh", "-c", mount, runs)


@as_root
@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_reported_after_the_result(tidy: Caller) -> None:
    done = tidy.inv("lab-dr", "--servers", "1", "--report", "/dev/full", redirected="2>&1")
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout
    result, _, evidence = done.stdout.partition("Evidence: ")
    assert " of 28 checks, " in result or " of 29 checks, " in result
    assert "No space left on device): make room there" in evidence
    assert "/dev/full: No space left on device" in evidence


@pytest.fixture
def users(tidy: Caller) -> Iterator[Path]:
    """passwd(5) and subuid(5) with a user of ours, whose own id is in his range; the folder for them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "home").mkdir()
    (folder / "runs").mkdir()
    for own in ("home", "runs"):
        os.chown(folder / own, PUPIL, PUPIL)
    known = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(f"{known}pupil:x:{PUPIL}:{PUPIL}::{folder}/home:/bin/sh\n")
    for table in ("subuid", "subgid"):
        (folder / table).write_text("pupil:100000\npupil:abc:65536\npupil:50000:65536\n")
    mounts = [
        f"touch /etc/{name} && mount --bind {folder}/{name} /etc/{name}" for name in ("subuid", "subgid")
    ]
    mounts.append(f"mount --bind {folder}/passwd /etc/passwd")
    tidy.before = ("unshare", "--mount", "/bin/sh", "-c", " && ".join([*mounts, 'exec "$0" "$@"']))
    tidy.environment |= {"LVS_RUNS": str(folder / "runs"), "HOME": "/root", "LOGNAME": "root"}
    if subprocess.run([*_user(PUPIL), sys.executable, str(ROOT / "tasks.py"), "--list"]).returncode:
        pytest.skip("other users can't read this checkout and its Python")
    yield folder
    shutil.rmtree(folder)


def _user(uid: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")


@as_root
def test_an_ordinary_user_with_the_home_and_the_name_of_root(tidy: Caller, users: Path) -> None:
    """And whoever sits at this machine sees the lab's page, though the lab is in namespaces of its user's."""
    tidy.before += _user(PUPIL)
    output, prompt = users / "output", users / "prompt"
    output.touch()
    os.mkfifo(prompt)
    seen: list[dict[str, Any]] = []

    def look() -> None:
        with prompt.open("w"):  # closed, it ends the lab
            found = poll_until(lambda: _PAGE.search(output.read_text()), bool, SLOWEST)
            if found:
                asked = HTTPConnection("127.0.0.1", int(found[1]), timeout=patient(SLOWEST))
                asked.request("GET", f"{found[2]}run")
                seen.append(json.load(asked.getresponse()))

    looking = Thread(target=look)
    looking.start()
    done = tidy.inv("lab-dr", "--servers", "1", "--cli", "--view", redirected=f"< {prompt} > {output}")
    looking.join()
    assert done.returncode == 0, done.stderr + output.read_text()
    assert [(one["lab"], one["live"]) for one in seen] == [("dr", True)]
    assert {path.name for path in (users / "home").iterdir()} <= {".cache"}


@as_root
@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("home", "words"), [("", ["lab-dr"]), ("/root", ["lab-dr"]), ("/nonexistent", ["exercise", "e04"])]
)
def test_a_user_without_a_passwd_entry_is_refused(tidy: Caller, home: str, words: list[str]) -> None:
    tidy.before += _user(NOBODY_KNOWN)
    tidy.environment |= {"HOME": home, "LVS_RUNS": str(tidy.folder), "XDG_STATE_HOME": home}
    done = tidy.inv(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@as_root
def test_a_refusal_of_newuidmap_is_reported(tidy: Caller, users: Path) -> None:
    (users / "subgid").write_text("")
    tidy.before += _user(PUPIL)
    done = tidy.inv("lab-dr", "--servers", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "/etc/subgid gives pupil no ids" in done.stderr
