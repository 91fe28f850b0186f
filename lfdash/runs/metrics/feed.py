"""The files of one run, followed: each line is read once, whoever looks on."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import islice

import numpy as np

from lfdash.runs.metrics.dead import Dead
from lfdash.runs.metrics.drawing import AXES, Axis, Curve, Ruler, draw
from lfdash.runs.metrics.followed import Deadline, Followed
from lfdash.runs.metrics.frame import TRAINED, MetricFrame
from lfdash.runs.metrics.match import Printed
from lfdash.runs.metrics.merge import Merge
from lfdash.runs.metrics.printed import printed
from lfdash.runs.metrics.rows import read_block
from lfdash.runs.metrics.series import Series
from lfdash.runs.metrics.state import Checkpoints, StateReader
from lfdash.runs.paths import LOG, STATE, RunPaths

BATCH = 2048  # printed lines that are given their places at once
DEAD = 3  # logged steps in a row without a loss that is a number, while more may come
FAR = 1 << 26  # bytes of a console that are passed over where the state tells all that was printed there
LAST = 1 << 24  # of these, the last are read: what was printed after the state was written


class RunFeed:
    """What one run has logged, kept up to date by `poll`. For any number of threads.

    version: grows with every change. frame: the columns, as the last poll left them. dead_since: the step since which
    the run has learned nothing, since its loss is no number; None while it may learn. reading: the share of the files
    that is read (0 to 1) as long as that takes more than one poll; None when it is through.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.version = 0
        self.reading: float | None = None
        self._reading = threading.Lock()  # held by the one that reads
        self._data = threading.Lock()  # held by the one that changes or draws what was read
        self._log = Followed(paths.named(LOG), b"\n", rows=True)
        self._console = Followed(str(paths.console), b"\n\r")
        self._state_path = paths.named(STATE)
        self._checkpoints = Checkpoints(paths)
        self._reset()

    def _reset(self) -> None:
        self._merge = Merge()
        self._printed = Printed(self._merge.columns)
        self._state, self._saved = StateReader(), StateReader()
        self._series: dict[str, Series] = {}
        self._rulers: dict[str, Ruler] = {}
        self._dead = Dead(self._merge.columns, DEAD)
        self._console.again()
        self.frame: MetricFrame = self._merge.frame()
        self.dead_since: float | None = None

    @property
    def planned(self) -> int | None:
        """The last step that is planned, as the newest line of the log says; None while none does."""
        return self._merge.planned

    @property
    def nbytes(self) -> int:
        """Bytes in use, about."""
        made = sum(series.nbytes for series in list(self._series.values()))
        return self._merge.columns.nbytes + made + sum(ruler.nbytes for ruler in list(self._rulers.values()))

    def poll(self, budget_s: float | None = None) -> bool:
        """Reads what is new; whether anything was. budget_s: seconds after which it stops, and goes on the next time;
        None = all. While another thread reads, one with a budget does not wait for it."""
        if not self._reading.acquire(blocking=budget_s is None):
            return False
        try:
            changed = self._poll(Deadline(budget_s))
            if changed:
                with self._data:
                    self.frame = self._merge.frame()
                    self.dead_since = self._dead.since(self._is_over())
                self.version += 1
            self.reading = self._share()
            return changed
        finally:
            self._reading.release()

    def _poll(self, deadline: Deadline) -> bool:
        changed = False
        while True:
            merge = self._merge
            changed = self._look(deadline) or changed
            if self._merge is merge or deadline.passed():  # else all of it begins anew
                return changed

    def _look(self, deadline: Deadline) -> bool:
        """Reads what is new of each file; whether anything was."""
        changed = self._log.look() and self._read_log(deadline)
        printed_more = self._console.look()
        if self._log.through and not self._log.failed:  # what else is told needs its rows
            changed = self._read_states(deadline) or changed
            if printed_more:
                self._pass_over()
                changed = self._read_console(deadline) or changed
            if self._printed.waits:
                with self._data:
                    changed = self._printed.take([]) or changed
        return changed

    def _is_over(self) -> bool:
        """Whether the training has come to its end: the log is at the last planned step, or at that of the whole
        training's state, which is written when it has ended, early too (train/sft/workflow.py, save_state)."""
        steps, planned = self._merge.columns.view("step"), self._merge.planned
        if not len(steps):
            return False
        return (planned is not None and steps[-1] >= planned) or bool(self._state.last_step == steps[-1])

    def _share(self) -> float | None:
        """See `reading`."""
        files = (self._log, self._console)
        is_through = all(file.through and not file.is_tried for file in files)
        given_up = self._log.failed and not self._log.is_tried
        if given_up or (is_through and self._state.through and self._saved.through):
            return None
        size = sum(file.size for file in files)
        return 1.0 - sum(file.unread for file in files) / size if size else 0.0

    def _read_log(self, deadline: Deadline) -> bool:
        changed = False
        while not self._log.through:
            generation = self._log.cursor.generation
            data = self._log.read()
            if self._log.cursor.generation != generation:
                with self._data:
                    self._reset()
                changed = True
            if data:
                block, bad = read_block(data)
                self._log.cursor = replace(self._log.cursor, bad=self._log.cursor.bad + bad)
                with self._data:
                    changed = self._merge.add(block) or changed
            if deadline.passed():
                break
        return changed

    def _read_states(self, deadline: Deadline) -> bool:
        """The state of the whole training; while there is none, and the console does not tell, that of the newest
        checkpoint."""
        changed = False
        if not len(self._merge.columns):  # it would tell of steps that are not there yet
            return False
        if self._state.look(self._state_path):
            changed = self._state.read(self._merge.columns, deadline, self._data)
        elif self._state.gone:
            return self._begin_anew()
        elif self._console.size == 0 or self._console.unread > FAR:
            checkpoint = self._checkpoints.newest()
            if checkpoint is not None and self._saved.look(checkpoint):
                changed = self._saved.read(self._merge.columns, deadline, self._data)
        return changed

    def _begin_anew(self) -> bool:
        """Forgets what was read of all files, as one that told something is another one now."""
        with self._data:
            self._reset()
        self._log.again()
        return True

    def _pass_over(self) -> None:
        """Goes on near the end of a long console, when the state has told of all logged steps."""
        if self._console.unread < FAR or not self._state.through:
            return
        trained = np.flatnonzero(self._merge.columns.marks & TRAINED)
        if len(trained) and self._state.last_step >= self._merge.columns.view("step")[trained[-1]]:
            self._console.skip_to(self._console.size - LAST)

    def _read_console(self, deadline: Deadline) -> bool:
        changed = False
        while not self._console.through:
            generation = self._console.cursor.generation
            data = self._console.read()
            if self._console.cursor.generation != generation:  # what it told is among the columns
                return self._begin_anew()
            entries = printed(data)
            if self._log.look():  # a row may have come that was printed since
                changed = self._read_log(deadline) or changed
            while some := list(islice(entries, BATCH)):
                with self._data:
                    changed = self._printed.take(some) or changed
            if deadline.passed():
                break
        return changed

    def draw(
        self,
        column: str,
        *,
        x: Axis = "step",
        span: float = 0.0,
        lo: float | None = None,
        hi: float | None = None,
        points: int = 2000,
    ) -> Curve:
        """At most `points` points of a column, and one more beyond each end of the range, so that the line goes on;
        the newest is always there.

        x: the axis. span: half-life of the smoothing in steps; 0 = as it was logged. lo, hi: the range of x, None = to
        the end. All values where there are no more than `points`, else the smallest and the largest of each of some
        stretches; these stay the same as the run grows. The cost does not depend on how long the run is. Empty for a
        column that there is not. The loss of a run that learns nothing ends where it was a number last: transformers
        logs 0 from there on.
        """
        with self._data:
            columns = self._merge.columns
            if column not in columns or x not in columns:
                return Curve()
            if x not in self._rulers:
                assert x in AXES
                self._rulers[x] = Ruler(columns, x)
            axis, stop = self._rulers[x].values(), self._stop(column)
            return draw(self._of(column), axis, span=span, lo=lo, hi=hi, points=points, stop=stop)

    def best(self, column: str, largest: bool = False) -> int | None:
        """The place of a column's smallest value (or its largest), the first of equal ones; None where it has none."""
        with self._data:
            return self._of(column).best(largest=largest) if column in self._merge.columns else None

    def _stop(self, column: str) -> int | None:
        """The place before which a column ends, as its values mean nothing from there on; None where it does not."""
        if column != "loss" or self.dead_since is None:
            return None
        return int(np.searchsorted(self._merge.columns.view("step"), self.dead_since))

    def _of(self, column: str) -> Series:
        if column not in self._series:
            self._series[column] = Series(self._merge.columns, column)
        return self._series[column]
