"""Rows of a trainer log, in the order of the file -> columns by step, one launch after the other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import AGAIN, EVAL_NAN, EVALUATED, TRAINED, Column, MetricFrame, Places, Segment
from lfdash.runs.metrics.launches import Kind, Launches
from lfdash.runs.metrics.line import NAN
from lfdash.runs.metrics.rows import Block


class Merge:
    """Puts the rows of a log together. Values of one step are merged, the newest wins; steps ascend.

    A launch that begins at a step replaces what was there from that step on, as it is trained again; one that begins no
    later than the first one did is a start over. One whose first line has no loss (there was nothing left to train, or
    it evaluates first) leaves what is at that step. Seconds go on from what is left of the launches before: steps that
    are trained again count once. Of a step that several processes wrote the first line counts: its clock is the one
    that never goes back, and what was drawn stays.
    """

    def __init__(self) -> None:
        self.columns = Columns()
        self.planned: int | None = None
        self._segments: tuple[Segment, ...] = ()
        self._launches = Launches()
        self._base = 0.0  # seconds of the launches before
        self._timed: tuple[float, float] | None = None  # tokens, seconds of the loss before, same launch

    def frame(self) -> MetricFrame:
        """What there is, as views."""
        return self.columns.frame(self._segments)

    def add(self, block: Block) -> bool:
        """Takes the next rows; whether there are any."""
        if not len(block):
            return False
        if block.step.all():
            self._add_beyond(block)
            return True
        # the last line of an evaluation goes back to step 0: such rows are put aside, and begin nothing
        edges = [0, *(np.flatnonzero(np.diff(block.step == 0)) + 1).tolist(), len(block)]
        for begin, end in pairwise(edges):
            part = block.part(begin, end)
            if part.step[0]:
                self._add_beyond(part)
            else:
                self._add_nought(part)
        return True

    def _plan(self, totals: Column) -> None:
        known = np.flatnonzero(np.abs(totals) < 2**63)  # not NaN either
        if len(known):
            self.planned = int(totals[known[-1]])

    def _add_nought(self, block: Block) -> None:
        self._plan(block.total)
        if not len(self.columns) or self.columns.view("step")[0] > 0:
            self.columns.insert_first(0.0)
            self._segments = tuple(Segment(segment.place + 1, segment.step) for segment in self._segments)
        elif self.columns.place(0.0) is None:
            return
        place = self.columns.place(0.0)
        assert place is not None
        self._write(block, np.full(len(block), place), block.seconds)

    def _add_beyond(self, block: Block) -> None:
        kinds = self._launches.kinds(block)
        self._plan(block.total[kinds != Kind.AFTER])
        apart = np.where(kinds == Kind.BEGINS, Kind.NEXT, kinds)
        parts = np.flatnonzero((kinds[1:] == Kind.BEGINS) | (apart[1:] != apart[:-1])) + 1
        edges = [0, *parts.tolist(), len(block)]
        for begin, end in pairwise(edges):
            if kinds[begin] == Kind.BESIDE:
                self._add_beside(block.part(begin, end))
            elif kinds[begin] == Kind.AFTER:
                self._add_after(block.seconds[begin:end])
            else:
                self._append(block.part(begin, end), launch=bool(kinds[begin] == Kind.BEGINS))

    def _add_beside(self, block: Block) -> None:
        """Takes rows that another process wrote: evaluations that are not known yet, nothing else."""
        for number in np.flatnonzero(block.has_eval).tolist():
            place = self.columns.place(float(block.step[number]))
            if place is not None and not self.columns.marks[place] & EVALUATED:
                row = block.part(number, number + 1)
                self.columns.put("eval_loss", place, float(row.columns["eval_loss"][0]))
                self.columns.marks[place] |= EVALUATED

    def _add_after(self, seconds: Column) -> None:
        """Takes the time of what was evaluated or predicted after the training: it belongs to the last row."""
        known, last = seconds[~np.isnan(seconds)], len(self.columns) - 1
        if len(known) and last >= 0:
            self.columns.replace(last)
            self.columns.put("seconds", last, float(known[-1]) + self._base)

    def _append(self, block: Block, *, launch: bool) -> None:
        """Takes rows of one launch, ascending; launch: whether they begin one."""
        again = launch and self._launch(block)
        columns, size = self.columns, len(self.columns)
        steps = block.step
        fresh = np.empty(len(block), bool)
        fresh[0] = not size or steps[0] != columns.view("step")[-1]
        np.not_equal(steps[1:], steps[:-1], out=fresh[1:])
        columns.grow(steps[fresh])
        places = np.cumsum(fresh) + (size - 1)
        if not fresh[0]:
            columns.replace(size - 1)
        self._mark_again(block, places, again)
        self._write(block, places, block.seconds + self._base)
        self._speeds(block, places)

    def _mark_again(self, block: Block, places: Places, first: bool) -> None:
        """Notes which rows have a loss not for the first time. first: whether the first row is such a one."""
        trained, marks = places[block.has_loss], self.columns.marks
        if len(trained):
            marks[trained[1:][trained[1:] == trained[:-1]]] |= AGAIN
            if (first and block.has_loss[0]) or marks[trained[0]] & TRAINED:
                marks[trained[0]] |= AGAIN

    def _launch(self, block: Block) -> bool:
        """Makes room for a launch that begins with the first row of `block`; whether its step was there before."""
        steps = self.columns.view("step")
        step, trains = float(block.step[0]), bool(block.has_loss[0])
        size = int(np.searchsorted(steps, step, side="left" if trains else "right"))
        if not np.any(steps[:size] > 0):
            size = 0  # a start over
        known = self.columns.place(step) is not None
        self.columns.cut(size)
        self._base = last_number(self.columns.view("seconds"), size) if "seconds" in self.columns else 0.0
        self._timed = None
        place = size - 1 if size and self.columns.view("step")[-1] == step else size
        kept = tuple(segment for segment in self._segments if segment.place < place)
        closing = not (trains or block.has_eval[0]) and step == block.total[0]
        self._segments = (*kept, Segment(place, int(step))) if size and not closing else kept
        return known

    def _write(self, block: Block, places: Places, seconds: Column) -> None:
        """Puts the values of rows at their places, the later ones over the earlier."""
        first, last = int(places[0]), int(places[-1])
        together = slice(first, last + 1) if last - first + 1 == len(places) else places  # quicker
        for name, values in (*block.columns.items(), ("seconds", seconds)):
            has = {"loss": block.has_loss, "eval_loss": block.has_eval}.get(name)
            has = ~np.isnan(values) if has is None else has
            if has.all():
                self.columns.put(name, together, values)
            elif has.any():
                self.columns.put(name, places[has], values[has])
        marks = self.columns.marks
        marks[together if block.has_loss.all() else places[block.has_loss]] |= TRAINED
        marks[places[block.has_eval | (~block.has_loss & block.has_epoch)]] |= EVALUATED
        if block.has_eval.any():
            evaluated = places[block.has_eval]
            bad = ~np.isfinite(self.columns.view("eval_loss")[evaluated])
            marks[evaluated] &= 255 - EVAL_NAN
            marks[evaluated[bad]] |= EVAL_NAN

    def _speeds(self, block: Block, places: Places) -> None:
        """Tokens a second since the loss before: `throughput` itself is wrong after a resume."""
        tokens = block.columns.get("tokens")
        if tokens is None:
            return
        rows = np.flatnonzero(block.has_loss & (tokens > 0) & (block.seconds > 0))
        if not len(rows):
            return
        tokens, seconds = tokens[rows], block.seconds[rows]
        before = self._timed or (NAN, NAN)
        self._timed = (float(tokens[-1]), float(seconds[-1]))
        passed = np.diff(seconds, prepend=before[1])
        known = passed > 0
        if known.any():
            speed = np.diff(tokens, prepend=before[0])[known] / passed[known]
            self.columns.put("tokens_per_s", places[rows][known], speed)


def last_number(column: Column, size: int) -> float:
    """The last finite value among the first `size`; 0 where there is none."""
    end, width = size, 64
    while end > 0:
        part = column[max(0, end - width) : end]
        known = np.flatnonzero(np.isfinite(part))
        if len(known):
            return float(part[known[-1]])
        end, width = end - len(part), width * 4
    return 0.0

