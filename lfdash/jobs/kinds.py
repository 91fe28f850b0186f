"""KINDS: every kind of job, one row a kind. Its command, page, checks, devices and details derive from it.

A new kind is a row here; its own fields in `fields`, under the scope of its name (at least `output_dir`, the name of
its runs); the script of its page, two lines as in pages/evaluate.py; and its texts: `ui.page_NAME`, `ui.welcome_NAME`
and `ui.runs_kind_NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Args = Mapping[str, Any]  # LLaMA-Factory's arguments

DOES = ("do_train", "do_eval", "do_predict")


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    name: as runs record it; the scope of its own fields. command: of llamafactory-cli. page: the script that draws
    it, relative to the project. tabs: the details of a run, in order (keys of `ui.train.monitor.DETAILS`). needs:
    what a job cannot do without, in the order of the form (keys of `checks.NEEDS`). asked_by: whether arguments that
    come without a kind are for this one. takes_devices: whether a job with these arguments uses GPUs where there are
    any. queued: whether a job may wait for its turn. stem: what a new run's name starts with. starts_from: what an
    empty form is filled with, "preset" (it offers them; else LlamaBoard's defaults) or "model" (the one of the form
    that was open before). trains: whether it changes weights step by step, and so has a loss, checkpoints to resume
    from, and results to train on. runs_model: whether the model computes, so that it may be quantized when loaded;
    else it is only written anew. quantizer: LlamaBoard sends the quantization method even when nothing is quantized.
    saves: what takes disk space. done: key of the text that says what a run that succeeded has left; "" where that is
    read from its folder.
    """

    name: str
    command: str
    page: str
    tabs: tuple[str, ...]
    needs: tuple[str, ...]
    stem: str
    asked_by: Callable[[Args], bool] = lambda args: False
    takes_devices: Callable[[Args], bool] = lambda args: True
    queued: bool = True
    starts_from: Literal["preset", "model"] = "model"
    trains: bool = False
    runs_model: bool = True
    quantizer: bool = False
    saves: Literal["checkpoints", "model", "results"] = "results"
    done: str = ""


def merges(args: Args) -> bool:
    """Whether arguments are those of `llamafactory-cli export`."""
    return "export_dir" in args and not any(args.get(name) for name in DOES)


def evaluates(args: Args) -> bool:
    """Whether arguments evaluate or predict without training."""
    wanted = any(args.get(name) for name in ("do_eval", "do_predict", "predict_with_generate"))
    return wanted and not args.get("do_train") and not merges(args)


KINDS = (
    JobKind(
        name="train",
        command="train",
        page="app.py",
        tabs=("log", "curves", "files", "configuration"),
        needs=("model", "name", "dataset", "reward", "training", "template"),
        stem="run",
        starts_from="preset",
        trains=True,
        saves="checkpoints",
    ),
    JobKind(
        name="eval",
        command="train",  # which also evaluates and predicts
        page="pages/evaluate.py",
        tabs=("results", "predictions", "log", "files", "configuration"),
        needs=("model", "name", "dataset", "template", "generation"),
        stem="eval",
        asked_by=evaluates,
        quantizer=True,
        done="ui.scored",
    ),
    JobKind(
        name="export",
        command="export",
        page="pages/export.py",
        tabs=("log", "files", "configuration"),
        needs=("model", "name", "export_dir", "weights", "no_adapter", "template"),
        stem="export",
        asked_by=merges,
        takes_devices=lambda args: args.get("export_device", "cpu") == "auto",
        runs_model=False,
        saves="model",
        done="ui.exported",
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}
DEFAULT = KINDS[0]  # of arguments that no other kind asks for, and of runs of the plain CLI


def named(name: str) -> JobKind:
    """The kind of this name; the default one for a name that is not known, as a newer version may have written."""
    return BY_NAME.get(name, DEFAULT)


def kind_of(args: Args) -> JobKind:
    """The kind of job that arguments are for."""
    return next((kind for kind in KINDS if kind.asked_by(args)), DEFAULT)
