"""The dialog of the form's GPU memory: what it is made of, what would take less, where it fits, the whole run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from lfdash.engine.forecast import Forecast, begin_dry_run, forecast
from lfdash.engine.machine_words import GIB
from lfdash.engine.memory import DRY_RUN_S
from lfdash.memory.simulated import NOT_SHOWN
from lfdash.outcomes import Refused
from lfdash.ui.form.state import Form
from lfdash.ui.launch import memory, memory_cards, memory_fit, memory_run
from lfdash.ui.shared import charts, dialogs, keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t

PART = "memory.part"
PARTS = ("fit", "cards", "run")
LOOK_S = 1.0  # between two looks at a dry run that goes on
ROW_PX, AXIS_PX = 21, 60  # of a term, and of what stands below them


def show(form: Form, on_close: Callable[[], None]) -> None:
    """Opens the dialog for the form as it is. on_close: called when somebody closes it."""
    dialogs.show(t("memory.title"), on_close, draw, form, icon=":material/memory:")


def draw(form: Form) -> None:
    """What the dialog shows."""
    found = forecast(form.services, form.read().job)
    if isinstance(found, Refused):
        st.info(markdown_safe(memory.reason(found)), icon=":material/help:")
        return
    draw_terms(found)
    draw_measure(form, found)
    part = keyed.segments(
        t("memory.part"), PARTS, key=PART, page=form.page, required=True, label_visibility="collapsed",
        word=lambda name: t(f"memory.part_{name}"),
    )
    with st.container(key=f"memory_part_{part}"):  # a dialog's fragment keeps what the other part had more of
        if part == "cards":
            memory_cards.draw(form, found)
        elif part == "run":
            memory_run.draw(form, found)
        else:
            memory_fit.draw(form, found)


def draw_terms(found: Forecast) -> None:
    """A bar for each term, each beginning where the one before ends, beside what is free."""
    estimate, model = found.foretold.estimate, found.foretold.model
    st.markdown(f"**{memory.label_of(found)}**")
    told = [
        t("memory.measured") if found.foretold.measured else "",
        t(f"memory.from_{model.architecture.source}", found=model.found),
        t("memory.band", share=f"{estimate.band:.0%}"),
        memory.learned_words(found),
    ]
    st.caption(markdown_safe(" · ".join(filter(None, told))))
    room, frame = found.room, bars(found)
    with st.container(key="memory_terms"):
        st.vega_lite_chart(frame, spec(len(frame), t("memory.axis"), bool(room)), key="memory_bars")
    if room is not None:
        words = t("memory.lines", device=room.label, free=memory.gib(room.free), total=memory.total_gib(room.total))
        st.caption(markdown_safe(words))
    unknown = [f"- {markdown_safe(t(f'memory.unknown_{code}'))}" for code in estimate.unknown]
    if unknown:
        with st.expander(t("memory.unknown", count=len(unknown)), key="memory_unknown", icon=":material/help:"):
            st.markdown("\n".join(unknown))


def bars(found: Forecast) -> pd.DataFrame:
    """The terms in GiB, each from where the one before ends, and their sum; beside each what the device has."""
    estimate, room = found.foretold.estimate, found.room
    rows: list[dict[str, Any]] = []
    begin = 0.0
    for name, size in estimate.terms.items():
        if size > 0:
            label = term(t(f"memory.term_{name}"), size)
            rows.append({"term": label, "begin": begin, "end": begin + size / GIB})
            begin = rows[-1]["end"]
    whole = term(t("memory.driver"), estimate.driver)
    frame = pd.DataFrame([*rows, {"term": whole, "begin": 0.0, "end": estimate.driver / GIB}])
    frame["free"] = room.free / GIB if room else None
    frame["total"] = room.total / GIB if room else None
    return frame


def term(name: str, size: float) -> str:
    """A term with its size."""
    return f"{name} · {t('units.gib', n=memory.gib(size))}"


@cache
def spec(rows: int, axis: str, room: bool) -> dict[str, Any]:
    """Bars from `begin` to `end` by `term`; a line at what is free, and one at the whole card. What goes past the
    first has the other colour."""
    base = alt.Chart(alt.NamedData("source"))
    y = alt.Y("term:N", sort=None, title=None, axis=alt.Axis(labelLimit=340, labelOverlap=False, ticks=False))
    x = alt.X("begin:Q", title=axis)
    colour = alt.condition("datum.end > datum.free", alt.value(charts.CUT), alt.value(charts.BARS))
    parts: list[Any] = [base.mark_bar(color=charts.BARS).encode(
        x=x, x2="end:Q", y=y, **({"color": colour} if room else {})
    )]
    if room:
        parts.append(base.mark_rule(color=charts.CUT, strokeWidth=2).encode(x=alt.X("max(free):Q")))
        parts.append(base.mark_rule(color="#8a919a", strokeWidth=2, strokeDash=[4, 3]).encode(x=alt.X("max(total):Q")))
    finished: dict[str, Any] = alt.layer(*parts).properties(width="container", height=ROW_PX * rows + AXIS_PX).to_dict()
    return finished


def draw_measure(form: Form, found: Forecast) -> None:
    """The button of the dry run; while one goes on, since when, and the way to call it off."""
    work = form.services.dry_runs.of(found.key)
    going = work is not None and work.found is None
    st.fragment(partial(draw_dry_run, form, found, going), run_every=LOOK_S if going else None)()


def draw_dry_run(form: Form, found: Forecast, ticking: bool) -> None:
    """As `draw_measure`; once there is an answer, the page is drawn once more and rests. A dialog stays open."""
    work = form.services.dry_runs.of(found.key)
    with st.container(horizontal=True, vertical_alignment="center", key="memory_measure"):
        if work is not None and work.found is None:
            st.caption(t("memory.measuring", seconds=int(work.age), most=DRY_RUN_S), width="stretch")
            st.button(t("memory.cancel"), key="memory_cancel", on_click=cancel, args=(form, found.key))
            return
        if ticking:
            st.rerun()
        if work is not None and isinstance(work.found, Refused):
            st.warning(markdown_safe(t("memory.measure_failed", reason=refusal(work.found))))
        elif work is not None:
            st.caption(t("memory.measured_in", seconds=f"{work.seconds:.0f}"), width="stretch")
            return
        reason = why_not(form, found)
        st.button(
            t("memory.measure"), key="memory_measure_go", icon=":material/straighten:", disabled=bool(reason),
            help=reason or t("memory.measure_help", most=DRY_RUN_S), on_click=measure, args=(form, found),
        )


def why_not(form: Form, found: Forecast) -> str:
    """Why there can be no dry run; "" when there can."""
    foretold = found.foretold
    codes = [code for code in foretold.estimate.unknown if code in NOT_SHOWN]
    if codes:
        return " ".join([t("memory.measure_not"), *(t(f"memory.unknown_{code}") for code in codes)])
    if foretold.subject.architecture.source == "name":
        return refusal(Refused("memory_config_needed"))
    return refusal(form.services.cli) if isinstance(form.services.cli, Refused) else ""


def measure(form: Form, found: Forecast) -> None:
    """*Measure precisely* was pressed."""
    begin_dry_run(form.services, found)
    st.rerun()


def cancel(form: Form, key: str) -> None:
    """*Cancel* was pressed: the program is ended."""
    form.services.dry_runs.cancel(key)
    st.rerun()
