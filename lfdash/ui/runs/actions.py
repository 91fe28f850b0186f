"""What is done with the runs that are selected on the Runs page: one bar of buttons, each disabled with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.outcomes import Refused, unchanged_by
from lfdash.runs import notes
from lfdash.runs.compare.address import MOST_RUNS
from lfdash.runs.notes import Notes
from lfdash.runs.record import STOPPABLE, TERMINAL, RunState
from lfdash.runs.trash_origins import Item
from lfdash.runs.view import RunView
from lfdash.ui.form.state import Form
from lfdash.ui.launch import after, next_steps
from lfdash.ui.runs.selection import CHOSEN
from lfdash.ui.shared.answers import SHOWN, forget_answers, refusal
from lfdash.ui.shared.text import listed, markdown_safe, t

UNDO = "runs.undo"  # the items in the trash of the last deletion
ANSWERS = "runs.answers"  # what the last action was refused for, one sentence a run
GO = "runs.go"  # (page, run id) to be opened
COMPARE = "pages/compare.py"
TURN = "runs.turn"  # counts what was done: the menus of the turn before are closed
LISTED = 8  # names in a question


def draw(services: Services, ids: Sequence[str]) -> None:
    """The buttons for the runs of these ids."""
    go()
    found = [view for run_id in ids if (view := services.registry.get(run_id)) is not None]
    one = found[0] if len(found) == 1 else None
    draw_open(one)
    draw_compare(services, found)
    draw_stop(services, found)
    draw_resume(services, one)
    after.draw_all(services, found, "runs")
    draw_rename(services, one)
    draw_notes(services, found)
    draw_delete(services, found)


def menu(name: str, reason: str, icon: str, help_text: str | None = None) -> Any:
    """A menu of the bar; disabled where there is a reason."""
    turn = st.session_state.get(TURN, 0)
    return st.popover(
        t(f"ui.{name}"), icon=icon, disabled=bool(reason), help=reason or help_text, key=f"{name}_menu_{turn}",
        width="content",
    )


def settled(refusals: Sequence[tuple[str, Refused]]) -> None:
    """An action is done: says what was refused, closes the menus, draws the page anew."""
    forget_answers()
    st.session_state[ANSWERS] = [f"{name}: {refusal(refused)}" for name, refused in refusals]
    if not refusals:
        st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
    st.rerun()


def each(found: Sequence[RunView], do: Callable[[RunView], Refused | None]) -> list[tuple[str, Refused]]:
    """Does something to each run; what was refused."""
    outcomes = [(view.name, do(view)) for view in found]
    return [(name, refused) for name, refused in outcomes if refused is not None]


def draw_answers(services: Services) -> None:
    """What was refused, and the way back from a deletion."""
    for sentence in st.session_state.get(ANSWERS, [])[:LISTED]:
        st.error(markdown_safe(sentence), icon=":material/block:")
    undo = st.session_state.get(UNDO)
    if undo:
        with st.container(horizontal=True, vertical_alignment="center", key="runs_deleted", border=True):
            names = some_of([item.title for item in undo])
            st.markdown(f":material/delete: {t('ui.runs_deleted', names=names)}", width="stretch")
            st.button(t("ui.runs_undo"), key="runs_undo", icon=":material/undo:", on_click=take_back, args=(services,))
            words = t("ui.runs_undo_not")
            st.button(words, key="runs_undo_not", icon=":material/close:", type="tertiary", on_click=forget_undo,
                      help=words)


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence, safe inside Markdown; the first ones of many."""
    words = listed(f"**{markdown_safe(name)}**" for name in names[:LISTED])
    return words if len(names) <= LISTED else t("ui.runs_and_more", names=words, count=len(names) - LISTED)


def why_one(one: RunView | None) -> str:
    """Why nothing can be done that is done to one run; "" when one is selected."""
    return "" if one else t("ui.runs_choose_one")


# -- open -----------------------------------------------------------------------------------------------


def draw_open(one: RunView | None) -> None:
    """Shows a run on the page of its kind."""
    reason = why_one(one)
    if st.button(t("ui.runs_open"), key="runs_open", icon=":material/open_in_new:", disabled=bool(reason),
                 help=reason or None) and one:
        show(named(one.kind).page, one.run_id)


def draw_compare(services: Services, found: Sequence[RunView]) -> None:
    """Two runs or more side by side, where there is a page for it."""
    if not (services.project.root / COMPARE).exists():
        return
    reason = "" if len(found) > 1 else t("ui.runs_choose_two")
    if len(found) > MOST_RUNS:
        reason = t("ui.runs_choose_fewer", count=MOST_RUNS)
    if st.button(t("ui.runs_compare"), key="runs_compare", icon=":material/compare_arrows:", disabled=bool(reason),
                 help=reason or None) and not reason:
        forget_answers()
        st.switch_page(COMPARE, query_params={"runs": ",".join(view.run_id for view in found)})


