"""nginx's configuration and log."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from realserver_setup.errors import InvalidValue
from realserver_setup.httpd import Httpd, Request


def test_all_files_are_in_its_own_folder(tmp_path: Path) -> None:
    httpd = Httpd("rs2", tmp_path / "httpd", tmp_path, (8000, 80))
    command = httpd.prepare()
    assert command == ["nginx", "-p", f"{tmp_path}/httpd", "-c", f"{tmp_path}/httpd/nginx.conf"]
    text = (tmp_path / "httpd" / "nginx.conf").read_text()
    assert "        listen 8000;\n        listen 80;\n" in text
    assert f"root {tmp_path};" in text


@pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="nginx is not installed")
@pytest.mark.parametrize("folder", ["httpd", "a folder; with # signs {}"])
def test_nginx_accepts_the_configuration(tmp_path: Path, folder: str) -> None:
    command = Httpd("rs1", tmp_path / folder, tmp_path / folder, (18080,)).prepare()
    done = subprocess.run(
        [*command, "-t"], capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin"}
    )
    assert "syntax is ok" in done.stderr


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    httpd = Httpd("rs1", tmp_path, tmp_path)
    assert httpd.requests() == []
    httpd.prepare()
    (tmp_path / "logs" / "access.log").write_text(
        '{"client":"198.51.100.101","server":"172.16.0.2","port":80,'
        '"connection":7,"status":200,"request":"GET /\\"name HTTP/1.1"}\n'
    )
    assert httpd.requests() == [Request("198.51.100.101", "172.16.0.2", 80, 7, 200, 'GET /"name HTTP/1.1')]


def test_an_old_pid_file_does_not_count_as_listening(tmp_path: Path) -> None:
    httpd = Httpd("rs1", tmp_path, tmp_path)
    (tmp_path / "nginx.pid").write_text("1")
    httpd.prepare()
    assert not httpd.listens()
    (tmp_path / "nginx.pid").write_text("1")
    assert httpd.listens()


@pytest.mark.parametrize("ports", [(), (0,), (80, 80)])
def test_ports_are_checked(tmp_path: Path, ports: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValue, match=r"^ports: "):
        Httpd("rs1", tmp_path, tmp_path, ports)
