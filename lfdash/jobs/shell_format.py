"""A shell script as the commands that it would run, with the values of its variables, read as bash reads it.

Nothing is ever run. What only a run could tell is marked, never guessed: a variable that the text does not set, or
sets only in one branch of an `if`, the output of another command. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from lfdash.errors import ConfigError
from lfdash.jobs.yaml_format import MAX_BYTES

NESTED = r"\$\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"  # a command in its place, four deep
WORD = re.compile(
    r"(?P<blank>[ \t]+|\\[ \t]*\n|(?<=[ \t])[`^][ \t]*\n)"  # with lines joined: bash, PowerShell's `, cmd's ^
    r"|(?P<comment>(?:^|(?<=[\s;&|(]))#[^\n]*)|(?P<array>(?<==)\()|(?P<end>\n|&&|\|\||;;|[;&|()])"
    r"|(?P<redirect>\d*(?:>>?|<)&?\d*)|(?P<single>'[^']*')"
    rf"|(?P<double>\"(?:{NESTED}|[^\"\\$]|\$(?!\()|\\.)*\")|(?P<simple>\"(?:[^\"\\]|\\.)*\")|(?P<escape>\\.)"
    rf"|(?P<plain>(?:\$\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|{NESTED}|[^\s;&|()<>'\"\\])+)",
    re.DOTALL,
)
BRACES = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
VARIABLE = re.compile(rf"\$(?:(\w+|[@*#?!$-])|{BRACES})")
BRACED = re.compile(r"(\w+)(?:\[[@*]\])?(?:(:?)[-=](.*))?$", re.DOTALL)  # its other forms change the value
SUBSTITUTED = re.compile(rf"{NESTED}|`[^`\n]*`")
ASSIGNED = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)$", re.DOTALL)
UNSET = "\ufffc"  # begins what stands in a word for a value that is not known; its name follows
UNSET_END = "\ufffb"
EMPTY = "\ufff9"  # a word that vanishes: a variable without quotes, set to nothing
BREAK = "\ufff8"  # where a variable without quotes becomes several words
HERE = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1")
OPENS = frozenset({"if", "for", "while", "until", "case", "select", "{"})
TURNS = frozenset({"then", "elif", "else", "do"})
CLOSES = frozenset({"fi", "done", "esac", "}"})
CHAINS = frozenset({"&&", "||", "|"})  # what stands within a list of commands
TESTS = frozenset({"[", "[[", "test"})
COMMAND_COSTS = 100  # characters that a command counts as, however short it is
DECLARES = frozenset({"export", "set", "declare", "local", "readonly", "typeset"})


@dataclass(frozen=True)
class Part:
    """A part of a word without its quotes. expands: whether variables in it count. quoted: whether it stays one."""

    text: str
    expands: bool = True
    quoted: bool = False


Word = tuple[Part, ...]
Values = dict[str, str | tuple[str, ...]]
Known = tuple[Values, dict[str, bool]]  # variables, and which of them are exported


@dataclass(frozen=True)
class Line:
    """A simple command. after: what stands between it and the one before it (`;`, `&&`, a line break). until: what
    stands between it and the next."""

    words: tuple[Word, ...]
    after: str = "\n"
    until: str = "\n"


def unknown(name: str) -> str:
    """What stands for the value of a variable that is not known."""
    return f"{UNSET}{name}{UNSET_END}"


def shown(text: str) -> str:
    """A text with variables that are not known as the script writes them."""
    return re.sub(f"{UNSET}([^{UNSET_END}]*){UNSET_END}", r"$\1", text)


def lines_of(script: str) -> Iterator[Line]:
    """The simple commands of a script. ConfigError for a quotation mark that is left open."""
    words: list[list[Part]] = []
    place, after, glued, skip, array = 0, "\n", False, False, False
    while place < len(script):
        token = WORD.match(script, place)
        if token is None:
            line = script.count("\n", 0, place) + 1
            raise ConfigError("command_quote", "line {line}: a quotation mark is not closed", line)
        place, kind = token.end(), str(token.lastgroup)
        if kind == "array" and glued:
            words[-1].append(Part("(", expands=False))
            array, glued = True, False
        elif kind in ("end", "array") and not array:
            to_file = token[0] == "&" and script[place : place + 1] == ">"
            yield Line(tuple(map(tuple, words)), after, "\n" if to_file else token[0])
            words, after, glued, skip = [], token[0], False, False
        elif kind in ("blank", "comment", "end", "array"):
            array, glued = array and token[0] != ")", False
        elif kind == "redirect":
            skip, glued = not token[0].endswith(("&1", "&2")), False
        elif skip:
            skip = False
        else:
            if not glued:
                words.append([])
            words[-1].append(part_of(token))
            glued = True
    yield Line(tuple(map(tuple, words)), after)


def part_of(token: re.Match[str]) -> Part:
    """A part of a word without its quotes."""
    text = token[0]
    if token.lastgroup == "single":
        return Part(text[1:-1], expands=False, quoted=True)
    if token.lastgroup in ("double", "simple"):
        return Part(re.sub(r'\\(["\\$`])', r"\1", text[1:-1]), quoted=True)
    return Part(text[1:], expands=False, quoted=True) if token.lastgroup == "escape" else Part(text)


def bare(word: Word) -> str:
    """The text of a word as it is written, "" for one that begins with a quotation mark."""
    return "" if word[0].quoted else "".join(part.text for part in word)


@dataclass
class Budget:
    """What a text may cost to read, one for all scripts in it: a short one can ask for endlessly many characters or
    commands. spent: characters of values and of scripts that are handed on, and `COMMAND_COSTS` for each command."""

    spent: int = 0

    def spend(self, characters: int) -> None:
        """Counts them. ConfigError("large") when they are more than `MAX_BYTES` in all."""
        self.spent += characters
        if self.spent > MAX_BYTES:
            raise ConfigError("large", "what its commands become is larger than {kb} kB", kb=MAX_BYTES // 1000)


@dataclass
class Variables:
    """What is known of a script's variables at one of its lines. outer: the values before each branch that is open.
    changed: the names that branches which are over have set, by branch. exported: names that commands get to see, and
    whether they are sure to. around: what was known before each `( … )` that is open, and how many branches were.
    listed, alone: what was known before a list (`a && b`) and before a command, where it may be forgotten after it."""

    values: Values = field(default_factory=dict)
    outer: list[Values] = field(default_factory=list)
    changed: list[set[str]] = field(default_factory=list)
    exported: dict[str, bool] = field(default_factory=dict)
    around: list[tuple[Known, int]] = field(default_factory=list)
    listed: Known | None = None
    alone: Known | None = None
    budget: Budget = field(default_factory=Budget)

    def value(self, name: str) -> str:
        """A variable as one text."""
        value = self.values.get(name, unknown(name))
        text = value if isinstance(value, str) else " ".join(value)
        self.budget.spend(len(text) + 1)
        return text

    def environment(self) -> dict[str, str]:
        """The variables that a command sees."""
        seen = [(name, sure) for name, sure in self.exported.items() if name in self.values]
        return {name: self.value(name) if sure else unknown(name) for name, sure in seen}

    def export(self, name: str) -> None:
        """`export name`."""
        self.exported[name] = True

    def hide(self, name: str, *, certain: bool) -> None:
        """`export -n name`. certain: whether it is sure to run."""
        if certain and not self.outer:
            self.exported.pop(name, None)
        elif name in self.exported:
            self.exported[name] = False

    def unset(self, name: str, *, certain: bool) -> None:
        """`unset name`; of one element of an array, or a name that is not known, nobody knows what is left."""
        whole = re.fullmatch(r"[A-Za-z_]\w*", name)
        names = list(self.values) if UNSET in name else [name.partition("[")[0]]
        self.budget.spend(len(names))
        for known in names:
            if whole and certain:
                self.values.pop(known, None)
            elif known in self.values:
                self.values[known] = unknown(known)
            self.hide(known, certain=certain and whole is not None)

    def filled(self, text: str) -> str:
        """A text with the variables that are known filled in."""
        return VARIABLE.sub(self.reference, SUBSTITUTED.sub(unknown("(…)"), text))

    def reference(self, found: re.Match[str]) -> str:
        """What `$name` or `${name…}` stands for."""
        if found[1]:
            return self.value(found[1])
        braced = BRACED.match(found[2])
        if braced is None:
            return unknown("{" + found[2] + "}")
        name, colon, default = braced.groups()
        absent = name not in self.values or (colon and not self.values[name])
        return self.filled(default) if absent and default is not None else self.value(name)

    def whole(self, word: Word) -> str:
        """A word that stays one, as on the right of `=`."""
        return "".join(self.filled(part.text) if part.expands else part.text for part in word)

    def expanded(self, word: Word) -> list[str]:
        """The words that one becomes: none of an empty variable without quotes (`EMPTY`), several of one with
        blanks."""
        elements = self.elements(word)
        if elements is not None:
            return elements
        loose = [part.expands and not part.quoted for part in word]
        parts = [self.broken(p.text) if splits else self.whole((p,)) for p, splits in zip(word, loose, strict=True)]
        pieces = [piece for piece in "".join(parts).split(BREAK) if piece]
        return pieces or ([""] if any(part.quoted for part in word) else [EMPTY])

    def broken(self, text: str) -> str:
        """A text without quotes: a value's blanks separate words, the text has none."""
        return VARIABLE.sub(
            lambda found: re.sub(r"\s+", BREAK, self.reference(found)), SUBSTITUTED.sub(unknown("(…)"), text)
        )

    def elements(self, word: Word) -> list[str] | None:
        """The words of an array that a word stands for (`"${ARGS[@]}"`); None for another word."""
        found = re.fullmatch(r"\$\{(\w+)\[@\]\}", word[0].text) if len(word) == 1 and word[0].expands else None
        value = None if found is None else self.values.get(found[1])
        if not isinstance(value, tuple):
            return None
        self.budget.spend(sum(len(piece) + 1 for piece in value))
        return list(value) or [EMPTY]

    def assign(self, name: str, value: str, *, adds: bool = False) -> None:
        """`name=value`, or `name+=value`."""
        self.values[name] = (self.value(name) if adds and name in self.values else "") + value

    def assign_array(self, words: tuple[Word, ...]) -> bool:
        """`name=(…)` or `name+=(…)`; False for a command that is none of them."""
        found = re.fullmatch(r"([A-Za-z_]\w*)(\+?)=\(", bare(words[0])) if words else None
        if found is None:
            return False
        before = self.values.get(found[1], ()) if found[2] else ()
        self.budget.spend(len(before))
        pieces = [piece for word in words[1:] for piece in self.expanded(word) if piece != EMPTY]
        self.values[found[1]] = (*((before,) if isinstance(before, str) else before), *pieces)
        return True

    def without_keywords(self, line: Line) -> tuple[Word, ...]:
        """A command without `if`, `then` and the like before it; what is assigned in a branch is not known after it."""
        if line.after == ";;":
            self.turn()
        self.enclose(line.after)
        place = 0
        while place < len(line.words) and (word := bare(line.words[place])) in OPENS | TURNS | CLOSES | {"!"}:
            place += 1
            if word in OPENS:
                self.outer.append(self.copied())
                self.changed.append(set())
            elif word in ("else", "elif"):
                self.turn()
            elif word in CLOSES:
                self.close()
            if word in ("for", "select") and place < len(line.words):
                name = bare(line.words[place])
                self.values[name] = unknown(name)
                return ()
        return line.words[place:]

    def copied(self) -> Values:
        """The values, to come back to."""
        self.budget.spend(len(self.values) + 1)
        return dict(self.values)

    def enclose(self, after: str) -> None:
        """`(`: what is set from here on is forgotten at its `)`, which is not that of a pattern of `case`."""
        if after == "(":
            self.around.append(((self.copied(), dict(self.exported)), len(self.outer)))
        elif after == ")" and self.around and self.around[-1][1] == len(self.outer):
            (self.values, self.exported), _branches = self.around.pop()

    def begin(self, line: Line) -> None:
        """Before a command: keeps what is known, where a pipe or `&` makes that it runs in a shell of its own."""
        if line.after not in CHAINS:
            self.listed = (self.copied(), dict(self.exported)) if line.until in {*CHAINS, "&"} else None
        self.alone = (self.copied(), dict(self.exported)) if "|" in (line.after, line.until) else None

    def end(self, line: Line) -> None:
        """After a command: what it set in a shell of its own is forgotten."""
        known = self.listed if line.until == "&" else self.alone
        if known is not None:
            self.values, self.exported = known

    def turn(self) -> None:
        """The next branch: it begins with what was known before the first."""
        if self.outer:
            before = self.outer[-1]
            self.budget.spend(len(before) + 1)
            names = {*self.values, *before}
            self.changed[-1] |= {name for name in names if self.values.get(name) != before.get(name)}
            self.values = dict(before)

    def close(self) -> None:
        """The end of the branches: nobody knows which of them was taken."""
        self.turn()
        if self.outer:
            self.outer.pop()
            self.values.update({name: unknown(name) for name in self.changed.pop()})


