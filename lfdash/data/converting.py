"""What LLaMA-Factory makes of one row: whether a stage takes it, leaves it out, or ends with an error at it.

Source of the rules: the converters (llamafactory/data/converter.py), which make a prompt and answers of a row, and
the processors (llamafactory/data/processor/), which keep or drop it; a turn that is no text ends the run when it is
put into the chat template (formatter.py). tests/llamafactory/test_converting.py compares them with the real ones.

What JSON leaves out is None here, as it is once a file's rows have become one table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lfdash.data.attributes import Attributes
from lfdash.data.rows import KINDS

USER, ASSISTANT, OBSERVATION, FUNCTION, SYSTEM = "user", "assistant", "observation", "function", "system"
TAGGED = (
    ("user_tag", USER), ("assistant_tag", ASSISTANT), ("observation_tag", OBSERVATION), ("function_tag", FUNCTION),
    ("system_tag", SYSTEM),
)
ASKING, ANSWERING = (USER, OBSERVATION), (ASSISTANT, FUNCTION)
WRAPPED = re.compile(r"<[^>]+>.*?</[^>]+>", re.DOTALL)  # thoughts, and calls in words of the template's own
PAIRED = ("rm", "dpo", "kto")  # stages that need two answers


class Verdict(NamedTuple):
    """Why a row is not trained on. code: its text is `left.<code>`. what: the word or type that it is about.
    stops: LLaMA-Factory does not leave the row out, it ends there with an error."""

    code: str
    what: str = ""
    stops: bool = False


class Turn(NamedTuple):
    """A turn of a conversation, as LLaMA-Factory calls its role."""

    role: str
    content: Any


@dataclass(frozen=True)
class Converted:
    """A row in LLaMA-Factory's standard form. broken: why its turns cannot be used; then it has none."""

    prompt: Sequence[Turn] = ()
    answers: Sequence[Turn] = ()
    system: Any = ""
    tools: Any = ""
    broken: Verdict | None = None


