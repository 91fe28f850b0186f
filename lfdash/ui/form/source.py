"""The first field of a form that loads what a run has made: the run, adapter or model; in words below it what is done
with it; and further adapters, one line each."""

from __future__ import annotations

from functools import partial

import streamlit as st

from lfdash.engine import loading, source
from lfdash.engine.context import PATH
from lfdash.outcomes import Refused
from lfdash.ui.form.state import SAYS, Form
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, problem_words, t

SOURCE, ANOTHER = "source.main", "source.another"  # what the fields show: folders, of the form's own values
UNMEANT = "source.unmeant"  # (kind, why what was typed was refused, names like it) of the last choice
ADDING = "source.adding"  # the kind whose form asks for another adapter

LOADED = (source.ADAPTERS, PATH)  # the fields that name what is loaded
UNLOADABLE = frozenset({"named_absent", "named_unfit", "adapter_broken", "adapter_type", "weights_gone"})


def draw(form: Form) -> None:
    """The field, what it means, and the adapters beside."""
    services = form.services
    stack = source.stack_of(form.read().job)
    offers = source.offers(services)
    st.session_state[SOURCE] = source.main_of(services, form.read().job)
    with st.container(key="source"):
        keyed.select(
            t("ui.source"), with_shown(offers, st.session_state[SOURCE]), key=SOURCE, page=form.page, open_=True,
            nothing=t("ui.source_none"), word=partial(word_of, offers), on_change=choose, args=(form,),
            help=t("ui.source_help"), placeholder=t("ui.source_none"),
        )
        draw_unmeant(form)
        st.fragment(partial(draw_says, form), key=SAYS)()
        if stack:
            draw_beside(form, stack, offers)


def with_shown(offers: dict[str, str], shown: str | None) -> list[str]:
    """The folders of the list, with that of now among them."""
    return list(offers) if shown is None or shown in offers else [*offers, shown]


def word_of(offers: dict[str, str], folder: str) -> str:
    """The name of what lies in a folder: a run's, else the folder itself."""
    return offers.get(folder) or str(folder)


def draw_says(form: Form) -> None:
    """What Start would do, in one sentence; why it can do nothing, where what would be loaded is not there."""
    reason = why_nothing_is_loaded(form)
    if reason:
        st.caption(f":red[:material/error: {markdown_safe(reason)}]")
        return
    said = source.says(form.services, form.read().job)
    rows = t("ui.source_rows" if said.exact else "ui.source_rows_most", count=said.rows)
    key = f"ui.source_says_{said.purpose}{'_none' if said.target == '' else ''}"
    target = f"**{markdown_safe(said.target or '')}**"
    st.caption(t(key, what=loaded_words(said), target=target, rows=rows))


def why_nothing_is_loaded(form: Form) -> str:
    """Why what a form with weights names cannot be loaded, in words; "" where nothing is known against it. A typed
    model that is unknown, or none at all, is told elsewhere."""
    found = form.shown_problems(form.read()) if form.kind.starts_from == "model" else ()
    wrong = (problem for problem in found if problem.field in LOADED and problem.code in UNLOADABLE)
    return next((problem_words(problem) for problem in wrong if problem.level == "error"), "")


def loaded_words(said: source.Said) -> str:
    """Which model and adapter, safe inside Markdown."""
    if not said.model:
        return t("ui.source_no_model")
    bold = {"adapter": f"**{markdown_safe(said.adapter)}**", "model": f"**{markdown_safe(said.model)}**"}
    return t("ui.source_adapter" if said.adapter else "ui.source_model", **bold)


def draw_beside(form: Form, stack: list[str], offers: dict[str, str]) -> None:
    """The adapters below the last one, each with the way to leave it out, and the way to add one."""
    for place, folder in enumerate(stack[:-1]):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(t("ui.source_also", name=markdown_safe(word_of(offers, folder))), width="stretch")
            st.button(
                t("ui.source_drop"), key=f"source_drop_{place}", icon=":material/close:", type="tertiary",
                on_click=drop, args=(form, folder), help=t("ui.source_drop"),
            )
    if st.session_state.get(ADDING) != form.kind.name:
        st.button(
            t("ui.source_another"), key="source_another", icon=":material/add:", type="tertiary", on_click=ask_another,
            args=(form,), help=t("ui.source_another_help"),
        )
        return
    left = {folder: name for folder, name in offers.items() if folder not in stack}
    st.session_state[ANOTHER] = None
    keyed.select(
        t("ui.source_another"), list(left), key=ANOTHER, page=form.page, open_=True, nothing=t("ui.source_no_other"),
        word=partial(word_of, left), on_change=add, args=(form,), placeholder=t("ui.source_no_other"),
        help=t("ui.source_another_help"),
    )


def draw_unmeant(form: Form) -> None:
    """Why the last choice was refused, and the runs whose names are like it, one click each."""
    held = st.session_state.get(UNMEANT)
    if held is None or held[0] != form.kind.name:
        return
    _, refused, names = held
    st.caption(f":red[:material/error: {markdown_safe(refused)}]")
    with st.container(key="source_near", horizontal=True, gap="xsmall"):
        for folder, name in names.items():
            st.button(markdown_safe(name), key=f"source_near_{folder}", on_click=take, args=(form, folder))


def choose(form: Form) -> None:
    """Something was chosen, or typed. Nothing chosen is the base model, without adapters."""
    chosen = st.session_state.get(SOURCE)
    if chosen:
        take(form, chosen)
        return
    st.session_state[UNMEANT] = None
    form.load_weights(source.without_weights(form.services, form.read().job), [])


def take(form: Form, text: str) -> None:
    """Fills the form with what a text means; says why not where it means nothing."""
    services = form.services
    folder = source.meant(services, text)
    found = folder if isinstance(folder, Refused) else loading.job_for_folder(services, form.kind, folder)
    if isinstance(found, Refused):
        refuse(form, text, found)
        return
    st.session_state[UNMEANT] = st.session_state[ADDING] = None
    form.load_weights(found, [])


def refuse(form: Form, text: str, refused: Refused) -> None:
    """Keeps why a choice was refused, with names like it."""
    st.session_state[UNMEANT] = (form.kind.name, refusal(refused), source.near(form.services, text))


def ask_another(form: Form) -> None:
    """The field of another adapter is wanted."""
    st.session_state[ADDING] = form.kind.name


def add(form: Form) -> None:
    """Another adapter was chosen: it is loaded below the one that is shown."""
    text = st.session_state.get(ANOTHER)
    if not text:
        return
    folder = source.meant_adapter(form.services, text)
    if isinstance(folder, Refused):
        refuse(form, text, folder)
        return
    st.session_state[UNMEANT] = st.session_state[ADDING] = None
    stack = source.stack_of(form.read().job)
    form.apply_fix({"top.checkpoint_path": [*stack[:-1], folder, *stack[-1:]]})
    st.rerun()


def drop(form: Form, folder: str) -> None:
    """An adapter is left out."""
    form.apply_fix({"top.checkpoint_path": [one for one in source.stack_of(form.read().job) if one != folder]})
    st.rerun()
