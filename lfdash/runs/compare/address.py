"""What is compared, and how: the whole of it stands in the address of the page. Pure.

A run keeps its colour as long as it is compared, whatever others come or go: its colour is that of its place, and a
run that is taken out leaves its place empty (`runs=a,,c`), for the next one that comes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lfdash.runs.record import RUN_ID

MOST_RUNS = 200  # in one comparison
MOST_CURVES = 20  # runs whose curves are drawn over each other, one colour each
AXES = ("step", "epoch", "tokens", "seconds")
LARGEST_SPAN = 100_000.0  # steps
WORD = re.compile(r"[\w/.@-]{1,120}\Z")  # a column, an argument


@dataclass(frozen=True)
class Comparison:
    """runs: ids in the order of their places; "" is a free place. base: the run that the others are measured by, ""
    = the first. x: by what curves are aligned. span: half-life of their smoothing in steps, 0 = raw. charts: the
    columns that are drawn, () = the usual ones. log, clip: the axis of values is logarithmic; outliers are cut off.
    setting, metric: the axes of the view of a setting against a metric, "" = the first that differs, the loss. pair:
    ids of the two evaluations whose predictions stand beside each other, () = the first two that there are.
    """

    runs: tuple[str, ...] = ()
    base: str = ""
    x: str = "step"
    span: float = 0.0
    charts: tuple[str, ...] = ()
    log: bool = False
    clip: bool = False
    setting: str = ""
    metric: str = ""
    pair: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs, free places left out."""
        return tuple(filter(None, self.runs))

    def place(self, run_id: str) -> int:
        """The place of a run that is compared: the number of its colour."""
        return self.runs.index(run_id)

    def with_run(self, run_id: str) -> Comparison:
        """With one more run, in the first free place; unchanged when it is in, or no more fit."""
        if run_id in self.runs or not is_id(run_id) or len(self.ids) >= MOST_RUNS:
            return self
        place = self.runs.index("") if "" in self.runs else len(self.runs)
        return replace(self, runs=(*self.runs[:place], run_id, *self.runs[place + 1 :]))

    def without_run(self, run_id: str) -> Comparison:
        """With one run less; the others keep their places."""
        left = [("" if other == run_id else other) for other in self.runs]
        while left and not left[-1]:
            left.pop()
        return replace(self, runs=tuple(left), base="" if self.base == run_id else self.base)


def is_id(text: str) -> bool:
    """Whether a text can be the id of a run."""
    return re.match(RUN_ID, text) is not None


def words_of(text: str) -> tuple[str, ...]:
    """The names in a list of the address, each once; what can be none is left out."""
    return tuple(dict.fromkeys(word for word in text.split(",") if WORD.match(word)))


def read(address: Mapping[str, str]) -> Comparison:
    """The comparison that an address means; what it says amiss is left out."""
    wanted = Comparison(runs=places_of(address.get("runs", "")))
    base, x = address.get("base", ""), address.get("x", "")
    setting, metric = (value if WORD.match(value := address.get(name, "")) else "" for name in ("setting", "metric"))
    pair = tuple(part for part in address.get("pair", "").split(",") if is_id(part))
    return replace(
        wanted,
        base=base if base in wanted.ids else "",
        x=x if x in AXES else AXES[0],
        span=span_of(address.get("span", "")),
        charts=words_of(address.get("charts", "")),
        log=address.get("log") == "1",
        clip=address.get("clip") == "1",
        setting=setting,
        metric=metric,
        pair=pair if len(pair) == 2 and pair[0] != pair[1] else (),
    )


def places_of(text: str) -> tuple[str, ...]:
    """Ids in their places, each once; what can be no id leaves its place free."""
    wanted: list[str] = []
    for part in text.split(",")[: 2 * MOST_RUNS]:
        wanted.append(part if is_id(part) and part not in wanted else "")
    kept = [run_id for run_id in wanted if run_id][:MOST_RUNS]
    wanted = [run_id if run_id in kept else "" for run_id in wanted]
    while wanted and not wanted[-1]:
        wanted.pop()
    return tuple(wanted)


def span_of(text: str) -> float:
    """A half-life in steps; 0 for what is none."""
    try:
        span = float(text)
    except ValueError:
        return 0.0
    return min(span, LARGEST_SPAN) if math.isfinite(span) and span > 0 else 0.0


def write(wanted: Comparison) -> dict[str, str]:
    """The parameters of the address of a comparison; `read` gives it back. What is usual is not said."""
    said = {
        "runs": ",".join(wanted.runs),
        "base": wanted.base,
        "x": "" if wanted.x == AXES[0] else wanted.x,
        "span": f"{wanted.span:g}" if wanted.span else "",
        "charts": ",".join(wanted.charts),
        "log": "1" if wanted.log else "",
        "clip": "1" if wanted.clip else "",
        "setting": wanted.setting,
        "metric": wanted.metric,
        "pair": ",".join(wanted.pair),
    }
    return {name: value for name, value in said.items() if value}


def of_runs(ids: Iterable[str]) -> Comparison:
    """The comparison of some runs as a click on *Compare* begins it."""
    wanted = Comparison()
    for run_id in ids:
        wanted = wanted.with_run(run_id)
    return wanted
