"""The queue on the page: what waits and why, its order, and its settings."""

from __future__ import annotations

from functools import partial
from typing import Literal

import streamlit as st

from lfdash.engine.chat.making_room import chats_in_the_way
from lfdash.engine.services import Services
from lfdash.engine.words import waiting_in
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import ResourceRequest
from lfdash.jobs.secret_arguments import hide
from lfdash.outcomes import Refused
from lfdash.queue.store import MOST_SLOTS, SETTINGS
from lfdash.runs.plan import ARGS_FILE
from lfdash.runs.view import RunView, Waiting
from lfdash.ui.form.state import Form
from lfdash.ui.launch import actions, kept_ready, next_steps
from lfdash.ui.shared.answers import SHOWN, forget_answers, tell
from lfdash.ui.shared.text import language, markdown_safe, pair, t

CANCELLED = "queue.cancelled"  # (id, name) of the job that was cancelled last, to be put back
SLOTS = "queue.slots"
SHOWN_JOBS = 30
UNSCROLLED, SCROLLED = 3, 220  # jobs that are all shown; px for more


def waiting_words(waiting: Waiting, *, place: bool = True) -> str:
    """How a job stands, in one sentence, safe inside Markdown. place: whether its place in the queue is said."""
    return waiting_in(language(), waiting, markdown_safe, place=place)


def ask_words(ask: ResourceRequest, gpus: int) -> str:
    """What a job asks for."""
    if ask.devices:
        return t("ui.queue_asks_named", gpus=markdown_safe(", ".join(ask.devices)))
    if ask.cpu or not gpus:
        return t("ui.queue_asks_cpu")
    if ask.fits:
        return t("ui.queue_asks_fits", count=ask.count or 1)
    return t("ui.queue_asks_all") if ask.count is None else t("ui.queue_asks_count", count=ask.count)


# -- one job --------------------------------------------------------------------------------------------


def draw_shown(services: Services, view: RunView) -> None:
    """A waiting job as the page's run: how it stands, what can be done, and what will be run."""
    assert view.waiting is not None
    icon = ":material/pause:" if view.waiting.held else ":material/hourglass_top:"
    st.info(waiting_words(view.waiting), icon=icon)
    draw_chats(services, view.waiting)
    draw_job(services, view, "shown", words=True)
    st.button(
        t("ui.next_use_settings"), key="take_waiting", icon=":material/content_copy:",
        on_click=next_steps.take_settings,
        args=(Form(services, named(view.kind)), view.run_id), help=t("ui.next_use_settings_help"),
    )
    entry = services.registry.queue.jobs.get(view.run_id)
    if entry is not None:
        st.markdown(f"**{t('ui.tab_configuration')}**")
        text = services.registry.redact(entry.plan.files.get(ARGS_FILE, ""))
        st.code(hide(text), language="yaml", height=330)


def draw_chats(services: Services, waiting: Waiting) -> None:
    """The chats that a job waits for, and the question whether they shall make room."""
    params = waiting.waits.params if waiting.waits is not None and waiting.held is None else {}
    chats = chats_in_the_way(services.registry.snapshot(), params)
    if not chats:
        return
    names = ", ".join(markdown_safe(view.name) for view in chats)
    with st.container(horizontal=True, vertical_alignment="center", key="chat_room", border=True):
        st.markdown(f":material/forum: {t('ui.queue_chat_has', names=names)}", width="stretch")
        st.button(
            t("ui.chat_end"), key="chat_make_room", icon=":material/stop:", on_click=actions.end_chats,
            args=(services, [view.run_id for view in chats]), help=t("ui.chat_end_help"),
        )


