"""Which runs are compared, and what of them is shown: it stands in the address of the page. Pure.

A run keeps its colour as long as it is compared, whatever others come or go: its colour is that of its place, and a
run that is taken out leaves its place empty (`runs=a,,c`), for the next one that comes. How curves are drawn stands in
the same address, see ui/curves/settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lfdash.runs.record import RUN_ID

MOST_RUNS = 200  # in one comparison
MOST_CURVES = 20  # runs whose curves are drawn over each other, one colour each
FIELDS = ("runs", "base", "tab", "setting", "metric", "pair")  # of the address
TABS = ("overview", "scores", "predictions", "relation")
WORD = re.compile(r"[\w/.@ -]{1,120}\Z")  # a setting, a metric


@dataclass(frozen=True)
class Comparison:
    """runs: ids in the order of their places; "" is a free place. base: the run that the others are measured by, ""
    = the first. tab: what is shown of them. setting, metric: the axes of the view of a setting against a metric, "" =
    the first that differs, the loss. pair: ids of the two evaluations whose predictions stand beside each other, () =
    the first two that there are.
    """

    runs: tuple[str, ...] = ()
    base: str = ""
    tab: str = TABS[0]
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


def read(address: Mapping[str, str]) -> Comparison:
    """The comparison that an address means; what it says amiss is left out."""
    runs = places_of(address.get("runs", ""))
    base, tab = address.get("base", ""), address.get("tab", "")
    setting, metric = (value if WORD.match(value := address.get(name, "")) else "" for name in ("setting", "metric"))
    pair = tuple(part for part in address.get("pair", "").split(",") if is_id(part))
    return Comparison(
        runs,
        base=base if base and base in runs else "",
        tab=tab if tab in TABS else TABS[0],
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


def write(wanted: Comparison) -> dict[str, str]:
    """The parameters of the address of a comparison; `read` gives it back. What is usual is not said."""
    said = {
        "runs": ",".join(wanted.runs),
        "base": wanted.base,
        "tab": "" if wanted.tab == TABS[0] else wanted.tab,
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
