"""CHARTS: every chart, one row each.

A chart is a row here and its texts; tests/golden/charts holds its specification (`make golden`). The curves of runs are
drawn by `ui/curves`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import altair as alt

from lfdash.ui.shared.text import t

# (on a light page, on a dark one); safe for colour-blind eyes (Okabe and Ito)
COLOURS = {
    "blue": ("#0072b2", "#56b4e9"),
    "vermillion": ("#d55e00", "#ff9a57"),
    "green": ("#009e73", "#33c79f"),
    "purple": ("#aa4a86", "#e59ac9"),
    "grey": ("#6b7280", "#a3aab5"),
}
CUT = COLOURS["vermillion"][0]
BARS = "#8fb7d6"


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    column: of the run's metrics; also: another column, where it has not this one. word: key of the text that the
    legend shows; none where a chart has one line. name: what it shows as it is, where that is a name and no text.
    colour: a key of COLOURS. smooth: whether it is drawn smoothed too, if the settings say so. points: whether each
    value has a dot. width, dash: px.
    """

    column: str
    word: str = ""
    colour: str = "blue"
    smooth: bool = False
    points: bool = False
    name: str = ""
    also: str = ""
    width: float = 1.6
    dash: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Its word in the legend."""
        return self.name or (t(self.word) if self.word else "")


@dataclass(frozen=True)
class Chart:
    """One chart.

    name: of its golden specification; the column that it shows, where `series` says nothing. title: key of its text,
    `ui.curve_<name>` where it is not said; caption: the text itself, where it is a name. count: key of the text of the
    other axis of a histogram of the first column with a line at the second. scale: of the axis of values; "switch":
    linear or logarithmic, as the settings say. best: which value is the best one, "" = none is. number: how values
    are written (d3). height: px.
    """

    name: str
    title: str = ""
    series: tuple[Series, ...] = ()
    count: str = ""
    scale: Literal["linear", "switch"] = "linear"
    best: Literal["least", "most", ""] = ""
    number: str = ",.6~g"
    height: int = 170
    caption: str = ""

    @property
    def lines(self) -> tuple[Series, ...]:
        """Its lines, also where the row leaves them to its name."""
        return self.series or (Series(self.name),)

    @property
    def words(self) -> str:
        """Its title in the language of the page."""
        return self.caption or t(self.title or f"ui.curve_{self.name}")


LENGTHS = Chart(
    "lengths", "ui.lengths_axis", (Series("tokens"), Series("cutoff", width=2)), "ui.data_rows", height=160
)
MAIN = "loss"  # the chart that a run's page shows first
CHARTS = (
    Chart(
        "loss", "ui.loss",
        (
            Series("loss", "ui.series_raw", smooth=True),
            Series("eval_loss", "ui.series_eval", "vermillion", points=True),
        ),
        scale="switch", best="least",
    ),
    Chart("learning_rate", number="~e"),
    Chart("grad_norm", series=(Series("grad_norm", smooth=True),), scale="switch"),
    Chart("tokens_per_s", series=(Series("tokens_per_s", smooth=True),), number="~s"),
    Chart(
        "accuracy",
        series=(
            Series("rewards/accuracies", "ui.series_train", smooth=True, also="accuracy"),
            Series("eval_rewards/accuracies", "ui.series_eval", "vermillion", points=True),
        ),
        best="most",
    ),
    Chart("reward", series=(Series("reward", smooth=True),), best="most"),
    Chart(
        "rewards",
        series=(
            Series("rewards/chosen", "ui.series_chosen", "blue", smooth=True),
            Series("rewards/rejected", "ui.series_rejected", "vermillion", smooth=True),
        ),
    ),
    Chart(
        "margins",
        series=(
            Series("rewards/margins", "ui.series_train", smooth=True),
            Series("eval_rewards/margins", "ui.series_eval", "vermillion", points=True),
        ),
        best="most",
    ),
    Chart("kl", series=(Series("kl", smooth=True, also="objective/kl"),)),
    Chart(
        "logps",
        series=(
            Series("logps/chosen", "ui.series_chosen", "blue", smooth=True),
            Series("logps/rejected", "ui.series_rejected", "vermillion", smooth=True),
        ),
    ),
    Chart(
        "memory",
        series=(
            Series("vram_allocated", "ui.series_allocated", "blue"),
            Series("vram_reserved", "ui.series_reserved", "vermillion"),
        ),
    ),
)
KNOWN = frozenset(column for chart in CHARTS for line in chart.lines for column in (line.column, line.also))
# Columns that are no curve: what they say is an axis, or said once.
PLAIN = frozenset({
    "step", "epoch", "tokens", "seconds", "loss", "accuracy", "num_tokens", "num_input_tokens_seen", "total_flos",
    "runtime", "samples_per_second", "steps_per_second", "model_preparation_time", "train_loss", "tokens_per_second",
})


def each_eval(columns: Iterable[str]) -> tuple[Chart, ...]:
    """The chart of the losses on each of several evaluation datasets; none without a column of them."""
    colours = list(COLOURS)
    lines = tuple(
        Series(column, colour=colours[place % len(colours)], points=True,
               name=column.removeprefix("eval_").removesuffix("_loss"))
        for place, column in enumerate(columns)
    )
    return (Chart("eval_each", series=lines, scale="switch", best="least"),) if lines else ()


MACHINE = ("load", "memory", "temperature", "power")  # of each device


def of_machine(devices: Mapping[str, str]) -> tuple[Chart, ...]:
    """The charts of a run's machine (engine/machine_feed.py). devices: key -> what it is called."""
    colours = list(COLOURS)
    charts = [
        Chart(f"machine_{name}", f"machine.chart_{name}", tuple(
            Series(f"{key}/{name}", colour=colours[place % len(colours)], name=label, dash=dash_of(place))
            for place, (key, label) in enumerate(devices.items())
        ), number=",.0f")
        for name in MACHINE if devices
    ]
    host = (Series("cpu", "machine.cpu"), Series("ram", "machine.ram", "vermillion"))
    disk = (Series("disk_free"),)
    return (
        *charts, Chart("machine_host", "machine.chart_host", host, number=",.0f"),
        Chart("machine_disk", "machine.chart_disk", disk, number="~f"),
    )