def show(page: str, run_id: str | None) -> None:
    """Goes to a page, with a run where one is to be shown."""
    forget_answers()
    if run_id is not None:
        st.session_state[SHOWN] = run_id
    st.switch_page(page, query_params={"run": run_id} if run_id else None)


def go() -> None:
    """Goes where a callback wanted to."""
    wanted = st.session_state.pop(GO, None)
    if wanted:
        show(*wanted)


# -- stop and resume ------------------------------------------------------------------------------------


def draw_stop(services: Services, found: Sequence[RunView]) -> None:
    """Stop those that go on; the harder step for those that are stopping already."""
    ours = [view for view in found if view.state in STOPPABLE and (view.record is not None)]
    fresh = [view for view in ours if view.state is not RunState.STOPPING]
    stopping = [view for view in ours if view.state is RunState.STOPPING]
    reason = "" if fresh else t("ui.runs_choose") if not found else t("ui.runs_stop_none")
    if fresh or not stopping:
        st.button(
            t("ui.stop"), key="runs_stop", icon=":material/stop:", disabled=bool(reason),
            help=reason or t("ui.stop_help"), on_click=stop, args=(services, fresh, "graceful"),
        )
    if stopping:
        with menu("kill", "", ":material/dangerous:"):
            st.markdown(t("ui.runs_kill_confirm", names=some_of([view.name for view in stopping])))
            st.button(
                t("ui.kill_yes"), key="runs_kill", type="primary", on_click=stop, args=(services, stopping, "kill")
            )


def stop(services: Services, found: Sequence[RunView], level: Any) -> None:
    """Leaves the wish to stop each of the runs."""
    settled(each(found, lambda view: services.registry.stop(view.run_id, level)))


def draw_resume(services: Services, one: RunView | None) -> None:
    """The menu of a single run; as on its own page: a training that has finished is trained for longer."""
    if one is not None:
        form, place = Form(services, named(one.kind)), f"runs_{one.run_id}"
        longer = one.state is RunState.SUCCEEDED and one.record is not None and form.kind.trains
        (next_steps.draw_more if longer else next_steps.draw_resume)(form, one, place)
        return
    menu("resume", why_one(one), ":material/resume:")


# -- rename ---------------------------------------------------------------------------------------------


def draw_rename(services: Services, one: RunView | None) -> None:
    """Another name for a run that is over."""
    reason = why_one(one) or ("" if one and one.state in TERMINAL else t("ui.runs_alive_stays"))
    with menu("rename", reason, ":material/edit:"):
        if one is None or reason:
            return
        field = f"runs.name.{one.run_id}.{one.name}"
        st.session_state.setdefault(field, one.name)
        st.text_input(t("ui.new_name"), key=field)
        name = (st.session_state.get(field) or "").strip()
        st.caption(t("ui.runs_rename_help"))
        st.button(
            t("ui.rename"), key="runs_rename", type="primary", disabled=name in ("", one.name), on_click=rename,
            args=(services, one, field),
        )


def rename(services: Services, view: RunView, field: str) -> None:
    """Gives the run the name that was typed; it stays selected."""
    outcome = services.registry.archive.rename(view.run_id, (st.session_state.get(field) or "").strip())
    if isinstance(outcome, Refused):
        settled([(view.name, outcome)])
    else:
        st.session_state[CHOSEN] = [outcome.run_id]
        settled([])


# -- notes and tags -------------------------------------------------------------------------------------


def draw_notes(services: Services, found: Sequence[RunView]) -> None:
    """Note and tags of one run; tags for several at once."""
    reason = "" if found else t("ui.runs_choose")
    if found and not any(view.path.is_dir() for view in found):
        reason = t("outcomes.no_folder")
    with menu("runs_notes", reason, ":material/sell:"):
        if reason:
            return
        known = sorted({tag for row in services.table.latest for tag in row.tags}, key=str.casefold)
        if len(found) == 1:
            draw_one_note(services, found[0], known)
        else:
            draw_many_tags(services, found, known)


