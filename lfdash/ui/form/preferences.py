"""What a workspace remembers of its user: the models used before, the hub, the cache folder.

LlamaBoard keeps the same in its user_config.yaml (llamafactory/webui/common.py, save_config).
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from lfdash.engine.services import Services, settings
from lfdash.outcomes import Value

MODEL, PATH = "top.model_name", "top.model_path"
KEPT = {"top.hub_name": "hub", "top.cache_dir": "cache_dir"}
LAST = "last_model"  # name of the model used last, or its path
MOST_USED = 8  # paths and hub ids that are offered again


def remember(services: Services, field_id: str) -> None:
    """Keeps what was just chosen or typed, for new forms and to be offered again."""
    value = st.session_state.get(field_id)
    memo = settings(services)
    kept = memo.load()
    if field_id in KEPT:
        memo.save({**kept, KEPT[field_id]: value if isinstance(value, str) and value else None})
    if field_id == PATH and value:
        name = st.session_state.get(MODEL)
        own = [] if name in services.upstream.models else [value]
        again = [path for path in used(services) if path not in own]
        memo.save({**kept, LAST: name if not own else value, "models": [*own, *again][:MOST_USED]})


def used(services: Services) -> list[str]:
    """Paths and hub ids of models that were typed, the last first."""
    kept = settings(services).load()
    listed = kept.get("models")
    typed = [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else []
    return list(dict.fromkeys([*typed, *paths(kept).values()]))[:MOST_USED]


def last_model(services: Services) -> str:
    """Name or path of the model used last; "" when there is none."""
    kept = settings(services).load().get(LAST)
    return kept if isinstance(kept, str) else ""


def paths(kept: Mapping[str, object]) -> dict[str, str]:
    """Model -> path, as far as the file holds that: what was typed while the path had a field of its own."""
    found = kept.get("paths")
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def path_of(services: Services, model: str) -> str | None:
    """The path that was typed for a model last."""
    return paths(settings(services).load()).get(model)


def usual(services: Services) -> dict[str, Value]:
    """The fields of a new form that are as they were last; for its model see `last_model`."""
    kept = settings(services).load()
    found = {field_id: kept.get(name) for field_id, name in KEPT.items()}
    return {field_id: value for field_id, value in found.items() if isinstance(value, str) and value}
