"""What real servers serve: the same shared bytes everywhere, and each its own name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from zlib import crc32

import pytest

from realserver_setup import files
from realserver_setup.errors import InvalidValue


def test_shared_files_are_the_same_in_every_run(tmp_path: Path) -> None:
    first, second = (files.make_shared(tmp_path / run) for run in ("a", "b"))
    assert [file.size for file in first.values()] == [1_000, 100_000, 1_000_000, 10_000_000]
    assert [file.sha256 for file in first.values()] == [file.sha256 for file in second.values()]
    assert len({file.sha256 for file in first.values()}) == len(first)


def test_a_server_serves_its_name_and_links_to_the_shared_files(tmp_path: Path) -> None:
    shared = files.make_shared(tmp_path / "shared")
    for _ in range(2):  # twice: it may be called again
        root = files.make_root(tmp_path / "rs1", "rs1", shared.values())
    assert sorted(os.listdir(root)) == sorted(files.LISTING)
    assert (root / "name").read_text() == "rs1\n"
    assert "rs1" in (root / "index.html").read_text()
    for file in shared.values():
        assert (root / file.name).samefile(file.path)
        assert hashlib.sha256((root / file.name).read_bytes()).hexdigest() == file.sha256


def test_another_file_system_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = files.make_shared(tmp_path / "shared")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    root = files.make_root(tmp_path / "rs1", "rs1", shared.values())
    assert (root / "1k.bin").read_bytes() == shared["1k.bin"].path.read_bytes()
    assert not (root / "1k.bin").samefile(shared["1k.bin"].path)


def test_a_name_with_markup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"^name: "):
        files.make_root(tmp_path / "rs1", "<script>", ())


def test_what_stands_in_the_way_is_replaced_and_no_link_is_followed(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "rs1"
    elsewhere.mkdir()
    root.mkdir()
    (root / "name").symlink_to(elsewhere / "written")
    (root / "index.html").mkdir()
    (root / "upload").symlink_to(elsewhere)
    files.make_root(root, "rs1", [])
    assert list(elsewhere.iterdir()) == []
    assert (root / "name").read_text() == "rs1\n"
    assert "rs1" in (root / "index.html").read_text()
    assert (root / "upload").is_dir()
    assert not (root / "upload").is_symlink()


def test_the_fingerprints_of_a_servers_files(tmp_path: Path) -> None:
    root = files.make_root(tmp_path / "rs12", "rs12", files.make_shared(tmp_path / "shared").values())
    content = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    known = files.fingerprints("rs12")
    assert known.keys() == content.keys()
    for file, fingerprint in known.items():
        size, _, checksum = fingerprint.partition(":")
        assert size == str(len(content[file]))
        assert checksum in ("", f"{crc32(content[file]):08x}")
    assert [file for file, fingerprint in known.items() if fingerprint.endswith(":")] == ["1m.bin", "10m.bin"]
