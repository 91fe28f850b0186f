"""What a form loads: its adapters and model as folders, what a typed text means, and in words what Start would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from lfdash.engine import models
from lfdash.engine.context import MODEL, PATH, data_folder
from lfdash.engine.loading import by_folder, makes_weights, weights_in
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args
from lfdash.jobs.converters import save_dir
from lfdash.jobs.fields import BY_KIND_ARG, DATASETS, arguments
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.rules import listed
from lfdash.jobs.stages import ADAPTER_METHODS
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView

ADAPTERS = "top.checkpoint_path"
MOST = 200  # runs that are offered
NEAR = 4  # names that are offered for one that is none
OURS = ("saves", "models", "exports", "data", "configs")  # what starts with one of these is a folder, not a Hub ID


def offers(services: Services) -> dict[str, str]:
    """The folders with weights of the newest runs -> what they are called: a training's by its name, what an export has
    written, and trainings of one name, by the folder."""
    found: dict[str, str] = {}
    for view in services.registry.snapshot():
        folder = offered(view)
        if folder is not None and len(found) < MOST:
            found.setdefault(folder, view.name if named(view.kind).trains else folder)
    names = Counter(map(models.folded, found.values()))
    return {folder: name if names[models.folded(name)] == 1 else folder for folder, name in found.items()}


def offered(view: RunView) -> str | None:
    """The folder of the weights that a run has made; None where it has made none."""
    kind = named(view.kind)
    if not makes_weights(kind) or (not kind.trains and view.state is not RunState.SUCCEEDED):
        return None
    folder = weights_in(view)
    return folder if isinstance(folder, str) else None


def stack_of(job: JobConfig) -> list[str]:
    """The folders of a job's adapters, the last one on top."""
    if job.get("top.finetuning_type") not in ADAPTER_METHODS:
        return []
    names = job.get(ADAPTERS)
    return [save_dir(job.get, str(name)) for name in names] if isinstance(names, list) else []


def main_of(services: Services, job: JobConfig) -> str | None:
    """The folder of what a form loads beside a base model: its last adapter, else its model where a run has made it;
    None where it is a base model."""
    stack = stack_of(job)
    if stack:
        return stack[-1]
    path = str(build_args(job).get("model_name_or_path") or "")
    return path if path and by_folder(services, path) is not None else None


def meant(services: Services, text: str) -> str | Refused:
    """The folder (relative to the workspace, or absolute) or Hub ID that a text means: the name of a run, a folder that
    is there, else a Hub ID of two parts. Refused: source_unknown."""
    text = text.strip().rstrip("/")
    for view in services.registry.snapshot():
        folder = offered(view)
        if folder is not None and models.folded(text) in (models.folded(view.name), models.folded(folder)):
            return folder
    path = services.roots.readable(text)
    if text and path is not None and Path(path).is_dir():
        return text
    parts = text.split("/")
    is_hub_id = len(parts) == 2 and all(parts) and parts[0] not in (*OURS, ".", "..", "~")
    return text if is_hub_id else Refused("source_unknown", {"text": text})


def meant_adapter(services: Services, text: str) -> str | Refused:
    """The same of an adapter. Refused: source_unknown, source_no_adapter (a folder without one)."""
    folder = meant(services, text)
    path = services.roots.readable(folder) if isinstance(folder, str) else None
    if isinstance(folder, str) and path is not None and Path(path).is_dir():
        is_adapter = (Path(path) / "adapter_config.json").is_file()
        return folder if is_adapter else Refused("source_no_adapter", {"text": text})
    return folder


def near(services: Services, text: str) -> dict[str, str]:
    """The folders of runs whose names are like a text -> their names, the likeliest first."""
    known = offers(services)
    wanted = models.last(text).casefold()
    folders = {name.casefold(): folder for folder, name in reversed(known.items())}
    inside = [name for name in folders if wanted and (wanted in name or name in wanted)]
    close = get_close_matches(wanted, folders, NEAR, 0.5)
    names = list(dict.fromkeys([*close, *inside]))[:NEAR]
    return {folders[name]: known[folders[name]] for name in names}


def without_weights(services: Services, job: JobConfig) -> JobConfig:
    """The job with the base model alone: no adapters, and in the place of a model that a run has made the one that it
    was made from, where that is known."""
    values = {name: value for name, value in job.values.items() if name != ADAPTERS}
    path = str(job.values.get(PATH) or "")
    made = by_folder(services, path) if path else None
    document = stored(made) if made is not None else None
    before = document.args.get("model_name_or_path") if document is not None else None
    if isinstance(before, str) and before != path:
        values = {name: value for name, value in values.items() if name != MODEL} | {PATH: before}
    return JobConfig(job.kind, {**values, f"{job.kind}.output_dir": None}, job.extra)  # type: ignore[dict-item]


@dataclass(frozen=True)
class Said:
    """What a sentence on a job has to name. adapter, model: "" where there is none. purpose: what it is loaded for.
    target: the datasets of an evaluation, the folder of an export; "" none yet, None where there is nothing to name.
    rows: that are evaluated; exact: whether so many, else at most."""

    adapter: str
    model: str
    target: str | None = None
    purpose: Literal["load", "measure", "merge"] = "load"
    rows: int = 0
    exact: bool = False


def says(services: Services, job: JobConfig) -> Said:
    """What Start would load, and for what."""
    args, names = build_args(job), offers(services)
    adapters = ", ".join(names.get(folder, folder) for folder in listed(args.get("adapter_name_or_path")))
    path = str(args.get("model_name_or_path") or "")
    said = Said(adapters, names.get(path) or str(job.get(MODEL) or "") or path)
    if "export_dir" in BY_KIND_ARG[job.kind]:
        return replace(said, purpose="merge", target=str(args.get("export_dir") or ""))
    if not DATASETS[job.kind]:
        return said
    data = listed(args.get(arguments(DATASETS[job.kind][0])[0]))
    most = args.get("max_samples")
    known = services.row_counts(data_folder(job), data)
    exact = all(name in known for name in data)
    counts = [known.get(name, most or 0) for name in data]
    rows = sum(min(count, most) if isinstance(most, int) else count for count in counts)
    return replace(said, purpose="measure", target=", ".join(data), rows=rows, exact=exact)
