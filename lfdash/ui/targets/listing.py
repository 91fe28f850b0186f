"""The list of targets: what each is, what it offers now, how its last test ended, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.target_facts import Failure
from lfdash.engine.words import span_in
from lfdash.outcomes import Problem
from lfdash.runs.record import TERMINAL, RunState
from lfdash.targets.offered import Offer
from lfdash.targets.reading import Targets
from lfdash.targets.target import LOCAL, Kind, Target
from lfdash.ui.shared import clicks
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import language, markdown_safe, problem_words, t
from lfdash.ui.targets import words
from lfdash.ui.targets.keys import REMOVE, SAID, edit

LOOK_S = 1.0  # between two looks at a test that goes on, or at what a cluster is asked
IN_QUEUE = (RunState.QUEUED, RunState.HELD)
Use = Callable[[str], None]
NEW: tuple[Kind, ...] = ("slurm", "ray")


def draw(services: Services, use: Use | None = None) -> None:
    """The list, what is wrong with its file, and the way to a new target. use: chooses one for the form; None where it
    takes none."""
    targets = services.registry.targets.read()
    rows = [row for row in targets.rows.values() if row.kind != LOCAL]
    st.caption(t("targets.about"))
    known = {str(one.params.get("target")) for one in targets.problems} & set(targets.broken)
    for problem in targets.problems:
        if str(problem.params.get("target")) not in known:
            st.error(markdown_safe(problem_words(problem)), icon=":material/build:")
    for row in rows:
        draw_row(services, row, use)
    for place, name in enumerate(targets.broken):
        draw_broken(services, targets, place, name)
    if not rows and not targets.broken and not targets.unread:
        st.info(t("targets.none"), icon=":material/lan:")
    with st.container(horizontal=True, gap="small", key="targets_new"):
        file = markdown_safe(str(services.registry.targets.path))
        reason = t("targets.file_first", file=file) if targets.unread else ""
        for kind in NEW:
            st.button(
                t(f"targets.new_{kind}"), key=f"targets_new_{kind}", icon=":material/add:", disabled=bool(reason),
                help=reason or t(f"targets.new_{kind}_help"), on_click=edit, args=(kind,),
                type="secondary" if rows else "primary",
            )


def draw_row(services: Services, target: Target, use: Use | None) -> None:
    """One target. use: as for `draw`."""
    with st.container(border=True, key=f"targets_row_{target.name}", gap="xsmall"):
        st.markdown(f"**{markdown_safe(target.name)}** · {markdown_safe(words.row_words(target))}")
        ticking = is_ticking(services, target)
        st.fragment(partial(draw_live, services, target, ticking), run_every=LOOK_S if ticking else None)()
        if st.session_state.get(REMOVE) == target.name:
            draw_question(services, target.name, target)
            return
        with st.container(horizontal=True, gap="small", key=f"target_do_{target.name}"):
            draw_test_button(services, target)
            if use is not None:
                st.button(
                    t("targets.use_short"), key=f"target_use_{target.name}", icon=":material/check:", on_click=use,
                    args=(target.name,), help=t("targets.use_help", name=target.name),
                )
            st.button(
                t("targets.edit"), key=f"target_edit_{target.name}", icon=":material/edit:", on_click=edit,
                args=(target.kind, target),
            )
            st.button(
                t("targets.duplicate"), key=f"target_copy_{target.name}", icon=":material/content_copy:",
                on_click=edit, args=(target.kind, None, target),
            )
            st.button(
                t("targets.remove"), key=f"target_remove_{target.name}", icon=":material/delete:", on_click=ask,
                args=(target.name,),
            )


def is_ticking(services: Services, target: Target) -> bool:
    """Whether something is awaited of a target."""
    return services.target_tests.going(target.name) is not None or services.target_offers.of(target).asking


def draw_live(services: Services, target: Target, ticking: bool) -> None:
    """What changes by itself: what the target offers, its test. Once nothing is awaited any more, or something is from
    now on, the page is drawn once."""
    if ticking != is_ticking(services, target):
        st.rerun()
    draw_offer(services, target)
    going = services.target_tests.going(target.name)
    if going is not None:
        work, step = going
        with st.container(horizontal=True, vertical_alignment="center", key=f"target_going_{target.name}"):
            told = f"{words.step_words(step)} · {span_in(language(), int(work.age) or 1)}"
            st.caption(f":material/hourglass_top: {markdown_safe(told)}", width="stretch")
            st.button(
                t("target_test.cancel"), key=f"target_cancel_{target.name}", on_click=services.target_tests.cancel,
                args=(target.name,),
            )
        return
    draw_last(services, target)


def draw_offer(services: Services, target: Target) -> None:
    """What the target's part of the cluster has, or why that is not known."""
    told = services.target_offers.of(target)
    if told.waits:
        draw_ask(services, target)
    if told.failure:
        st.caption(f":orange[:material/cloud_off:] {markdown_safe(t('targets.offers_silent', reason=told.failure))}")
    offer = own_offer(told.offered.offers if told.offered else (), target)
    if offer is not None:
        st.caption(markdown_safe(words.offer_words(offer)))
        if lacking := list(words.lacking(target, offer)):
            st.caption(f":orange[:material/warning:] {markdown_safe(t('targets.too_much', what=', '.join(lacking)))}")
    elif told.offered and told.offered.offers and target.partition:
        known = ", ".join(one.name for one in told.offered.offers)
        told_none = t("targets.no_partition", value=target.partition, known=known)
        st.caption(f":orange[:material/warning:] {markdown_safe(told_none)}")
    elif told.asking:
        st.caption(t("targets.offers_asking"))


