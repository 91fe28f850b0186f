"""*More arguments*: every argument of LLaMA-Factory that the form has no row for.

The session holds the names that were added, one raw text a name, and a free text of YAML or JSON for
pasting many at once. Both together are the job's extra arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
import yaml

from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import DEFAULT, JobKind
from lfdash.jobs.yaml_format import load
from lfdash.llamafactory.catalogue import Argument
from lfdash.outcomes import Problem
from lfdash.ui.form import widgets
from lfdash.ui.form.keys import scoped
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import config_error, markdown_safe, t

NAMES, RAW, PICK = "more.names", "more.raw", "more.pick"  # session keys, through `scoped`
FIELD = "train.extra_args"  # LlamaBoard's id of its extra arguments: problems name it


def key(kind: JobKind, name: str) -> str:
    """The session key of an added argument."""
    return scoped(kind, f"more.value.{name}")


def parse(text: str) -> Any:
    """A typed value: YAML's reading of one line ("5e-5" is a number, "true" a switch, "[a]" a list)."""
    return load(f"value: {text}").args["value"]


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


@dataclass(frozen=True)
class ExtraArguments:
    """The added arguments of a kind's form, as the session holds them."""

    kind: JobKind

    @property
    def names(self) -> list[str]:
        """The added arguments, in the order they were added."""
        return list(st.session_state.get(scoped(self.kind, NAMES), []))

    def read(self) -> tuple[dict[str, Any], list[Problem]]:
        """The extra arguments and what is wrong with them."""
        extra: dict[str, Any] = {}
        problems: list[Problem] = []
        for name in self.names:
            raw = st.session_state.get(key(self.kind, name))
            if raw is None or raw == "":
                continue
            try:
                extra[name] = parse(raw) if isinstance(raw, str) else raw
            except (ConfigError, KeyError):
                problems.append(Problem(FIELD, "extra_value", {"name": name, "value": raw}))
        text = (st.session_state.get(scoped(self.kind, RAW)) or "").strip()
        if text:
            try:
                extra.update(load(text).args)
            except ConfigError as error:
                problems.append(Problem(FIELD, "extra_not_mapping", {"reason": config_error(error)}))
        return extra, problems

    def write(self, extra: Mapping[str, Any]) -> None:
        """Replaces the added arguments."""
        for name in self.names:
            st.session_state.pop(key(self.kind, name), None)
        st.session_state[scoped(self.kind, NAMES)] = list(extra)
        st.session_state[scoped(self.kind, RAW)] = ""
        for name, value in extra.items():
            st.session_state[key(self.kind, name)] = written(value)

    def state(self) -> dict[str, Any]:
        """What a draft keeps."""
        return {
            "names": self.names,
            "values": {name: st.session_state.get(key(self.kind, name)) for name in self.names},
            "raw": st.session_state.get(scoped(self.kind, RAW), ""),
        }

    def restore(self, kept: Any) -> None:
        """Takes back what `state` gave; anything else counts as empty."""
        kept = kept if isinstance(kept, dict) else {}
        values = kept.get("values") if isinstance(kept.get("values"), dict) else {}
        st.session_state[scoped(self.kind, NAMES)] = [n for n in kept.get("names", []) if isinstance(n, str)]
        for name in self.names:
            value = values.get(name)
            st.session_state[key(self.kind, name)] = value if isinstance(value, str) else ""
        raw = kept.get("raw")
        st.session_state[scoped(self.kind, RAW)] = raw if isinstance(raw, str) else ""

    def add(self) -> None:
        """Adds the argument that was picked."""
        name = st.session_state.get(scoped(self.kind, PICK))
        if name and name not in self.names:
            st.session_state[scoped(self.kind, NAMES)] = [*self.names, name]
            st.session_state.setdefault(key(self.kind, name), "")
        st.session_state[scoped(self.kind, PICK)] = None

    def remove(self, name: str) -> None:
        """Takes an added argument away."""
        st.session_state[scoped(self.kind, NAMES)] = [n for n in self.names if n != name]
        st.session_state.pop(key(self.kind, name), None)

    def put(self, name: str, value: Any) -> None:
        """Sets an argument, or takes it away (None), wherever it was typed."""
        extra, problems = self.read()
        if problems:  # a text that cannot be read stays as it is
            return
        extra.pop(name, None)
        self.write(extra if value is None else {**extra, name: value})

    def offered(self, services: Services) -> dict[str, Argument]:
        """The arguments of a training job that have no row in the form and were not added yet."""
        taken = set(self.names)
        return {
            name: argument
            for name, argument in services.upstream.arguments.items()
            if name not in BY_KIND_ARG[self.kind.name] and name not in taken and DEFAULT.command in argument.commands
        }


def described(argument: Argument) -> str:
    """Name, type, default and help of an argument, for the search list."""
    default = "" if argument.default is None else f" = {argument.default}"
    text = f"{argument.name}: {argument.type}{default}"
    return f"{text} · {argument.help}" if argument.help else text


def draw(services: Services, extra: ExtraArguments, on_change: Any) -> None:
    """Draws the search, one widget an added argument, and the free text."""
    choices = extra.offered(services)
    keyed.select(
        t("ui.more_pick"),
        list(choices),
        key=scoped(extra.kind, PICK),
        page=extra.kind.name,
        word=lambda name: described(choices[name]) if name in choices else name,
        placeholder=t("ui.more_search", count=len(choices)),
        on_change=extra.add,
        help=t("ui.more_pick_help"),
    )
    for name in extra.names:
        draw_added(extra, services.upstream.arguments.get(name), name, on_change)
    keyed.text(
        t("ui.more_raw"),
        key=scoped(extra.kind, RAW),
        page=extra.kind.name,
        area=True,
        height=80,
        placeholder="rope_theta: 10000",
        on_change=on_change,
        help=t("ui.more_raw_help"),
    )


def draw_added(extra: ExtraArguments, argument: Argument | None, name: str, on_change: Any) -> None:
    """One added argument: its value and a button that takes it away."""
    value, away = st.columns([8, 1], vertical_alignment="bottom")
    takes = argument.type if argument else t("ui.more_unknown")
    with value:
        common: dict[str, Any] = {
            "key": key(extra.kind, name),
            "help": (argument.help if argument and argument.help else "") + f"  \n`{takes}`",
            "on_change": on_change,
            "page": extra.kind.name,
        }
        draw_value(extra, argument, name, {"label": markdown_safe(name), **common})
    with away:
        st.button(
            t("ui.more_remove", name=markdown_safe(name)),
            icon=":material/close:",
            key=scoped(extra.kind, f"more.remove.{name}"),
            on_click=extra.remove,
            args=(name,),
            type="tertiary",
            help=t("ui.more_remove", name=markdown_safe(name)),
        )


def draw_value(extra: ExtraArguments, argument: Argument | None, name: str, common: dict[str, Any]) -> None:
    """The widget of an argument's type: a switch, a choice, or text that is read as YAML."""
    default = "" if argument is None or argument.default is None else str(argument.default)
    placeholder = t("ui.default_is", value=default) if default else t("ui.not_set")
    offered = ["true", "false"] if argument and argument.kind == "bool" else list(argument.choices) if argument else []
    if offered:
        held = st.session_state.get(key(extra.kind, name)) or None
        st.session_state[key(extra.kind, name)] = held  # "" of an added argument: a choice has None
        options = widgets.with_current(offered, held)
        keyed.select(options=options, nothing=placeholder, placeholder=placeholder, open_=True, **common)
    else:
        keyed.text(placeholder=placeholder, **common)