def draw_job(services: Services, view: RunView, place: str, *, words: bool = False) -> None:
    """The buttons of a job that waits; with words where there is room."""
    if view.waiting is None:
        return
    queue, run_id = services.registry.queue, view.run_id
    buttons = [
        ("up", ":material/arrow_upward:", lambda: queue.move(run_id, -1)),
        ("down", ":material/arrow_downward:", lambda: queue.move(run_id, 1)),
        ("hold", ":material/pause:", lambda: queue.hold(run_id)),
        ("release", ":material/play_circle:", lambda: queue.release(run_id)),
        ("remake", ":material/sync:", lambda: services.registry.dispatcher.requeue(run_id)),
        ("now", ":material/bolt:", lambda: start_now(services, run_id)),
        ("cancel", ":material/close:", lambda: cancel(services, view)),
    ]
    left_out = without(view.waiting) | ({"cancel"} if words else set())
    with st.container(horizontal=True, gap="small", key=f"job_{place}_{run_id}", width="content"):
        for name, icon, do in buttons:
            if name not in left_out:
                word = t(f"ui.queue_{name}")
                st.button(
                    word if words else pair(word, markdown_safe(view.name)), icon=icon,
                    key=f"queue_{name}_{place}_{run_id}", on_click=act, args=(do,), help=help_of(name),
                )


def without(waiting: Waiting) -> set[str]:
    """The buttons that would do nothing for a job: a release of one that is held for what it asks for, say."""
    if waiting.held is None:
        return {"release", "remake"}
    if waiting.can_release:
        return {"hold", "remake"}
    return {"hold", "release", "now"} | (set() if waiting.can_requeue else {"remake"})


def help_of(name: str) -> str:
    """What a button of a job does."""
    return t(f"ui.queue_{name}_help") if name in ("now", "cancel", "remake") else t(f"ui.queue_{name}")


def act(do: object) -> None:
    """A button of the queue was pressed."""
    assert callable(do)
    forget_answers()
    tell(do())
    st.rerun()


def start_now(services: Services, run_id: str) -> Refused | None:
    """Starts a waiting job at once and shows it."""
    outcome = services.registry.dispatcher.start_now(run_id)
    if isinstance(outcome, Refused):
        return outcome
    st.session_state[SHOWN] = run_id
    return None


def cancel(services: Services, view: RunView) -> Refused | None:
    """Takes a job out of the queue, and offers to put it back."""
    refused = services.registry.queue.cancel(view.run_id)
    if refused is None:
        st.session_state[CANCELLED] = (view.run_id, view.name)
    return refused


def draw_cancelled(services: Services) -> None:
    """The way back for the job that was cancelled last."""
    held = st.session_state.get(CANCELLED)
    if not held:
        return
    run_id, name = held

    def back() -> Refused | None:
        del st.session_state[CANCELLED]
        return services.registry.queue.take_back(run_id)

    with st.container(horizontal=True, vertical_alignment="center", key="cancelled", gap="small"):
        st.markdown(t("ui.queue_cancelled", name=markdown_safe(name)), width="content")
        st.button(t("ui.queue_undo"), key="queue_undo", icon=":material/undo:", on_click=act, args=(back,))


# -- the whole queue ------------------------------------------------------------------------------------