def draw_ask(services: Services, target: Target, *, disabled: bool = False) -> None:
    """What has a cluster asked that is not asked by itself: its row may be somebody else's."""
    st.button(
        t("targets.ask"), key=f"target_ask_{target.name}", type="tertiary", icon=":material/travel_explore:",
        help=t(f"targets.ask_{target.kind}_help"), on_click=services.target_offers.allow, args=(target,),
        disabled=disabled,
    )


def own_offer(offers: tuple[Offer, ...], target: Target) -> Offer | None:
    """The part of a cluster that a target's jobs get to."""
    return next((one for one in offers if one.name == target.partition or (not target.partition and one.default)), None)


def time_words(epoch: float) -> str:
    """A moment by the browser's clock: it is not drawn anew while the list is open, so it tells no age."""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    try:
        return f"{datetime.fromtimestamp(epoch, zone):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):  # anybody may have written the file
        return t("target_test.unknown")


def draw_last(services: Services, target: Target) -> None:
    """How the last test ended, with what it found."""
    last = services.target_tests.last(target.name)
    if last is None:
        st.caption(t("target_test.unread" if services.target_tests.is_unread(target.name) else "target_test.never"))
        return
    when = time_words(last.time)
    stale = "" if last.is_of(target) else f" {t('target_test.stale')}"
    if last.facts is None:
        why = words.failure_words(last.failure or Failure("failed"))
        st.error(f"{t('target_test.at', when=when)} {markdown_safe(why)}{stale}", icon=":material/cancel:")
        return
    facts = last.facts
    for warning in words.warnings(target, facts):
        st.warning(markdown_safe(warning), icon=":material/warning:")
    told = f"{t('target_test.at', when=when)} {markdown_safe(words.summary(facts))}{stale}"
    st.markdown(f":green[:material/check_circle:] {told}")
    with st.expander(t("target_test.found"), key=f"target_found_{target.name}"):
        lines = [f"| {markdown_safe(name)} | {markdown_safe(value)} |" for name, value in words.found_rows(facts)]
        st.markdown("\n".join([lines[0], "|---|---|", *lines[1:]]))


def draw_test_button(services: Services, target: Target) -> None:
    """*Test this target*; why not, where it cannot be."""
    tests = services.target_tests
    reason = "" if tests.going(target.name) is None else t("target_test.goes_on")
    if not tests.is_possible(target):
        reason = t("target_test.why_no_way", kind=t(f"targets.kind_{target.kind}"))
    st.button(
        t("target_test.button"), key=f"target_test_{target.name}", icon=":material/network_check:",
        disabled=bool(reason), help=reason or t("target_test.help"), on_click=test, args=(services, target),
        type="primary" if tests.last(target.name) is None else "secondary",
    )


def test(services: Services, target: Target) -> None:
    """*Test this target* was pressed: its cluster is used by hand."""
    services.target_offers.allow(target)
    services.target_tests.start(target)


def ask(name: str) -> None:
    """Remove was pressed: it is asked first."""
    if clicks.is_first("target_remove"):
        st.session_state[REMOVE] = name


def draw_question(services: Services, name: str, target: Target | None) -> None:
    """Whether a target is to be removed, and what that means for its runs."""
    live, waiting = runs_on(services, name)
    told = [t("targets.remove_sure", name=name)]
    told.append(t("targets.remove_runs", n=str(live)) if live else t("targets.remove_comments"))
    if waiting:
        told.append(t("targets.remove_waiting", n=str(waiting)))
    st.warning(markdown_safe(" ".join(told)), icon=":material/delete:")
    with st.container(horizontal=True, gap="small", key="targets_sure"):
        st.button(
            t("targets.remove_yes"), key="targets_sure_yes", type="primary", on_click=remove,
            args=(services, name, target),
        )
        st.button(t("targets.remove_no"), key="targets_sure_no", on_click=st.session_state.pop, args=(REMOVE, None))


def runs_on(services: Services, name: str) -> tuple[int, int]:
    """How many runs of a target are not over, and how many of its jobs wait in the queue here; whatever its row says
    now."""
    states = [view.state for view in services.registry.snapshot() if view.target == name]
    waiting = sum(state in IN_QUEUE for state in states)
    return sum(state not in TERMINAL for state in states) - waiting, waiting


def remove(services: Services, name: str, target: Target | None) -> None:
    """Takes a target out of the file, as it was shown."""
    st.session_state.pop(REMOVE, None)
    refused = services.registry.targets.remove(name, target)
    if refused is None:
        services.target_tests.cancel(name)
        services.target_tests.forget(name)
    kind, said = ("error", refusal(refused)) if refused else ("success", t("targets.removed", name=name))
    st.session_state[SAID] = kind, markdown_safe(said)  # a row that cannot be used may have any name


def draw_broken(services: Services, targets: Targets, place: int, name: str) -> None:
    """A row that somebody wrote by hand and that cannot be used: where and why. It stays until somebody mends it."""
    with st.container(border=True, key=f"target_broken_{place}", gap="xsmall"):
        st.markdown(f":red[:material/build:] **{markdown_safe(name)}** · {t('targets.broken')}")
        for problem in targets.problems:
            if is_about(problem, name):
                st.markdown(f"- {markdown_safe(problem_words(problem))}")
        if st.session_state.get(REMOVE) == name:
            draw_question(services, name, None)
        else:
            st.button(
                t("targets.remove"), key=f"target_broken_remove_{place}", icon=":material/delete:", on_click=ask,
                args=(name,),
            )


def is_about(problem: Problem, name: str) -> bool:
    """Whether a problem of the file is about a row."""
    return name in (problem.params.get("target"), str(problem.params.get("key", "")).removeprefix("target."))
