"""What is used of Streamlit beside its public interface: the one place to look at when it is renewed.

Seen in Streamlit 1.67. Its own sign-in, the server's sessions and settings, and the type of a keyed expander have no
public name there; `tests/ui/shared/test_streamlit_private.py` says when one is gone.
"""

from __future__ import annotations

from pathlib import Path

from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer
from streamlit.runtime import get_instance
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.bootstrap import load_config_options
from streamlit.web.server.server_util import AUTH_COOKIE_NAME, get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server import _get_uvicorn_config_kwargs as server_settings

__all__ = [
    "AUTH_COOKIE_NAME",
    "ExpanderContainer",
    "decode_signed_value",
    "generate_login_redirect_url",
    "get_cookie_secret",
    "get_cookie_with_chunks",
    "get_origin_from_redirect_uri",
    "in_session",
    "load_config_options",
    "offer_file",
    "open_tabs",
    "rerun_fragment",
    "serve_folder",
    "server_settings",
]


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


def offer_file(content: bytes, mime: str, place: str) -> str:
    """Serves a file to this session until the page is drawn anew; returns its address. place: one a file of a page; a
    new one there takes its place."""
    return get_instance().media_file_mgr.add(content, mime, f"lfdash.{place}", is_for_static_download=True)


def rerun_fragment(key: str) -> None:
    """Has a fragment drawn again once this run is over; `st.rerun` of a key is for callbacks alone."""
    ctx = get_script_run_ctx()
    if ctx is None or ctx.script_requests is None:
        return
    ctx.script_requests.request_rerun(RerunData(
        query_string=ctx.query_string, page_script_hash=ctx.page_script_hash,
        fragment_id_queue=ctx.fragment_storage.resolve_target(key), is_fragment_scoped_rerun=True,
        cached_message_hashes=ctx.cached_message_hashes, context_info=ctx.context_info,
    ))
