"""A real server on loopback for the security tests, with a stand-in for llamafactory-cli."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.security.browser import ask
from tests.support.runs import wait_for

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass
class Server:
    """A running dashboard. said: what it printed so far."""

    process: subprocess.Popen[str]
    url: str
    workspace: Path
    said: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Takes what it prints, so that the pipe never fills."""
        assert self.process.stdout is not None
        self.said.extend(self.process.stdout)

    def answers(self) -> bool:
        """Whether it serves; fails when it ended."""
        assert self.process.poll() is None, "".join(self.said)
        try:
            return ask(self.url, "/_stcore/health").status == 200
        except OSError:
            return False


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in(folder: Path) -> str:
    """An executable llamafactory-cli that runs leaky_cli.py; the path of its python is not told, so nobody probes."""
    path = folder / "llamafactory-cli"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {HERE / "leaky_cli.py"} "$@"\n')
    path.chmod(0o755)
    return str(path)


def make_workspace(folder: Path) -> Path:
    """A workspace with one small dataset, and a model whose weights are an empty file."""
    root = folder / "workspace"
    (root / "data").mkdir(parents=True)
    (root / "models" / "m").mkdir(parents=True)
    (root / "models" / "m" / "config.json").write_text('{"model_type": "llama"}\n')
    (root / "models" / "m" / "model.safetensors").write_bytes(b"0")
    shutil.copy(HERE / "rows.json", root / "data" / "rows.json")
    (root / "data" / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}\n')
    return root


def start_server(
    root: Path, *words: str, env: dict[str, str] | None = None, path: str = "", module: tuple[str, ...] = (),
    handles: int = 0, port: int = 0,
) -> Server:
    """Starts `python -m lfdash` on a workspace, with further words, and waits until it answers.

    path: of the address, where --public-url has one. module: what is started instead. handles: how many files it may
    open at most, 0 = as many as we. port: 0 = a free one.
    """
    port = port or free_port()
    told = [*module, f"--server.port={port}"] if module else ["lfdash", "--workspace", str(root), f"--port={port}"]
    limits = f'ulimit -Sn {handles // 2} && ulimit -Hn {handles} && exec "$@"'
    limited = ["sh", "-c", limits, "sh"] if handles else []
    process = subprocess.Popen(
        [*limited, sys.executable, "-m", *told, *words],
        cwd=root.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LFDASH_WORKSPACE": str(root), **(env or {})},
    )
    server = Server(process, f"http://127.0.0.1:{port}{path}", root)
    threading.Thread(target=server.listen, daemon=True).start()
    wait_for(server.answers, 60)
    return server


Start = Callable[..., Server]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory, asked: Path) -> Iterator[Start]:
    """Starts servers, each on a workspace of its own unless one is given; ends them with the session."""
    running: list[Server] = []

    def start(*words: str, env: dict[str, str] | None = None, root: Path | None = None, **how: Any) -> Server:
        folder = tmp_path_factory.mktemp("security")
        env = {"LFDASH_CLI": stand_in(folder), **(env or {})}
        root = root or make_workspace(folder)
        shutil.copytree(asked, root / ".lfdash", dirs_exist_ok=True)
        running.append(start_server(root, *words, env=env, **how))
        return running[-1]

    yield start
    for server in running:
        server.process.terminate()
    for server in running:
        server.process.wait(20)


# What a folder's configuration might say to Streamlit; none of it may count.
LOOSE = """
[server]
address = "0.0.0.0"
enableAgentApi = true
enableCORS = false
enableXsrfProtection = false
enableStaticServing = true
allowedHosts = ["*"]
trustedUserHeaders = {X-User = "email"}
maxUploadSize = 900
[client]
showErrorDetails = "full"
toolbarMode = "developer"
[browser]
gatherUsageStats = true
"""


@pytest.fixture(scope="session")
def server(serve: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server as `make run` starts it, from a folder whose configuration would loosen Streamlit."""
    folder = tmp_path_factory.mktemp("loose")
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(LOOSE)
    return serve(root=make_workspace(folder))


@pytest.fixture(scope="session")
def behind(serve: Start) -> Server:
    """A server behind a proxy that is not there: requests come as the proxy would pass them on."""
    return serve("--public-url", "https://box.example/lfdash", path="/lfdash")
