"""The files and folders that arguments name: one table, and what is said of those that are not there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.rules import EXTRA, Args, Finding
from lfdash.outcomes import Level

ADAPTER, MODEL, STATE = "adapter_config.json", "config.json", "trainer_state.json"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# folders that `Workspace.prepare` makes: what starts with one of them is hardly an id on a hub
# what an adapter named by one argument is loaded on: another argument
BASE = {"adapter_name_or_path": "model_name_or_path", "ref_model_adapters": "ref_model",
        "reward_model_adapters": "reward_model"}
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")  # peft/utils/save_and_load.py
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack")
# files of these endings that hold no model: what a checkpoint has for going on, an adapter, a reward model's head
NO_WEIGHTS = re.compile(r"training_args|optimizer|scheduler|scaler|rng_state|adapter_model|value_head")
OURS = ("data", "models", "deepspeed", "saves", "configs")


@dataclass(frozen=True)
class NamedFile:
    """An argument that names something on the disk.

    holds: files of which a folder must have one; () = it names a file, or a folder whatever is in it. places: where
    in the workspace such things lie (patterns of folders). hub: it may also be an id on a hub. several: it may name
    several, with commas between. code, level: of the problem where nothing is there. when: another argument without
    which it is not looked at. weights: whether such a folder must hold weights.
    """

    argument: str
    holds: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    hub: bool = False
    several: bool = False
    code: str = "named_absent"
    level: Level = "error"
    when: str = ""
    weights: bool = False


RUNS = ("saves/*/*", "saves/*/*/*")  # folders of runs and of their checkpoints lie in these
NAMED_FILES = (
    NamedFile("model_name_or_path", (MODEL,), ("models", *RUNS), hub=True, weights=True),
    NamedFile("adapter_name_or_path", (ADAPTER,), RUNS, hub=True, several=True, weights=True),
    NamedFile("ref_model", (MODEL,), ("models", *RUNS), hub=True, weights=True),
    NamedFile("ref_model_adapters", (ADAPTER,), RUNS, hub=True, several=True, weights=True),
    NamedFile("reward_model", (ADAPTER, MODEL), (*RUNS, "models"), hub=True, weights=True),
    NamedFile("reward_model_adapters", (ADAPTER,), RUNS, hub=True, several=True, weights=True),
    NamedFile("resume_from_checkpoint", (STATE,), RUNS),
    NamedFile("deepspeed", places=("deepspeed", "configs", ".")),
    NamedFile("fsdp_config", places=("configs", ".")),
    NamedFile("accelerator_config", places=("configs", ".")),
    NamedFile("new_special_tokens_config", places=("configs", "data", ".")),
    NamedFile("export_quantization_dataset", places=("data",), hub=True, when="export_quantization_bit"),
    NamedFile("media_dir", places=("data", "."), level="warning"),
    NamedFile("tokenized_path", places=("data", "saves", "."), code="tokenized_absent", level="warning"),
)


def names_of(row: NamedFile, args: Args) -> list[str]:
    """What a job's argument names on the disk: no mapping, no JSON or base64 in its place, no address of a server."""
    value: Any = args.get(row.argument)
    if row.when and not args.get(row.when):
        return []
    if row.argument == "reward_model" and args.get("reward_model_type") == "api":
        return []
    values = value if isinstance(value, list) else str(value).split(",") if row.several and value else [value]
    texts = [text.strip() for text in values if isinstance(text, str)]
    return [text for text in texts if text and text[0] not in "{[" and "://" not in text and len(text) < 4096]


def looks_like_an_id(row: NamedFile, name: str) -> bool:
    """Whether a name that is not on the disk could be an id on a hub instead, by its form: a model's may stand without
    its owner (`gpt2`), an adapter's never does."""
    if not row.hub or HUB_ID.fullmatch(name) is None:
        return False
    return "/" in name or (row.holds != (ADAPTER,) and not name.startswith("checkpoint-"))


def may_be_on_a_hub(row: NamedFile, name: str) -> bool:
    """Whether it is likely to be one: it does not begin as a path of the workspace does."""
    return looks_like_an_id(row, name) and name.split("/")[0] not in OURS


def absent(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """What a job names and is not there."""
    for row in NAMED_FILES:
        for gone in facts.missing.get(row.argument, ()):
            field = BY_KIND_ARG[kind.name].get(row.argument)
            params = {"name": row.argument, "value": gone.value, "wanted": gone.lacks, "near": gone.near}
            code = ("named_unfit" if field else "argument_unfit") if gone.lacks else row.code
            if code == "named_absent" and field is None:  # its name is nowhere else
                code = "argument_absent"
            fix = {row.argument: replaced(args[row.argument], gone.value, gone.near)} if gone.near else None
            level: Level = "warning" if looks_like_an_id(row, gone.value) and not gone.lacks else row.level
            yield Finding(field.id if field else EXTRA, code, params, level, fix)


def useless(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """Weights that a job names, of a run whose loss was no number."""
    for argument, found in facts.dead_weights.items():
        field = BY_KIND_ARG[kind.name].get(argument)
        for dead in found:
            params = {"value": dead.value, "step": dead.step, "earlier": PurePosixPath(dead.earlier).name}
            code = "weights_dead_earlier" if dead.earlier else "weights_dead"
            fix = {argument: replaced(args[argument], dead.value, dead.earlier)} if dead.earlier else None
            yield Finding(field.id if field else EXTRA, code, params, "warning", fix)


def unsound(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """What a job names and cannot be loaded as it is."""
    for argument, found in facts.unsound.items():
        field = BY_KIND_ARG[kind.name].get(argument)
        for one in found:
            yield Finding(field.id if field else EXTRA, one.code, {"value": one.value, **one.params}, one.level)


def named_as_weights(held: str, names: Iterable[str]) -> list[str]:
    """The files of a folder that are weights by their names. held: what the folder is by its ADAPTER or MODEL file;
    names: of all that is in it."""
    if held == ADAPTER:
        return [name for name in names if name in ADAPTER_WEIGHTS]
    return [name for name in names if name.endswith(WEIGHTS) and NO_WEIGHTS.match(name) is None]


def replaced(value: Any, name: str, better: str) -> Any:
    """An argument with another path in place of one that it names."""
    if isinstance(value, list):
        return [better if item == name else item for item in value]
    parts: Mapping[str, str] = {name: better}
    return ",".join(parts.get(part.strip(), part.strip()) for part in str(value).split(","))