def draw_one_note(services: Services, view: RunView, known: Sequence[str]) -> None:
    """Note and tags of a run, as they are and to be changed."""
    text, tags, before = (f"runs.{name}.{view.run_id}" for name in ("note", "tags", "before"))
    seen: Notes = st.session_state.setdefault(before, view.notes)
    st.session_state.setdefault(text, seen.note)
    st.session_state.setdefault(tags, list(seen.tags))
    st.multiselect(
        t("ui.runs_col_tags"), [*known, *(tag for tag in st.session_state[tags] if tag not in known)], key=tags,
        accept_new_options=True, placeholder=t("ui.runs_tags_hint"), persist_state="page",
    )
    st.text_area(t("ui.runs_note"), key=text, height=110, placeholder=t("ui.runs_note_hint"), persist_state="page")
    st.button(
        t("ui.save_it"), key="runs_notes_save", type="primary", on_click=keep_notes,
        args=(services, view, text, tags, before),
    )


def keep_notes(services: Services, view: RunView, text: str, tags: str, before: str) -> None:
    """Saves what was written; where somebody else did meanwhile, theirs is shown."""
    wanted = Notes(st.session_state.get(text) or "", tuple(st.session_state.get(tags) or ()))
    gone = services.registry.identity.refusal()
    refused = gone or notes.save(view.paths, wanted, st.session_state.get(before))
    if refused is None or refused.code == "notes_changed":
        for name in (text, tags, before):
            st.session_state.pop(name, None)
    services.registry.refresh()
    settled([] if refused is None else [(view.name, refused)])


def draw_many_tags(services: Services, found: Sequence[RunView], known: Sequence[str]) -> None:
    """Tags that all of the runs get, or lose."""
    st.multiselect(
        t("ui.runs_col_tags"), list(known), key="runs.tags", accept_new_options=True,
        placeholder=t("ui.runs_tags_hint"),
    )
    with st.container(horizontal=True, gap="small"):
        for name in ("add", "remove"):
            st.button(
                t(f"ui.runs_tags_{name}", count=len(found)), key=f"runs_tags_{name}", on_click=change_tags,
                args=(services, found, name == "add"),
            )


def change_tags(services: Services, found: Sequence[RunView], add: bool) -> None:
    """Gives the tags that were chosen to each run, or takes them away."""
    wanted = notes.clean_tags(st.session_state.get("runs.tags") or ())
    folded = {tag.casefold() for tag in wanted}

    def change(view: RunView) -> Refused | None:
        gone = services.registry.identity.refusal()
        if gone is not None:
            return gone
        try:
            held = notes.load(view.paths.notes)
        except OSError as error:
            return unchanged_by(error, view.paths.notes)
        if isinstance(held, Refused):
            return held
        held = held or Notes()
        kept = tuple(tag for tag in held.tags if tag.casefold() not in folded)
        return notes.save(view.paths, Notes(held.note, (*held.tags, *wanted) if add else kept), held)

    refusals = each(found, change)
    for view in found:
        for name in ("note", "tags", "before"):
            st.session_state.pop(f"runs.{name}.{view.run_id}", None)
    st.session_state["runs.tags"] = []
    services.registry.refresh()
    settled(refusals)


# -- delete ---------------------------------------------------------------------------------------------


def draw_delete(services: Services, found: Sequence[RunView]) -> None:
    """To the trash, after a question that names what goes."""
    going = [view for view in found if view.state in TERMINAL]
    reason = t("ui.runs_choose") if not found else "" if going else t("ui.runs_alive_stays")
    with menu("delete", reason, ":material/delete:"):
        if reason:
            return
        st.markdown(t("ui.runs_delete_confirm", names=some_of([view.name for view in going])))
        if len(going) < len(found):
            st.caption(t("ui.runs_delete_left", count=len(found) - len(going)))
        st.button(
            t("ui.replace_yes"), key="runs_delete", type="primary", on_click=delete, args=(services, going)
        )


def delete(services: Services, found: Sequence[RunView]) -> None:
    """Moves runs to the trash, and offers to take them back."""
    outcomes = services.registry.archive.discard_all([view.run_id for view in found])
    items = [item for item in outcomes if isinstance(item, Item)]
    st.session_state[UNDO] = items
    pairs = zip(found, outcomes, strict=True)
    settled([(view.name, refused) for view, refused in pairs if isinstance(refused, Refused)])


def take_back(services: Services) -> None:
    """Undoes the last deletion, as far as the places are free; the runs are selected again."""
    items: list[Item] = st.session_state[UNDO]
    outcomes = [(item, services.registry.archive.restore(item.name)) for item in items]
    st.session_state[CHOSEN] = [item.run_id for item, refused in outcomes if refused is None]
    st.session_state[UNDO] = [item for item, refused in outcomes if refused and refused.code != "unknown"]
    settled([(item.title, refused) for item, refused in outcomes if refused is not None])


def forget_undo() -> None:
    """The deletion is meant."""
    st.session_state[UNDO] = None
    st.session_state[ANSWERS] = []
    st.rerun()
