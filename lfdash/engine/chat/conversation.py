"""A conversation as it is kept: what was asked, and what each chat answered. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from lfdash.engine.chat.messages import AS_STARTED, Medium, Question, Said, Sampling, parted

AnswerState = Literal["waiting", "loading", "asking", "done", "stopped", "failed"]
GOING = frozenset({"waiting", "loading", "asking"})
LEAST_TOKENS, LEAST_CHARACTERS, LEAST_S = 10, 40, 0.5  # of an answer that has a rate
TITLE = 60  # characters of the first prompt
ID = r"^[a-z0-9]{12}\Z"  # it becomes a part of a file name


@dataclass(frozen=True)
class Answer:
    """What one chat answered to a prompt.

    column: the run id of the chat. label: its name when it was asked. model: what it had loaded, in words. code,
    reason: why it failed (a text of [outcomes], and what fills it). first_s, seconds: until the first piece came, and
    in all. prompt_tokens, answer_tokens: where the API told them.
    """

    column: str
    label: str
    model: str = ""
    state: AnswerState = "waiting"
    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish: str = ""
    code: str = ""
    params: dict[str, Any] | None = None
    first_s: float | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None

    @property
    def going(self) -> bool:
        """Whether more will come."""
        return self.state in GOING

    @property
    def characters_per_s(self) -> float | None:
        """How quickly its text came, from the first piece on; None where that cannot be said, and of one so short that
        it would be chance."""
        if self.seconds is None or self.first_s is None:
            return None
        seconds = self.seconds - self.first_s
        return len(self.text) / seconds if len(self.text) >= LEAST_CHARACTERS and seconds >= LEAST_S else None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens of the answer by the whole time; None where they were not told, and of one as short as above."""
        tokens, seconds = self.answer_tokens or 0, self.seconds or 0.0
        return tokens / seconds if tokens >= LEAST_TOKENS and seconds >= LEAST_S else None

    @property
    def usage(self) -> dict[str, int] | None:
        """Its numbers of tokens as the API names them; None where it told none."""
        if self.prompt_tokens is None or self.answer_tokens is None:
            return None
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.answer_tokens}


@dataclass(frozen=True)
class Turn:
    """A prompt and its answers, one a chat. expected: the answer of the dataset that the prompt is from."""

    prompt: str
    role: Literal["user", "tool"] = "user"
    media: tuple[Medium, ...] = ()
    answers: tuple[Answer, ...] = ()
    sampling: Sampling = AS_STARTED
    expected: str = ""
    alone: bool = False  # asked without what was said before: a row of a dataset

    @property
    def going(self) -> bool:
        """Whether a chat still answers."""
        return any(answer.going for answer in self.answers)

    def answer_of(self, column: str) -> Answer | None:
        """What a chat answered."""
        return next((answer for answer in self.answers if answer.column == column), None)

    def with_answer(self, answer: Answer) -> Turn:
        """A copy with another answer of the same chat."""
        return replace(self, answers=tuple(answer if a.column == answer.column else a for a in self.answers))


@dataclass(frozen=True)
class Conversation:
    """A conversation. tools: a list of functions as it was read. changed: epoch seconds."""

    id: Annotated[str, Meta(pattern=ID)]
    title: str = ""
    system: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    turns: tuple[Turn, ...] = ()
    changed: float = 0.0

    @property
    def going(self) -> bool:
        """Whether a chat still answers."""
        return any(turn.going for turn in self.turns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The chats that were ever asked, in the order of their first answer."""
        return tuple(dict.fromkeys(answer.column for turn in self.turns for answer in turn.answers))

    def said_to(self, column: str, upto: int) -> tuple[Said, ...]:
        """What a chat has heard and said before a turn, and the prompt of that turn: the API takes prompts and answers
        in turns only, so one that has no answer of this chat is left out."""
        last = self.turns[upto]
        before: list[Said] = []
        for turn in () if last.alone else self.turns[:upto]:
            answer = turn.answer_of(column)
            if turn.alone or answer is None or answer.state not in ("done", "stopped"):
                continue
            if not (answer.text or answer.tool_calls):
                continue
            before.append(Said(turn.role, turn.prompt, turn.media))
            before.append(Said("assistant", parted(answer.text)[1], tool_calls=answer.tool_calls))
        return (*before, Said(last.role, last.prompt, last.media))

    def question(self, column: str, turn: int, *, counted: bool = False) -> Question:
        """What a chat is asked in a turn."""
        asked = self.turns[turn]
        tools: tuple[Mapping[str, Any], ...] = self.tools
        return Question(self.said_to(column, turn), self.system, tools, asked.sampling, counted)

    def with_turn(self, index: int, turn: Turn) -> Conversation:
        """A copy with another turn in the place of one."""
        return replace(self, turns=(*self.turns[:index], turn, *self.turns[index + 1 :]))


def title_of(prompt: str) -> str:
    """A title from the first prompt: its first words, in one line."""
    line = " ".join(prompt.split())
    return line if len(line) <= TITLE else f"{line[: TITLE - 1]}…"


def settled(conversation: Conversation) -> Conversation:
    """As it is found on disk by a process that asks nobody: an answer that was still coming was cut off."""
    for index, turn in enumerate(conversation.turns):
        for answer in turn.answers:
            if answer.going:
                cut = replace(answer, state="failed", code="chat_cut")
                turn = turn.with_answer(cut)
        conversation = conversation.with_turn(index, turn)
    return conversation
