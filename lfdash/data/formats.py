"""The shapes of data that LLaMA-Factory reads, and the entry of dataset_info.json that maps a file's columns to one.

Source: data/README.md and src/llamafactory/data/parser.py (DatasetAttr) of LLaMA-Factory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lfdash.data.attributes import MEDIA, PAIR, TAGS
from lfdash.data.survey import Survey, Turns, usual_words


@dataclass(frozen=True)
class Format:
    """A shape: the columns it needs and those it may have, as dataset_info.json calls them.

    chat: its rows hold lists of turns. ranking: its rows are pairs of a better and a worse answer.
    """

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    chat: bool = False
    ranking: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        """Everything that a column can be in it."""
        return (*self.needed, *self.optional)


FORMATS = (
    Format("alpaca", ("prompt", "response"), ("query", "system", "history", *MEDIA)),
    Format("sharegpt", ("messages",), ("system", "tools", *MEDIA), chat=True),
    Format("text", ("prompt",)),
    Format("pairs", ("prompt", "chosen", "rejected"), ("query", "system", "history", *MEDIA), ranking=True),
    Format("chat_pairs", ("messages", "chosen", "rejected"), ("system", "tools", *MEDIA), chat=True, ranking=True),
    Format("kto", ("prompt", "response", "kto_tag"), ("query", "system", "history", *MEDIA)),
    Format("chat_kto", ("messages", "kto_tag"), ("system", "tools", *MEDIA), chat=True),
)
BY_NAME = {item.name: item for item in FORMATS}
# the column names by which a role is recognised, the more usual first
USUAL: Mapping[str, tuple[str, ...]] = {
    "messages": ("conversations", "messages", "conversation", "dialogue", "dialog", "turns", "chat"),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "kto_tag": ("kto_tag", "label"),
    "response": ("output", "response", "answer", "completion", "target"),
    "prompt": ("instruction", "prompt", "question", "text", "query", "input"),
    "query": ("input", "query", "context"),
    "system": ("system", "system_prompt"),
    "tools": ("tools",),
    "history": ("history",),
    "images": ("images", "image"),
    "videos": ("videos", "video"),
    "audios": ("audios", "audio"),
}
# what the values of a role's column are; see survey.Column
HOLDS: Mapping[str, tuple[str, ...]] = {
    "messages": ("turns",), "kto_tag": ("true/false",), "history": ("pairs",), "tools": ("text", "list", "object"),
    **dict.fromkeys(MEDIA, ("text", "texts", "list", "object")),
}
TEXT = ("text",)
WANTED = ("chosen", "rejected", "kto_tag", "response", "messages", "history")  # worth a word where they do not fit


@dataclass(frozen=True)
class Mapped:
    """A file's columns as a format: role -> column. format "" = none fits. odd: columns whose names say that they are
    something and whose values are not: (role, column, what they are)."""

    format: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    odd: tuple[tuple[str, str, str], ...] = ()


def recognise(found: Survey) -> Mapped:
    """The format that a file most likely is, by the names of its columns and their values: the most demanding that they
    satisfy."""
    odd = tuple(misnamed(found))
    for item in sorted(FORMATS, key=lambda item: (not item.chat, -len(item.needed))):
        columns = roles_of(item, found)
        if not all(columns.get(role) for role in item.needed):
            continue
        if item.name == "text" and columns["prompt"] != "text" and len(found.columns) > 1:
            continue
        return Mapped(item.name, {role: columns[role] for role in item.roles if role in columns}, odd)
    return Mapped(odd=odd)


def roles_of(item: Format, found: Survey) -> dict[str, str]:
    """The columns that have the roles of a format; none has two."""
    columns: dict[str, str] = {}
    for role in (role for role in USUAL if role in item.roles):
        free = [name for name in USUAL[role] if name not in columns.values()]
        name = next((name for name in free if found.kind(name) in held(item, role)), "")
        if role == "messages" and not name:
            turns = [name for name in found.columns if found.kind(name) == "turns" and name not in PAIR]
            name = turns[0] if len(turns) == 1 else ""
        if name:
            columns[role] = name
    return columns


def held(item: Format, role: str) -> tuple[str, ...]:
    """What a role's values must be."""
    return ("turn",) if item.chat and role in PAIR else HOLDS.get(role, TEXT)


def misnamed(found: Survey) -> Iterator[tuple[str, str, str]]:
    """Columns that are called as a role usually is, and hold something else than it takes."""
    for role in WANTED:
        fits = {*HOLDS.get(role, TEXT), *(("turn",) if role in PAIR else ())}
        for name in USUAL[role]:
            if name in found.columns and found.kind(name) not in (*fits, "null") and not is_mark(role, found, name):
                yield role, name, found.kind(name) or "several"


def is_mark(role: str, found: Survey, name: str) -> bool:
    """Whether a column called `label` is plainly none for KTO: there is no answer that it could be about."""
    return role == "kto_tag" and not any(found.kind(other) in ("text", "turns") for other in (
        *USUAL["response"], *USUAL["messages"]) if other != name)


def missing(mapped: Mapped) -> tuple[str, ...]:
    """The roles that a format needs and that have no column."""
    return tuple(role for role in BY_NAME[mapped.format].needed if not mapped.columns.get(role))


def entry(mapped: Mapped, found: Survey) -> dict[str, Any]:
    """The entry of dataset_info.json, without the file's name; its tags are the words of all rows' turns."""
    item = BY_NAME[mapped.format]
    turns = turns_of(mapped, found) if item.chat else None
    made: dict[str, Any] = {"formatting": formatting(mapped, found, turns)} if item.chat else {}
    if item.ranking:
        made["ranking"] = True
    made["columns"] = {role: mapped.columns[role] for role in item.roles if mapped.columns.get(role)}
    answers = [found.columns[mapped.columns[role]].turns for role in PAIR if mapped.columns.get(role) in found.columns]
    tags = dict(usual_words(turns, [one for one in answers if one is not None])) if turns else {}
    return {**made, "tags": tags} if any(TAGS[tag] != word for tag, word in tags.items()) else made


def turns_of(mapped: Mapped, found: Survey) -> Turns | None:
    """The turns of the chosen column."""
    column = found.columns.get(mapped.columns.get("messages", ""))
    return column.turns if column else None


def formatting(mapped: Mapped, found: Survey, turns: Turns | None) -> str:
    """How LLaMA-Factory must read turns: as `openai` those with calls or with several results of tools, and those
    whose tools are no text. It puts words of its own into the system prompts there, so `sharegpt` where that does."""
    listed = found.kind(mapped.columns.get("tools", "")) in ("list", "object")
    return "openai" if listed or (turns is not None and (turns.tool_calls or turns.together)) else "sharegpt"