class Stop(Exception):
    """LLaMA-Factory ends at this row."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(code)
        self.reason = Verdict(code, what, stops=True)


@dataclass
class Converter:
    """Converts the rows of a dataset for a stage, in their order: KTO compares each with the answers of the one before
    it, and the first of a batch with those of the batch's last."""

    entry: Attributes
    stage: str
    _before: Sequence[Turn] | None = None
    _first_used: bool = False

    def reason(self, row: Mapping[str, Any]) -> Verdict | None:
        """Why LLaMA-Factory does not train on a row; None when it does."""
        first = self._before is None
        try:
            converted = self.convert(row)
            before, self._before = self._before, converted.answers
            reason = self.dropped(converted)
            if reason is None:
                self.encode(converted, before)
                self._first_used |= first
            return reason
        except Stop as stop:
            return stop.reason
        except RecursionError:  # of the JSON writer
            return Verdict("turn_shape", "object", stops=True)

    def closing(self) -> Verdict | None:
        """What the last row does to the first, in KTO; asked at the end of a batch."""
        try:
            if self.stage == "kto" and self._first_used and self._before is not None:
                text(weighed(self._before))
        except Stop as stop:
            return stop.reason
        return None

    def convert(self, row: Mapping[str, Any]) -> Converted:
        """The row's standard form. Stop where LLaMA-Factory fails."""
        found = self.columns(row)
        if not self.entry.chat:
            return self.alpaca(found)
        messages, system = self.turns(found)
        turns = self.openai_roles(messages) if self.entry.formatting == "openai" else self.sharegpt_roles(messages)
        broken = self.broken(turns)
        tools = found.get("tools")
        if self.entry.formatting == "openai":
            tools = json.dumps(tools, default=str) if isinstance(tools, (dict, list)) else tools
            check_system(system)  # which gets words of LLaMA-Factory's own there
        if broken is not None:
            return Converted((), (), system, tools, broken)
        prompt, answers = self.answered(found, turns)
        return Converted(prompt, answers, system, tools)

    def columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What a row has in each role."""
        return {role: row.get(name) for role, name in self.entry.columns.items() if name}

    # -- rows of columns ----------------------------------------------------------------------------------

    def alpaca(self, found: Mapping[str, Any]) -> Converted:
        """A row whose question and answer are columns."""
        turns = [turn for pair in earlier(found.get("history")) for turn in pair]
        asked = [found[role] for role in ("prompt", "query") if found.get(role)]
        for part in asked:
            if not isinstance(part, str):
                raise Stop("prompt_not_text", kind(part))
        prompt = [*turns, Turn(USER, "\n".join(asked))]
        return Converted(prompt, self.alpaca_answers(found), found.get("system"), found.get("tools"))

    def alpaca_answers(self, found: Mapping[str, Any]) -> Sequence[Turn]:
        """The answers of a row: two for a KTO mark or a pair."""
        mark, response = found.get("kto_tag"), found.get("response")
        if isinstance(mark, bool):
            if not self.entry.columns.get("response"):
                raise Stop("no_response_column")
            return marked(mark, Turn(ASSISTANT, response))
        pair = [found.get("chosen"), found.get("rejected")]
        if self.entry.ranking and all(isinstance(text, str) for text in pair):
            return [Turn(ASSISTANT, text) for text in pair]
        return [Turn(ASSISTANT, response)] if isinstance(response, str) else []

    # -- rows of turns ------------------------------------------------------------------------------------

    def turns(self, found: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], Any]:
        """The turns of a row behind its system turn, and the system prompt."""
        messages = found.get("messages")
        if not isinstance(messages, list):
            raise Stop("no_turns", kind(messages))
        for message in messages:
            if not isinstance(message, dict):
                raise Stop("turn_shape", kind(message))
        tag = self.entry.tags["system_tag"]
        if tag and messages and self.role(messages[0]) == tag:
            return messages[1:], self.content(messages[0])
        return messages, found.get("system")

    def role(self, message: Mapping[str, Any]) -> Any:
        """The word that says who speaks."""
        role = message.get(self.entry.tags["role_tag"] or "")
        return role if role is None or isinstance(role, str) else json.dumps(role, default=str)

    def content(self, message: Mapping[str, Any]) -> Any:
        """What is said."""
        return message.get(self.entry.tags["content_tag"] or "")

    def roles(self) -> dict[str | None, str]:
        """The entry's words and LLaMA-Factory's own; where two are the same, the later role has it."""
        return {self.entry.tags[tag]: role for tag, role in TAGGED}

    def side(self, roles: Iterable[str]) -> list[str | None]:
        """The entry's words of some roles."""
        return [self.entry.tags[tag] for tag, role in TAGGED if role in roles]

    def sharegpt_roles(self, messages: Sequence[Mapping[str, Any]]) -> list[Turn | Verdict]:
        """The turns in LLaMA-Factory's words, up to one that is out of order."""
        sides, roles = (self.side(ASKING), self.side(ANSWERING)), self.roles()
        turns: list[Turn | Verdict] = []
        for place, message in enumerate(messages):
            role = self.role(message)
            if role not in sides[place % 2]:
                return [*turns, self.out_of_order(role)]
            turns.append(Turn(roles[role], self.content(message)))
        return turns

    def openai_roles(self, messages: Sequence[Mapping[str, Any]]) -> list[Turn | Verdict]:
        """The turns in LLaMA-Factory's words: answers of tools that follow each other are one turn, and a turn with
        `tool_calls` is their text."""
        tags, roles = self.entry.tags, self.roles()
        turns: list[Turn | Verdict] = []
        answers: list[Any] = []
        for message in messages:
            role, content = self.role(message), self.content(message)
            if role in (tags["assistant_tag"], tags["function_tag"]) and message.get("tool_calls"):
                role, content = tags["function_tag"], calls(message["tool_calls"])
            if role == tags["observation_tag"]:
                answers.append(content)
                continue
            if answers:
                turns.append(Turn(OBSERVATION, joined(answers)))
                answers = []
            if role not in roles:
                raise Stop("role_unknown", str(role))
            turns.append(Turn(roles[role], content))
        return self.in_order(turns)

    def in_order(self, turns: Sequence[Turn | Verdict]) -> list[Turn | Verdict]:
        """The turns up to the first that is out of order."""
        for place, turn in enumerate(turns):
            if isinstance(turn, Turn) and turn.role not in (ASKING, ANSWERING)[place % 2]:
                words = {role: word for word, role in self.roles().items()}
                return [*turns[:place], self.out_of_order(words.get(turn.role))]
        return list(turns)

    def out_of_order(self, role: str | None) -> Verdict:
        """Why a turn cannot stand where it does."""
        if role is None or role not in self.roles():
            return Verdict("role_untagged", str(role))
        return Verdict("system_later" if self.roles()[role] == SYSTEM else "turn_order", role)

    def broken(self, turns: Sequence[Turn | Verdict]) -> Verdict | None:
        """Why a conversation cannot be used."""
        if turns and isinstance(turns[-1], Verdict):
            return turns[-1]
        if len(turns) % 2 != int(self.entry.ranking):
            return Verdict("ends_with_answer" if self.entry.ranking else "ends_with_question")
        return None

    def answered(self, found: Mapping[str, Any], turns: Sequence[Any]) -> tuple[Sequence[Turn], Sequence[Turn]]:
        """A conversation as prompt and answers."""
        mark = found.get("kto_tag")
        if isinstance(mark, bool):
            if not turns:
                return [], [Turn(ASSISTANT, "")]
            return turns[:-1], marked(mark, turns[-1])
        pair = [found.get("chosen"), found.get("rejected")]
        if self.entry.ranking and all(isinstance(answer, dict) for answer in pair):
            return turns, [self.answer(answer) for answer in pair if isinstance(answer, dict)]
        return turns[:-1], turns[-1:]

    def answer(self, message: Mapping[str, Any]) -> Turn:
        """One answer of a pair."""
        role = self.role(message)
        if role not in self.roles():
            raise Stop("role_unknown", str(role))
        return Turn(self.roles()[role], self.content(message))

    # -- processors ---------------------------------------------------------------------------------------

    def dropped(self, row: Converted) -> Verdict | None:
        """Why the stage's processor drops a row."""
        if self.stage == "pt":
            if not row.prompt:
                raise Stop("pt_no_turns")
            return None
        if len(row.prompt) % 2 != 1:
            return row.broken or Verdict("no_turns_left")
        count = len(row.answers)
        if self.stage == "sft" and count != 1:
            return self.no_answer(row) if count == 0 else Verdict("two_answers")
        if self.stage in PAIRED and count < 2:
            return Verdict("no_mark" if self.stage == "kto" else "no_pair")
        return None

    def no_answer(self, row: Converted) -> Verdict:
        """Why a row has no answer."""
        return row.broken or Verdict("no_response")

    def encode(self, row: Converted, before: Sequence[Turn] | None) -> None:
        """Stop where a row cannot be put into a chat template (or, in pre-training, before the tokenizer)."""
        if self.stage == "pt":
            text(row.prompt[0], plain=True)
            return
        for turn in (*row.prompt, *self.encoded(row, before)):
            text(turn)
        check_system(row.system)
        if row.tools:
            check_tools(row.tools)

    def encoded(self, row: Converted, before: Sequence[Turn] | None) -> Sequence[Turn]:
        """The answers that are put into the template."""
        if self.stage == "kto":
            return [weighed(row.answers), weighed(row.answers if before is None else before)]
        return row.answers if self.stage != "ppo" or len(row.answers) == 1 else ()


