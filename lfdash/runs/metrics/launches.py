"""Where the launches of a run begin in its trainer log, and which lines another process wrote beside.

A run that was started on several machines, each of which writes into the same folder, has every step more than once,
and a step back now and then where one of them is late. Their clocks go on; that of a launch (a resume, a start over)
begins anew.

Versions of LLaMA-Factory before 0.9 count what is evaluated or predicted after a training in the same log, from 0 to
the number of its own batches. Such a line is no step: it has no loss, another total, the epoch at which the training
ended or none, and a clock that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lfdash.runs.log_reader import LogRow
from lfdash.runs.metrics.line import NAN, number, seconds
from lfdash.runs.metrics.rows import Block

SLOWER = 0.9  # share of the clock that a late process may show, at least
APART_S = 2.0  # whole seconds may differ by so much
AGAIN = 0.5  # share of the clock below which it began anew, where steps go on
QUICK_S = 10.0  # a training that is over sooner may have a resume of the same time
FEW = 8  # lines of a launch; one that was shorter may have a resume whose first line came as late
ALONE_S = 120.0  # as long as there is one line
STANDING = ("current_steps", "total_steps", "epoch")  # keys of a row: where a training stands
STRETCH = 64  # rows after an odd one that are looked at one by one

Kinds = npt.NDArray[np.int8]


class Kind(IntEnum):
    """What a line of the log is to those before it. NEXT: of the same launch; BEGINS: the first of another; BESIDE: of
    another process, which has come later to a step that is known. AFTER: no step, but what an evaluation or prediction
    counts once the training is over; of it only the clock counts."""

    NEXT = 0
    BEGINS = 1
    BESIDE = 2
    AFTER = 3


class Launches:
    """Says of one line after the other what it is. Lines of step 0, which evaluations end with, are not for it."""

    def __init__(self) -> None:
        self._step, self._total = -math.inf, NAN  # of the newest line that is not beside
        self._when = NAN  # its clock
        self._epoch = NAN  # the newest of the launch
        self._bare = False  # whether it has no loss of any kind
        self._trained = NAN  # step of the newest such line that has a loss
        self._first = (NAN, 0)  # clock of the launch's first line, and how many lines it has
        self._is_shared = False  # whether another process has written beside

    def take_row(self, row: LogRow, step: float, when: float) -> Kind:
        """What the next row is. step: its own, finite; when: as for `take`."""
        total, epoch = number(row.get("total_steps")), number(row.get("epoch"))
        return self.take(step, total, when, "loss" in row, "eval_loss" in row, epoch)

    def take(
        self, step: float, total: float, when: float, has_loss: bool, has_eval: bool, epoch: float = NAN
    ) -> Kind:
        """What the next line is. step, total, epoch: numbers; when: its clock in seconds, NaN where it has none."""
        if not has_loss and self._is_over(step, total, when, epoch):
            self._when = self._when if math.isnan(when) else when
            return Kind.AFTER
        kind = self._judge(step, total, when, has_loss)
        if kind is Kind.BESIDE:
            self._is_shared = True
            return kind
        self._step, self._total, self._when = step, total, when
        self._bare = not (has_loss or has_eval)
        if kind is Kind.BEGINS:
            self._trained, self._first, self._is_shared, self._epoch = NAN, (NAN, 0), False, NAN
        self._epoch = self._epoch if math.isnan(epoch) else epoch
        if has_loss:
            self._trained = step
        first, count = self._first
        self._first = (when if math.isnan(first) else first, count + 1)
        return kind

    def _is_over(self, step: float, total: float, when: float, epoch: float) -> bool:
        """Whether a line without a loss counts what comes after the training that the lines before it are of."""
        if total == self._total or math.isnan(total + self._total + self._trained) or when < self._when:
            return False
        return math.isnan(epoch) or (step != self._step and not abs(epoch - self._epoch) > 0)

    def _judge(self, step: float, total: float, when: float, has_loss: bool) -> Kind:
        if self._step == -math.inf:
            return Kind.NEXT
        is_known = not math.isnan(when + self._when)
        goes_on = is_known and when >= SLOWER * self._when - APART_S and total == self._total
        if is_known and when < AGAIN * self._when - APART_S:
            return Kind.BEGINS
        if step < self._step:
            return Kind.BESIDE if goes_on and (self._is_shared or self._is_long(when)) else Kind.BEGINS
        if has_loss and step == self._step == self._trained:
            if not is_known:
                return Kind.NEXT
            late = goes_on and (self._when >= QUICK_S or when >= self._when)
            return Kind.BESIDE if late else Kind.BEGINS
        if self._bare and self._step == self._total:  # the training ended
            return Kind.BEGINS if step != self._step or has_loss or when < self._when else Kind.NEXT
        return Kind.NEXT

    def _is_long(self, when: float) -> bool:
        """Whether the launch has gone on for so long that the first line of another would have come sooner."""
        first, count = self._first
        pause = (self._when - first) / (count - 1) if count > 1 else NAN
        return when >= (QUICK_S + FEW * pause if pause >= 0 else ALONE_S)

    def kinds(self, block: Block) -> Kinds:
        """The kinds of the next rows, quickly where their steps and clocks go on."""
        kinds = np.zeros(len(block), np.int8)
        place, width = 0, STRETCH
        while place < len(block):
            plain = self._plain(block, place, min(len(block), place + width))
            if plain:
                place, width = place + plain, 4 * width
                continue
            width = STRETCH
            epoch = block.columns.get("epoch")
            for at in range(place, min(len(block), place + STRETCH)):
                kinds[at] = self.take(
                    float(block.step[at]), float(block.total[at]), float(block.seconds[at]),
                    bool(block.has_loss[at]), bool(block.has_eval[at]), NAN if epoch is None else float(epoch[at]),
                )
            place += STRETCH
        return kinds

    def _plain(self, block: Block, begin: int, end: int) -> int:
        """Passes over the rows of a part that go on for sure, and says how many these are."""
        rows = block.part(begin, end)
        step = np.concatenate(([self._step], rows.step))
        when = np.concatenate(([self._when], rows.seconds))
        bare = ~(rows.has_loss | rows.has_eval)
        closed = np.concatenate(([self._bare and self._step == self._total], bare & (rows.step == rows.total)))
        odd = (step[1:] <= step[:-1]) | closed[:-1] | (when[1:] < AGAIN * when[:-1] - APART_S)
        odd |= ~rows.has_loss & (rows.total != np.concatenate(([self._total], rows.total[:-1])))
        count = int(odd.argmax()) if odd.any() else len(rows)
        if count:
            last = count - 1
            trained = np.flatnonzero(rows.has_loss[:count])
            known = np.flatnonzero(~np.isnan(rows.seconds[:count]))
            first, lines = self._first
            first = float(rows.seconds[known[0]]) if math.isnan(first) and len(known) else first
            self._step, self._total, self._when = float(rows.step[last]), float(rows.total[last]), float(when[count])
            self._bare, self._first = bool(bare[last]), (first, lines + count)
            self._trained = float(rows.step[trained[-1]]) if len(trained) else self._trained
            epochs = rows.columns["epoch"][:count] if "epoch" in rows.columns else np.empty(0)
            epochs = epochs[~np.isnan(epochs)]
            self._epoch = float(epochs[-1]) if len(epochs) else self._epoch
        return count


def clock_of(row: LogRow) -> LogRow:
    """What a row says of its time."""
    return {key: row[key] for key in ("elapsed_time", "total_tokens", "throughput") if key in row}


def last_launch(rows: Sequence[LogRow]) -> list[LogRow]:
    """The rows of the newest launch among `rows`, without those of other processes. In place of one that counts what
    came after the training stands one like that which ends a training, of its time."""
    launches, found = Launches(), list[LogRow]()
    for row in rows:
        step = number(row.get("current_steps"))
        if step == 0 or math.isnan(step):
            found.append(row)
            continue
        kind = launches.take_row(row, step, seconds(row))
        if kind is Kind.AFTER:
            found.append({key: found[-1][key] for key in STANDING if key in found[-1]} | clock_of(row))
            continue
        if kind is Kind.BEGINS:
            found.clear()
        if kind is not Kind.BESIDE:
            found.append(row)
    return found
