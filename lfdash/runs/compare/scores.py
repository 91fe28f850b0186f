"""The scores of evaluations, and whose weights each of them evaluated: what its arguments name tells. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.runs.compare.settings import plain_text
from lfdash.runs.results import ASIDE, NOT_SCORES
from lfdash.runs.view import CHECKPOINT


@dataclass(frozen=True)
class Origin:
    """Whose weights something has: a run of the workspace, and the checkpoint; None = those of its end."""

    run_id: str
    step: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scores of a run. origin: whose weights they are of; None where that is no run of the workspace. model: what
    it names as model or adapter. data: the datasets that it was measured on. stage: in which it was measured: a loss of
    SFT is another quantity than one of DPO. Both are "" where they are not known. speeds: those among the scores that
    are wrong, as the log tells them (`train_speed.own_speeds`)."""

    run_id: str
    name: str
    origin: Origin | None = None
    model: str = ""
    data: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    stage: str = ""
    speeds: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def measure(self) -> tuple[str, str] | None:
        """What the scores of two have in common that can be called better or worse; None where that is not known."""
        return (self.stage, self.data) if self.stage and self.data else None


class Origins:
    """Finds the run that a path is of. folders: run id -> its folder, absolute. exports: run id -> the arguments of a
    job that has merged an adapter; what it wrote is that adapter's run's."""

    def __init__(
        self, workspace: Path, folders: Mapping[str, Path], exports: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._workspace = workspace
        self._runs = {str(folder): run_id for run_id, folder in folders.items()}
        self._exports: dict[str, Mapping[str, Any]] = {}
        for args in (exports or {}).values():
            if isinstance(args.get("export_dir"), str):
                self._exports[self._absolute(args["export_dir"])] = args

    def of(self, args: Mapping[str, Any]) -> Origin | None:
        """Whose weights a job with these arguments has; of several adapters the last one's, which lies on top."""
        return self._of(args, set())

    def _of(self, args: Mapping[str, Any], seen: set[str]) -> Origin | None:
        adapters = paths_of(args.get("adapter_name_or_path"))
        if adapters:
            return self._run(adapters[-1])
        models = paths_of(args.get("model_name_or_path"), lists=False)
        if not models:
            return None
        merged = self._absolute(models[0])
        if merged in self._exports and merged not in seen:
            return self._of(self._exports[merged], seen | {merged})
        return self._run(models[0])

    def _run(self, path: str) -> Origin | None:
        folder = self._absolute(path)
        if folder in self._runs:
            return Origin(self._runs[folder])
        above, name = os.path.split(folder)
        number = name.removeprefix(CHECKPOINT)
        if name != number and number.isdecimal() and len(number) < 10 and above in self._runs:
            return Origin(self._runs[above], int(number))
        return None

    def _absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._workspace, path))


def paths_of(value: Any, *, lists: bool = True) -> list[str]:
    """The paths that an argument names. lists: whether commas part several."""
    if isinstance(value, str):
        value = value.split(",") if lists else [value]
    return [part.strip() for part in value if isinstance(part, str) and part.strip()] if isinstance(value, list) else []


def evaluation(
    run_id: str, name: str, args: Mapping[str, Any], scores: Mapping[str, float], origin: Origin | None
) -> Evaluation:
    """The scores of an evaluation with what its arguments say of them."""
    adapters = paths_of(args.get("adapter_name_or_path"))
    model = adapters[-1] if adapters else plain_text(args.get("model_name_or_path") or "").strip('"')
    data = plain_text(args.get("eval_dataset") or args.get("dataset") or args.get("task") or "").strip('"')
    stage = str(args.get("stage") or "sft") if args else ""  # as LLaMA-Factory takes it: hparams/finetuning_args.py
    return Evaluation(run_id, name, origin, model, data, scores, stage)


def of_runs(found: Iterable[Evaluation], ids: Sequence[str]) -> tuple[Evaluation, ...]:
    """The evaluations of these runs' weights and those that are among them, in the order of the runs; of one run by
    checkpoint, its end last."""
    places = {run_id: place for place, run_id in enumerate(ids)}

    def order(one: Evaluation) -> tuple[int, float, str, str]:
        origin = one.origin
        place = places.get(origin.run_id if origin else one.run_id, places.get(one.run_id, len(places)))
        step = float("inf") if origin is None or origin.step is None else origin.step
        return (place, step, one.name, one.run_id)

    wanted = {one.run_id: one for one in found if one.run_id in places or (one.origin and one.origin.run_id in places)}
    return tuple(sorted(wanted.values(), key=order))


def is_of_training(one: Evaluation) -> bool:
    """Whether scores are known to be what a training measured at its end: then its own results stand beside them
    (transformers, Trainer.save_metrics: all_results.json)."""
    return any(name in one.scores for name in ("train_loss", "train_runtime"))


def score_names(found: Sequence[Evaluation]) -> tuple[str, ...]:
    """The scores that any has: those that say how good it was, then those that say how fast."""
    names = {name for one in found for name in one.scores if name not in NOT_SCORES}
    return tuple(sorted(names, key=lambda name: (name.endswith(ASIDE), name)))
