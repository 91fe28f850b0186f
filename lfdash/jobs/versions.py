"""Which version of LLaMA-Factory, and of its transformers, has which argument and which value of it.

The table is data (configs/arguments_by_version.json), written by `make versions` from what each version said of itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1  # of the JSON
TEMPLATE = "template"  # its values are the chat templates


@dataclass(frozen=True)
class Having:
    """Who has something. package: "llamafactory" or "transformers"; versions: those that have it, of those tried."""

    package: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class ByVersion:
    """The table. arguments: name -> who has it, of every argument that any version has; choices: argument -> value ->
    who takes it, where not all versions do; board: element of LlamaBoard's form -> who has it, where not all have it.
    tried: the versions of LLaMA-Factory that it knows."""

    arguments: Mapping[str, Having] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Having]] = field(default_factory=dict)
    board: Mapping[str, Having] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()

    def board_lacks(self, version: str) -> frozenset[str]:
        """The elements of other versions that the LlamaBoard of this version lacks; none where it was not tried."""
        if version not in self.tried:
            return frozenset()
        return frozenset(name for name, having in self.board.items() if version not in having.versions)

    def elsewhere(self, installed: Mapping[str, str], name: str, value: str | None = None) -> dict[str, str] | None:
        """What fills the text about an argument (or about a value of it) that the installed version lacks and another
        one has: package, versions, installed. None when no other version is known to have it.

        installed: package -> version.
        """
        having = self.arguments.get(name) if value is None else self.choices.get(name, {}).get(value)
        if having is None:
            return None
        own = installed.get(having.package, "")
        if not own or own in having.versions:
            return None
        package = NAMES.get(having.package, having.package)
        return {"package": package, "versions": ", ".join(having.versions), "installed": own}


NAMES = {"llamafactory": "LLaMA-Factory"}
EMPTY = ByVersion()


def load(path: Path) -> ByVersion:
    """The table that ships with the project. ValueError for a file that is none."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("version") != VERSION:
        raise ValueError(f"{path}: version {data.get('version')} of the table, {VERSION} is needed")
    arguments = {
        name: having for package, groups in data["arguments"].items() for name, having in spread(package, groups)
    }
    choices: dict[str, dict[str, Having]] = {}
    for package, names in data["choices"].items():
        for name, groups in names.items():
            choices[name] = dict(spread(package, groups))
    tried = frozenset(one["llamafactory"] for one in data["tried"])
    return ByVersion(arguments, choices, dict(spread("llamafactory", data["board"])), tried)


def spread(package: str, groups: Mapping[str, list[str]]) -> list[tuple[str, Having]]:
    """Names that are grouped by the versions that have them ("0.9.4 0.9.5": [...]), one by one."""
    return [(name, Having(package, tuple(versions.split()))) for versions, names in groups.items() for name in names]


def table(said: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON of the table, from what versions said of themselves, oldest first.

    said: for each, the document of `llamafactory/scripts/probe.py` with `of_transformers`, the names of the arguments
    that it has from transformers, and `board`, the elements of its LlamaBoard's form.
    """
    names = {item["name"] for one in said for item in one["arguments"]}
    own = {name for one in said for name in named(one).keys() - set(one["of_transformers"])}
    owner = {name: "llamafactory" if name in own else "transformers" for name in names}
    arguments: dict[str, dict[str, list[str]]] = {"llamafactory": {}, "transformers": {}}
    for name in sorted(names):
        group = together(one[owner[name]] for one in said if name in named(one))
        arguments[owner[name]].setdefault(group, []).append(name)
    choices: dict[str, dict[str, dict[str, list[str]]]] = {"llamafactory": {}, "transformers": {}}
    for name in sorted({*names, TEMPLATE}):
        having = [one for one in said if values(one, name)]  # where it is free, every value is taken
        for value in sorted({value for one in having for value in values(one, name)}):
            takers = [one for one in having if value in values(one, name)]
            if len(takers) < len(having):
                package = owner.get(name, "llamafactory")
                group = together(one[package] for one in takers)
                choices[package].setdefault(name, {}).setdefault(group, []).append(value)
    board: dict[str, list[str]] = {}
    for name in sorted({name for one in said for name in one["board"]}):
        owners = [one["llamafactory"] for one in said if name in one["board"]]
        if len(owners) < len(said):
            board.setdefault(together(owners), []).append(name)
    tried = [{package: one[package] for package in ("llamafactory", "transformers")} for one in said]
    return {"version": VERSION, "tried": tried, "arguments": arguments, "choices": choices, "board": board}


def together(versions: Any) -> str:
    """Versions as one word of the table, each once."""
    return " ".join(dict.fromkeys(versions))


def named(said: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The arguments that a version has, by name."""
    return {item["name"]: item for item in said["arguments"]}


def values(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values that an argument takes in a version; () = any, or it has no such argument."""
    if name == TEMPLATE:
        return tuple(said["templates"])
    return tuple(named(said).get(name, {}).get("choices", ()))
