"""*More arguments*: every argument of LLaMA-Factory that the form has no row for.

The session holds the names that were added, one raw text a name, and a free text of YAML or JSON for
pasting many at once. Both together are the job's extra arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st
import yaml

from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.yaml_format import load
from lfdash.llamafactory.catalogue import Argument
from lfdash.outcomes import Problem
from lfdash.ui.form import widgets
from lfdash.ui.shared import keyed
from lfdash.ui.shared.kind import kind, scoped
from lfdash.ui.shared.text import config_error, markdown_safe, t

NAMES, RAW, PICK = "more.names", "more.raw", "more.pick"  # session keys, through `scoped`
FIELD = "train.extra_args"  # LlamaBoard's id of its extra arguments: problems name it
NUMBERS = {"int": int, "float": float}


def key(name: str) -> str:
    """The session key of an added argument."""
    return scoped(f"more.value.{name}")


def names() -> list[str]:
    """The added arguments, in the order they were added."""
    return list(st.session_state.get(scoped(NAMES), []))


def parse(text: str) -> Any:
    """A typed value: YAML's reading of one line ("5e-5" is a number, "true" a switch, "[a]" a list)."""
    return load(f"value: {text}").args["value"]


def read() -> tuple[dict[str, Any], list[Problem]]:
    """The extra arguments and what is wrong with them."""
    extra: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in names():
        raw = st.session_state.get(key(name))
        if raw is None or raw == "":
            continue
        try:
            extra[name] = parse(raw) if isinstance(raw, str) else raw
        except (ConfigError, KeyError):
            problems.append(Problem(FIELD, "extra_value", {"name": name, "value": raw}))
    text = (st.session_state.get(scoped(RAW)) or "").strip()
    if text:
        try:
            extra.update(load(text).args)
        except ConfigError as error:
            problems.append(Problem(FIELD, "extra_not_mapping", {"reason": config_error(error)}))
    return extra, problems


def write(extra: Mapping[str, Any]) -> None:
    """Replaces the added arguments."""
    for name in names():
        st.session_state.pop(key(name), None)
    st.session_state[scoped(NAMES)] = list(extra)
    st.session_state[scoped(RAW)] = ""
    for name, value in extra.items():
        st.session_state[key(name)] = written(value)


def written(value: Any) -> str:
    """One line of text that `parse` reads back as the same value."""
    if isinstance(value, str):
        return value if plain(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, float) else repr(value)


def plain(text: str) -> bool:
    """Whether a string can stand without quotes."""
    try:
        return bool(text.strip()) and parse(text) == text
    except (ConfigError, KeyError, yaml.YAMLError):
        return False


def state() -> dict[str, Any]:
    """What a draft keeps."""
    return {
        "names": names(),
        "values": {name: st.session_state.get(key(name)) for name in names()},
        "raw": st.session_state.get(scoped(RAW), ""),
    }


def restore(kept: Any) -> None:
    """Takes back what `state` gave; anything else counts as empty."""
    kept = kept if isinstance(kept, dict) else {}
    values = kept.get("values") if isinstance(kept.get("values"), dict) else {}
    st.session_state[scoped(NAMES)] = [n for n in kept.get("names", []) if isinstance(n, str)]
    for name in names():
        value = values.get(name)
        st.session_state[key(name)] = value if isinstance(value, str) else ""
    raw = kept.get("raw")
    st.session_state[scoped(RAW)] = raw if isinstance(raw, str) else ""


def add() -> None:
    """Adds the argument that was picked."""
    name = st.session_state.get(scoped(PICK))
    if name and name not in names():
        st.session_state[scoped(NAMES)] = [*names(), name]
        st.session_state.setdefault(key(name), "")
    st.session_state[scoped(PICK)] = None


def remove(name: str) -> None:
    """Takes an added argument away."""
    st.session_state[scoped(NAMES)] = [n for n in names() if n != name]
    st.session_state.pop(key(name), None)


def put(name: str, value: Any) -> None:
    """Sets an argument, or takes it away (None), wherever it was typed."""
    extra, problems = read()
    if problems:  # a text that cannot be read stays as it is
        return
    extra.pop(name, None)
    write(extra if value is None else {**extra, name: value})


def offered(services: Services) -> dict[str, Argument]:
    """The arguments of a training job that have no row in the form and were not added yet."""
    taken = set(names())
    return {
        name: argument
        for name, argument in services.upstream.arguments.items()
        if name not in BY_KIND_ARG[kind()] and name not in taken and "train" in argument.commands
    }


def described(argument: Argument) -> str:
    """Name, type, default and help of an argument, for the search list."""
    default = "" if argument.default is None else f" = {argument.default}"
    text = f"{argument.name}: {argument.type}{default}"
    return f"{text} · {argument.help}" if argument.help else text


def draw(services: Services, on_change: Any) -> None:
    """Draws the search, one widget an added argument, and the free text."""
    choices = offered(services)
    keyed.select(
        t("ui.more_pick"),
        list(choices),
        key=scoped(PICK),
        word=lambda name: described(choices[name]) if name in choices else name,
        placeholder=t("ui.more_search", count=len(choices)),
        on_change=add,
        help=t("ui.more_pick_help"),
    )
    for name in names():
        draw_added(services.upstream.arguments.get(name), name, on_change)
    st.text_area(
        t("ui.more_raw"),
        key=scoped(RAW),
        height=80,
        placeholder="rope_theta: 10000",
        on_change=on_change,
        help=t("ui.more_raw_help"),
        persist_state="session",
    )


def draw_added(argument: Argument | None, name: str, on_change: Any) -> None:
    """One added argument: its value and a button that takes it away."""
    value, away = st.columns([8, 1], vertical_alignment="bottom")
    kind = argument.type if argument else t("ui.more_unknown")
    with value:
        common: dict[str, Any] = {
            "key": key(name),
            "help": (argument.help if argument and argument.help else "") + f"  \n`{kind}`",
            "on_change": on_change,
            "persist_state": "session",
        }
        draw_value(argument, name, {"label": markdown_safe(name), **common})
    with away:
        st.button(
            "",
            icon=":material/close:",
            key=scoped(f"more.remove.{name}"),
            on_click=remove,
            args=(name,),
            type="tertiary",
            help=t("ui.more_remove", name=markdown_safe(name)),
        )


def draw_value(argument: Argument | None, name: str, common: dict[str, Any]) -> None:
    """The widget of an argument's type: a switch, a choice, or text that is read as YAML."""
    default = "" if argument is None or argument.default is None else str(argument.default)
    placeholder = t("ui.default_is", value=default) if default else t("ui.not_set")
    offered = ["true", "false"] if argument and argument.kind == "bool" else list(argument.choices) if argument else []
    if offered:
        held = st.session_state.get(key(name)) or None
        st.session_state[key(name)] = held  # "" of an added argument: a choice has None
        options = widgets.with_current(offered, held)
        st.selectbox(options=options, index=None, placeholder=placeholder, accept_new_options=True, **common)
    else:
        st.text_input(placeholder=placeholder, **common)