def dash_of(place: int) -> tuple[int, ...]:
    """Of a line among many: there are fewer colours than devices of a machine."""
    return ((), (6, 3), (2, 2))[place // len(COLOURS) % 3]


def others(columns: Iterable[str], drawn: Iterable[str] = ()) -> tuple[Chart, ...]:
    """A chart of each column that no row knows, in their order; its name is its title. drawn: columns to leave out."""
    taken = KNOWN | set(drawn)
    found = [name for name in columns if name not in taken and bare(name) not in PLAIN]
    return tuple(
        Chart(f"other_{name}", series=(Series(name, smooth=not name.startswith("eval_"),
                                              points=name.startswith("eval_")),), caption=name)
        for name in found
    )


def bare(column: str) -> str:
    """The name without what it was measured on."""
    return column.removeprefix("eval_").removeprefix("train_")


def spec(chart: Chart) -> dict[str, Any]:
    """The Vega-Lite specification of a histogram in the language of the page.

    Data: the columns of its row, the second the same in every row, `end` and `rows`.
    """
    return built(chart, chart.words, t(chart.count))


@cache
def built(chart: Chart, title: str, count: str) -> dict[str, Any]:
    """Bars from the first column to `end`, as high as `rows`; a line at the second column."""
    bars, rule = chart.lines
    base = alt.Chart(alt.NamedData("source"))
    counted = base.mark_bar(color=BARS).encode(
        x=alt.X(f"{bars.column}:Q", bin="binned", title=title), x2="end:Q", y=alt.Y("rows:Q", title=count)
    )
    line = base.mark_rule(color=CUT, strokeWidth=rule.width).encode(x=alt.X(f"max({rule.column}):Q"))
    finished: dict[str, Any] = alt.layer(counted, line).properties(width="container", height=chart.height).to_dict()
    return finished
