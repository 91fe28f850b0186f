"""Tokens, steps, checkpoints and disk of a training, from the lengths of its rows. Pure.

Files are LLaMA-Factory's (llamafactory/data/) and transformers' own.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lfdash.memory.subject import PAIRED, Subject
from lfdash.memory.weights import frozen_size, weights

AT_ONCE = 1000  # rows that are packed together: data_args.py:preprocessing_batch_size
EPOCHS, SAVE_STEPS = 3.0, 500  # defaults: transformers/training_args.py


@dataclass(frozen=True)
class Totals:
    """A whole training.

    rows: that are trained on, after the split; sequences: what these are to the trainer, packed or not; tokens: of one
    epoch, without padding; None for pairs, of which only the longer answer is counted. seen: tokens of all epochs.
    steps: of the optimizer; checkpoints: steps of those that are left at the end. checkpoint_bytes, model_bytes: of one
    checkpoint, and of what is saved at the end; disk: of all together. exact: False where the tokens are those of a
    sample, or rows are held out, which are drawn by chance.
    """

    rows: int
    sequences: int
    tokens: int | None
    seen: int | None
    steps: int
    checkpoints: tuple[int, ...]
    checkpoint_bytes: int
    model_bytes: int
    disk: int
    exact: bool = True


def totals(subject: Subject, rows: int | None = None) -> Totals | None:
    """What a training is altogether. rows: of the datasets, where the lengths are those of a sample. None without
    lengths."""
    if not subject.lengths:
        return None
    count = rows or len(subject.lengths)
    scale = count / len(subject.lengths)
    held_out = validation(subject, count)
    trained = max(0, count - held_out)
    share = trained / count * scale
    sequences, tokens = prepared(subject)
    if scale != 1 or held_out:
        sequences, tokens = round(sequences * share), round(tokens * share)
    if not subject.packed:
        sequences = trained
    steps = steps_of(subject, sequences)
    checkpoints = kept_checkpoints(subject, steps)
    model, checkpoint = saved(subject)
    paired = subject.stage in PAIRED
    return Totals(
        trained, sequences, None if paired else tokens, None if paired else seen(subject, tokens, sequences, steps),
        steps, checkpoints, checkpoint, model, model + checkpoint * len(checkpoints),
        scale == 1 and not held_out,
    )


def validation(subject: Subject, rows: int) -> int:
    """Rows that are held out (data/data_utils.py:split_dataset)."""
    size = subject.number("val_size", 0)
    if size <= 1e-6:
        return 0
    return min(rows, int(size)) if size > 1 else math.ceil(size * rows)


def prepared(subject: Subject) -> tuple[int, int]:
    """Sequences and tokens that the rows become (data/processor/supervised.py, pretrain.py)."""
    lengths, limit = subject.lengths, subject.cutoff
    if not subject.packed:
        return len(lengths), sum(min(length, limit) for length in lengths)
    workers = max(1, int(subject.number("preprocessing_num_workers", 1)))
    parts = [part for shard in shards(lengths, workers) for part in batches(shard, AT_ONCE)]
    if subject.stage == "pt":  # texts are joined, the rest of each part is dropped
        blocks = sum(sum(part) // limit for part in parts)
        return blocks, blocks * limit
    fitting = [[length for length in part if length <= limit] for part in parts]  # longer ones are dropped
    return sum(knapsacks(part, limit) for part in fitting), sum(map(sum, fitting))


def shards(lengths: Sequence[int], count: int) -> list[Sequence[int]]:
    """As many parts, in order, whose sizes differ by one at most (datasets: Dataset.shard)."""
    each, more = divmod(len(lengths), count)
    ends = [n * each + min(n, more) for n in range(count + 1)]
    return [lengths[begin:end] for begin, end in pairwise(ends)]


def batches(lengths: Sequence[int], size: int) -> list[Sequence[int]]:
    """Parts of a size, in order; the last one may be shorter."""
    return [lengths[begin : begin + size] for begin in range(0, len(lengths), size)]


def knapsacks(lengths: Sequence[int], capacity: int) -> int:
    """Sequences that rows are packed into: always the longest that still fits (processor_utils.py:greedy_knapsack)."""
    waiting, count = sorted(lengths), 0
    while waiting:
        left, count = capacity, count + 1
        while at := bisect.bisect(waiting, left):
            left -= waiting.pop(at - 1)
    return count


def steps_of(subject: Subject, sequences: int) -> int:
    """Steps of the optimizer (transformers/trainer.py:set_initial_training_values)."""
    most = int(subject.number("max_steps", -1))
    if most > 0:
        return most
    return math.ceil(subject.number("num_train_epochs", EPOCHS) * steps_an_epoch(subject, sequences))


def steps_an_epoch(subject: Subject, sequences: int) -> int:
    """Steps of one epoch; the last one may have fewer forwards."""
    forwards = math.ceil(math.ceil(sequences / subject.world_size) / subject.batch)
    return max(1, math.ceil(forwards / subject.accumulation))


def seen(subject: Subject, tokens: int, sequences: int, steps: int) -> int:
    """Tokens of all steps."""
    return round(tokens * steps / steps_an_epoch(subject, sequences))


def kept_checkpoints(subject: Subject, steps: int) -> tuple[int, ...]:
    """Steps of the checkpoints that are left at the end (transformers/trainer_callback.py:DefaultFlowCallback)."""
    strategy = str(subject.arguments.get("save_strategy") or "steps").rpartition(".")[2].lower()
    if strategy == "no" or steps < 1:
        return ()
    every = subject.number("save_steps", SAVE_STEPS)
    every = math.ceil(every * steps) if 0 < every < 1 else int(every)
    if strategy == "epoch":
        epochs = max(1, math.ceil(subject.number("num_train_epochs", EPOCHS)))
        made = sorted({math.ceil(steps * n / epochs) for n in range(1, epochs + 1)})
    else:
        made = sorted({*range(every, steps + 1, every), steps}) if every > 0 else [steps]
    limit = int(subject.number("save_total_limit", 0))
    return tuple(made[-limit:] if limit > 0 else made)


def saved(subject: Subject) -> tuple[int, int]:
    """Bytes of the model that is saved at the end, and of one checkpoint: the same with the optimizer's states, unless
    save_only_model leaves these out."""
    found = weights(subject)
    model = found.trained * found.each if subject.adapts else whole_model(subject)
    only = subject.on("save_only_model") or subject.badam
    return int(model), int(model + (0 if only else 2 * found.each * found.trained))


def whole_model(subject: Subject) -> float:
    """Bytes of all weights as they are saved: what is trained in fp32 is saved so."""
    found = weights(subject)
    if subject.sharding in ("z2", "z3"):  # zero/engine: gathered in 16 bit
        return subject.architecture.total * 2.0
    return frozen_size(subject) + found.trained * (found.each - 2.0)
