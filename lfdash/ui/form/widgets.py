"""From a field to a widget, and from what a widget holds to a value.

A widget's value in the session is *raw*: text for numbers, True/False/None for switches, a string or
None for choices. "" and None and [] mean: not given. Nothing is coerced by the widget itself, because
Streamlit's number and choice widgets change a value they dislike without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lfdash.jobs.field import Field
from lfdash.jobs.fields import arguments
from lfdash.outcomes import Problem, Value
from lfdash.ui.shared import keyed
from lfdash.ui.shared.scripts import css_class
from lfdash.ui.shared.text import choice, help_text, label, markdown_safe, problem_markdown, t

HALF_WIDTH = {"int", "float", "choice", "text"}


@dataclass(frozen=True)
class Appearance:
    """How one field appears now.

    page: a name of the page that shows it; options: what a choice offers; default: LLaMA-Factory's own default, shown
    as placeholder; problems: what is wrong with it, told below; reason: why it is disabled. extra: the value that its
    argument has under *More arguments*, as it is written; refused: whether the field could not hold that. nothing: what
    stands in an empty field where that is no default of LLaMA-Factory.
    """

    page: str
    options: Sequence[str] = ()
    default: Value | None = None
    upstream_help: str = ""
    problems: tuple[Problem, ...] = ()
    reason: str = ""
    extra: str = ""
    refused: bool = False
    nothing: str = ""


def number_text(value: float) -> str:
    """A number as people write it: 5e-5 rather than 5e-05, 3 decimals kept as they are."""
    return re.sub(r"e([+-])0*", lambda m: "e" + m.group(1).replace("+", ""), repr(value))


def to_raw(row: Field, value: Value | None) -> Any:
    """The session's form of a value of `row`; what "not given" looks like when `value` is None."""
    if row.kind == "choices":
        return [] if value is None else list(value) if isinstance(value, list) else [str(value)]
    if row.kind in ("bool", "choice"):
        return value
    if value is None:
        return ""
    return value if isinstance(value, str) else number_text(value) if isinstance(value, float) else str(value)


def is_given(raw: Any) -> bool:
    """Whether a raw value says anything."""
    return raw is not None and raw != "" and raw != []


def mark_changed(field_ids: Iterable[str]) -> None:
    """Puts a mark behind the labels of fields that differ from the preset. By style: a label that is read aloud, or
    looked for, stays the label."""
    labels = [f'.{css_class(name)} [data-testid="stWidgetLabel"]' for name in field_ids]
    if labels:
        dots = ", ".join(f"{one} p::after" for one in labels)
        st.html(f'<style>{dots} {{content: " ●"; color: var(--lf-blue)}}</style>')


def shown_help(row: Field, look: Appearance) -> str:
    """The tooltip: our help (or LLaMA-Factory's), the argument's name, why it is disabled."""
    parts = [help_text(row.id) or look.upstream_help, ", ".join(f"`{name}`" for name in arguments(row)), look.reason]
    return "  \n".join(part for part in parts if part)


def placeholder(row: Field, look: Appearance) -> str:
    """What an empty widget shows: the value that is sent from elsewhere, or the default that LLaMA-Factory will use."""
    if look.extra:
        return t("ui.field_more_value", value=look.extra, more=t("groups.more"))
    if look.nothing:
        return look.nothing
    if look.default is None or look.default == "" or look.default == []:
        return t("ui.not_set")
    default = look.default
    word = number_text(default) if isinstance(default, float) else choice(row.id, default)
    return t("ui.default_is", value=word)


def draw(row: Field, look: Appearance, on_change: Callable[..., None], args: tuple[Any, ...]) -> None:
    """Draws the widget of a field under its session key, and what is wrong with it below."""
    common: dict[str, Any] = {
        "label": label(row.id),
        "key": row.id,
        "help": shown_help(row, look) or None,
        "on_change": on_change,
        "args": args,
        "disabled": bool(look.reason),
    }
    DRAWERS.get(row.kind, draw_text)(row, look, common)
    draw_problems(look.problems)
    if look.extra:
        reason = t("ui.field_more_unfit" if look.refused else "ui.field_more_fits")
        words = t("ui.field_in_more", value=markdown_safe(look.extra), more=t("groups.more"), reason=reason)
        st.caption(f":orange[:material/warning: {words}]")


def draw_problems(found: Sequence[Problem]) -> None:
    """What is wrong, each in its colour, below the widget that it concerns."""
    for item in found:
        colour, icon = ("red", "error") if item.level == "error" else ("orange", "warning")
        st.caption(f":{colour}[:material/{icon}: {problem_markdown(item)}]")


def draw_text(row: Field, look: Appearance, common: dict[str, Any]) -> None:
    keyed.text(
        **common,
        page=look.page,
        placeholder=placeholder(row, look),
        type="password" if row.secret else "default",
        autocomplete="off",
    )


def draw_bool(row: Field, look: Appearance, common: dict[str, Any]) -> None:
    if st.session_state.get(row.id) is None:
        default = t("ui.default_is", value=t("ui.on") if look.default is True else t("ui.off"))
        told = markdown_safe(placeholder(row, look)) if look.extra else default
        common["label"] += f" :gray[{told}]"
    with st.container(key=f"flag_{row.id}"):
        keyed.segments(
            **common, options=[False, True], page=look.page, word=lambda on: t("ui.on") if on else t("ui.off")
        )


def draw_choice(row: Field, look: Appearance, common: dict[str, Any]) -> None:
    keyed.select(
        **common,
        options=with_current(look.options, st.session_state.get(row.id)),
        page=look.page,
        word=lambda value: choice(row.id, value),
        nothing=placeholder(row, look),
        placeholder=placeholder(row, look),
        open_=row.open,
    )


def draw_choices(row: Field, look: Appearance, common: dict[str, Any]) -> None:
    options = list(look.options)
    for value in st.session_state.get(row.id) or []:
        options = with_current(options, value)
    keyed.many(
        **common,
        page=look.page,
        options=options,
        placeholder=placeholder(row, look),
        accept_new_options=row.open,
    )


def with_current(options: Sequence[str], current: str | None) -> list[str]:
    """The options with the current value among them: Streamlit drops a value it does not offer."""
    return list(options) if current is None or current in options else [*options, current]


DRAWERS: dict[str, Callable[[Field, Appearance, dict[str, Any]], None]] = {
    "bool": draw_bool,
    "choice": draw_choice,
    "choices": draw_choices,
}
