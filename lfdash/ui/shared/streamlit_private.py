"""What is used of Streamlit beside its public interface: the one place to look at when it is renewed.

Seen in Streamlit 1.67. Its own sign-in, the server's sessions and settings, and the type of a keyed expander have no
public name there; `tests/ui/shared/test_streamlit_private.py` says when one is gone.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer
from streamlit.errors import StreamlitAPIException
from streamlit.logger import get_logger
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner, get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, ScriptRequestType
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.bootstrap import load_config_options
from streamlit.web.server.server_util import AUTH_COOKIE_NAME, get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server import _get_uvicorn_config_kwargs as server_settings

__all__ = [
    "AUTH_COOKIE_NAME",
    "ExpanderContainer",
    "FragmentOf",
    "decode_signed_value",
    "draws_page",
    "fragment_of",
    "generate_login_redirect_url",
    "get_cookie_secret",
    "get_cookie_with_chunks",
    "get_origin_from_redirect_uri",
    "ignore_left_pages",
    "in_session",
    "is_shown",
    "offer_file",
    "open_tabs",
    "rerun_fragment",
    "serve_folder",
    "server_settings",
    "take_settings",
    "wake",
]


def take_settings(options: Mapping[str, object]) -> None:
    """Sets Streamlit's configuration before its server starts. That settings were read earlier, for the sign-in, is no
    reason to tell the user to start the server again, as Streamlit does."""
    logger = get_logger("streamlit.config")
    logger.addFilter(is_no_advice_to_restart)
    try:
        load_config_options(dict(options))
    finally:
        logger.removeFilter(is_no_advice_to_restart)


def is_no_advice_to_restart(record: logging.LogRecord) -> bool:
    """Whether a record is another one than that of streamlit/config.py."""
    return "please restart streamlit" not in record.getMessage()


def open_tabs() -> int:
    """How many tabs are open on this server."""
    return len(get_instance()._session_mgr.list_active_sessions())


def in_session() -> bool:
    """Whether this code runs for a page."""
    return get_script_run_ctx(suppress_warning=True) is not None


def serve_folder(component: str, folder: Path) -> None:
    """Serves the files of a folder at `_stcore/bidi-components/<component>/`, as if an installed package had declared
    the component with it. component: `<package>.<name>`."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(component) is None:
        package, _, name = component.partition(".")
        declared = ComponentManifest(package, "", [ComponentConfig(name, folder.name)])
        manager.register_from_manifest(declared, folder.parent)


def offer_file(content: bytes, mime: str, place: str, name: str) -> str:
    """Serves a file to this session until the page is drawn anew; returns its address. place: one a file of a page; a
    new one there takes its place. name: what it is saved as; the server's word counts, not that of a link."""
    files = get_instance().media_file_mgr
    return files.add(content, mime, f"lfdash.{place}", file_name=name, is_for_static_download=True)


@dataclass(frozen=True)
class FragmentOf:
    """A fragment of the page that a tab shows. wanted: the run of it."""

    session_id: str
    fragments: tuple[str, ...]
    wanted: RerunData = field(compare=False)


def fragment_of(key: str) -> FragmentOf | None:
    """The fragment with a key of the page that this code runs for; None where it was not drawn yet, or there is no
    tab."""
    ctx = get_script_run_ctx(suppress_warning=True)
    if ctx is None or not exists():
        return None
    try:
        fragments = ctx.fragment_storage.resolve_target(key)
    except StreamlitAPIException:  # it was not drawn yet
        return None
    return FragmentOf(ctx.session_id, tuple(fragments), RerunData(
        query_string=ctx.query_string, page_script_hash=ctx.page_script_hash, fragment_id_queue=fragments,
        is_fragment_scoped_rerun=True,
        cached_message_hashes=ctx.cached_message_hashes, context_info=ctx.context_info,
    ))


def rerun_fragment(key: str) -> None:
    """Has a fragment drawn again once this run is over; `st.rerun` of a key is for callbacks alone."""
    ctx, found = get_script_run_ctx(), fragment_of(key)
    if found is not None and ctx is not None and ctx.script_requests is not None:
        ctx.script_requests.request_rerun(found.wanted)


def draws_page() -> bool:
    """Whether the whole page is being drawn, and not a fragment of it alone."""
    ctx = get_script_run_ctx(suppress_warning=True)
    return ctx is not None and not ctx.fragment_ids_this_run


def is_shown(found: FragmentOf) -> bool:
    """Whether the tab is connected, and shows the page of the fragment."""
    if not exists():
        return False
    info = get_instance()._session_mgr.get_active_session_info(found.session_id)
    return info is not None and all(map(info.session.has_fragment, found.fragments))


def wake(found: FragmentOf) -> None:
    """Has a fragment of a tab drawn again, from a thread of the server; nothing where it is not shown any more, or the
    tab's page is being drawn.

    What `AppSession.request_rerun` does, but no widget's value is touched.
    """
    server = get_instance()
    info = server._session_mgr.get_active_session_info(found.session_id)
    if info is None:
        return
    session = info.session

    def begin() -> None:
        # A page that is being drawn would end where it is, and leave half of itself to the browser.
        if session._scriptrunner is None and all(map(session.has_fragment, found.fragments)):
            # What the browser keeps of earlier messages is known only when it asks; it may have let go of some since.
            session._create_scriptrunner(replace(found.wanted, cached_message_hashes=frozenset()))

    server._get_async_objs().eventloop.call_soon_threadsafe(begin)


def ignore_left_pages() -> None:
    """Has what a tab still wants of a page that it has left by now come to nothing: a fragment's timer that ran out
    while the next page was asked for. Streamlit shows the old page again then, without what stood in it: a blank one.
    """
    ScriptRunner._run_script = only_of_its_page(ScriptRunner._run_script)  # type: ignore[method-assign]
    ScriptRequests._request_rerun_locked = keep_page(  # type: ignore[method-assign]
        ScriptRequests._request_rerun_locked)


def only_of_its_page(run: Any) -> Any:
    """Streamlit's way to run a script, for fragments of the session's page alone."""
    @functools.wraps(run)
    def run_script(self: ScriptRunner, rerun_data: RerunData) -> None:
        page = self._pages_manager.intended_page_script_hash
        if not (rerun_data.fragment_id_queue and page and rerun_data.page_script_hash not in ("", page)):
            run(self, rerun_data)

    return run_script


def keep_page(request: Any) -> Any:
    """Streamlit's way to join two runs that are wanted: where another page is one of them, its fragment is none."""
    @functools.wraps(request)
    def request_rerun(self: ScriptRequests, new_data: RerunData) -> bool:
        wanted = self._rerun_data
        page = wanted.page_script_hash if not (wanted.fragment_id or wanted.fragment_id_queue) else ""
        late = (new_data.fragment_id or new_data.fragment_id_queue) and new_data.page_script_hash not in ("", page)
        if self._state == ScriptRequestType.RERUN and page and late:
            return True
        done: bool = request(self, new_data)
        return done

    return request_rerun
