"""The one field of a model: a list of what is known with sizes and templates, where a path or hub id may be typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from lfdash.engine import models
from lfdash.engine.context import MODEL, PATH
from lfdash.engine.models import Offer
from lfdash.ui.form import preferences, widgets
from lfdash.ui.form.state import HUB_NAME, MODEL_PICK, Form
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import label, markdown_safe, t

FIELDS = (MODEL, PATH)


def draw(form: Form, look: widgets.Appearance, help_: str | None, on_change: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """Draws the field, the path that a name stands for, and near matches of a name that is unknown."""
    services = form.services
    offers = {offer.value: offer for offer in models.offered(services, preferences.used(services))}
    now, small, saved = form.model, t("ui.model_small"), saved_as(form)
    st.session_state[MODEL_PICK] = now or None

    def changed() -> None:
        form.choose_model(st.session_state[MODEL_PICK] or "")
        on_change(*args)

    with st.container(key=PATH):
        keyed.select(
            label(PATH), widgets.with_current(list(offers), now or None), key=MODEL_PICK, page=form.page, open_=True,
            word=lambda value: words(offers.get(value) or Offer(value), small, saved if value == now else ""),
            read=partial(meant, form), nothing=t("ui.not_set"), placeholder=t("ui.model_pick"), help=help_,
            on_change=changed,
        )
        path = st.session_state.get(PATH)
        if path and now != path:
            st.caption(markdown_safe(path))
        widgets.draw_problems(look.problems)
        if form.model_unknown:
            draw_near(form, on_change, args)


def words(offer: Offer, small: str, saved: str) -> str:
    """A line of the list: name or path, size, template. small: the word for a small model. saved: the folder of its
    runs, where another name says it."""
    size = f"{offer.size} {small}" if offer.small else offer.size
    return " · ".join(part for part in (offer.value, size, offer.template, saved) if part)


def saved_as(form: Form) -> str:
    """Where the runs of the chosen model lie, when another name than the one that is shown says it; else ""."""
    name = st.session_state.get(MODEL)
    return f"saves/{name}/" if name and form.model not in ("", name) else ""


def meant(form: Form, text: str) -> str:
    """A typed text as the field shows it."""
    chosen = models.read(form.services, text, st.session_state.get(HUB_NAME) or "")
    return models.shown(form.services, chosen.name, chosen.path)


def draw_near(form: Form, on_change: Callable[..., None], args: tuple[Any, ...]) -> None:
    """Models that an unknown name may have meant, one click each."""

    def choose(value: str) -> None:
        form.choose_model(value)
        on_change(*args)

    with st.container(key="model_near", horizontal=True, gap="xsmall"):
        for value in models.near(form.services, form.model):
            st.button(markdown_safe(value), key=f"model.near.{value}", on_click=choose, args=(value,))