def without_files(script: str, files: dict[str, str]) -> str:
    """The script without its here-documents; what they write is kept in `files`. Each line is looked at once."""
    lines: dict[str, list[int]] = {}
    start = 0
    for line in script.split("\n"):
        lines.setdefault(line.strip(" \t"), []).append(start)
        start += len(line) + 1
    kept = list[str]()
    done, place, line_end = 0, 0, -1
    while (found := HERE.search(script, place)) is not None:
        place = found.end()
        if line_end < place:
            line_end = script.find("\n", place)
        if line_end < 0:
            break
        ends = lines.get(found[2], [])
        after = bisect_right(ends, line_end)
        if after == len(ends):
            continue
        before, rest = script[done : found.start()], script[place:line_end]
        target = re.search(r">>?[ \t]*['\"]?([^\s'\"<>|&;]+)", before.rpartition("\n")[2] + " " + rest)
        if target is not None:
            files[target[1]] = script[line_end + 1 : max(ends[after] - 1, line_end + 1)]
        kept += [before, rest]
        end = script.find("\n", ends[after])
        done = place = end if end >= 0 else len(script)
    return "".join([*kept, script[done:]])


def chained(line: Line, before: Line) -> bool:
    """Whether a command runs only when the one before it answered so."""
    first = bare(before.words[0]) if before.words else ""
    return line.after == "||" or (line.after == "&&" and (first in TESTS or before.after == "||"))
