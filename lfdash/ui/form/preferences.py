"""What a workspace remembers of its user: the model used last, the paths of models, the hub, the cache folder.

LlamaBoard keeps the same in its user_config.yaml (llamafactory/webui/common.py, save_config).
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from lfdash.engine.services import Services, settings
from lfdash.outcomes import Value

MODEL, PATH = "top.model_name", "top.model_path"
KEPT = {"top.model_name": "last_model", "top.hub_name": "hub", "top.cache_dir": "cache_dir"}


def remember(services: Services, field_id: str) -> None:
    """Keeps what was just chosen or typed, for new forms and for the next time the model is chosen."""
    value = st.session_state.get(field_id)
    memo = settings(services)
    kept = memo.load()
    if field_id in KEPT:
        memo.save({**kept, KEPT[field_id]: value if isinstance(value, str) and value else None})
    name = st.session_state.get(MODEL)
    if field_id == PATH and name and value:
        memo.save({**kept, "paths": {**paths(kept), name: value}})


def paths(kept: Mapping[str, object]) -> dict[str, str]:
    """Model -> path, as far as the file holds that."""
    found = kept.get("paths")
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def path_of(services: Services, model: str) -> str | None:
    """The path that was typed for a model last."""
    return paths(settings(services).load()).get(model)


def usual(services: Services) -> dict[str, Value]:
    """The fields of a new form that are as they were last."""
    kept = settings(services).load()
    found = {field_id: kept.get(name) for field_id, name in KEPT.items()}
    return {field_id: value for field_id, value in found.items() if isinstance(value, str) and value}
