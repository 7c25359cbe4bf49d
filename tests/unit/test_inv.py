"""./inv in a folder of its own, with stand-ins for all programs that would change the machine."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from labs.wait import patient

ROOT = Path(__file__).resolve().parents[2]
REAL_TOOLS = [
    *("awk", "cat", "chmod", "chown", "cmp", "cp", "date", "df", "env", "find", "flock", "grep", "head"),
    *("ln", "mkdir", "mktemp", "mv", "nproc", "readlink", "rm", "sed", "sh", "sort", "stat", "tail"),
    *("true", "xargs"),
]
RECORD = '#!/bin/sh\necho "${0##*/} $*" >> "$CALLS"\n'
STAND_INS = {
    "id": 'echo "$FAKE_UID"',
    "dpkg-query": "printf '%b' \"$INSTALLED\"",
    "dpkg": "",
    "sleep": """
exec /usr/bin/sleep 0.2
""",
    "apt-get": """
[ ! -e "$POLICY" ] || echo "policy: $(sh "$POLICY" nginx start; echo $?)" >> "$CALLS"
case "$GATE,$*" in /*,*update) cat "$GATE" ;; esac
""",
    "systemctl": """
[ "$1" = list-unit-files ] || exit 0
echo "ssh.service enabled enabled"
! grep -q "^apt-get.* install" "$CALLS" || echo "nginx.service enabled enabled"
""",
    "python3": """
case "$*" in
*version_info*)
    echo "${VERSION_ANSWER-True}" ;;
*"-m venv"*)
    rm -rf .venv
    mkdir -p .venv/bin .venv/lib/python3/site-packages
    ln -s "$0" .venv/bin/python
    echo "#!$PWD/.venv/bin/python" > .venv/bin/pip
    ;;
*tasks.py*)
    shift
    echo "with $(sed -n 's/^SigBlk:.*\\(.\\)$/\\1/p' /proc/$$/status)" \
        $(env | sed -n 's/^\\(PYTHON[A-Z0-9]*\\)=.*/\\1/p') /tasks.py >> "$CALLS"
    printf '<%s>' invoke "$@"
    exit "$INVOKE_EXIT" ;;
*"-m pip config list")
    printf '%b' "$PIP_CONFIG" ;;
