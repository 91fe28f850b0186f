"""What the form's job takes of GPU memory, in the foot of the form; a click on it opens the dialog."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.forecast import Forecast, forecast
from lfdash.engine.machine_words import GIB
from lfdash.memory.cards import TIGHT
from lfdash.outcomes import Refused
from lfdash.ui.form import undo
from lfdash.ui.form.state import Form
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import listed, markdown_safe, t

# verdict -> (colour, icon): state is told by word and sign, too
LOOKS = {
    "fits": ("green", "check"), "unsure": ("orange", "help"), "tight": ("orange", "warning"),
    "in_use": ("orange", "hourglass_top"), "does_not": ("red", "error"),
}
BY = "ui.by_memory"  # who has replaced values of the form
FEW = 3  # devices that are named; of more their number is told
NAME = 24  # characters of a run's name in the line


def gib(size: float) -> str:
    """Bytes in GiB, as nvidia-smi and PyTorch count them."""
    whole = size / GIB
    return f"{whole:.1f}" if whole < 99.95 else f"{whole:.0f}"


def total_gib(size: float) -> str:
    """A card's memory in GiB."""
    return f"{size / GIB:.0f}" if size >= 10 * GIB else f"{size / GIB:.1f}"


def figure_words(found: Forecast) -> str:
    """What is taken, of how much, and where."""
    need, room = gib(found.foretold.estimate.driver), found.room
    if room is None and found.target and not found.cpu:
        return t("target.memory_foot", need=need, target=found.target)
    if room is None:
        code = "cpu" if found.cpu else "some" if found.blind else "none"
        return t(f"memory.foot_{code}", need=need)
    if len(found.rooms) == 1:
        return t("memory.foot_on", need=need, total=total_gib(room.total), device=room.label)
    labels = [one.label for one in found.rooms]
    where = listed(labels) if len(labels) <= FEW else t("memory.devices", count=len(labels))
    return t("memory.foot_each", need=need, total=total_gib(room.total), devices=where)


def off_words(found: Forecast) -> str:
    """By how much it may be off, where that is more than the usual."""
    band = found.foretold.estimate.band
    return f"± {band:.0%}".replace("%", " %") if band > TIGHT else ""


def label_of(found: Forecast) -> str:
    """The figure as Markdown: with its verdict in a word, a sign and a colour."""
    verdict = found.verdict
    parts = [figure_words(found), learned_short(found), off_words(found), t(f"memory.is_{verdict}") if verdict else ""]
    words = markdown_safe(" · ".join(part for part in parts if part))
    if verdict is None:
        return words
    colour, icon = LOOKS[verdict]
    return f":{colour}[:material/{icon}: {words}]"


def learned_short(found: Forecast) -> str:
    """The same, for the line."""
    learned = found.foretold.subject.learned
    if learned is None or learned.differs:
        return ""
    name = learned.run if len(learned.run) <= NAME else f"{learned.run[: NAME - 1]}…"
    return t("memory.as_run_short", run=name)


def learned_words(found: Forecast) -> str:
    """By which past run the figure was corrected, and which of its figures was compared; "" where by none. Of runs that
    are too far off only what was compared."""
    learned = found.foretold.subject.learned
    if learned is None:
        return ""
    corrected = "" if learned.differs else t("memory.as_run", run=learned.run)
    return " ".join(filter(None, [corrected, t(f"memory.compared_{learned.compared}")]))


def help_of(found: Forecast) -> str:
    """What the figure stands on, and what is not known."""
    unknown = [t(f"memory.unknown_{code}") for code in found.foretold.estimate.unknown]
    parts = [t("memory.foot_help"), markdown_safe(learned_words(found))]
    room = found.room
    if room is not None and not found.target:
        parts.append(t("memory.free_now", free=gib(room.free), device=room.label))
    return "\n".join([" ".join(filter(None, parts)), *(f"- {markdown_safe(words)}" for words in unknown)])


def reason(refused: Refused) -> str:
    """Why it is not known, in words of the page."""
    return t("memory.size_unknown") if refused.code == "memory_model" else refusal(refused)


def wish() -> None:
    """The figure was pressed."""
    st.session_state[dialogs.MEMORY] = True


def take_back(form: Form) -> None:
    """*Undo* was pressed: the whole form follows, not this part of it alone."""
    form.undo()
    st.rerun()


def draw_figure(form: Form) -> None:
    """The line of the foot; that it is not known, and why, where it is not. Beside it, what the dialog has changed in
    the form can be taken back: the form's own *Undo* may be out of sight by then."""
    found = forecast(form.services, form.read().job)
    last = undo.last(form)
    with st.container(horizontal=True, key="foot_memory", vertical_alignment="center", gap="xsmall"):
        if isinstance(found, Refused):
            st.caption(f":material/help: {t('memory.foot_unknown')}", help=markdown_safe(reason(found)))
        else:
            st.button(label_of(found), key="memory_open", type="tertiary", on_click=wish, help=help_of(found))
        if last is not None and last.what[0] == BY:
            st.button(
                t("ui.undo"), key="memory_undo_foot", icon=":material/undo:", type="tertiary", on_click=take_back,
                args=(form,), help=t("memory.undo_foot", count=last.count),
            )
