"""The shapes of data that LLaMA-Factory reads, and the entry of dataset_info.json that maps a file's columns to one.

Source: data/README.md and src/llamafactory/data/parser.py (DatasetAttr) of LLaMA-Factory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ROLE_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
}  # how OpenAI writes a turn
MEDIA = ("images", "videos", "audios")


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
    "prompt": ("instruction", "prompt", "question", "text"),
    "query": ("input", "query", "context"),
    "response": ("output", "response", "answer", "completion"),
    "messages": ("conversations", "messages", "conversation"),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "kto_tag": ("kto_tag", "label"),
    "system": ("system", "system_prompt"),
    "tools": ("tools",),
    "history": ("history",),
    "images": ("images", "image"),
    "videos": ("videos", "video"),
    "audios": ("audios", "audio"),
}


@dataclass(frozen=True)
class Mapped:
    """A file's columns as a format: role -> column. format "" = none fits."""

    format: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


def recognise(columns: Sequence[str]) -> Mapped:
    """The format that a file's columns most likely are: the most demanding that they satisfy."""
    for item in sorted(FORMATS, key=lambda item: (not item.chat, -len(item.needed))):
        found = {role: usual(role, columns) for role in item.roles}
        plain_text = item.name == "text" and found["prompt"] != "text"
        if all(found[role] for role in item.needed) and not plain_text:
            return Mapped(item.name, {role: name for role, name in found.items() if name})
    return Mapped()


def usual(role: str, columns: Sequence[str]) -> str:
    """The column that usually has a role; "" when none is there."""
    return next((name for name in USUAL[role] if name in columns), "")


def missing(mapped: Mapped) -> tuple[str, ...]:
    """The roles that a format needs and that have no column."""
    return tuple(role for role in BY_NAME[mapped.format].needed if not mapped.columns.get(role))


def entry(mapped: Mapped, row: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of dataset_info.json, without the file's name. row: one of its rows: it shows how turns are tagged."""
    item = BY_NAME[mapped.format]
    found: dict[str, Any] = {"formatting": "sharegpt"} if item.chat else {}
    if item.ranking:
        found["ranking"] = True
    found["columns"] = {role: mapped.columns[role] for role in item.roles if mapped.columns.get(role)}
    tags = turn_tags(row.get(mapped.columns.get("messages", "")))
    return {**found, "tags": tags} if tags else found


def turn_tags(turns: Any) -> dict[str, str]:
    """The tags of turns written in OpenAI's way; none for sharegpt's own."""
    first = turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], dict) else {}
    return dict(ROLE_TAGS) if "role" in first else {}
