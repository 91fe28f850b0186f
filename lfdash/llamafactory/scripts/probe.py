"""A program for LLaMA-Factory's own interpreter: prints what it offers, as the JSON of `lfdash.llamafactory.catalogue`.

It imports llamafactory (8 to 20 seconds, nearly all of it torch and transformers, which only the arguments of
transformers need) and nothing of lfdash, which need not be installed there. With `--identity` it imports nothing
and prints in 0.2 s what the answer depends on: the versions of all packages and the age of the files read.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib.metadata
import importlib.util
import json
import math
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any

KINDS = {bool: "bool", int: "int", float: "float", str: "text"}
# Of a union the first of these counts: it takes what the others take, or (choice) refuses what it does not know.
RANKS = ("choice", "json", "list", "text", "float", "int", "bool")
# A checkout of LLaMA-Factory keeps its version while these change.
SOURCES = ("hparams/*.py", "extras/constants.py", "data/template.py")


def plain(value: Any) -> Any:
    """A default as JSON; None for what JSON has no word for."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return None


def kind_of(annotation: Any) -> tuple[str, bool, list[str]]:
    """Kind, whether None is allowed, and the choices of a type annotation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        rest = [part for part in parts if part is not type(None)]
        found = [kind_of(part) for part in rest]
        choices = [choice for _, _, some in found for choice in some]
        kinds = [kind for kind, _, _ in found]
        return min(kinds, key=RANKS.index, default="text"), len(rest) < len(parts), choices
    if origin is typing.Literal:
        if not all(isinstance(part, str) for part in parts):
            return KINDS.get(type(parts[0]), "text"), False, []  # `str | Literal[False]` is no list of choices
        return "choice", False, list(parts)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "choice", False, [str(item.value) for item in annotation]
    if annotation is dict or origin is dict:
        return "json", False, []
    if annotation in (list, tuple, set) or origin in (list, tuple, set):
        return "list", False, []
    return KINDS.get(annotation, "text"), False, []


def type_name(annotation: Any) -> str:
    """A type as a user reads it."""
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return name.replace("typing.", "").rsplit("constants.", 1)[-1].replace("NoneType", "None")


def arguments_of(group: type, commands: list[str]) -> list[dict[str, Any]]:
    """One row a settable field of a dataclass."""
    hints = typing.get_type_hints(group)
    rows = []
    for item in dataclasses.fields(group):
        if not item.init:
            continue
        kind, nullable, choices = kind_of(hints[item.name])
        default = item.default
        if default is dataclasses.MISSING:
            default = item.default_factory() if item.default_factory is not dataclasses.MISSING else None
        rows.append(
            {
                "name": item.name,
                "group": group.__name__,
                "type": type_name(hints[item.name]),
                "kind": kind,
                "default": plain(default),
                "choices": [str(choice) for choice in item.metadata.get("choices") or choices],
                "nullable": nullable,
                "help": " ".join(str(item.metadata.get("help") or "").split()),
                "commands": commands,
            }
        )
    return rows


def models() -> list[dict[str, Any]]:
    """Every model of LLaMA-Factory with its paths, template and whether it is multimodal."""
    from llamafactory.extras import constants

    hubs = {source: source.name.lower() for source in constants.DownloadSource}
    names = {"default": "huggingface"}
    return [
        {
            "name": name,
            "paths": {names.get(hubs[source], hubs[source]): path for source, path in paths.items()},
            "template": constants.DEFAULT_TEMPLATE.get(name) or "",
            "multimodal": name in constants.MULTIMODAL_SUPPORTED_MODELS,
        }
        for name, paths in constants.SUPPORTED_MODELS.items()
    ]


def turns(template: Any) -> str:
    """How a chat template writes a question and its answer, and what it makes of pictures and sounds; "" = unknown.

    Templates that agree in this fit the same models: they differ in the system prompt and in how thoughts are kept.
    """
    try:
        forms = (template.format_user.slots, template.format_assistant.slots)
        slots = [[sorted(part) if isinstance(part, set) else part for part in slots] for slots in forms]
        return repr((slots, type(template.mm_plugin).__name__))
    except (AttributeError, TypeError):  # another version of LLaMA-Factory
        return ""


def families(templates: dict[str, Any]) -> list[list[str]]:
    """The names of templates that fit the same models; one that agrees with no other is left out."""
    found: dict[str, list[str]] = {}
    for name, template in templates.items():
        found.setdefault(turns(template), []).append(name)
    return [names for form, names in found.items() if form and len(names) > 1]


def versions() -> dict[str, str]:
    """Distribution (lower case) -> version; of two on the path the first, which is the one imported."""
    found: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        name, version = dist.metadata["Name"], dist.version
        if name and version:  # a removal that broke off leaves folders that lack one of them
            found.setdefault(name.lower(), version)
    return found


def identity() -> dict[str, Any]:
    """What the description depends on, found without an import of llamafactory."""
    spec = importlib.util.find_spec("llamafactory")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    files = sorted(path for folder in folders for pattern in SOURCES for path in folder.glob(pattern))
    stats = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    return {"python": sys.version, "packages": dict(sorted(versions().items())), "files": stats}


def arguments() -> list[dict[str, Any]]:
    """Every argument of a training or an export; the first dataclass that has a name keeps it."""
    from llamafactory import hparams

    both = ["train", "export"]
    rows: dict[str, dict[str, Any]] = {}
    for group, commands in (
        (hparams.ModelArguments, both),
        (hparams.DataArguments, both),
        (hparams.TrainingArguments, ["train"]),
        (hparams.FinetuningArguments, both),
        (hparams.GeneratingArguments, both),
    ):
        for row in arguments_of(group, commands):
            rows.setdefault(row["name"], row)
    return list(rows.values())


def description() -> dict[str, Any]:
    """All of it. The real modules are asked, not their text: once torch is loaded they cost 0.3 s."""
    rows = arguments()
    from llamafactory.data.template import TEMPLATES

    packages = versions()
    return {
        "version": 1,
        "llamafactory": packages.get("llamafactory", ""),
        "transformers": packages.get("transformers", ""),
        "templates": list(TEMPLATES),
        "families": families(TEMPLATES),
        "packages": packages,
        "arguments": rows,
        "models": models(),
    }


def main() -> None:
    # What the imports print, be it from Python or from a library in C, does not mix with the document.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as document:
        os.dup2(2, 1)
        if sys.argv[1:] == ["--identity"]:
            json.dump(identity(), document)
            return
        os.nice(10)  # it runs beside the first page, which must not wait for it
        json.dump(description(), document)


if __name__ == "__main__":
    main()
