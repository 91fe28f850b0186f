"""The server's entry: which port is taken, what Streamlit is told, who may come. Real ones: tests/security."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from lfdash.access.hosts import LOOPBACK, Access
from lfdash.engine.services import find_project
from lfdash.web.server import access_of, arguments, listener, services_of, settings, workspace_of


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as busy:
        busy.bind((LOOPBACK, 0))
        busy.listen()
        taken = busy.getsockname()[1]
        with listener(taken) as found:
            port = found.getsockname()[1]
            assert taken < port < taken + 50
            with listener(port) as next_one:  # it is ours before anything is answered
                assert next_one.getsockname()[1] > port
    with pytest.raises(OSError, match="assign"):
        listener(taken, "192.0.2.1")


def test_only_this_machine_is_served() -> None:
    told = settings(8501)
    assert told["server.address"] == "127.0.0.1"
    assert told["server.allowedHosts"] == ["localhost", "127.0.0.1", "::1"]
    assert told["browser.gatherUsageStats"] is False


def asked(*words: str) -> Access:
    return access_of(arguments(list(words)))


def test_the_command_line_says_who_may_come() -> None:
    assert asked() == Access() == asked("--host", "localhost")
    assert asked("--host", "[::1]").host == "::1"
    assert asked("--public-url", "https://Box.example/a/") == Access(public="https://box.example/a")
    public = asked("--host", "0.0.0.0", "--allow-anyone")
    assert public.exposed and socket.gethostname().lower() in public.names
    with pytest.raises(SystemExit, match="--allow-anyone"):
        asked("--host", "0.0.0.0", "--public-url", "https://box.example")
    with pytest.raises(SystemExit, match="--public-url"):
        asked("--public-url", "box.example")


def test_behind_a_proxy_streamlit_knows_the_address() -> None:
    told = settings(8501, Access(public="https://box.example/a"))
    assert told["server.baseUrlPath"] == "a" and told["server.address"] == "127.0.0.1"
    assert told["server.corsAllowedOrigins"] == ["https://box.example"]
    assert told["browser.serverAddress"] == "box.example"


def test_a_workspace_whose_path_is_no_text_is_refused_at_the_start(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"ws-\xff")
    with pytest.raises(SystemExit, match="bytes that are not text"):
        workspace_of(arguments(["--workspace", str(odd)]))
    assert not odd.exists()
    assert workspace_of(arguments(["--workspace", f"{tmp_path}/ws"])) == tmp_path / "ws"


def test_a_disk_without_room_is_said_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_args: object, **_how: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lfdash.workspace.folders.write_text_atomic", full)
    services_of(find_project(), tmp_path, [], Access()).close()
    said = capsys.readouterr().err
    assert "ds_z3_config.json" in said and os.strerror(errno.ENOSPC) in said
    monkeypatch.setattr("lfdash.workspace.folders.Workspace.prepare", full)
    with pytest.raises(SystemExit, match=f"{tmp_path} is full"):
        services_of(find_project(), tmp_path, [], Access())