def weighed(answers: Sequence[Turn]) -> Turn:
    """The answer of a KTO row: the first, or the second where that is empty."""
    if not answers or not (answers[0].content or len(answers) > 1):
        raise Stop("kto_neighbour")
    return answers[0] if answers[0].content else answers[1]


def earlier(history: Any) -> Iterable[tuple[Turn, Turn]]:
    """The turns before the question. What is no list is not looked at."""
    for pair in history if isinstance(history, list) else ():
        if not isinstance(pair, (list, str, dict)) or len(pair) != 2:
            raise Stop("history_shape", kind(pair))
        asked, answer = list(pair)
        yield Turn(USER, asked), Turn(ASSISTANT, answer)


def marked(mark: bool, answer: Turn) -> list[Turn]:
    """An answer and the empty one that says whether it is wanted."""
    empty = Turn(ASSISTANT, "")
    return [answer, empty] if mark else [empty, answer]


def calls(tool_calls: Any) -> str:
    """The text of a turn's `tool_calls`."""
    if not isinstance(tool_calls, list) or not all(isinstance(call, dict) for call in tool_calls):
        raise Stop("call_shape", kind(tool_calls))
    return json.dumps([call.get("function") for call in tool_calls], default=str)


def joined(answers: Sequence[Any]) -> str:
    """Answers of tools as one."""
    for answer in answers:
        if not isinstance(answer, str):
            raise Stop("turn_not_text", kind(answer))
    return "\n".join(answers)


def text(turn: Turn, plain: bool = False) -> None:
    """Stop where a turn is not what the template takes. plain: no template."""
    if not isinstance(turn.content, str):
        raise Stop("turn_not_text", kind(turn.content))
    if turn.role == FUNCTION and not plain:
        check_call(turn.content)


def check_call(content: str) -> None:
    """Stop where the text of a call is not JSON with a name. What is wrapped in a template's words is not looked at."""
    if WRAPPED.search(content):
        return
    try:
        found = json.loads(content)
    except ValueError:
        raise Stop("call_shape", "JSON") from None
    for call in found if isinstance(found, list) else [found]:
        if not isinstance(call, dict) or not call.keys() >= {"name", "arguments"}:
            raise Stop("call_shape", kind(call))


def check_system(system: Any) -> None:
    """Stop where a system prompt is no text."""
    if system and not isinstance(system, str):
        raise Stop("system_not_text", kind(system))


def check_tools(tools: Any) -> None:
    """Stop where tools are no JSON text."""
    if not isinstance(tools, str):
        raise Stop("tools_not_text", kind(tools))
    try:
        json.loads(tools)
    except ValueError:
        raise Stop("tools_not_text", "JSON") from None


def kind(value: Any) -> str:
    """What a value is, in a word that JSON has for it; a key of [kinds] in the locales."""
    return KINDS.get(type(value), type(value).__name__)
