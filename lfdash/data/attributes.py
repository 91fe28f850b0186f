"""What an entry of dataset_info.json means to LLaMA-Factory, whoever wrote it.

Source: DatasetAttr in llamafactory/data/parser.py: an entry without `columns` (or `tags`) has the standard ones, one
with them has only those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMATTINGS = ("alpaca", "sharegpt", "openai")
KEYS = (
    "file_name", "formatting", "ranking", "columns", "tags", "num_samples", "split", "subset", "folder", "hf_hub_url",
    "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name",
)
IGNORED = frozenset({"file_sha1"})  # of older versions' entries: it changes nothing
MEDIA = ("images", "videos", "audios")
COLUMNS: Mapping[str, str | None] = {
    "prompt": "instruction", "query": "input", "response": "output", "history": None, "messages": "conversations",
    "system": None, "tools": None, **dict.fromkeys(MEDIA), "chosen": None, "rejected": None, "kto_tag": None,
}
TAGS: Mapping[str, str] = {
    "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
    "observation_tag": "observation", "function_tag": "function_call", "system_tag": "system",
}
# roles whose columns a converter reads in every row: one that no row has is a KeyError
READ: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("prompt", "query", "response", "history", "system", "tools", "kto_tag", *MEDIA),
    "sharegpt": ("messages", "system", "tools", "kto_tag", *MEDIA),
    "openai": ("messages", "kto_tag", *MEDIA),
}
OPTIONAL: Mapping[str, tuple[str, ...]] = {"alpaca": (), "sharegpt": (), "openai": ("system", "tools")}
PAIR = ("chosen", "rejected")


@dataclass(frozen=True)
class Attributes:
    """An entry as LLaMA-Factory takes it. columns: role -> column, tags: tag -> word; None where it has none."""

    formatting: str
    ranking: bool
    columns: Mapping[str, str | None]
    tags: Mapping[str, str | None]

    @property
    def chat(self) -> bool:
        """Whether a row is a list of turns."""
        return self.formatting != "alpaca"

    @property
    def read(self) -> tuple[str, ...]:
        """The roles whose columns every row is asked for."""
        pair = PAIR if self.ranking else ()
        return tuple(role for role in (*READ.get(self.formatting, ()), *pair) if self.columns.get(role))

    @property
    def unread(self) -> tuple[str, ...]:
        """The roles that the entry names and that its formatting never looks at."""
        known = {*READ.get(self.formatting, ()), *OPTIONAL.get(self.formatting, ()), *(PAIR if self.ranking else ())}
        return tuple(role for role, name in self.columns.items() if name and role not in known)


def attributes(entry: Mapping[str, Any]) -> Attributes:
    """How LLaMA-Factory takes an entry."""
    return Attributes(
        str(entry.get("formatting", "alpaca")), bool(entry.get("ranking", False)),
        named(entry, "columns", COLUMNS), named(entry, "tags", TAGS),
    )


def named(entry: Mapping[str, Any], key: str, standard: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """The names that an entry gives under a key, or the standard ones where it has no such key."""
    given = entry.get(key)
    if key not in entry or not isinstance(given, Mapping):
        return standard
    return {name: str(given[name]) if given.get(name) else None for name in standard}
