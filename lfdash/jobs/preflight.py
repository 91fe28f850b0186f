"""What the world says to a job: its datasets, this machine, what is installed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from lfdash.jobs import known_bad, named_files, optimizers, packages
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_KIND_ARG, DATASETS, arguments
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.rules import EXTRA, STAGE, Args, Finding, listed, method, number, stage
from lfdash.jobs.stages import BY_CODE, PLAIN, RANKED
from lfdash.outcomes import Problem

DEMO = "models/demo-llama"  # which is made to be trained without a GPU
GIGABYTE = 1e9
LOW_DISK = 0.5e9  # bytes; LLaMA-Factory's caches and logs alone fill less than that
OPTIMIZER = 2.0  # AdamW keeps two moments for each trained weight
SAVED_BY = {"checkpoints": "save_total_limit", "model": "export_dir"}  # what is saved -> the argument that changes it
PPO_BREAKS = "0.9.2"  # of LLaMA-Factory: TypeError at the first step, seen by `make versions`
ADAPTER_SHARE = 0.012  # of a model's size that a rank-8 adapter on all linear layers has, about


def problems(kind: JobKind, args: Args, facts: Facts) -> Iterator[Problem]:
    """What a job's surroundings say to it."""
    yield from bad_data(kind, args, facts)
    yield from bad_machine(kind, args, facts)
    yield from absent_gpus(kind, facts)
    yield from unfit_template(args, facts)
    if kind.trains:
        yield from too_few_steps(kind, args, facts)
    yield from full_disk(kind, args, facts)


