"""A run's GPU memory: estimated beside measured; after a failure for want of it, what was in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from lfdash.engine.memory import Foretold
from lfdash.engine.run_memory import Beside, beside, foretold_of, fullest_device, peak_of, torch_peaks
from lfdash.engine.services import Services
from lfdash.machine.history import MachineColumns
from lfdash.memory.cards import card_of
from lfdash.outcomes import Refused
from lfdash.runs.console import last_lines
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.out_of_memory import OutOfMemory, read
from lfdash.runs.view import RunView
from lfdash.ui.form.state import Form
from lfdash.ui.launch import memory, memory_fit, next_steps
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import markdown_safe, t

CAUSES = ("gpu_memory", "gpu_busy")  # ids of diagnoses
FOREIGN = 1 << 29  # bytes of others that are told: a driver's own share is less
KEPT, FORETOLD, FAILED = "monitor.memory", "foretold", "out_of_memory"
Answer = TypeVar("Answer")


def once(key: str, view: RunView, find: Callable[[], Answer]) -> Answer:
    """What is found of a run's attempt, looked for once: its arguments and an ended log do not change."""
    asked = (view.run_id, view.attempt, view.state)
    kept = st.session_state.setdefault(KEPT, {})
    if key not in kept or kept[key][0] != asked:
        kept[key] = (asked, find())
    answer: Answer = kept[key][1]
    return answer


def foretold(services: Services, view: RunView) -> Foretold | Refused | None:
    """What was foretold of the run."""
    return once(FORETOLD, view, lambda: foretold_of(services, view))


def draw_measured(services: Services, view: RunView, feed: RunFeed) -> None:
    """Estimated beside measured, in one line; that hardly anything was left. Nothing where nothing was measured."""
    machine = services.machine_histories.of(view.paths.machine).poll()
    peak, found = peak_of(machine), foretold(services, view)
    pairs = beside(found.estimate, machine, view.attempt, feed.frame) if isinstance(found, Foretold) else ()
    if peak is None and not any(torch_peaks(feed.frame)):
        return
    parts = [pair_words(pair) for pair in pairs]
    if isinstance(found, Foretold) and all(pair.figure != "driver" for pair in pairs):
        parts.insert(0, t("memory.run_estimated", need=memory.gib(found.estimate.driver)))
    if peak is not None:
        total = memory.total_gib(peak.total)
        parts.append(t("memory.run_peak", used=memory.gib(peak.used), total=total, device=peak.label))
    if not pairs:
        parts += [t(f"memory.run_{name}", size=memory.gib(size))
                  for name, size in zip(("allocated", "reserved"), torch_peaks(feed.frame), strict=True) if size]
    words = markdown_safe(" · ".join(parts))
    st.caption(f":material/memory: {words}", help=t("memory.run_measured_help"))
    if peak is not None and peak.near:
        left = memory.gib(max(0, peak.total - peak.used))
        st.warning(t("memory.run_near", device=peak.label, left=left), icon=":material/memory:")


def pair_words(pair: Beside) -> str:
    """One figure, estimated and measured."""
    estimated, measured = memory.gib(pair.foretold), memory.gib(pair.measured)
    return t(f"memory.run_beside_{pair.figure}", estimated=estimated, measured=measured)


# -- after a failure --------------------------------------------------------------------------------------


def failure(view: RunView) -> OutOfMemory | None:
    """What the log says of a full GPU."""

    def find() -> OutOfMemory | None:
        try:
            return read(last_lines(view.paths.console, view.paths.attempt(view.attempt).console_start()))
        except OSError:
            return None

    return once(FAILED, view, find)


def failure_words(services: Services, view: RunView) -> list[str]:
    """Sentences on a run that failed for want of memory: what was foretold, what there was, what was in the way."""
    found, told = foretold(services, view), failure(view)
    words = []
    if isinstance(found, Foretold):
        words.append(t("memory.oom_estimated", need=memory.gib(found.estimate.driver)))
    if told is None:
        return words
    if told.total is not None and told.own is not None:
        sizes = {"total": memory.gib(told.total), "own": memory.gib(told.own), "wanted": memory.gib(told.wanted)}
        words.append(t("memory.oom_had", **sizes))
    if told.foreign >= FOREIGN:
        pids = ", ".join(str(pid) for pid, _ in told.others)
        words.append(t("memory.oom_foreign", size=memory.gib(told.foreign), pids=pids or "?"))
    bits = found.subject.bits if isinstance(found, Foretold) else 0
    moment = "loading_8bit" if told.moment == "loading" and bits == 8 else told.moment
    if moment:
        words.append(t(f"memory.oom_{moment}"))
    return words


def draw_offer(form: Form, view: RunView) -> None:
    """*Make it fit*, which opens the form with the run's settings and the dialog."""
    can = isinstance(foretold(form.services, view), Foretold)
    st.button(
        t("memory.oom_fit"), key="oom_fit", icon=":material/memory:", disabled=not can, on_click=make_it_fit,
        args=(form, view), help=t("memory.oom_fit_help") if can else t("memory.oom_fit_not"),
    )


def make_it_fit(form: Form, view: RunView) -> None:
    """The button was pressed."""
    if next_steps.fill(form, view.run_id):
        card = full_card(failure(view), form.services.machine_histories.of(view.paths.machine).poll())
        if card:
            st.session_state[memory_fit.CARD] = card
        st.session_state[dialogs.MEMORY] = True
    next_steps.close_menus()
    st.rerun()


def full_card(told: OutOfMemory | None, machine: MachineColumns) -> str:
    """The kind of card that was full, by its name where machine.jsonl tells it, and by its memory; "" where that is not
    known."""
    if told is None or told.total is None:
        return ""
    fullest = fullest_device(machine)
    return card_of(fullest.name if fullest else "", told.total).name
