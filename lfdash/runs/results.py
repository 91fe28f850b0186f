"""What a run leaves beside its log: the scores of an evaluation, and where a tracker shows it."""

from __future__ import annotations

from pathlib import Path

from lfdash.data.json_text import as_text
from lfdash.files import look_json, read_json_file
from lfdash.runs.console import tracker_link
from lfdash.runs.metrics.line import number
from lfdash.runs.paths import RunPaths

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
