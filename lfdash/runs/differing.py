"""The arguments in which runs differ, of ten thousand of them in some milliseconds: each value is a number in a matrix
of rows by arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lfdash.jobs.fields import FIELDS
from lfdash.runs.arguments import Value
from lfdash.runs.kept import no_collection
from lfdash.runs.table import TableRow

Places = NDArray[np.intp]

# What says where a run writes, how it reports and how the machine works it off, not what is learned; and what has a
# column of its own. Chosen by hand they are shown all the same.
NO_SETTINGS = frozenset((
    "output_dir", "overwrite_output_dir", "logging_dir", "run_name", "swanlab_run_name", "project", "swanlab_project",
    "report_to", "resume_from_checkpoint", "logging_steps", "save_steps", "save_strategy", "save_total_limit",
    "save_only_model", "plot_loss", "ddp_timeout", "preprocessing_num_workers", "dataloader_num_workers",
    "dataset_dir", "media_dir", "cache_dir", "trust_remote_code", "include_num_input_tokens_seen", "overwrite_cache",
    "do_train", "do_eval", "do_predict", "model_name_or_path", "stage", "finetuning_type", "dataset", "eval_dataset",
    "export_dir",
))
FIRST = (
    "learning_rate", "lora_rank", "lora_alpha", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "cutoff_len", "lr_scheduler_type", "warmup_ratio", "lora_dropout", "pref_beta",
    "pref_loss", "quantization_bit", "weight_decay", "optim", "seed",
)
SORT = ("stage", "finetuning_type", "do_train", "do_predict")  # what makes runs of one sort
FORM = (row.name if row.arg is None else row.arg for row in FIELDS)
RANK: Mapping[str, int] = {name: place for place, name in enumerate(dict.fromkeys((*FIRST, *FORM)))}


def rank(name: str) -> tuple[int, str]:
    """By what arguments stand in order: what is tried most first, then as the form has them."""
    return RANK.get(name, len(RANK)), name


@dataclass
class Vocabulary:
    """The values of one argument. column: of the argument; codes: value -> its place plus one (0 stands for not given);
    true and false are no numbers, so they stand in a tuple."""

    column: int
    values: list[Value] = field(default_factory=list)
    codes: dict[Value | tuple[bool], int] = field(default_factory=dict)


Coded = tuple[Mapping[str, Value], NDArray[np.int32], NDArray[np.int32]]  # arguments, their columns, the values' codes


class ArgumentMatrix:
    """The arguments of all rows of a table. Not for two threads at once.

    names: the arguments, one a column, in the order in which they were met.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._vocabularies: dict[str, Vocabulary] = {}
        self._coded: dict[int, Coded] = {}  # by the identity of the arguments, which are kept
        self._codes = np.zeros((0, 0), np.int32)
        self._complete = np.zeros(0, bool)  # rows of which it is known what was not given

    def take(self, rows: Sequence[TableRow]) -> None:
        """Takes rows in place of those before; arguments that were seen before cost next to nothing."""
        coded = self._coded
        with no_collection():
            kept = {id(args): coded.get(id(args)) or self._code(args) for args in (row.details.args for row in rows)}
        each = [kept[id(row.details.args)] for row in rows]
        codes = np.zeros((len(rows), len(self.names)), np.int32)
        if each:
            counts = np.fromiter((len(one[1]) for one in each), np.intp, len(each))
            columns, values = (np.concatenate([one[part] for one in each]) for part in (1, 2))
            codes[np.repeat(np.arange(len(each)), counts), columns] = values
        self._codes, self._coded = codes, kept
        self._complete = np.fromiter((row.details.complete for row in rows), bool, len(rows))

    def _code(self, args: Mapping[str, Value]) -> Coded:
        columns, codes = [], []
        for name, value in args.items():
            known = self._vocabularies.get(name)
            if known is None:
                known = self._vocabularies[name] = Vocabulary(len(self.names))
                self.names.append(name)
            key = (value,) if isinstance(value, bool) else value
            code = known.codes.get(key)
            if code is None:
                known.values.append(value)
                code = known.codes[key] = len(known.values)
            columns.append(known.column)
            codes.append(code)
        return args, np.array(columns, np.int32), np.array(codes, np.int32)

    def of(self, name: str, places: Places) -> tuple[list[Value], NDArray[np.int32]]:
        """The values that an argument has anywhere, and of each of these rows the place of its own plus one, 0 where
        it is not given."""
        known = self._vocabularies.get(name)
        if known is None:
            return [], np.zeros(len(places), np.int32)
        return list(known.values), self._codes[places, known.column]

    def differing(self, places: Places) -> list[str]:
        """The arguments in which these rows differ: those with two given values or more, by `rank`, then those that
        some have given and some have not among runs of one sort (a DPO run has arguments that no SFT run has). Rows of
        which no argument is known do not count, and what is unknown of a run was not left out by it."""
        codes, complete = self._codes[places], self._complete[places]
        known = codes.any(axis=1)
        codes, complete = codes[known], complete[known]
        if len(codes) < 2:
            return []
        largest = codes.max(axis=0)
        smallest = np.where(codes == 0, np.iinfo(np.int32).max, codes).min(axis=0)
        several, absent = smallest < largest, np.zeros(len(self.names), bool)
        for part in self._sorts(codes[complete]):
            absent |= (part == 0).any(axis=0) & part.any(axis=0)
        names = [[self.names[place] for place in np.flatnonzero(one)] for one in (several, absent & ~several)]
        return [name for part in names for name in sorted(part, key=rank) if name not in NO_SETTINGS]

    def _sorts(self, codes: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """The rows of each sort of run: of one stage, method and kind."""
        columns = [self._vocabularies[name].column for name in SORT if name in self._vocabularies]
        if not columns:
            return [codes]
        _, places = np.unique(codes[:, columns], axis=0, return_inverse=True)
        places = places.reshape(-1)
        return [codes[places == place] for place in range(int(places.max()) + 1)]

    def given(self, places: Places) -> list[str]:
        """The arguments that any of these rows has given, by `rank`."""
        return sorted((self.names[place] for place in np.flatnonzero(self._codes[places].any(axis=0))), key=rank)
