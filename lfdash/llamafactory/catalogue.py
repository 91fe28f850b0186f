"""What the installed LLaMA-Factory offers: arguments, models, templates. Parsing and search only.

It is read in LLaMA-Factory's own environment (`probe`); a snapshot without help texts ships with the project,
so that the first page is instant and works without llamafactory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lfdash.errors import LfdashError

VERSION = 1  # of the JSON


class UpstreamError(LfdashError):
    """A description of LLaMA-Factory cannot be read."""


@dataclass(frozen=True)
class Argument:
    """One argument. group: dataclass it belongs to; type: as written there; kind: bool, int, float, text,
    choice, list or json; commands: which of "train", "export" take it; help: "" in the snapshot."""

    name: str
    group: str
    type: str
    kind: str
    default: Any = None
    choices: tuple[str, ...] = ()
    nullable: bool = True
    help: str = ""
    commands: tuple[str, ...] = ("train",)


@dataclass(frozen=True)
class Model:
    """A model LLaMA-Factory knows. paths: hub ("huggingface", "modelscope", "openmind") -> id; template: "" when
    it has none of its own."""

    name: str
    paths: Mapping[str, str]
    template: str = ""
    multimodal: bool = False


@dataclass(frozen=True)
class Upstream:
    """All of it. packages: distribution (lower case) -> version of LLaMA-Factory's environment, {} unknown.
    families: chat templates that write questions and answers in the same way, and so fit the same models."""

    llamafactory: str
    transformers: str
    arguments: Mapping[str, Argument]
    models: Mapping[str, Model]
    templates: tuple[str, ...]
    families: tuple[tuple[str, ...], ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """What LLaMA-Factory takes for each argument that is not given."""
        return {name: argument.default for name, argument in self.arguments.items()}
    source: Literal["snapshot", "installed"] = "snapshot"


def fitting(upstream: Upstream, template: str) -> frozenset[str]:
    """The chat templates that fit a model of this template; none for "" (its template is not known)."""
    if not template:
        return frozenset()
    return frozenset({template}.union(*(names for names in upstream.families if template in names)))


def search(upstream: Upstream, query: str) -> list[Argument]:
    """Arguments whose name or help contains every word of the query, names first."""
    words = query.casefold().split()
    hits = [
        argument
        for argument in upstream.arguments.values()
        if all(word in f"{argument.name} {argument.help}".casefold() for word in words)
    ]
    return sorted(hits, key=lambda argument: (not all(word in argument.name for word in words), argument.name))


def to_json(upstream: Upstream, with_help: bool) -> str:
    """The JSON text; one argument and one model a line, so that changes are readable. Without help texts it is
    the snapshot, which says nothing of the packages either: they are another environment's."""
    rows = []
    plain = {"default": None, "help": "", "choices": ()}  # left out: `Argument` says it by itself
    for argument in upstream.arguments.values():
        row = {key: value for key, value in asdict(argument).items() if key not in plain or value != plain[key]}
        if not with_help:
            row.pop("help", None)
        rows.append(row)
    head = {"version": VERSION, "llamafactory": upstream.llamafactory, "transformers": upstream.transformers}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    parts.append('"templates": ' + json.dumps(list(upstream.templates)))
    parts.append('"families": [\n' + ",\n".join(json.dumps(list(names)) for names in upstream.families) + "\n]")
    if with_help:
        parts.append('"packages": ' + json.dumps(dict(upstream.packages)))
    parts.append('"arguments": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]")
    models = [json.dumps(asdict(model), ensure_ascii=False) for model in upstream.models.values()]
    parts.append('"models": [\n' + ",\n".join(models) + "\n]")
    return "{" + ",\n".join(parts) + "}\n"


def from_json(text: str, source: Literal["snapshot", "installed"] = "snapshot") -> Upstream:
    """The inverse of `to_json`. UpstreamError when the text is something else."""
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise UpstreamError(f"version {data['version']} of the description, {VERSION} is needed")
        known = {item.name for item in fields(Argument)}
        arguments = [
            Argument(**{key: listed(value) for key, value in row.items() if key in known}) for row in data["arguments"]
        ]
        models = [Model(**row) for row in data["models"]]
        return Upstream(
            llamafactory=data["llamafactory"],
            transformers=data["transformers"],
            arguments={argument.name: argument for argument in arguments},
            models={model.name: model for model in models},
            templates=tuple(data["templates"]),
            families=tuple(tuple(names) for names in data.get("families", ())),
            packages=data.get("packages", {}),
            source=source,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UpstreamError(f"not a description of LLaMA-Factory: {error!r}") from error


def listed(value: Any) -> Any:
    """Lists as tuples, so that an argument can be compared and hashed by its parts."""
    return tuple(value) if isinstance(value, list) else value


def load_snapshot(path: Path) -> Upstream:
    """The description that ships with the project."""
    return from_json(path.read_text(encoding="utf-8"), "snapshot")
