"""Follows tokens through LLaMA-Factory's templates: who speaks each, and of which row it is. Standard library only.

A token is an `int` that knows where it comes from. LLaMA-Factory's processors cut and join lists of tokens
(llamafactory/data/processor), so what they leave is told by what is left of them; nothing of that is done again here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SPEAKERS = {"user": "user", "assistant": "assistant", "observation": "tool", "function": "call"}  # their Role
TEMPLATE = "template"  # what is before the first turn, and what no message and no slot of the template has given


class Token(int):
    """An id with its origin. speaker: as in SPEAKERS, "system", TEMPLATE or "thought". row: in the order of training.
    turn: the number of the message. answer: of a part that is an answer."""

    speaker = TEMPLATE
    row = -1
    turn = -1
    answer = False


def token(number: int, speaker: str, row: int, turn: int) -> Token:
    """A token of that origin."""
    made = Token(number)
    made.speaker, made.row, made.turn = speaker, row, turn
    return made


class Encoding:
    """One conversation in full, as the template made it: pairs of prompt and answer, cut nowhere.

    text: what was turned into tokens, one string. system, tools: what the row has of them. tool_text: what the template
    made of the tools.
    """

    def __init__(self, system: str, tools: str, tool_text: str, text: str) -> None:
        self.system, self.tools, self.tool_text, self.text = system, tools, tool_text, text
        self.pairs: list[tuple[list[Token], list[Token]]] = []

    @property
    def tokens(self) -> list[Token]:
        return [one for pair in self.pairs for part in pair for one in part]

    def take(self, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
        """Keeps copies: the processors add to the lists."""
        self.pairs = [(list(map(as_token, prompt)), list(map(as_token, answer))) for prompt, answer in pairs]
        for _, answer in self.pairs:
            for one in answer:
                one.answer = True


def as_token(one: int) -> Token:
    """The same object where it is a token."""
    return one if isinstance(one, Token) else Token(one)


class Noted:
    """A formatter of a template that tells what it has made."""

    def __init__(self, formatter: Any, note: Any) -> None:
        self._formatter, self._note = formatter, note

    def apply(self, **given: Any) -> Any:
        made = self._formatter.apply(**given)
        self._note(list(made))
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._formatter, name)


class Trace:
    """What a template does from now on. It stays changed: a process answers one question."""

    def __init__(self, template: Any, tokenizer: Any) -> None:
        self.row = -1
        self.encodings: list[Encoding] = []  # since somebody emptied it
        self._tokenizer = tokenizer
        self._speakers: list[str] = []  # of the messages that are being encoded
        self._turn = 0
        self._made: dict[str, list[Any]] = {}
        self._text: list[str] = []
        for name in ("prefix", "system", "tools"):
            formatter = getattr(template, f"format_{name}")
            note = lambda made, name=name: self._made.update({name: made})  # noqa: E731
            setattr(template, f"format_{name}", Noted(formatter, note))
        self._convert, self._encode = template._convert_elements_to_ids, template._encode
        self._thought = template.get_thought_word_ids
        self._one, self._several = template.encode_oneturn, template.encode_multiturn
        template._convert_elements_to_ids = self.convert
        template._encode = self.encode
        template.get_thought_word_ids = self.thought
        template.encode_oneturn, template.encode_multiturn = self.one_turn, self.several_turns

    def one_turn(self, tokenizer: Any, messages: Any, system: Any = None, tools: Any = None) -> Any:
        prompt, answer = self._one(tokenizer, messages, system, tools)
        prompt, answer = self.keep([(prompt, answer)], system, tools)[0]
        return prompt, answer

    def several_turns(self, tokenizer: Any, messages: Any, system: Any = None, tools: Any = None, *more: Any) -> Any:
        return self.keep(self._several(tokenizer, messages, system, tools, *more), system, tools)

    def keep(self, pairs: Any, system: Any, tools: Any) -> list[tuple[list[int], list[int]]]:
        """Notes an encoding; the same pairs, in lists of their own."""
        tool_text = "".join(part for part in self._made.get("tools", []) if isinstance(part, str))
        encoding = Encoding(system or "", tools or "", tool_text, "".join(self._text))
        encoding.take(pairs)
        self.encodings.append(encoding)
        return [(list(prompt), list(answer)) for prompt, answer in encoding.pairs]

    def encode(self, tokenizer: Any, messages: Any, system: Any, tools: Any) -> Any:
        self._speakers = [SPEAKERS.get(str(message["role"]), TEMPLATE) for message in messages]
        self._turn, self._made, self._text = 0, {}, []
        return self._encode(tokenizer, messages, system, tools)

    def convert(self, tokenizer: Any, elements: Any) -> list[Token]:
        """The tokens of one message, which are those that the template itself makes of it."""
        turn, self._turn = self._turn, self._turn + 1
        speaker = self._speakers[turn] if turn < len(self._speakers) else TEMPLATE
        whole = self._convert(tokenizer, elements)
        self._text += [one for one in elements if isinstance(one, str)]
        parts: list[Token] = []
        for place, element in enumerate(elements):
            ids = self._convert(tokenizer, [element])
            speakers = self.of_element(turn, place, element, elements, speaker, ids)
            parts += [token(one, who, self.row, turn) for one, who in zip(ids, speakers, strict=True)]
        return parts if parts == whole else [token(one, speaker, self.row, turn) for one in whole]

    def of_element(
        self, turn: int, place: int, element: Any, elements: Any, speaker: str, ids: Sequence[int]
    ) -> list[str]:
        """Who speaks each token of one slot: the first message has what stands before it, and the system's words."""
        prefix, system = len(self._made.get("prefix", [])), self._made.get("system", [])
        if turn or not (prefix or system):
            return [speaker] * len(ids)
        if place < prefix:
            return [TEMPLATE] * len(ids)
        if system and list(elements[prefix : prefix + len(system)]) == system:
            return ["system" if place < prefix + len(system) else speaker] * len(ids)
        words = system[0] if system and isinstance(system[0], str) else ""
        if words and isinstance(element, str) and words in element:  # of templates that put it into the first turn
            return self.within(element, words, speaker, ids)
        return [speaker] * len(ids)

    def within(self, element: str, words: str, speaker: str, ids: Sequence[int]) -> list[str]:
        """Who speaks the tokens of a text that has the system's words in it."""
        try:
            found = self._tokenizer(element, add_special_tokens=False, return_offsets_mapping=True)
        except (NotImplementedError, TypeError, ValueError):  # a tokenizer without places in the text
            return [speaker] * len(ids)
        if list(found["input_ids"]) != list(ids):
            return [speaker] * len(ids)
        begin = element.index(words)
        inside = [begin <= start < begin + len(words) for start, _ in found["offset_mapping"]]
        return ["system" if is_system else speaker for is_system in inside]

    def thought(self, tokenizer: Any) -> list[Token]:
        return [token(one, "thought", self.row, self._turn) for one in self._thought(tokenizer)]


def merged(final: Sequence[int], full: dict[int, list[Token]]) -> list[tuple[int, bool]]:
    """What is left of some rows, with what was cut off where it was: (token, whether it is left).

    full: row -> all of its tokens. A token that no row has is the processor's own.
    """
    left = {id(one) for one in final}
    shown: list[tuple[int, bool]] = []
    row, place = -1, 0

    def cut(until: int | None) -> None:
        """Shows what was cut off before a token (its id()), or all that follows and was cut off."""
        nonlocal place
        rest = full.get(row, [])
        while place < len(rest) and (id(rest[place]) not in left if until is None else id(rest[place]) != until):
            if id(rest[place]) not in left:
                shown.append((rest[place], False))
            place += 1

    for one in final:
        if isinstance(one, Token) and one.row >= 0 and one.row in full:
            if one.row != row:
                cut(None)
                row, place = one.row, 0
            cut(id(one))
            place += 1
        else:
            cut(None)
        shown.append((one, True))
    cut(None)
    return shown
