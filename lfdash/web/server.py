"""The entry: one Streamlit server, with the registry running before any browser comes.

`streamlit run app.py` works too, but starts the registry only with the first page, checks less of who comes
and, from another folder, misses `.streamlit/config.toml`; so the server is started here, with its settings in code.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from lfdash.access.ended_sign_ins import EndedSignIns
from lfdash.access.hosts import LOOPBACK, Access, machine_names, public_url
from lfdash.access.sign_in import SignIn, named_users, read
from lfdash.cli.texts import language, t
from lfdash.engine.services import Project, Services, find_project
from lfdash.locales import refusal_in
from lfdash.outcomes import Refused, unchanged_by
from lfdash.runs.table import Table
from lfdash.runs.view import RunView
from lfdash.ui.runs import columns
from lfdash.ui.shared.layout import PAGES
from lfdash.ui.shared.session import install, opened
from lfdash.ui.shared.streamlit_private import ignore_left_pages, server_settings, take_settings
from lfdash.web import connections, error_report, log_limit
from lfdash.web.browser_cache import BrowserCache
from lfdash.web.origin_check import OriginCheck
from lfdash.web.page_base import PageBase
from lfdash.web.sign_in_page import SignInPage
from lfdash.workspace.allowed_paths import named
from lfdash.workspace.folders import path_refusal
from lfdash.workspace.secret_store import SecretStore

FIRST_PORT = 8501
PORTS_TRIED = 50
MOST_LOADS = "lfdash.ui.train.page"  # with the packages that every page needs (Altair: a third of a second)
LOCAL = Access()


def listener(wanted: int, host: str = LOOPBACK) -> socket.socket:
    """A socket on the first port from `wanted` on that nobody listens on. OSError when 50 in a row are taken, or when
    the address is not one of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))  # an address of another machine is no reason to try 50 ports
    for port in range(wanted, wanted + PORTS_TRIED):
        found = socket.socket(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # `::` is every address, old ones too
        try:
            found.bind((host, port))
            found.listen(connections.BURST)  # two can be bound to a port before one of them listens
        except OSError:
            found.close()
            continue
        return found
    raise OSError(t("ui.no_free_port", first=wanted, last=wanted + PORTS_TRIED - 1))


def settings(port: int, access: Access = LOCAL) -> dict[str, object]:
    """Streamlit's configuration, in code so that no working directory and no variable changes it."""
    public = urlsplit(access.origin)
    return {
        "server.address": access.host,
        "server.port": port,
        "server.headless": True,
        "server.baseUrlPath": access.path,
        # origin_check looks more closely, and at every route; these are Streamlit's own checks behind it
        "server.allowedHosts": ["*"] if access.exposed or access.public else ["localhost", LOOPBACK, "::1"],
        "server.corsAllowedOrigins": [access.origin] if access.public else [],
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,  # would drive the page without a browser
        "server.trustedUserHeaders": "{}",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 20,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": public.hostname or "localhost",
        "client.showSidebarNavigation": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",  # a trace may hold a secret; error_report.py says what there is to say
        "global.developmentMode": False,
        "global.disableWidgetStateDuplicationWarning": True,  # ui/shared/keyed.py sets both, and why
        "logger.enableRich": False,  # would print traces itself, past the logs that are kept free of secrets
        "runner.postScriptGC": False,
    }


def warm(table: Table, views: Sequence[RunView]) -> None:
    """Loads and makes what the first tab needs, before there is one."""
    importlib.import_module(MOST_LOADS)
    columns.warm(table, views)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Opens the services (registry, adoption of runs) with the server and closes them with it."""
    services = opened()
    services.start()
    views = services.registry.snapshot()
    threading.Thread(target=warm, args=(services.table, views), name="lfdash-warm", daemon=True).start()
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
    parser.add_argument("--host", default=os.environ.get("LFDASH_HOST") or LOOPBACK, help=t("ui.cli_host"))
    parser.add_argument("--public-url", default=os.environ.get("LFDASH_PUBLIC_URL", ""), help=t("ui.cli_public"))
    parser.add_argument("--root", type=Path, action="append", metavar="DIR", help=t("ui.cli_root"))
    parser.add_argument("--users", default=os.environ.get("LFDASH_USERS", ""), help=t("ui.cli_users"))
    parser.add_argument("--allow-anyone", action="store_true", help=t("ui.cli_anyone"))
    return parser.parse_args(argv)


def sign_in_of(options: argparse.Namespace) -> SignIn | None:
    """The sign-in that secrets.toml sets up; None when it sets up none. SystemExit says what is wrong with it."""
    users = named_users(options.users)
    files = [path for path in st.get_option("secrets.files") if os.path.exists(path)]
    if files and not st.secrets.load_if_toml_exists():
        sys.exit(t("ui.auth_broken", files=", ".join(files)))
    auth = st.secrets.get("auth") if files else None
    if auth is None and users:
        sys.exit(t("ui.auth_none"))
    if auth is None:
        return None
    found = read(auth, users)
    if isinstance(found, Refused):
        sys.exit(refusal_in(language(), found))
    return found


def access_of(options: argparse.Namespace, sign_in: SignIn | None = None) -> Access:
    """Who may come, from the command line and the sign-in. SystemExit says what is wrong with it."""
    there = sign_in.public if sign_in else ""
    public = public_url(options.public_url) if options.public_url else there
    if public is None:
        sys.exit(t("ui.public_bad", value=options.public_url))
    if sign_in and public != there:
        sys.exit(t("ui.auth_elsewhere", what=public))
    host = LOOPBACK if options.host.lower() == "localhost" else options.host.strip("[]")
    access = Access(host, public, signed_in=sign_in is not None, anyone=options.allow_anyone)
    if access.refused:
        sys.exit(t("ui.host_refused", host=host))
    return replace(access, names=machine_names()) if access.exposed else access


def workspace_of(options: argparse.Namespace) -> Path:
    """The workspace, absolute. SystemExit for a path that is no text: no page could show it."""
    root: Path = options.workspace.resolve()
    refused = path_refusal(root)
    if refused is not None and refused.code == "path_bytes":
        sys.exit(refusal_in(language(), refused))
    return root


def roots_of(options: argparse.Namespace) -> list[Path]:
    """The further folders that paths may lead into. SystemExit for one that is none."""
    roots = [*(options.root or []), *named(os.environ.get("LFDASH_ROOTS", ""))]
    for folder in roots:
        if not folder.is_dir():
            sys.exit(t("ui.root_bad", path=folder))
    return [Path(os.path.abspath(folder)) for folder in roots]


def doors(access: Access, sign_in: SignIn | None, private: Path) -> list[Middleware]:
    """What every request passes before Streamlit sees it. private: the workspace's folder of the dashboard itself."""
    pages = [Path(page).stem for page, _ in PAGES]
    inner = [Middleware(BrowserCache), Middleware(PageBase, pages=pages)]
    check = Middleware(OriginCheck, access=access)
    if sign_in is None:
        return [check, *inner]
    ended = EndedSignIns(private / "ended-sign-ins")
    return [check, Middleware(SignInPage, sign_in=sign_in, ended=ended, base=access.path), *inner]


def hide_auth(secret_store: SecretStore, auth: Mapping[str, Any]) -> None:
    """Keeps the sign-in's own secrets out of pages and logs."""
    for name, value in auth.items():
        if isinstance(value, Mapping):
            hide_auth(secret_store, value)
        elif name in ("cookie_secret", "client_secret"):
            secret_store.hide(name, str(value))


def serve(app: ASGIApp, socket_there: socket.socket, options: Mapping[str, object]) -> None:
    """Serves an app on a socket until Ctrl-C or SIGTERM. options: Streamlit's configuration.

    `st.App.run` would make a server without a limit of connections, and has no place to say one.
    """
    take_settings(options)
    ignore_left_pages()
    handles = connections.raise_handles()
    table = connections.Table(connections.most_for(handles), handles)
    server = connections.server_of(connections.Config(app, table, log_limit.limit(), **server_settings()))
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a dashboard ends
        server.run(sockets=[socket_there])
    if not server.started:
        sys.exit(1)


def main(argv: list[str] | None = None) -> None:
    """Serves the dashboard until it is interrupted. Runs that it started go on without it."""
    options = arguments(argv)
    project = find_project()
    script = str(project.script)
    st.App(script)  # from now on Streamlit looks for .streamlit/secrets.toml beside it, too
    sign_in = sign_in_of(options)
    access = access_of(options, sign_in)
    try:
        socket_there = listener(options.port, access.host)
    except OSError as error:
        sys.exit(t("ui.no_address", host=access.host, port=options.port, reason=error))
    services = services_of(project, workspace_of(options), roots_of(options), access)
    services.sign_in = sign_in
    if sign_in is not None:
        hide_auth(services.registry.secret_store, st.secrets["auth"])
    install(services)
    error_report.hide_in_logs(services.registry.redactor)
    port = socket_there.getsockname()[1]
    say(options, access, sign_in, port)
    inner = doors(access, sign_in, services.workspace.private)
    app = st.App(script, lifespan=lifespan, middleware=inner, on_script_error=error_report.draw)
    sys.argv = [script]  # Streamlit takes the folder of pages/ from here
    serve(app, socket_there, settings(port, access))


def services_of(project: Project, workspace: Path, roots: Sequence[Path], access: Access) -> Services:
    """What the dashboard serves. Ends with a plain message where the disk does not let a workspace be made; says which
    files of it could not be written, and goes on."""
    try:
        services = Services(project, workspace, roots, shared=access.shared)
    except OSError as error:
        sys.exit(refusal_in(language(), unchanged_by(error, workspace)))
    if services.unwritten is not None:
        names, reason = ", ".join(services.unwritten.names), services.unwritten.reason
        print(t("ui.deepspeed_unwritten", names=names, reason=reason), file=sys.stderr, flush=True)
    return services


def say(options: argparse.Namespace, access: Access, sign_in: SignIn | None, port: int) -> None:
    """Prints where the dashboard is and who may come."""
    shown = f"[{access.host}]" if ":" in access.host else access.host
    url = access.public or f"http://{shown}:{port}"
    print(t("ui.serving", url=url, workspace=options.workspace.resolve()), flush=True)
    if access.exposed and not access.signed_in:
        print(t("ui.serving_anyone"), flush=True)
    if sign_in is not None:
        print(t("ui.serving_users", users=", ".join(sign_in.users) or "*"), flush=True)
