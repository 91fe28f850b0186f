"""Folders that a job names to load and that cannot be loaded as they are: an adapter whose adapter_config.json is
broken or names another base model, weights that are not (any more) there. What cannot be read is said to be unknown.

Reads are bounded, and a pipe is not waited for.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfdash.engine.services import Services
from lfdash.files import Absent, Unreadable, is_absent, read_json_file
from lfdash.jobs.environment import Unsound
from lfdash.jobs.named_files import ADAPTER, BASE, NAMED_FILES, NamedFile, named_as_weights, names_of
from lfdash.outcomes import Refused

CONFIG_BYTES = 1 << 20  # of an adapter_config.json; one with a long list of modules has some ten thousand
BASE_KEY = "base_model_name_or_path"
TYPE_KEY = "peft_type"  # peft loads no adapter without one (peft/config.py)
TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,40}")  # as in peft/utils/peft_types.py; newer peft has more of them
TOLD = 60  # letters of what stands there instead
COPIES = re.compile(r"(-unsloth)?-bnb-[48]bit$")  # Unsloth trains on such a copy of the model that was asked for


def unsound(services: Services, args: Mapping[str, Any]) -> dict[str, tuple[Unsound, ...]]:
    """Argument -> what is wrong with what it names, of those that name weights."""
    found = {}
    for row in NAMED_FILES:
        wrong = [one for name in names_of(row, args) if row.weights and (one := looked_at(services, row, name, args))]
        if wrong:
            found[row.argument] = tuple(wrong)
    return found


def looked_at(services: Services, row: NamedFile, name: str, args: Mapping[str, Any]) -> Unsound | None:
    """What is wrong with a folder that an argument names; None when nothing is, or it is not on this machine (or has
    not what makes it one: `on_disk.missing` tells that)."""
    path = services.roots.readable(name)
    part = args.get("adapter_folder") if row.argument == "adapter_name_or_path" else None
    if path is not None and isinstance(part, str) and part:
        path = services.roots.readable(path / part)  # it may lead out of the folder
    if path is None:
        return None
    try:
        names = os.listdir(path)
    except OSError as error:
        unknown = Unsound(name, "weights_unknown", {"reason": error.strerror or ""}, "warning")
        return None if is_absent(error) else unknown
    held = next((one for one in row.holds if one in names), None)
    if held is None:
        return None
    found = wrong_config(services, path, name, args.get(BASE.get(row.argument, ""))) if held == ADAPTER else None
    if found is not None and found.level == "error":
        return found
    # llamafactory/model/loader.py: the model's configuration alone is read then
    from_nothing = row.argument == "model_name_or_path" and args.get("train_from_scratch") is True
    if from_nothing or any(may_hold(path / one) for one in named_as_weights(held, names)):
        return found
    return Unsound(name, "weights_gone")


def may_hold(path: Path) -> bool:
    """Whether weights may be in a file: a plain one, or a link to such (as in a hub's cache), that is not empty; also
    where that cannot be known. It is not opened: a pipe is not waited for."""
    try:
        status = path.stat()
    except OSError as error:
        return not is_absent(error)
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def wrong_config(services: Services, path: Path, name: str, model: object) -> Unsound | None:
    """What is wrong with the adapter_config.json of a folder; None when nothing is. name: of the folder, as it is
    told. model: what the adapter would be loaded on."""
    config = adapter_config(path)
    if isinstance(config, Absent):
        return None
    if isinstance(config, Unreadable):
        code = "adapter_broken" if config.failure is None else "adapter_unknown"
        return Unsound(name, code, {"reason": config.reason}, "error" if config.failure is None else "warning")
    kind = config.get(TYPE_KEY)
    if not isinstance(kind, str) or not TYPE.fullmatch(kind):
        return Unsound(name, "adapter_type", {"type": str(kind)[:TOLD]})
    base = config.get(BASE_KEY)
    if not isinstance(base, str) or not base or not isinstance(model, str) or not model:
        return None
    if is_same(services, base, model):
        return None
    return Unsound(name, "adapter_base", {"base": base, "model": model}, "warning")


def adapter_config(folder: Path) -> dict[str, Any] | Absent | Unreadable:
    """What the adapter_config.json of a folder says. It may be a link, as in a hub's cache."""
    return read_json_file(folder / ADAPTER, limit=CONFIG_BYTES, follow=True)


def is_same(services: Services, base: str, model: str) -> bool:
    """Whether two names may be of one model: one folder, or the last part of one is a part of the other. A hub's cache
    has `models--owner--name/snapshots/...`, ModelScope's writes `Qwen2___5` for `Qwen2.5`."""
    if parts(base)[-1] in parts(model) or parts(model)[-1] in parts(base):
        return True
    one, other = services.roots.readable(base), services.roots.readable(model)
    try:
        return one is not None and other is not None and os.path.samefile(one, other)
    except OSError:
        return False


def parts(name: str) -> list[str]:
    """The parts of a path or Hub ID, as they are compared."""
    found = [COPIES.sub("", part.casefold()) for part in re.split(r"[/\\]|--", name.rstrip("/\\")) if part]
    return [re.sub(r"[^\w]|_", "", part) for part in found] or [""]


def why_not_loaded(services: Services, args: Mapping[str, Any]) -> Refused | None:
    """Why what a run has saved cannot be loaded by these arguments: another base model than that of its own settings is
    a reason here, since LLaMA-Factory does not look at it (llamafactory/model/adapter.py, _setup_lora_tuning: the
    weights are put on `model_name_or_path`). None where nothing is known against it.

    Refused: unsound, with the code and parameters of the problem.
    """
    for found in unsound(services, args).values():
        for one in found:
            if one.level == "error" or (one.code == "adapter_base" and not args.get("use_unsloth")):
                return Refused("unsound", {"code": one.code, "value": one.value, **one.params})
    return None