def draw(services: Services) -> None:
    """All jobs that wait, in order, with what each waits for; and the settings of the queue."""
    jobs = [view for view in services.registry.snapshot() if view.waiting is not None]
    with st.container(key="queue", gap="xsmall", border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{t('ui.queue_title')}** ({len(jobs)})", width="content")
            with st.popover(t("ui.queue_settings"), icon=":material/tune:", key="queue_settings"):
                draw_settings(services)
        draw_cancelled(services)
        draw_unreadable(services)
        draw_twins(services)
        if not jobs:
            st.caption(t("ui.queue_empty"))
        gpus = len(services.devices.gpus)
        # many jobs are scrolled through: the table below is to be seen
        height: int | Literal["content"] = SCROLLED if len(jobs) > UNSCROLLED else "content"
        with st.container(key="queue_jobs", gap="xsmall", height=height, border=False):
            for view in jobs[:SHOWN_JOBS]:
                draw_line(services, view, gpus)
        if len(jobs) > SHOWN_JOBS:
            st.caption(t("ui.queue_more", count=len(jobs) - SHOWN_JOBS))


def is_spoiled(services: Services) -> bool:
    """Whether something of the queue cannot be read, or is never started."""
    seen = services.registry.queue.jobs.look()
    return bool(seen.unreadable or seen.failure or services.registry.dispatcher.twins())


def draw_unreadable(services: Services) -> None:
    """What of the queue cannot be read, and a way to put each such file aside."""
    queue = services.registry.queue
    seen = queue.jobs.look()
    if seen.failure:
        st.warning(t("ui.queue_unlisted", reason=markdown_safe(seen.failure)), icon=":material/error:")
    for number, spoiled in enumerate(seen.unreadable[:SHOWN_JOBS]):
        key = "queue_unreadable_settings" if spoiled.file == SETTINGS else "queue_unreadable"
        words = t(f"ui.{key}", file=markdown_safe(spoiled.file), reason=markdown_safe(spoiled.reason))
        with st.container(horizontal=True, vertical_alignment="center", key=f"unreadable_{number}"):
            st.markdown(f":orange[:material/error:] {words}", width="stretch")
            st.button(
                t("ui.queue_aside"), key=f"queue_aside_{number}_{spoiled.file}", help=t("ui.queue_aside_help"),
                on_click=act, args=(partial(queue.put_aside, spoiled.file),),
            )


def draw_twins(services: Services) -> None:
    """The jobs that are never started, since a run has their id, and a way to take each out of the queue."""
    for entry, view in services.registry.dispatcher.twins()[:SHOWN_JOBS]:
        words = t("ui.queue_twin", name=markdown_safe(entry.record.name), run=markdown_safe(view.output_dir))
        with st.container(horizontal=True, vertical_alignment="center", key=f"twin_{entry.run_id}"):
            st.markdown(f":orange[:material/error:] {words}", width="stretch")
            st.button(
                t("ui.queue_aside"), key=f"queue_twin_{entry.run_id}", help=t("ui.queue_twin_help"),
                on_click=act, args=(partial(services.registry.queue.cancel, entry.run_id),),
            )


def draw_line(services: Services, view: RunView, gpus: int) -> None:
    """One job: place, name, what it asks for, how it stands, its buttons."""
    assert view.waiting is not None
    words = f"{view.waiting.position}. **{markdown_safe(view.name)}** · {ask_words(view.waiting.ask, gpus)}"
    with st.container(horizontal=True, vertical_alignment="center", key=f"line_{view.run_id}"):
        st.markdown(f"{words}  \n:gray[{waiting_words(view.waiting, place=False)}]", width="stretch")
        draw_job(services, view, "list")


def draw_settings(services: Services) -> None:
    """Pause, what a failure does, and how many runs go on at once without a GPU."""
    queue = services.registry.queue
    now = queue.jobs.settings()

    def keep(name: str) -> None:
        changed = {name: st.session_state[f"queue.{name}"]}
        act(lambda: queue.change_settings(**changed))

    for name in ("paused", "on_failure"):
        setting = "hold_on_failure" if name == "on_failure" else name
        st.session_state[f"queue.{setting}"] = getattr(now, setting)
        st.toggle(
            t(f"ui.queue_{name}"), key=f"queue.{setting}", help=t(f"ui.queue_{name}_help"), on_change=keep,
            args=(setting,),
        )
    st.session_state.setdefault(SLOTS, str(now.slots))
    st.text_input(t("ui.queue_slots"), key=SLOTS, on_change=keep_slots, args=(services,))
    if slots_of(st.session_state[SLOTS]) is None:
        value = markdown_safe(st.session_state[SLOTS])
        st.caption(f":red[:material/error: {t('ui.queue_slots_bad', value=value, most=MOST_SLOTS)}]")
    kept_ready.draw(services)


def keep_slots(services: Services) -> None:
    """A number of slots was typed: kept when it is one."""
    slots = slots_of(st.session_state[SLOTS])
    if slots is not None:
        queue = services.registry.queue
        act(lambda: queue.change_settings(slots=slots))


def slots_of(text: str) -> int | None:
    """The number of slots that a text says; None when it says none."""
    word = text.strip()
    good = word.isascii() and word.isdigit() and len(word) < 4 and 1 <= int(word) <= MOST_SLOTS
    return int(word) if good else None
