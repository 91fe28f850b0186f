"""What of the curves is shown, and how: in the address, so that it says all of the view. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from lfdash.ui.shared.charts import MAIN

Axis = Literal["step", "epoch", "tokens", "seconds"]
AXES: tuple[Axis, ...] = ("step", "epoch", "tokens", "seconds")
FIELDS = ("x", "smooth", "chart", "log", "clip", "hide", "zoom")  # of the address
LONGEST = 200  # characters of a name that an address may hold
MOST_HIDDEN = 50


@dataclass(frozen=True)
class CurveSettings:
    """x: the axis. span: half-life of the smoothing in steps, 0 = none, None = by the length of the run. chart: the
    large one. log: logarithmic values, where a chart can show them. clip: outliers are left out of the axis. hidden:
    labels of lines that are not shown. zoom: the part of the axis that is shown, None = all."""

    x: Axis = "step"
    span: float | None = None
    chart: str = MAIN
    log: bool = False
    clip: bool = False
    hidden: tuple[str, ...] = ()
    zoom: tuple[float, float] | None = None


INITIAL = CurveSettings()


def query(settings: CurveSettings) -> dict[str, str]:
    """The settings in an address: those that are not as they are without it."""
    words = {
        "x": settings.x if settings.x != INITIAL.x else "",
        "smooth": "" if settings.span is None else short(settings.span),
        "chart": settings.chart if settings.chart != INITIAL.chart else "",
        "log": "1" if settings.log else "",
        "clip": "1" if settings.clip else "",
        "hide": "~".join(settings.hidden),
        "zoom": "~".join(short(end) for end in settings.zoom) if settings.zoom else "",
    }
    return {name: word for name, word in words.items() if word}


def short(value: float) -> str:
    """A number as it reads back the same, without a needless `.0`."""
    return str(int(value)) if value == int(value) else repr(value)


def from_query(words: Mapping[str, str]) -> CurveSettings:
    """The settings that an address says; what cannot be understood is as if it were not there."""
    hidden = [name for name in words.get("hide", "").split("~") if name and len(name) <= LONGEST]
    return CurveSettings(
        x=axis(words.get("x")),
        span=span(words.get("smooth")),
        chart=words.get("chart", "")[:LONGEST] or INITIAL.chart,
        log=words.get("log") == "1",
        clip=words.get("clip") == "1",
        hidden=tuple(hidden[:MOST_HIDDEN]),
        zoom=zoom(words.get("zoom", "").split("~")),
    )


def told(settings: CurveSettings, said: Mapping[str, Any]) -> CurveSettings:
    """The settings after what the browser said: some of them, each of the kind of its field; others are as they
    were."""
    changed: dict[str, Any] = {}
    if "x" in said:
        changed |= {"x": axis(said["x"]), "zoom": None}
    if "span" in said:
        changed["span"] = span(said["span"])
    if isinstance(said.get("chart"), str):
        changed["chart"] = said["chart"][:LONGEST]
    changed |= {name: bool(said[name]) for name in ("log", "clip") if name in said}
    if isinstance(said.get("hidden"), list):
        changed["hidden"] = tuple(str(name)[:LONGEST] for name in said["hidden"][:MOST_HIDDEN])
    if "zoom" in said:
        changed["zoom"] = zoom(said["zoom"])
    return replace(settings, **changed)


def axis(word: Any) -> Axis:
    """The axis of that name; steps where there is none."""
    return cast(Axis, word) if word in AXES else INITIAL.x


def span(word: Any) -> float | None:
    """A half-life; None where it is none."""
    value = number(word)
    return value if value is not None and 0 <= value < 1e12 else None


def zoom(ends: Any) -> tuple[float, float] | None:
    """A part of an axis; None where it is none."""
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    low, high = number(ends[0]), number(ends[1])
    return (low, high) if low is not None and high is not None and low < high else None


def number(word: Any) -> float | None:
    """A finite number; None where it is none."""
    if not isinstance(word, str | int | float) or isinstance(word, bool):
        return None
    try:
        value = float(word)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
