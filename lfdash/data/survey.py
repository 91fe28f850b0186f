"""What the columns of a file hold, by a look at the values of all its rows: text, numbers, marks, turns; who speaks in
the turns, and in which words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lfdash.data.converting import kind
from lfdash.data.files import DataFile
from lfdash.data.preview import opened, trouble
from lfdash.data.rows import Rows
from lfdash.outcomes import Problem

ROLE_KEYS = ("role", "from", "speaker", "author")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance")
USERS = frozenset({"user", "human", "prompter", "question", "customer", "instruction"})
ASSISTANTS = frozenset({"assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt", "bard", "bing", "agent"})
SYSTEMS = frozenset({"system", "developer"})
RESULTS = frozenset({
    "observation", "tool", "ipython", "tool_response", "tool_result", "tool_output", "function_response",
    "function-response", "function_result", "function_output",
})
CALLS = frozenset({"function_call", "function-call", "tool_call", "tool-call", "call"})
EITHER = "function"  # the result of a call in OpenAI's older form, a call elsewhere: where it stands says which
SPEAKERS = ("user", "assistant", "system", "result", "call")
MOST_WORDS = 100  # role words that are remembered of a column
MOST_COLUMNS = 1000
TOLD_EVERY = 500  # rows


@dataclass
class Turns:
    """The turns of a column. words: role word -> what it is -> how often, of user, assistant, system, result, call.
    tool_calls: turns that have such a list. together: results of tools that follow each other. contents: what their
    contents are."""

    role_key: str
    content_key: str
    words: dict[str, Counter[str]] = field(default_factory=dict)
    contents: Counter[str] = field(default_factory=Counter)
    tool_calls: int = 0
    together: int = 0

    def take(self, turns: Sequence[Mapping[str, Any]]) -> None:
        """Looks at a conversation."""
        side = ""
        for turn in turns:
            word = turn.get(self.role_key)
            if not isinstance(word, str):
                continue
            own = meaning(word, side)
            if word in self.words or len(self.words) < MOST_WORDS:
                self.words.setdefault(word, Counter())[own] += 1
            has_calls = bool(turn.get("tool_calls"))
            self.tool_calls += has_calls
            self.together += own == side == "result"
            if not has_calls:
                self.contents[kind(turn.get(self.content_key))] += 1
            side = own

    def word(self, role: str) -> str:
        """The most frequent word of a role; "" where there is none. A word has one role, which it mostly is."""
        found = {word: counts[role] for word, counts in self.words.items() if counts.most_common(1)[0][0] == role}
        return max(found, key=lambda word: found[word], default="")


def meaning(word: str, before: str) -> str:
    """What a role word says: by itself, else by what stood before it."""
    low = word.lower()
    for words, own in ((USERS, "user"), (ASSISTANTS, "assistant"), (SYSTEMS, "system"), (RESULTS, "result"),
                       (CALLS, "call")):
        if low in words:
            return own
    answering = before in ("assistant", "call")
    if low == EITHER:
        return "result" if answering else "call"
    return "user" if answering or before in ("", "system") else "assistant"


@dataclass
class Column:
    """What a column holds. kinds: how often which, of those that `kind` knows and turns (a list of them), turn (one),
    texts (a list of them), pairs (a list of lists of two)."""

    kinds: Counter[str] = field(default_factory=Counter)
    turns: Turns | None = None

    def take(self, value: Any) -> None:
        """Looks at a value."""
        own = refined(value)
        self.kinds[own] += 1
        if own in ("turns", "turn"):
            turns = value if own == "turns" else [value]
            if self.turns is None:
                self.turns = Turns(*keys_of(turns[0]))
            self.turns.take(turns)

    @property
    def kind(self) -> str:
        """What its values are; "null" where there are none, "" where they are of several kinds."""
        known = [name for name in self.kinds if name not in ("null", "empty")]
        if not known:
            return "null"
        return known[0] if len(known) == 1 else ""


def refined(value: Any) -> str:
    """What a value is."""
    if isinstance(value, dict):
        return "turn" if all(keys_of(value)) else "object"
    if not isinstance(value, list):
        return kind(value)
    if not value:
        return "empty"
    if all(isinstance(part, dict) and all(keys_of(part)) for part in value):
        return "turns"
    if all(isinstance(part, str) for part in value):
        return "texts"
    return "pairs" if all(isinstance(part, list) and len(part) == 2 for part in value) else "list"


def keys_of(turn: Mapping[str, Any]) -> tuple[str, str]:
    """The keys of a turn that say who speaks and what; "" where there is none. A call needs no content."""
    role = next((key for key in ROLE_KEYS if isinstance(turn.get(key), str)), "")
    content = next((key for key in CONTENT_KEYS if key in turn), "")
    return role, content or ("content" if turn.get("tool_calls") else "")


@dataclass
class Survey:
    """What a look at all rows of a file found. rows: those that were seen; problem: why there are no more."""

    columns: dict[str, Column] = field(default_factory=dict)
    rows: int = 0
    problem: Problem | None = None

    def take(self, row: Mapping[str, Any]) -> None:
        """Looks at the next row."""
        self.rows += 1
        for name, value in row.items():
            column = self.columns.get(name)
            if column is None and len(self.columns) < MOST_COLUMNS:
                column = self.columns[name] = Column()
            if column is not None:
                column.take(value)

    def kind(self, column: str) -> str:
        """What the values of a column are."""
        return self.columns[column].kind if column in self.columns else "null"


def survey(
    files: Sequence[DataFile] | Problem, told: Callable[[int, int], bool] = lambda _taken, _size: True
) -> Survey | None:
    """Looks at all rows of a dataset, in bounded memory. None when `told` said to stop.

    told: called now and then with the bytes that were read and those that there are; False = stop.
    """
    found = Survey()
    if isinstance(files, Problem):
        found.problem = files
        return found
    size, before = sum(file.size for file in files), 0
    for file in files:
        if not surveyed(found, file, partial(told_of, told, before, size)):
            return None
        before += file.size
    return found


def told_of(told: Callable[[int, int], bool], before: int, size: int, taken: int) -> bool:
    """Tells how far all files are."""
    return told(before + taken, size)


def surveyed(found: Survey, file: DataFile, told: Callable[[int], bool]) -> bool:
    """Looks at the rows of one file; False when `told` said to stop."""
    source = opened(file.path, file.content)
    if isinstance(source, Problem):
        found.problem = found.problem or source
        return True
    with source:
        try:
            rows = Rows(source, file.path)
        except OSError as error:
            found.problem = trouble("data_unreadable", file.path, reason=str(error))
            return True
        for row in rows:
            found.take(row)
            if found.rows % TOLD_EVERY == 0 and not told(rows.taken):
                return False
    found.problem = found.problem or rows.problem
    return True


def survey_of(rows: Iterable[Mapping[str, Any]]) -> Survey:
    """What rows at hand hold."""
    found = Survey()
    for row in rows:
        found.take(row)
    return found


def usual_words(turns: Turns, answers: Sequence[Turns] = ()) -> Iterator[tuple[str, str]]:
    """The tags of turns: one for each role that occurs, and for those that any conversation may have.

    answers: turns of the columns that hold one answer each.
    """
    words = {role: next((part.word(role) for part in (turns, *answers) if part.word(role)), "") for role in SPEAKERS}
    user, assistant = ("human", "gpt") if turns.role_key == "from" else ("user", "assistant")
    yield "role_tag", turns.role_key
    yield "content_tag", turns.content_key
    yield "user_tag", words["user"] or user
    yield "assistant_tag", words["assistant"] or assistant
    yield "system_tag", words["system"] or "system"
    if words["result"]:
        yield "observation_tag", words["result"]
    if words["call"] or turns.tool_calls:
        yield "function_tag", words["call"] or "function_call"
