"""More epochs for a training that is over: a new run that goes on from its last checkpoint, or from its weights.

What LLaMA-Factory does with `resume_from_checkpoint` and a larger `num_train_epochs`: weights, optimizer and the number
of steps are those of the checkpoint. The schedule of the learning rate is not kept: it is laid out over all epochs of
the new total, and the training takes it up at the checkpoint's step. A cosine that had come down to nearly 0 after 2
epochs stands in the middle of one over 4: the rate jumps up, and then falls again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.engine.plans import Prepared
from lfdash.engine.resume import inherited, stored
from lfdash.engine.services import Services
from lfdash.jobs import yaml_format
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import TARGET, request_of
from lfdash.jobs.stages import ADAPTER_METHODS
from lfdash.locales import in_language, refusal_in
from lfdash.outcomes import Refused
from lfdash.runs.plan import make_plan
from lfdash.runs.record import TERMINAL, RunRecord
from lfdash.runs.view import CHECKPOINT, RunView

USUAL_EPOCHS = 3.0  # transformers' num_train_epochs
MOST_EPOCHS = 1000.0
OPTIMIZER = ("optimizer.pt", "optimizer.bin", "optimizer", "optimizer_0", "latest")  # the last one is DeepSpeed's
NO_RESUME = frozenset({"ppo"})  # LLaMA-Factory's trainer of this stage takes no checkpoint


@dataclass(frozen=True)
class MoreEpochs:
    """How a run can have more epochs. done: those that it was to have. step: of the checkpoint that a new run goes on
    from; None = there are its weights only: optimizer, warm-up and schedule begin anew."""

    done: float
    step: int | None


def more_epochs(view: RunView) -> MoreEpochs | Refused:
    """What a run can be trained on from. Refused: resume_plain, resume_alive, more_kind, no_configuration,
    more_max_steps, more_nothing."""
    if view.record is None:
        return Refused("resume_plain")
    if view.state not in TERMINAL or view.waiting is not None:
        return Refused("resume_alive")
    if not named(view.kind).trains:
        return Refused("more_kind")
    document = stored(view)
    if document is None:
        return Refused("no_configuration")
    if number(document.args.get("max_steps"), 0) > 0:
        return Refused("more_max_steps", {"steps": document.args["max_steps"]})
    done = number(document.args.get("num_train_epochs"), USUAL_EPOCHS)
    step = None if document.args.get("stage") in NO_RESUME else last_whole_checkpoint(view)
    if step is None and view.saved.model is None:
        return Refused("more_nothing")
    return MoreEpochs(done, step)


def past_end_in(code: str, view: RunView) -> str:
    """That the checkpoint of a resumed run stood at its end already; then how it can be trained further, or why it
    cannot."""
    told = in_language(code, "ui.past_end", step=view.progress.step, total=view.progress.total)
    further = more_epochs(view)
    more = refusal_in(code, further) if isinstance(further, Refused) else in_language(code, "ui.past_end_more")
    return f"{told} {more}"


def number(value: object, default: float) -> float:
    """A number of a configuration; `default` for anything else."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


def last_whole_checkpoint(view: RunView) -> int | None:
    """The step of the newest checkpoint that holds all that a training goes on from, also its optimizer: with
    `save_only_model` none does."""
    for step in reversed(view.saved.checkpoints):
        folder = view.path / f"{CHECKPOINT}{step}"
        if (folder / "trainer_state.json").exists() and any((folder / name).exists() for name in OPTIMIZER):
            return step
    return None


def fresh_folder(services: Services, view: RunView, epochs: float) -> str:
    """The folder of the new run, beside the one it goes on from: relative to the workspace where that one's is."""
    taken = {one.output_dir for one in services.registry.snapshot()}
    stem, number = f"{view.output_dir}-{epochs:g}ep", 1
    folder = stem
    while folder in taken or os.path.lexists(services.workspace.root / folder):
        number += 1
        folder = f"{stem}-{number}"
    return folder


def more_args(view: RunView, args: Mapping[str, Any], found: MoreEpochs, epochs: float) -> dict[str, Any]:
    """The arguments of the new run, without its folder."""
    left_out = ("output_dir", "resume_from_checkpoint", "overwrite_output_dir")
    kept = {name: value for name, value in args.items() if name not in left_out}
    if found.step is not None:
        return kept | {
            "num_train_epochs": epochs,
            "resume_from_checkpoint": f"{view.output_dir}/{CHECKPOINT}{found.step}",
        }
    return kept | weights_args(view, kept) | {"num_train_epochs": epochs - found.done}


def weights_args(view: RunView, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that start from a run's weights. Adapters that it had merged into its model before
    (model/adapter.py of LLaMA-Factory: all but the last one) are merged again."""
    method = str(args.get("finetuning_type", "lora"))
    if method not in ADAPTER_METHODS:
        return {"model_name_or_path": view.output_dir}
    before = [path for path in str(args.get("adapter_name_or_path") or "").split(",") if path]
    merged = before if args.get("create_new_adapter") else before[:-1]
    adapters: dict[str, Any] = {"adapter_name_or_path": ",".join([*merged, view.output_dir])}
    if "create_new_adapter" in args:
        adapters["create_new_adapter"] = False
    # an OFT adapter is loaded while the method is called LoRA (see engine/resume.py, weights_of)
    return adapters | ({"finetuning_type": "lora"} if method == "oft" else {})


def prepare_more(services: Services, view: RunView, epochs: float, header: str) -> Prepared | Refused:
    """A new run that brings a run's training to `epochs` in total, ready to be started; nothing of the old one changes.

    header: the comment at the top of its YAML file. Refused: as `more_epochs`, and more_less (it has had as many).
    """
    found, document = more_epochs(view), stored(view)
    if isinstance(found, Refused):
        return found
    if not found.done < epochs <= MOST_EPOCHS:
        return Refused("more_less", {"done": f"{found.done:g}", "most": f"{MOST_EPOCHS:g}"})
    if document is None or view.record is None:
        return Refused("no_configuration")
    args, env, secrets = inherited(services, view.record, document)
    folder = fresh_folder(services, view, epochs)
    args = more_args(view, args, found, epochs) | {"output_dir": folder}
    launcher = services.launcher_on(env.get(TARGET, ""))
    plan = launcher.plan(make_plan(
        run_id=uuid.uuid4().hex[:12],
        args=args,
        env=env,
        secrets=secrets,
        files={view.paths.training_args.name: yaml_format.dump(args, [header], env)},
        cli=services.cli_path,
        cwd=str(services.workspace.root),
        output_dir=folder,
        command=named(view.kind).command,
    ))
    old = view.record
    record = RunRecord.new(
        plan, kind=old.kind, name=folder.rpartition("/")[2], model=old.model, stage=old.stage, method=old.method,
        launcher=launcher.name,
    )
    return Prepared(plan, record, request_of(document.args, env))
