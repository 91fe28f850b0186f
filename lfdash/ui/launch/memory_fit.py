"""Settings that take less GPU memory, each with what it gives, and the smallest change with which a job fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lfdash.engine.forecast import Forecast
from lfdash.engine.lacking import Lack, lacking
from lfdash.jobs.cures import EXTRA_PREFIX, cure
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.memory.cards import CARDS, verdict
from lfdash.memory.diff import COUNTS, fit_into, fit_with_more, on_more, room_for, steps
from lfdash.memory.knobs import WITH_PACKAGE, ZERO3, least, turned
from lfdash.memory.subject import Subject
from lfdash.outcomes import Value
from lfdash.ui.form import problems, sidebar, undo
from lfdash.ui.form.state import Form
from lfdash.ui.launch import memory
from lfdash.ui.shared import clicks, keyed
from lfdash.ui.shared.text import label, listed, markdown_safe, t

CARD = "memory.card"  # session: the card that it shall fit on
HERE = "here"  # the device of this machine that decides
LEAST = 1 << 26  # bytes: what saves less is not offered
BOOSTER, LIGER = "top.booster", {"flash_attn", "enable_liger_kernel"}  # the list, and what it sends with that kernel
Changes = Mapping[str, Value | None]


@dataclass(frozen=True)
class Offer:
    """One setting. words: what it does; fix: what it changes in the form; saves, need: bytes of one GPU. lacks: why it
    cannot be made here, in Markdown; "" where it can."""

    name: str
    words: str
    fix: Changes
    saves: int
    need: int
    verdict: str | None = None
    lacks: str = ""


def draw(form: Form, found: Forecast) -> None:
    """The part of the dialog."""
    draw_fit(form, found)
    offered = offers(form, found)
    st.markdown(f"**{t('memory.knobs')}**")
    if not offered:
        st.caption(t("memory.knobs_none"))
    for one in offered:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"memory_knob_{one.name}"):
            words = t("memory.gives", size=memory.gib(one.saves), need=memory.gib(one.need))
            word = f" · {t(f'memory.is_{one.verdict}')}" if one.verdict else ""
            lacks = f"  \n:orange[{one.lacks}]" if one.lacks else ""
            st.markdown(f"{markdown_safe(one.words)}  \n:gray[{markdown_safe(words + word)}]{lacks}", width="stretch")
            st.button(
                t("memory.apply"), key=f"memory_apply_{one.name}", disabled=bool(one.lacks), on_click=apply,
                args=(form, one.fix), help=one.lacks or problems.fix_words(one.fix),
            )


def offers(form: Form, found: Forecast) -> list[Offer]:
    """The settings that save something, the one that saves most first."""
    job, subject, room = form.read().job, found.foretold.subject, found.room
    lacks = lacking(form.services, found.target) or {}
    made = [
        Offer(
            knob.name, knob_words(knob.name, knob.changes), fix_of(job, knob.changes), knob.saves, knob.estimate.driver,
            verdict(knob.estimate, room.free) if room else None, lack_words(lacks.get(knob.name)),
        )
        for knob in turned(subject) if knob.saves >= LEAST
    ]
    more = on_more_gpus(form, found, job)
    return sorted([*made, *([more] if more else [])], key=lambda one: -one.saves)


def fix_of(job: JobConfig, changes: Mapping[str, Any]) -> dict[str, Value | None]:
    """As `cure`; the Liger kernel by the list of boosters, where that has nothing else."""
    booster = job.values.get(BOOSTER)
    if changes == {"enable_liger_kernel": True} and booster in (None, "auto") and not job.extra.keys() & LIGER:
        return {BOOSTER: "liger_kernel"}
    return cure(job, changes)


def knob_words(name: str, changes: Mapping[str, Any]) -> str:
    """What a knob does, with its values where it has some."""
    if name == "batch":
        batch, forwards = changes["per_device_train_batch_size"], changes["gradient_accumulation_steps"]
        return t("memory.knob_batch_to", batch=batch, forwards=forwards)
    if name == "cutoff":
        return t("memory.knob_cutoff_to", length=changes["cutoff_len"])
    return t(f"memory.knob_{name}")


def on_more_gpus(form: Form, found: Forecast, job: JobConfig) -> Offer | None:
    """The model shared by more of this machine's GPUs than the job has now; None where there are none, or it cannot
    be."""
    subject = found.foretold.subject
    have = 0 if found.target else form.services.devices.gpu_count or 0  # a target's are not known
    count = next((n for n in COUNTS if subject.world_size < n <= have), 0)
    shared = on_more(subject, count)
    if shared is None:
        return None
    fix = {**cure(job, {"deepspeed": ZERO3}), f"{job.kind}.gpu_count": count, f"{job.kind}.devices": None}
    fix |= {f"{job.kind}.gpu_fits": None}  # of several nobody can promise that
    room = found.room
    return Offer(
        "more_gpus", t("memory.knob_more_gpus", count=count), fix, found.foretold.estimate.driver - shared.driver,
        shared.driver, verdict(shared, room.total) if room else None,
        lack_words((lacking(form.services, found.target) or {}).get("zero3")),
    )


def lack_words(lack: Lack | None) -> str:
    """That a package is not installed, or too old, and what installs it, in Markdown; "" where nothing lacks."""
    if lack is None:
        return ""
    code = "lacks_newer" if lack.version else "lacks"
    words = markdown_safe(t(f"memory.{code}", package=lack.package, version=lack.version, command=""))
    return f"{words} `{lack.command}`" if lack.command else words  # as code: it is copied as it is


# -- make it fit ------------------------------------------------------------------------------------------


def draw_fit(form: Form, found: Forecast) -> None:
    """*Make it fit*: the card, the smallest change as a table, *Apply* and *Undo*."""
    room = found.room
    names = [*([HERE] if room else []), *(card.name for card in CARDS)]
    sizes = {card.name: card.total for card in CARDS} | ({HERE: room.free} if room else {})
    if CARD not in st.session_state:
        st.session_state[CARD] = HERE if room else "24 GB"
    chosen = keyed.select(
        t("memory.make_it_fit"), names, key=CARD, page=form.page, empty=False, word=lambda name: card_words(name, found)
    )
    fix = draw_change(form, found, sizes[chosen])
    last = undo.last(form)
    taken = last is not None and last.what[0] == memory.BY
    with st.container(horizontal=True, gap="small", key="memory_fit"):
        st.button(
            t("memory.apply_all"), key="memory_apply", type="primary", disabled=not fix, on_click=apply,
            args=(form, fix), help=problems.fix_words(fix) if fix else t("memory.fit_nothing"),
        )
        st.button(
            t("ui.undo"), key="memory_undo", icon=":material/undo:", disabled=not taken, on_click=take_back,
            args=(form,), help=t("memory.undo_help") if taken else t("memory.undo_nothing"),
        )


def draw_change(form: Form, found: Forecast, total: int) -> Changes:
    """The smallest change with which the job fits into so many bytes, as a table; what would do it were a package
    there. Returns what it changes in the form."""
    subject, job = found.foretold.subject, form.read().job
    known = lacking(form.services, found.target)
    lacks = known or {}
    fit = fit_into(subject, total, lacks)
    fix: dict[str, Value | None] = {}
    if fit is None:
        st.warning(none_words(subject, total, lacks), icon=":material/block:")
    elif not fit.names and not fit.estimate.bounded:
        st.info(t("memory.fit_unsure"), icon=":material/help:")
    elif not fit.names:
        st.success(t("memory.fit_already"), icon=":material/check:")
    else:
        rows = []
        for step in steps(subject, fit):
            own = fix_of(job, step.changes)
            rows += rows_of(job, own, step.saves)
            fix |= own
        with st.container(key="memory_diff"):
            st.dataframe(rows, hide_index=True, key="memory_changes", height=36 * (len(rows) + 1))
        st.caption(t("memory.fit_then", need=memory.gib(fit.estimate.driver)))
        if known is None and not WITH_PACKAGE.keys().isdisjoint(fit.names):
            st.caption(t("memory.lacks_unknown"))
    if fit is None or fit.names:
        draw_other(subject, total, lacks, fit is None)
    return fix


def draw_other(subject: Subject, total: int, lacks: Mapping[str, Lack], alone: bool) -> None:
    """What else would make it fit, were a package installed that is not. alone: whether nothing does without."""
    fit = fit_with_more(subject, total, {name: lack.package for name, lack in lacks.items()})
    if fit is None:
        return
    made = steps(subject, fit)
    words = listed(knob_words(step.name, step.changes) for step in made)
    missing = dict.fromkeys(lack_words(lacks[step.name]) for step in made if step.name in lacks)
    told = t("memory.fit_would" if alone else "memory.fit_other", knobs=words, need=memory.gib(fit.estimate.driver))
    st.info("  \n".join([markdown_safe(told), *missing]), icon=":material/deployed_code:")


def none_words(subject: Subject, total: int, lacks: Collection[str]) -> str:
    """That nothing is enough of what can be turned here, and by how much. lacks: knobs that cannot."""
    need, room = least(subject, lacks).driver, room_for(subject, total)
    return t("memory.fit_none", need=memory.gib(need), room=memory.gib(room), short=memory.gib(need - room))


def card_words(name: str, found: Forecast) -> str:
    """A card in the list."""
    if name == HERE and found.room is not None:
        named = f"{found.room.label} ({found.room.name})" if found.room.name else found.room.label
        return t("memory.card_here", device=named, free=memory.gib(found.room.free))
    card = next(one for one in CARDS if one.name == name)
    return f"{card.name} ({', '.join(card.examples)})"


def rows_of(job: JobConfig, fix: Changes, saves: int) -> list[dict[str, str]]:
    """The rows of the table for one knob: what it gives stands beside the first."""
    shown = []
    for target, value in fix.items():
        row = BY_ID.get(target)
        if row is None:
            name = target.removeprefix(EXTRA_PREFIX)
            pair = (job.extra.get(name), value)
            before, after = (t("ui.not_set") if one is None else str(one) for one in pair)
        else:
            name = label(target)
            before, after = (plain(sidebar.shown_value(row, one)) for one in (job.values.get(target), value))
        if before != after:
            shown.append((name, before, after))
    return [
        {t("memory.col_setting"): name, t("memory.col_from"): before, t("memory.col_to"): after,
         t("memory.col_gives"): "" if place else f"−{t('units.gib', n=memory.gib(saves))}"}
        for place, (name, before, after) in enumerate(shown)
    ]


def plain(markdown: str) -> str:
    """What was made safe for Markdown, for a table."""
    return markdown.replace("\\", "").replace("\u2060", "")


def apply(form: Form, fix: Changes) -> None:
    """A change was accepted: the whole page follows, and the dialog stays. The second half of a double click is none
    on what has moved up."""
    if clicks.is_first("memory_apply"):
        form.apply_fix(fix, memory.BY)
    st.rerun()


def take_back(form: Form) -> None:
    """*Undo* was pressed."""
    if clicks.is_first("memory_undo"):
        memory.take_back(form)
