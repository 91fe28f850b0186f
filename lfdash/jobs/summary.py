"""A job in one line: how it trains, how long, how much at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.jobs.environment import Facts
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.preflight import rows_used, total_steps
from lfdash.jobs.rules import Args, listed, method, number

PER_DEVICE = 8  # rows, where nothing is said (transformers' TrainingArguments)
RANK = 8  # of an adapter, where nothing is said (llamafactory/hparams/finetuning_args.py)


@dataclass(frozen=True)
class Summary:
    """What a job will do; None where it is not known or does not apply.

    method: "lora", "full", ...; rank: of its adapter. steps: optimizer steps of the whole training. batch: rows of one
    optimizer step on all devices. rows: of its datasets that it takes, all_rows: that they have.
    """

    method: str
    rank: int | None = None
    steps: int | None = None
    batch: int | None = None
    rows: int | None = None
    all_rows: int | None = None


def summary(kind: JobKind, args: Args, facts: Facts) -> Summary:
    """A job's summary. args: LLaMA-Factory's arguments."""
    how = method(args)
    if not kind.trains:
        return Summary(how)
    rank = int(number(args, "lora_rank")) or RANK if how == "lora" else None
    counts = [facts.rows.get(name) for name in listed(args.get("dataset"))]
    known = [count for count in counts if count is not None]
    every = sum(known) if known and len(known) == len(counts) else None
    return Summary(
        how, rank, total_steps(args, facts), effective_batch(args, facts), rows_used(args, facts), every
    )


def effective_batch(args: Args, facts: Facts) -> int:
    """Rows of one optimizer step: those of a device, times the devices, times the accumulated steps."""
    per_device = int(number(args, "per_device_train_batch_size")) or PER_DEVICE
    return per_device * facts.processes * (int(number(args, "gradient_accumulation_steps")) or 1)
