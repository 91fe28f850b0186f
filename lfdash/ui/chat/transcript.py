"""A conversation as it is drawn: prompts, and the answers of the chats side by side."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import streamlit as st

from lfdash.engine.chat.conversation import Answer, Conversation, Turn
from lfdash.engine.chat.messages import parted
from lfdash.engine.chat.quiet import why_quiet
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.runs.compare.words import difference
from lfdash.ui.chat import actions, save_answer
from lfdash.ui.chat.untrusted import parts
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, pair, t

SHOWN = 60  # turns that are drawn; the ones before are in the export
MOST_DRAWN = 60_000  # characters of a text; the longest answers of 16,000 tokens are shown whole
MOST_DIFF = 20_000  # characters of an answer that is compared
CSS = """
.lf-diff {white-space: pre-wrap; overflow-wrap: anywhere; font-size: .92rem; line-height: 1.5}
.lf-diff ins {text-decoration: none; background: light-dark(#d7f0dd, #1d4428); border-radius: .15rem}
.lf-diff del {background: light-dark(#fbdedd, #55262a); border-radius: .15rem}
.lf-answer {font-size: .82rem; font-weight: 600; overflow-wrap: anywhere}
"""


def draw(services: Services, conversation: Conversation) -> None:
    """The whole conversation; long ones from their last turns on."""
    st.html(f"<style>{CSS}</style>")
    first = max(0, len(conversation.turns) - SHOWN)
    if first:
        st.caption(t("ui.chat_earlier", count=first))
    for number in range(first, len(conversation.turns)):
        draw_turn(services, conversation, number)


def draw_turn(services: Services, conversation: Conversation, number: int) -> None:
    """A prompt and its answers."""
    turn = conversation.turns[number]
    with st.chat_message("user", avatar=":material/person:"):
        draw_prompt(services, conversation, number, turn)
    columns = [turn.answer_of(column) for column in dict.fromkeys(answer.column for answer in turn.answers)]
    answers = [answer for answer in columns if answer is not None]
    if turn.expected:
        places = st.columns(len(answers) + 1)
        with places[0], st.container(border=True):
            st.html(f'<span class="lf-answer">{html.escape(t("ui.chat_expected"))}</span>')
            draw_text(turn.expected)
        places = places[1:]
    else:
        places = st.columns(len(answers)) if len(answers) > 1 else [st.container()]
    for place, answer in zip(places, answers, strict=True):
        with place, st.container(border=True):
            draw_answer(services, conversation, number, answer, answers)


def draw_prompt(services: Services, conversation: Conversation, number: int, turn: Turn) -> None:
    """What was asked, with what can be done about it."""
    if turn.role == "tool":
        st.caption(t("ui.chat_tool_result"))
    draw_text(turn.prompt)
    for medium in turn.media:
        whole = services.chats.asking.store.fetch(medium)
        if whole is None:
            st.caption(t("outcomes.chat_medium"))
        elif medium.kind == "image":
            st.image(whole.url, width=220)
        else:
            st.caption(f":material/attach_file: {markdown_safe(medium.name)}")
    actions.draw_edit(services, conversation, number)


def draw_answer(
    services: Services, conversation: Conversation, number: int, answer: Answer, beside: Sequence[Answer]
) -> None:
    """One answer: who gave it, its thinking folded, its text, its figures, and what can be done with it."""
    st.html(f'<span class="lf-answer">{html.escape(title(answer))}</span>')
    thought, said = parted(answer.text)
    if thought:
        with st.expander(t("ui.chat_thought"), icon=":material/psychology:"):
            draw_text(thought)
    if said:
        draw_text(said)
    for call in answer.tool_calls:
        st.code(f"{call.get('name')}({call.get('arguments')})", language="python")
    draw_state(answer)
    if answer.state in ("loading", "asking"):
        draw_quiet(services, conversation, answer)
    if answer.going:
        return
    blocker = actions.chat_with_device(services, answer)
    if blocker is not None:
        st.button(
            pair(t("ui.chat_end"), markdown_safe(blocker.name)), key=f"chat_end_{number}_{answer.column}",
            icon=":material/stop:", on_click=actions.end_chat, args=(services, blocker.run_id),
        )
    st.caption(figures(answer))
    first = beside[0]
    if answer is not first and not first.going and first.text and answer.text:
        draw_difference(first, answer)
    if answer.text or answer.tool_calls:
        save_answer.draw(services, conversation, number, answer)


def title(answer: Answer) -> str:
    """Who gives an answer: what it has loaded, and the chat that has it."""
    return f"{answer.model} · {answer.label}" if answer.model else answer.label


def draw_state(answer: Answer) -> None:
    """What an answer that is not whole waits for, or why it never came."""
    if answer.state == "failed":
        st.error(markdown_safe(failed_words(answer)), icon=":material/error:")
    elif answer.going:
        st.caption(f":material/hourglass_top: {t(f'ui.chat_state_{answer.state}')}")
    elif answer.state == "stopped":
        st.caption(f":material/stop_circle: {t('ui.chat_state_stopped')}")
    elif not answer.text and not answer.tool_calls:
        st.caption(t("ui.chat_empty"))


def draw_quiet(services: Services, conversation: Conversation, answer: Answer) -> None:
    """That nothing comes, and why; a model that loads says nothing for minutes."""
    why = why_quiet(services.chats, conversation.id, answer.column)
    if why is not None and why.code == "chat_paused":
        st.warning(markdown_safe(refusal(why)), icon=":material/pause_circle:")
    elif why is not None and answer.state == "asking":
        st.caption(f":material/hourglass_disabled: {markdown_safe(refusal(why))}")


def failed_words(answer: Answer) -> str:
    """Why an answer never came; its code alone, where a file of another version has one that has no words here."""
    try:
        return refusal(Refused(answer.code, answer.params or {}))
    except KeyError:
        return refusal(Refused("chat_failed", {"reason": answer.code}))


def figures(answer: Answer) -> str:
    """How long an answer took and how long it is; tokens only where the API told them, a rate only of what is long
    enough to have one."""
    told = []
    if answer.seconds is not None:
        told.append(t("ui.chat_seconds", seconds=f"{answer.seconds:.1f}"))
    if answer.answer_tokens is not None:
        told.append(t("ui.chat_tokens", count=answer.answer_tokens, prompt=answer.prompt_tokens or 0))
        if answer.tokens_per_s is not None:
            told.append(t("ui.chat_speed", speed=f"{answer.tokens_per_s:.1f}"))
    elif answer.characters_per_s is not None:
        told.append(t("ui.chat_characters", count=len(answer.text), speed=f"{answer.characters_per_s:.0f}"))
    elif answer.text:
        told.append(t("ui.chat_length", count=len(answer.text)))
    if answer.finish == "length":
        told.append(t("ui.chat_cut_off"))
    return " · ".join(told)


def draw_difference(first: Answer, other: Answer) -> None:
    """The second answer with what differs from the first marked."""
    with st.expander(t("ui.chat_differences"), icon=":material/difference:"):
        before, after = (parted(answer.text)[1][:MOST_DIFF] for answer in (first, other))
        marks: dict[str, Callable[[str], str]] = {
            "same": lambda text: text, "removed": lambda text: f"<del>{text}</del>",
            "added": lambda text: f"<ins>{text}</ins>",
        }
        body = "".join(marks[kind](html.escape(text)) for kind, text in difference(before, after))
        st.html(f'<div class="lf-diff">{body}</div>')


def shortened(text: str) -> tuple[str, int]:
    """What is drawn of a text, its beginning and its end; how many characters between them are left out."""
    left = len(text) - MOST_DRAWN
    if left <= 0:
        return text, 0
    return f"{text[: MOST_DRAWN // 2]}\n\n[…]\n\n{text[-MOST_DRAWN // 2 :]}", left


def draw_text(text: str) -> None:
    """Words of a model or a user: Markdown in which nothing is loaded, hidden or run. A very long text is shortened: a
    browser takes minutes for a megabyte, again each time that an answer grows."""
    text, left = shortened(text)
    if left:
        st.caption(f":material/unfold_less: {t('ui.chat_left_out', count=left)}")
    for part in parts(text):
        if part.code:
            st.code(part.text, language=part.language or None, wrap_lines=True)
        else:
            st.markdown(part.text)