def findings(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """The same where the cure is a change of arguments, and so may concern those without a field."""
    yield from named_files.absent(kind, args, facts)
    yield from named_files.useless(kind, args, facts)
    yield from named_files.unsound(kind, args, facts)
    yield from packages.missing(kind, args, facts)
    yield from known_bad.met(kind, args, facts)
    if kind.trains:
        yield from optimizers.findings(args, facts)
        yield from overruled_epochs(args)
        yield from nothing_left(args, facts)
    yield from empty_stream(kind, args, facts)


def absent_gpus(kind: JobKind, facts: Facts) -> Iterator[Problem]:
    """GPUs that a job names and this machine has not: it would run on the processor, or not at all."""
    gone = [name for name in facts.request.devices if name.isdigit() and name not in facts.gpu_names]
    if not gone or facts.gpus is None:
        return
    field = f"{kind.name}.devices"
    params = {"value": ", ".join(gone), "have": ", ".join(facts.gpu_names)}
    if facts.gpus:
        yield Problem(field, "gpus_absent", params, fix={field: None})
    else:
        yield Problem(field, "gpus_none", params, "warning", {field: None})


def overruled_epochs(args: Args) -> Iterator[Finding]:
    """A number of steps that makes the number of epochs say nothing."""
    if number(args, "max_steps") > 0 and number(args, "num_train_epochs") > 0:
        params = {"value": f"{number(args, 'max_steps'):g}", "epochs": f"{number(args, 'num_train_epochs'):g}"}
        yield Finding("train.max_steps", "max_steps_epochs", params, "warning", {"num_train_epochs": None})


def empty_stream(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """A file that is streamed in as many shards as there are data workers, and there is none (data/loader.py of
    LLaMA-Factory): it ends with StopIteration."""
    named = [*listed(args.get("dataset")), *listed(args.get("eval_dataset"))]
    if not args.get("streaming") or number(args, "dataloader_num_workers") >= 1:
        return
    if any(name in facts.data for name in named):
        value = args.get("dataloader_num_workers", 0)
        row = BY_KIND_ARG[kind.name].get("dataloader_num_workers")
        yield Finding(row.id if row else EXTRA, "stream_workers", {"value": value}, fix={"dataloader_num_workers": 1})


def nothing_left(args: Args, facts: Facts) -> Iterator[Finding]:
    """A checkpoint at the end of the training that would go on with it."""
    if facts.reached is None:
        return
    total = total_steps(args, facts)
    epochs = number(args, "num_train_epochs") if "num_train_epochs" in args else 3.0
    if facts.reached.step >= total if total else facts.reached.epoch >= epochs:
        params = {"step": facts.reached.step, "total": total or "–", "epochs": f"{epochs:g}"}
        yield Finding("train.resume_from_checkpoint", "nothing_left", params, "warning")


def unfit_template(args: Args, facts: Facts) -> Iterator[Problem]:
    """A chat template that writes questions and answers in another way than the chosen model was trained with."""
    template = args.get("template")
    fitting = facts.fitting | {facts.model_template}
    if facts.templates is not None and template not in facts.templates:
        return  # told with the arguments
    if facts.model_template and isinstance(template, str) and template not in fitting:
        params = {"value": template, "fits": facts.model_template}
        yield Problem("top.template", "template_unfit", params, "warning", {"top.template": facts.model_template})


def rows_used(args: Args, facts: Facts) -> int | None:
    """How many rows a job takes of its datasets, those held back for an evaluation included; None = not known."""
    names = listed(args.get("dataset"))
    counts = [facts.usable.get(name, facts.rows.get(name)) for name in names]
    if not names or any(count is None for count in counts):
        return None
    limit = int(number(args, "max_samples"))
    return sum(min(count, limit) if limit > 0 else count for count in counts if count is not None)


def total_steps(args: Args, facts: Facts) -> int | None:
    """How many optimizer steps a training has, as transformers' Trainer counts them; None when rows are unknown."""
    if number(args, "max_steps") > 0:
        return int(number(args, "max_steps"))
    if args.get("streaming") or args.get("packing") or stage(args) in PLAIN:
        return None
    rows = rows_used(args, facts)
    if rows is None:
        return None
    size = number(args, "val_size")
    rows -= int(size if size >= 1 else rows * size)
    per_device = int(number(args, "per_device_train_batch_size")) or 8
    batches = math.ceil(rows / (per_device * facts.processes))
    accumulated = max(1, int(number(args, "gradient_accumulation_steps")) or 1)
    epochs = number(args, "num_train_epochs") if "num_train_epochs" in args else 3.0
    return math.ceil(epochs * max(1, math.ceil(batches / accumulated)))


def too_few_steps(kind: JobKind, args: Args, facts: Facts) -> Iterator[Problem]:
    """Steps between two looks that the run never reaches: no loss, no checkpoint, no evaluation to see."""
    total = total_steps(args, facts)
    if not total:
        return
    asked = [("logging_steps", "few_steps_logging", 500.0)]
    if args.get("save_strategy", "steps") == "steps":
        asked.append(("save_steps", "few_steps_saving", 500.0))
    if args.get("eval_strategy") == "steps":
        asked.append(("eval_steps", "few_steps_evaluating", number(args, "logging_steps") or 500.0))
    for name, code, default in asked:
        every = number(args, name) if name in args else default
        if every > total:
            row = BY_KIND_ARG[kind.name][name]
            fix = {row.id: max(1, total // 10)} if name != "save_steps" else {row.id: max(1, total // 2)}
            yield Problem(row.id, code, {"value": f"{every:g}", "total": total}, "warning", fix)


def full_disk(kind: JobKind, args: Args, facts: Facts) -> Iterator[Problem]:
    """Free disk space that does not take what the job saves."""
    if facts.free_disk is None:
        return
    need = saved_bytes(kind, args, facts)
    if facts.free_disk < max(need, LOW_DISK):
        free = f"{facts.free_disk / GIGABYTE:.1f}"
        row = BY_KIND_ARG[kind.name].get(SAVED_BY.get(kind.saves, ""))
        code = "disk_short" if need > LOW_DISK else "disk_low"
        yield Problem(row.id if row else None, code, {"free": free, "need": f"{need / GIGABYTE:.1f}"}, "warning")


def saved_bytes(kind: JobKind, args: Args, facts: Facts) -> float:
    """About how many bytes a job's checkpoints and its result take; 0 when the model's size is not known."""
    model = float(facts.model_bytes or 0)
    if kind.saves == "results":
        return 0.0
    if kind.saves == "model":
        return model
    adapter = method(args) in ("lora", "oft")
    rank = number(args, "lora_rank") or 8
    trained = model * min(1.0, ADAPTER_SHARE * rank / 8) if adapter else model
    total = total_steps(args, facts)
    every = number(args, "save_steps") or 500
    count = 1 if total is None or every < 1 else total // every
    if args.get("save_strategy") == "no":
        count = 0
    limit = number(args, "save_total_limit")
    count = min(count, limit) if limit else count
    checkpoint = trained if args.get("save_only_model") else trained * (1 + OPTIMIZER)
    return count * checkpoint + trained


def bad_data(kind: JobKind, args: Args, facts: Facts) -> Iterator[Problem]:
    """Datasets that do not exist or do not suit the stage."""
    rows = DATASETS[kind.name]
    if facts.dataset_problem is not None and rows:
        yield facts.dataset_problem
    ranked = BY_CODE[stage(args)].ranked if stage(args) in BY_CODE else None
    for row in rows:
        for name in listed(args.get(arguments(row)[0])):
            if name in facts.unfit:
                yield replace(facts.unfit[name], field=row.id)
            elif facts.datasets is not None and facts.dataset_problem is None and name not in facts.datasets:
                known = ", ".join(sorted(facts.datasets)) or "–"
                yield Problem(row.id, "dataset_unknown", {"value": name, "known": known})
            elif ranked is not None and facts.ranking.get(name, ranked) != ranked:
                code, params = ("dataset_unranked", {}) if ranked else ("dataset_ranked", {"stages": RANKED})
                yield Problem(row.id, code, {"value": name, **params})
            else:
                yield from (replace(problem, field=row.id) for problem in facts.data.get(name, ()))


def bad_machine(kind: JobKind, args: Args, facts: Facts) -> Iterator[Problem]:
    """What this machine or its packages cannot do."""
    if facts.gpus == 0:
        if args.get("pure_bf16"):
            yield Problem("train.compute_type", "pure_bf16_cpu", fix={"train.compute_type": "fp32"})
        elif args.get("bf16") and not args.get("use_cpu"):
            yield Problem("train.compute_type", "bf16_cpu", fix={"train.compute_type": "fp32"})
        if args.get("quantization_bit"):
            yield Problem("top.quantization_bit", "quant_cpu", level="warning")
    if facts.gpus and args.get("use_cpu") and kind.trains and args.get("model_name_or_path") != DEMO:
        yield Problem("train.use_cpu", "cpu_chosen", {"gpus": facts.gpus}, "warning", {"train.use_cpu": None})
    if kind.trains and method(args) == "oft":
        yield Problem("top.finetuning_type", "oft_again", level="warning")
    if facts.packages is None:
        return
    if stage(args) == "ppo" and not trl_runs_ppo(facts.packages.get("trl", "")):
        yield Problem(STAGE, "ppo_trl", {"version": facts.packages.get("trl") or "–"})
    elif stage(args) == "ppo" and facts.installed.get("llamafactory") == PPO_BREAKS:
        yield Problem(STAGE, "ppo_version", {"version": PPO_BREAKS})


def trl_runs_ppo(version: str) -> bool:
    """Whether PPO accepts this trl: 0.8.6 to 0.9.6 (llamafactory/train/ppo/trainer.py)."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return found is not None and (0, 8, 6) <= tuple(map(int, found.groups())) <= (0, 9, 6)
