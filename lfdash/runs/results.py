"""What a run leaves beside its log: the scores of an evaluation, and where a tracker shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lfdash.data.json_text import as_text
from lfdash.files import look_json, read_json_file
from lfdash.runs.console import tracker_link
from lfdash.runs.metrics.line import number
from lfdash.runs.paths import RunPaths

ASIDE = ("_runtime", "_per_second", "_preparation_time")  # endings of what says how fast it was, not how good
NOT_SCORES = frozenset({"epoch", "total_flos", "num_input_tokens_seen", "step"})
PARTS = ("predict_", "eval_", "train_")
# What llamafactory/train/sft/metric.py and the trainers write -> whether it says how fast, and not how good
WORDS: Mapping[str, bool] = {
    "bleu_4": False, "rouge_1": False, "rouge_2": False, "rouge_l": False, "accuracy": False, "loss": False,
    "perplexity": False, "runtime": True,
    "samples_per_second": True, "steps_per_second": True, "model_preparation_time": True, "epoch": True,
}
SCORES = ("all_results.json", "predict_results.json", "eval_results.json")


def experiment_link(paths: RunPaths) -> str | None:
    """The web address at which a tracker (SwanLab, Weights & Biases) shows the run, where it has published one.

    LLaMA-Factory notes SwanLab's in a file, which newer versions of SwanLab leave empty; then the console says it.
    """
    told = read_json_file(paths.swanlab)
    cloud = told.get("cloud") if isinstance(told, dict) else None
    link = cloud.get("experiment_url") if isinstance(cloud, dict) else None
    if isinstance(link, str) and link.startswith(("https://", "http://")):
        return link
    return tracker_link(paths.printed)


@dataclass(frozen=True)
class Metric:
    """A number of a result file. name: as the file has it. word: of its words, `ui.metric_<word>`, with what it means
    under `ui.metric_<word>_help`; "" for one that is not known here. timing: whether it says how fast it was, or how
    much, and not how good."""

    name: str
    value: float
    word: str = ""
    timing: bool = False


def metrics(scores: Mapping[str, float]) -> tuple[Metric, ...]:
    """The numbers of a result file, those that are known first, in the order of `WORDS`."""
    found = [metric_of(name, value) for name, value in scores.items()]
    order = list(WORDS)
    return tuple(sorted(found, key=lambda one: (order.index(one.word) if one.word else len(order), one.name)))


def metric_of(name: str, value: float) -> Metric:
    """One number. Before its name stands which part of a job measured it (`eval_`, `predict_`)."""
    bare = next((name.removeprefix(part) for part in PARTS if name.startswith(part)), name)
    word = bare.replace("-", "_")
    timing = bare.endswith(ASIDE) or bare in NOT_SCORES or WORDS.get(word, False)
    return Metric(name, value, word if word in WORDS else "", timing)


def read_scores(folder: Path) -> dict[str, float]:
    """The numbers of the run's result file, sorted by name; empty when there is none (yet), or it cannot be read."""
    try:
        return look_scores(folder)
    except OSError:
        return {}


def look_scores(folder: Path) -> dict[str, float]:
    """As `read_scores`; OSError when reading failed, so that nothing is known."""
    for name in SCORES:
        found = look_json(folder / name)
        if found:
            numbers = {as_text(key): number(value) for key, value in found.items() if isinstance(value, int | float)}
            return dict(sorted(numbers.items()))
    return {}