*"-m uv "*)
    trusted="${SSL_CERT_FILE-}${UV_LINK_MODE+, links}"
    echo "uv from ${UV_DEFAULT_INDEX-} and ${UV_INDEX-}, trusts $trusted" >> "$CALLS"
    mkdir -p .venv/uv-cache/archive-v0/a .venv/uv-cache/archive-v0/b
    : > "$TMPDIR/uv-setuptools-0.lock"
    case "$GATE_OF_UV,$*" in /*,*requirements.txt) cat "$GATE_OF_UV" ;; esac
    [ -z "$FAILING_UV" ] || { echo "uv: error"; exit 2; } ;;
*"-m pip"*"$PIP_FAILS"*)
    [ -z "$PIP_FAILS" ] || { echo "$PIP_SAYS"; exit 1; } ;;
esac
""",
}


LOCK = """invoke==1 \\
    --hash=sha256:aa
setuptools==67 \\
    --hash=sha256:bb
uv==2 \\
    --hash=sha256:cc
    # via lvs-lab
wheel==0.45
    # via lvs-lab
"""


class Checkout:
    """A copy of ./inv whose machine is a folder: programs, packages and system files are stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.lab = folder / "lab"
        self.calls_file = folder / "calls"
        self.policy = folder / "policy-rc.d"
        self.started: list[subprocess.Popen[str]] = []
        self._bin = folder / "bin"
        (folder / "tmp").mkdir()
        self.lab.mkdir()
        self._bin.mkdir()
        self.environment = {
            "PATH": str(self._bin),
            "TMPDIR": str(folder / "tmp"),
            "CALLS": str(self.calls_file),
            "POLICY": str(self.policy),
            "FAKE_UID": "0",
            "INSTALLED": "",
            "INVOKE_EXIT": "0",
            "PIP_FAILS": "",
            "PIP_SAYS": "",
            "PIP_CONFIG": "",
            "FAILING_UV": "",
            "GATE_OF_UV": "",
            "GATE": "",
        }
        self._write_programs()
        self._write_checkout(folder)

    def _write_programs(self) -> None:
        for tool in REAL_TOOLS:
            (self._bin / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
        for name, body in STAND_INS.items():
            (self._bin / name).write_text(RECORD + body)
            (self._bin / name).chmod(0o755)

    def _write_checkout(self, folder: Path) -> None:
        script = (ROOT / "inv").read_text()
        for name, path in {
            "python": self._bin / "python3",
            "policy": self.policy,
            "tun": folder / "no-tun",
            "systemd": folder,
        }.items():
            script, found = re.subn(rf"^{name}=/.*$", f"{name}={path}", script, flags=re.MULTILINE)
            assert found == 1, f"inv sets {name}= in one line"
        script, found = re.subn(r"^PATH=.*\n", "", script, flags=re.MULTILINE)
        assert found == 1
        (self.lab / "inv").write_text(script)
        (self.lab / "packages.txt").write_text("# what it needs\nnginx  # httpd\ncurl\ntcpdump\n")
        (self.lab / "requirements.txt").write_text(LOCK)

    def start(
        self, *arguments: str, cwd: Path | None = None, umask: int = -1, **environment: str
    ) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            ["/bin/sh", str(self.lab / "inv"), *arguments],
            env=self.environment | environment,
            cwd=cwd or self.lab,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=umask,
            start_new_session=True,
        )
        self.started.append(started)
        return started

    def run(
        self, *arguments: str, cwd: Path | None = None, umask: int = -1, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        process = self.start(*arguments, cwd=cwd, umask=umask, **environment)
        out, err = process.communicate(timeout=patient(30))
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def remove_program(self, name: str) -> None:
        (self._bin / name).unlink()

    def calls(self, program: str) -> list[str]:
        lines = self.calls_file.read_text().splitlines()
        return [line for line in lines if line.startswith(f"{program} ")]

    @property
    def work(self) -> list[str]:
        """The calls of all programs except Invoke itself."""
        lines = self.calls_file.read_text().splitlines()
        return [line for line in lines if "/tasks.py" not in line and not line.startswith("sleep ")]

    @property
    def is_set_up(self) -> bool:
        return (self.lab / ".venv/set-up").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path)
    yield checkout
    for process in checkout.started:  # a test that failed may have left some
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_first_run_sets_up_and_passes_the_arguments_on(checkout: Checkout) -> None:
    ended = checkout.run("lab-nat", "--report", "a b.json", INVOKE_EXIT="1")
    assert ended.stdout == "<invoke><lab-nat><--report><a b.json>"
    assert ended.returncode == 1, ended.stderr
    assert re.search(r"\[1 of 5, \d+ s\] Distribution packages: nginx curl tcpdump", ended.stderr)
    assert checkout.is_set_up
    assert not list((checkout.lab.parent / "tmp").iterdir()), "the log is in .venv now, and no lock of uv's"
    assert not (checkout.lab / ".venv/tmp").exists()


def test_second_run_starts_only_invoke(checkout: Checkout) -> None:
    checkout.run("--list")
    ended = checkout.run("--list", FAKE_UID="1000")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "<invoke><--list>", "")
    assert checkout.work == []


@pytest.mark.parametrize("name", ["packages.txt", "requirements.txt"])
def test_a_changed_list_repeats_the_set_up(checkout: Checkout, name: str) -> None:
    checkout.run("--list")
    with (checkout.lab / name).open("a") as file:
        file.write("rich==1\n")
    checkout.run("--list")
    assert any("-r requirements.txt" in call for call in checkout.calls("python"))
    assert not any("--clear" in call for call in checkout.calls("python3")), "the old .venv will do"
    checkout.run("--list")
    assert checkout.work == []


def test_apt_installs_what_is_missing_at_once(checkout: Checkout) -> None:
    checkout.run("--list", INSTALLED="curl installed\\nnginx config-files\\n")
    update, install = checkout.calls("apt-get")
    assert update.endswith(" update")
    assert install.endswith(" install nginx tcpdump")
    assert "--no-install-recommends" in install


def test_apt_does_not_run_if_nothing_is_missing(checkout: Checkout) -> None:
    ended = checkout.run("--list", INSTALLED="curl installed\\nnginx installed\\ntcpdump installed\\n")
    assert not checkout.calls("apt-get")
    assert "[1 of 4, " in ended.stderr


def test_it_can_be_called_from_another_folder(checkout: Checkout) -> None:
    ended = checkout.run("lab-nat", "--report", "here.json", cwd=Path("/"))
    assert ended.stdout == f"<invoke><--search-root><{checkout.lab}><lab-nat><--report><here.json>"


def test_settings_for_other_pythons_do_not_reach_ours(checkout: Checkout) -> None:
    theirs: dict[str, Any] = dict.fromkeys(
        ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONINSPECT"), "/nowhere"
    )
    ended = checkout.run("lab-nat", **theirs, PYTHONUTF8="1", PYTHON_COLORS="1")
    assert ended.stdout == "<invoke><lab-nat>"
    assert [call.split()[2:] for call in checkout.calls("with")] == [["PYTHONUTF8", "/tasks.py"]]


@pytest.mark.parametrize("tool", ["env", ""])
def test_ctrl_c_is_held_back_until_tasks_py_handles_it(checkout: Checkout, tool: str) -> None:
    """If env can block signals."""
    if not tool:
        checkout.remove_program("env")
    assert checkout.run("lab-nat").stdout == "<invoke><lab-nat>"
    assert [call.split()[1] for call in checkout.calls("with")] == ["2" if tool else "0"]


def test_it_says_who_called_it(checkout: Checkout) -> None:
    """Python keeps the number of the shell that runs ./inv, so it knows that these words are for it."""
    assert checkout.run("lab-nat").returncode == 0
    python = checkout.lab / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text('#!/bin/sh\necho "$LVS_CALLER, and $$"\n')
    python.chmod(0o755)
    process = checkout.start("view")
    assert process.communicate(timeout=patient(30))[0] == f"{process.pid} {os.getpid()}, and {process.pid}\n"


def test_no_service_starts_during_the_installation(checkout: Checkout) -> None:
    checkout.run("--list")
    assert checkout.calls("policy:") == ["policy: 101"] * 2
    assert not checkout.policy.exists()


def test_only_services_that_it_installed_are_disabled(checkout: Checkout) -> None:
    checkout.run("--list")
    disabled = [call for call in checkout.calls("systemctl") if "disable" in call]
    assert disabled == ["systemctl disable nginx.service"]


def test_a_policy_of_the_machine_is_kept(checkout: Checkout) -> None:
    checkout.policy.write_text("#!/bin/sh\nexit 104\n")
    checkout.run("--list")
    assert checkout.policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_a_missing_apt_is_one_sentence(checkout: Checkout) -> None:
    checkout.remove_program("apt-get")
    ended = checkout.run("lab-nat")
    assert ended.returncode == 2
    assert ended.stderr.startswith("apt-get is missing: ")
    assert ended.stderr.count("\n") == 1
    assert not checkout.is_set_up


def test_an_ordinary_user_is_told_to_use_sudo(checkout: Checkout) -> None:
    ended = checkout.run("lab-nat", "--servers", "5", FAKE_UID="1000", INSTALLED="curl installed\\n")
    assert ended.returncode == 2
    assert ended.stderr == "Not installed: nginx tcpdump: run sudo ./inv lab-nat --servers 5 once.\n"
    assert not checkout.calls("apt-get")


def test_a_failure_of_pip_shows_the_end_of_the_log_and_leaves_no_stamp(checkout: Checkout) -> None:
    ended = checkout.run("lab-nat", PIP_FAILS="--require-hashes", PIP_SAYS="disk is full")
    assert ended.returncode == 2
    assert "disk is full" in ended.stderr
    found = re.search(r"Set-up failed at .* \(log: (/.*)\)", ended.stderr)
    assert found
    assert "disk is full" in Path(found[1]).read_text()
    assert "run ./inv lab-nat again" in ended.stderr
    assert not checkout.is_set_up
    checkout.run("--list")
    assert any("--clear" in call for call in checkout.calls("python3")), "unfinished: from scratch"
    assert checkout.is_set_up


def test_a_missing_network_is_one_sentence(checkout: Checkout) -> None:
    refusal = "Failed to establish a new connection: [Errno 101] Network is unreachable"
    ended = checkout.run("lab-nat", PIP_FAILS="ryu.txt", PIP_SAYS=refusal)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("The packages cannot be downloaded: connect")
    assert not checkout.is_set_up


def test_os_ken_is_used_for_good_where_ryu_cannot_be_built(checkout: Checkout) -> None:
    ended = checkout.run("--list", PIP_FAILS="ryu.txt", PIP_SAYS="error: metadata-generation-failed")
    assert ended.returncode == 0
    assert "Ryu cannot be built for this Python: the labs use os-ken" in ended.stderr
    assert (checkout.lab / ".venv/no-ryu").exists()
    checkout.run("--list")
    assert checkout.work == []


def test_only_mininet_comes_from_outside_of_the_virtual_environment(checkout: Checkout) -> None:
    checkout.run("--list")
    (made,) = (call for call in checkout.calls("python3") if "-m venv" in call)
    assert "system-site-packages" not in made
    linked = checkout.lab / ".venv/lib/python3/site-packages/mininet"
    assert str(linked.readlink()) == "/usr/lib/python3/dist-packages/mininet"


def test_pip_installs_uv_and_uv_the_rest(checkout: Checkout) -> None:
    checkout.run("--list")
    installing = [call for call in checkout.calls("python") if " install " in call]
    assert all("--require-hashes" in call and "--no-deps" in call for call in installing), installing
    uv, first, everything, ryu = installing
    assert uv.endswith(" --only-binary :all: -r .venv/uv.txt")
    assert " -m uv " in first
    assert first.endswith(" -r .venv/first.txt")
    assert " -m uv " in everything
    assert everything.endswith(" -r requirements.txt")
    assert ryu.endswith(" -r .venv/ryu.txt")
    assert (checkout.lab / ".venv/uv.txt").read_text() == LOCK[LOCK.index("uv==") : LOCK.index("wheel==")]
    assert not (checkout.lab / ".venv/uv-cache").exists()


@pytest.mark.parametrize(
    "trouble",
    [{"FAILING_UV": "1"}, {"PIP_FAILS": "uv.txt"}, {"PIP_CONFIG": "global.no-index='true'\\n"}],
    ids=["uv fails", "no uv for this platform", "a setting of pip that uv does not have"],
)
def test_pip_installs_everything_where_uv_cannot_run(checkout: Checkout, trouble: dict[str, Any]) -> None:
    ended = checkout.run("--list", **trouble)
    assert ended.returncode == 0, ended.stderr
    assert [
        call.rsplit(" ", 1)[1] for call in checkout.calls("python") if " -m pip " in call and " -r " in call
    ] == [*(".venv/uv.txt", ".venv/first.txt", ".venv/all.txt", ".venv/ryu.txt")]
    assert re.findall(r"^\w+", (checkout.lab / ".venv/first.txt").read_text(), re.MULTILINE) == [
        "setuptools",
        "wheel",
    ]
    everything = (checkout.lab / ".venv/all.txt").read_text()
    assert re.findall(r"^\w+", everything, re.MULTILINE) == ["invoke", "setuptools", "wheel"]
    assert checkout.is_set_up


def test_uv_uses_the_indexes_of_pip(checkout: Checkout) -> None:
    """uv reads none of pip's settings; where two are set, pip prefers the environment's."""
    refusal = (
        r":env:.index-url='https://here/simple'\n"
        r"global.cert='/etc/ca.pem'\n"
        r"global.extra-index-url='file:///a\\nfile:///b'\n"
        r"global.index-url='https://there/simple'\n"
    )
    checkout.run("--list", PIP_CONFIG=refusal, UV_INDEX="https://elsewhere/simple", UV_LINK_MODE="symlink")
    ours = "uv from https://here/simple and file:///a file:///b, trusts /etc/ca.pem"
    assert checkout.calls("uv") == [ours, ours]


def test_a_long_step_shows_its_progress(checkout: Checkout, tmp_path: Path) -> None:
    os.mkfifo(gate := tmp_path / "gate")
    checkout.calls_file.write_text("")
    process = checkout.start("--list", GATE_OF_UV=str(gate))
    assert process.stderr is not None
    with gate.open("w"):  # opens when uv reads it
        lines = iter(process.stderr.readline, "")
        assert any(re.fullmatch(r"    packages so far: 2, \d+ s\n", line) for line in lines)
    assert process.communicate(timeout=patient(30))[0] == "<invoke><--list>"


def test_a_moved_checkout_is_set_up_again(checkout: Checkout) -> None:
    checkout.run("--list")
    checkout.lab = checkout.lab.rename(checkout.lab.with_name("moved"))
    checkout.run("--list")
    assert any("--clear" in call for call in checkout.calls("python3"))


def test_an_interrupted_set_up_says_so_and_goes_on_the_next_time(checkout: Checkout, tmp_path: Path) -> None:
    os.mkfifo(gate := tmp_path / "gate")
    process = checkout.start("lab-nat", GATE_OF_UV=str(gate))
    with gate.open("w"):  # opens when uv reads it
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        _, error = process.communicate(timeout=patient(30))
    assert process.returncode == 130
    assert error.splitlines()[-1] == "Interrupted: the next ./inv lab-nat continues the set-up."
    assert checkout.run("lab-nat").stdout == "<invoke><lab-nat>"


def test_a_virtual_environment_of_another_python_is_replaced(checkout: Checkout) -> None:
    checkout.run("--list")
    (checkout.lab / ".venv/set-up").unlink()
    python = checkout.lab / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/bin/sh")  # such as pyenv's, of the same version
    checkout.run("--list")
    assert any("--clear" in call for call in checkout.calls("python3"))


def test_nobody_else_can_change_what_the_set_up_makes(checkout: Checkout) -> None:
    assert checkout.run("--list", umask=0).returncode == 0
    made = [path for path in (checkout.lab / ".venv").rglob("*") if not path.is_symlink()]
    assert made
    assert [path for path in made if path.stat().st_mode & 0o022] == []


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"VERSION_ANSWER": "False"}, r"\S+/python3 is too old: install Python 3.10 or later\."),
        ({"VERSION_ANSWER": "Fatal error"}, r"\S+/python3 does not start: Fatal error"),
        ({"TMPDIR": "/no"}, r"No file can be made in /no \(TMPDIR\): name another folder and run .* again\."),
        (
            {"PIP_CONFIG": "global.target='/x'\\n"},
            "pip's setting global.target would install .* elsewhere: .*",
        ),
    ],
)
def test_what_prevents_the_set_up_is_one_sentence(
    checkout: Checkout, trouble: dict[str, Any], sentence: str
) -> None:
    ended = checkout.run("--list", **trouble)
    assert ended.returncode == 2
    assert re.fullmatch(sentence, ended.stderr.splitlines()[-1])
    assert not checkout.is_set_up


def test_a_file_in_place_of_the_virtual_environment_is_kept(checkout: Checkout) -> None:
    (checkout.lab / ".venv").write_text("mine")
    ended = checkout.run("--list")
    assert ended.returncode == 2
    assert ended.stderr == f"{checkout.lab}/.venv is not a folder: move it away and run ./inv --list again.\n"
    assert (checkout.lab / ".venv").read_text() == "mine"


def test_two_first_runs_at_once_install_once(checkout: Checkout, tmp_path: Path) -> None:
    os.mkfifo(gate := tmp_path / "gate")
    first = checkout.start("first", GATE=str(gate))
    with gate.open("w"):  # opens when `apt-get update` reads it: the first run holds the lock
        second = checkout.start("second", GATE=str(gate))
        assert second.stderr is not None
        assert "waiting for it" in second.stderr.readline()
    assert first.communicate(timeout=patient(30))[0] == "<invoke><first>"
    assert second.communicate(timeout=patient(30))[0] == "<invoke><second>"
    assert len(checkout.calls("apt-get")) == 2, "update and install, both by the first"


def _names(lines: list[str]) -> dict[str, str]:
    """Requirement lines by their normalised name (PEP 503): oslo.config is oslo-config."""
    found = (re.match(r"[\w.-]+", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[0]).lower(): match.string for match in found if match}


def _declared() -> list[str]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = toml.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


def test_every_package_of_pyproject_is_locked() -> None:
    locked = _names((ROOT / "requirements.txt").read_text().splitlines())
    assert _names(_declared()).keys() <= locked.keys()
    assert all("==" in line for line in locked.values()), "exact versions only"


def test_every_locked_package_has_hashes() -> None:
    entries = re.split(r"^(?=\w)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_locked_versions_satisfy_pyproject() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    locked = {name: Requirement(line.rstrip(" \\")) for name, line in _names(lines).items()}
    for name, wanted in _names(_declared()).items():
        version = next(iter(locked[name].specifier)).version
        assert Requirement(wanted).specifier.contains(version), f"{wanted}, but {locked[name]}"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", ["inv", ".ci/run", "tests/fresh/run"])
def test_shellcheck_finds_nothing(script: str) -> None:
    ended = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, timeout=patient(60))
    assert ended.returncode == 0, ended.stdout


def test_the_virtual_machine_has_its_own_packages(checkout: Checkout) -> None:
    """They are installed on first use, and the Python packages stay as they are."""
    checkout.run("--list")
    (checkout.lab / "packages-vm.txt").write_text("qemu-of-another [nosuch]  # not here\nbusybox-static\n")
    ended = checkout.run("vm", "lab-nat")
    assert ended.returncode == 0, ended.stderr
    install = checkout.calls("apt-get")[-1]
    assert "busybox-static" in install
    assert "qemu-of-another" not in install
    assert not [call for call in checkout.work if " pip " in call]
    checkout.run("vm", "lab-nat")
    assert checkout.work == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("lab-nat", "--engine", "ebpf"), ["compiler"]),
        (("lab-nat", "--engine=ebpf"), ["compiler"]),
        (("bench", "--quick"), ["compiler", "sender"]),
        (("vm", "bench"), ["compiler", "sender"]),
        (("compare", "--dispatch"), ["resolver"]),
        (("lab-nat",), []),
    ],
)
def test_packages_for_some_commands_are_installed_with_them(
    checkout: Checkout, words: tuple[str, ...], wanted: list[str]
) -> None:
    checkout.run("--list")
    (checkout.lab / "packages-vm.txt").write_text("# none\n")
    (checkout.lab / "packages-ebpf.txt").write_text("compiler  # of programs\n")
    (checkout.lab / "packages-bench.txt").write_text("sender  # of packets\n")
    (checkout.lab / "packages-dispatch.txt").write_text("resolver\n")
    assert checkout.run(*words).returncode == 0
    installed = [word for call in checkout.calls("apt-get") for word in call.split()]
    assert [word for word in ("compiler", "sender", "resolver") if word in installed] == wanted
