"""The entry: one Streamlit server on loopback, with the registry running before any browser comes.

`streamlit run app.py` works too, but starts the registry only with the first page and, from another
folder, misses `.streamlit/config.toml`; so the server is started here, with its settings in code.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from lfdash.ui.session import Project, Services, install, opened
from lfdash.ui.text import t

ADDRESS = "127.0.0.1"
FIRST_PORT = 8501
PORTS_TRIED = 50
PROJECT = Path(__file__).resolve().parents[2]


class SameOriginSockets:
    """Refuses a websocket that was opened by a page of another host or port.

    Streamlit takes any localhost origin; another local server's page could otherwise drive this one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not same_origin(scope["headers"]):
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)


def same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the Origin header names the same host and port as Host; clients without Origin pass."""
    found = {name.lower(): value for name, value in headers}
    origin = found.get(b"origin")
    return origin is None or origin.partition(b"://")[2] == found.get(b"host")


def free_port(wanted: int) -> int:
    """The first port from `wanted` on that nobody listens on. OSError when 50 in a row are taken."""
    for port in range(wanted, wanted + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise OSError(t("ui.no_free_port", first=wanted, last=wanted + PORTS_TRIED - 1))


def settings(port: int) -> dict[str, object]:
    """Streamlit's configuration, in code so that no working directory changes it."""
    return {
        "server.address": ADDRESS,
        "server.port": port,
        "server.headless": True,
        "server.allowedHosts": ["localhost", ADDRESS],
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 20,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": "localhost",
        "client.showSidebarNavigation": False,
        "client.toolbarMode": "minimal",
        "runner.postScriptGC": False,
    }


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Opens the services (registry, adoption of runs) with the server and closes them with it."""
    services = opened()
    services.start()
    gc.collect()
    gc.freeze()  # what the imports made never dies: keep later collections short
    try:
        yield
    finally:
        services.close()


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line of `python -m lfdash`."""
    parser = argparse.ArgumentParser(prog="lfdash", description=t("ui.about"))
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path(os.environ.get("LFDASH_WORKSPACE", "workspace")),
        help=t("ui.cli_workspace"),
    )
    parser.add_argument("--port", type=int, default=FIRST_PORT, help=t("ui.cli_port"))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Serves the dashboard until it is interrupted. Runs that it started go on without it."""
    options = arguments(argv)
    install(Services(Project(PROJECT), options.workspace.resolve()))
    port = free_port(options.port)
    print(t("ui.serving", url=f"http://{ADDRESS}:{port}", workspace=options.workspace.resolve()), flush=True)
    app = st.App(PROJECT / "app.py", lifespan=lifespan, middleware=[Middleware(SameOriginSockets)])
    sys.argv = [str(PROJECT / "app.py")]  # Streamlit takes the folder of pages/ from here
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a dashboard ends
        app.run(config=settings(port))
