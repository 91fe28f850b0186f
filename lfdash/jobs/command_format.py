"""A shell command that starts LLaMA-Factory, as people paste it or keep it in a script, read as a configuration.

`llamafactory-cli train --stage sft ...` (LlamaBoard's own Preview too), `python src/train_bash.py ...`, behind
`torchrun`, `accelerate launch` or `deepspeed`, in a script that is handed to another shell (`nohup bash -c '...' &`),
and `key=value` on top of a YAML file that the text writes (our own Preview). What a shell makes of the text is
`shell_format`'s. Nothing is ever run. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lfdash.errors import ConfigError
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import KINDS
from lfdash.jobs.shell_format import (
    ASSIGNED,
    COMMAND_COSTS,
    DECLARES,
    EMPTY,
    UNSET,
    Budget,
    Line,
    Values,
    Variables,
    Word,
    bare,
    chained,
    lines_of,
    shown,
    unknown,
    without_files,
)
from lfdash.jobs.yaml_format import load, spoken

COMMANDS = ("llamafactory-cli", "lmf")
MODULES = ("llamafactory.cli", "llamafactory.launcher")
CHATS = ("chat", "api", "webchat", "cli_demo", "api_demo", "web_demo")
BOARDS = ("webui", "train_web")
BENCHMARKS = ("eval", "evaluate")
RUNS = frozenset({*(kind.command for kind in KINDS), *CHATS})
NO_JOB = {
    **dict.fromkeys(BOARDS, "not_job_webui"),
    **dict.fromkeys(BENCHMARKS, "not_job_benchmark"),
}
SCRIPTS = re.compile(rf"(?:^|/)(?:train_bash|train|launcher|run_exp|export_model|{'|'.join([*CHATS, *NO_JOB])})\.py$")
# a line that starts LLaMA-Factory, and not one of YAML or JSON that only mentions it
STARTS = re.compile(
    r"^(?![ \t]*(?:- |[{\[]|[\w.\"']+:(?:[ \t]|$)))[^\n]*"
    r"(?:\bllamafactory-cli|\blmf|\bllamafactory\.(?:cli|launcher)"
    r"|\b(?:train_bash|train|launcher|export_model|cli_demo|api_demo|web_demo|train_web)\.py)"
    r"(?=[ \t\\])",
    re.MULTILINE,
)
AS_TYPED = frozenset({"text", "choice", "choices"})  # kinds of fields whose value is a word as it stands
WORDS = frozenset({"flash_attn", "report_to"})  # True is a word there too, one that they do not take
SWITCHES = frozenset({"bf16", "fp16", "pure_bf16"})  # that a field of another kind sends
BEFORE = DECLARES | {"env", "-u", "nohup", "sudo", "time", "exec", "$", EMPTY}  # words that may stand before it

SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh"})
TAKE_FILE = frozenset({"--rcfile", "--init-file"})  # options of a shell with a value; -o and -O have one too
PRINTS = frozenset({"echo", "printf"})
DEEPEST = 8  # scripts handed on to shells within each other


@dataclass(frozen=True)
class Command:
    """A command as a configuration.

    args, env: as of a file. unset: arguments whose value the text does not say, left out; unset_env: variables of the
    environment likewise. launcher: words for torchrun and the like, left out. unread: words that may be arguments, as
    the text has them: of a variable that is not known, or after a comment line that ends the command. others: LLaMA-
    Factory's other commands in the text, by words of their own.
    """

    args: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    unset_env: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """A line that starts LLaMA-Factory: its command, the environment, the launcher's words and its own. after: options
    on the lines after it, which a comment line or a missing backslash has cut off."""

    command: str
    env: Mapping[str, str]
    launcher: tuple[str, ...]
    words: tuple[str, ...]
    after: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells it from others: its file, or the first of some options that have a value."""
        if self.words and self.words[0].endswith(CONFIGS):
            return shown(f"{self.command} {self.words[0]}")
        given = {name: values for name, values in options(self.words) if values}
        name = next((name for name in TELLING if name in given), "")
        return shown(f"{self.command} --{name} {given[name][0]}") if name else self.command


@dataclass(frozen=True)
class Inner:
    """A line that hands a script to another shell, with the variables that this one sees."""

    script: str
    env: Mapping[str, str]


CONFIGS = (".yaml", ".yml", ".json")
TELLING = ("output_dir", "export_dir", "dataset", "model_name_or_path")  # options by which people tell commands apart


def is_command(text: str) -> bool:
    """Whether a text holds a command that starts LLaMA-Factory, and is no YAML that only mentions one."""
    return bool(STARTS.search(re.sub(r"(?m)^[ \t]*#.*$", "", text)))


def read_command(text: str, read_file: Callable[[str], str | None] = lambda _path: None) -> Command:
    """The first command of a text that trains, evaluates or exports and whose settings are all there.

    read_file: the text of a configuration that it names, None when it is not there. ConfigError says why there is
    none: nothing starts a job, or the settings are in another file.
    """
    files: dict[str, str] = {}
    script = without_files(unfenced(text), files)
    bodies: dict[str, str] = {}
    for file, body in files.items():
        bodies.setdefault(file.rsplit("/", 1)[-1], body)
    variables = Variables()
    starts = list(starts_of(script, variables))

    def known(path: str) -> str | None:
        here = bodies.get(shown(path).rsplit("/", 1)[-1])
        return read_file(path) if here is None else variables.filled(here)

    refused: list[ConfigError] = []
    for start in sorted(starts, key=lambda start: start.command in CHATS):  # a script trains, then tries the result
        if start.command in NO_JOB:
            continue
        try:
            found = command_of(start, known)
        except ConfigError as error:
            refused.append(error)
            continue
        return replace(found, others=tuple(other.label for other in starts if other is not start))
    if refused:
        raise refused[0]
    if starts:
        name = starts[0].command
        raise ConfigError(NO_JOB[name], "this is no job: {command}", command=name)
    raise ConfigError("no_command", "no command in it starts LLaMA-Factory")


def unfenced(text: str) -> str:
    """The text without Markdown's fences."""
    return re.sub(r"(?m)^[ \t]*```\w*[ \t]*$", "", text.replace("\r\n", "\n"))


def starts_of(script: str, variables: Variables, depth: int = 0) -> Iterator[Start]:
    """Every line that starts LLaMA-Factory, in order, also those of scripts that it hands to other shells. depth: how
    many shells it is in itself."""
    start: Start | None = None
    before = Line(())
    for line in lines_of(script):
        if start is not None and line.words:
            if line.after == "\n" and bare(line.words[0]).startswith("--"):
                variables.budget.spend(COMMAND_COSTS)
                start = replace(start, after=(*start.after, *options_in(line)))
                continue
            yield start
            start = None
        parts = variables.without_keywords(line)
        if line.words:
            variables.budget.spend(COMMAND_COSTS)
            variables.begin(line)
            found = started(parts, variables, certain=not chained(line, before))
            variables.end(line)
            before = line
            if isinstance(found, Inner):
                values: Values = dict(found.env)
                variables.budget.spend(len(found.script))
                inside = Variables(values, exported=dict.fromkeys(values, True), budget=variables.budget)
                yield from starts_of(found.script, inside, depth + 1) if depth < DEEPEST else ()
            else:
                start = found
    if start is not None:
        yield start


def options_in(line: Line) -> list[str]:
    """The names of a line's options, as they are written."""
    return [bare(word).partition("=")[0] for word in line.words if bare(word).startswith("--")]


def command_of(start: Start, read_file: Callable[[str], str | None]) -> Command:
    """The configuration of a line. ConfigError: its settings are in a file that is not there, or cannot be read."""
    args, unset, unread = arguments_of(start.words, read_file)
    if start.command in CHATS:
        args = {"infer_backend": "huggingface", **args}  # its default; a chat is known by it
    env = {name: value for name, value in start.env.items() if UNSET not in value}
    return Command(
        args, env, unset, tuple(name for name in start.env if name not in env),
        tuple(map(shown, start.launcher)), (*map(shown, unread), *start.after),
    )


def started(parts: Sequence[Word], variables: Variables, *, certain: bool = True) -> Start | Inner | None:
    """What one line starts, None when that is neither LLaMA-Factory nor another shell; what it assigns is kept in
    `variables`. certain: whether the line is sure to run."""
    if variables.assign_array(tuple(parts)):
        return None
    words = in_words(parts, variables)
    first = next((place for place, word in enumerate(words) if word not in ("$", EMPTY)), len(words))
    declares = words[first] if first < len(words) and words[first] in DECLARES | {"unset"} else ""
    if declares:
        declare(words[first + 1 :], declares, variables, certain=certain)
        return None
    place = program_at(words)
    if place < len(words):
        return program_of(words, place, variables)
    for found in map(ASSIGNED.match, () if any(map(is_env, words)) else words):  # `env A=1` alone sets nothing
        if found is not None:
            variables.assign(found[1], found[3] if certain else unknown(found[1]), adds=bool(found[2]))
    return None


def declare(words: Sequence[str], command: str, variables: Variables, *, certain: bool) -> None:
    """`export`, `unset` and the like. words: those after it."""
    flags = "".join(word for word in words if word[:1] in ("-", "+"))
    names = [word for word in words if word[:1] not in ("-", "+")]
    if command == "unset":
        for name in () if "f" in flags else names:
            variables.unset(name, certain=certain)
        return
    for name in names:
        found = ASSIGNED.match(name)
        if found is not None:
            name = found[1]
            variables.assign(name, found[3] if certain else unknown(name), adds=bool(found[2]))
        if (command == "export" and "n" in flags) or (command not in EXPORTS and "+x" in flags):
            variables.hide(name, certain=certain)
        elif command in EXPORTS or "x" in flags:
            variables.export(name)


def program_at(words: Sequence[str]) -> int:
    """Where a line's program stands, after the variables for it and words like `nohup`; their number for none."""
    place = 0
    while place < len(words):
        word = words[place]
        if is_env(word):
            place = through_env(words, place + 1, {}, Budget())
        elif ASSIGNED.match(word) or word in BEFORE or (place and words[place - 1] == "-u"):
            place += 1
        else:
            break
    return place


def program_of(words: list[str], place: int, variables: Variables) -> Start | Inner | None:
    """What the program at `place` starts, with the environment that it sees."""
    handed = handed_on(words[place:])
    if handed is not None:
        return Inner(words[place + handed], seen_by(words, place, place + handed, variables))
    return of_llamafactory(words[place:], lambda end: seen_by(words, place, place + end, variables))


def seen_by(words: Sequence[str], start: int, end: int, variables: Variables) -> dict[str, str]:
    """The environment of what stands at `end`. start: where the line's program stands, a launcher perhaps."""
    env = variables.environment()
    place = 0
    while place < end:
        word = words[place]
        place += 1
        found = ASSIGNED.match(word) if place <= start else None
        if found is not None:
            adds = found[2] and found[1] in variables.values
            env[found[1]] = (variables.value(found[1]) if adds else "") + found[3]
        elif is_env(word):
            place = through_env(words, place, env, variables.budget)
        elif word == "exec" and re.match("-[al]*c", words[place]):
            env.clear()
    return env


def is_env(word: str) -> bool:
    """Whether a word is the program `env`."""
    return word == "env" or word.endswith("/bin/env")


def through_env(words: Sequence[str], place: int, env: dict[str, str], budget: Budget) -> int:
    """Does to an environment what the words after `env` say; where the program stands that it runs. Source: env(1)."""
    while place < len(words):
        word, place = words[place], place + 1
        found = ASSIGNED.match(word)
        option, equals, value = word.partition("=")
        short = re.match(r"-([0iv]*)(?:([uCS])(.*))?$", word, re.DOTALL)
        if found is not None:
            env[found[1]] = found[3]
            continue
        if word in ("-", "--ignore-environment") or (short and "i" in short[1]):
            env.clear()
        if short:
            option, value = f"-{short[2]}", short[3] or ""
            equals = value
        elif not word.startswith("--") and word != EMPTY:
            return place - 1
        if option in ("-u", "-C", "-S", "--unset", "--chdir", "--split-string") and not equals:
            value, place = "".join(words[place : place + 1]), place + 1
        if option in ("-u", "--unset"):
            env.pop(value, None)
            if UNSET in value:
                budget.spend(len(env))
                env.update({name: unknown(name) for name in env})
    return min(place, len(words))


def handed_on(words: Sequence[str]) -> int | None:
    """Where the script stands that a command hands to a shell (`bash -lc '...'`, also behind `srun` and the like);
    None for another command. Each word is looked at once."""
    place = len(words) if words[0] in PRINTS else 0
    while place < len(words):
        shell = words[place].rsplit("/", 1)[-1] in SHELLS
        place += 1
        has_script = False
        while shell and place < len(words) and (words[place][:1] in ("-", "+") or words[place] == EMPTY):
            option = words[place]
            place += 1
            if option in ("-", "--"):
                break
            short = not option.startswith("--")
            has_script = has_script or (short and option[0] == "-" and "c" in option)
            place += len(re.findall("[oO]", option)) if short else option in TAKE_FILE
        if has_script:
            return place if place < len(words) else None
    return None


def in_words(parts: Sequence[Word], variables: Variables) -> list[str]:
    """The words of a line; those on the right of a `=` before the command are not split."""
    words: list[str] = []
    leading = True
    for part in parts:
        assigns = leading and ASSIGNED.match(bare(part)) is not None
        words += [variables.whole(part)] if assigns else variables.expanded(part)
        leading = leading and (assigns or words[-1] in BEFORE)
    return words


def of_llamafactory(words: list[str], env: Callable[[int], Mapping[str, str]]) -> Start | None:
    """LLaMA-Factory's command with the launcher's words and its own; None for another program's. env: the environment
    of what stands at a place."""
    for place, word in enumerate(words):
        name = word.rsplit("/", 1)[-1]
        if name in COMMANDS or word in MODULES:
            command, rest = (words[place + 1], words[place + 2 :]) if place + 1 < len(words) else ("", [])
            known = command in RUNS or command in NO_JOB
            return Start(command, env(place), launched(words[1:place]), tuple(rest)) if known else None
        if SCRIPTS.search(word):
            script, rest = name.removesuffix(".py"), words[place + 1 :]
            launcher = () if words[0].rsplit("/", 1)[-1].startswith("python") else launched(words[1:place])
            command = script if script in (*CHATS, *NO_JOB) else OF_SCRIPT.get(script, "train")
            return Start(command, env(place), launcher, tuple(rest))
    return None


def launched(words: Sequence[str]) -> tuple[str, ...]:
    """A launcher's words, where one of them is an option."""
    return tuple(words) if any(word.startswith("-") for word in words) else ()


EXPORTS = frozenset({"export", "set"})  # of the shells; `set` of fish and cmd
OF_SCRIPT = {"export_model": "export"}  # script -> the command of today


def arguments_of(
    words: Sequence[str], read_file: Callable[[str], str | None]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """LLaMA-Factory's arguments, those whose value is not known, and words that are not read."""
    args: dict[str, Any] = {}
    unread: list[str] = []
    if words and words[0].endswith(CONFIGS):
        text = read_file(words[0])
        if text is None:
            raise ConfigError("command_file", "its settings are in {file}: open that file", file=shown(words[0]))
        args = dict(load(text).args)
        words = words[1:]
    for name, values in options(words, unread):
        args[name] = typed(name, values)
    unset = tuple(name for name, value in args.items() if UNSET in str(value))
    return {name: value for name, value in args.items() if name not in unset}, unset, tuple(unread)


def options(words: Sequence[str], unread: list[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """`--name value...`, `--name=value` and `name=value`, with its values. unread: gets the words that belong to no
    option, or might be more of them."""
    name, values = "", list[str]()
    left = [] if unread is None else unread
    for word in words:
        option = re.match(r"--([A-Za-z][\w-]*)(?:=(.*))?$", word, re.DOTALL)
        override = re.match(r"\+{0,2}([A-Za-z_]\w*)=(.*)$", word, re.DOTALL) if not name or values else None
        found = option or override
        if found is not None:
            if name:
                yield name, values
            name, values = found[1].replace("-", "_"), [found[2]] if found[2] is not None else []
        elif word == EMPTY:
            values += [] if values or is_switch(name) else [unknown("")]  # `--name $EMPTY`: no value, an error there
        elif not name or (is_unknown(word) and (values or is_switch(name))):
            left.append(word)
        else:
            values.append(word)
    if name:
        yield name, values


def is_unknown(word: str) -> bool:
    """Whether a word is nothing but the value of a variable that is not known."""
    return re.fullmatch(unknown(f"[^{UNSET}]*"), word) is not None


def is_switch(name: str) -> bool:
    """Whether an option may stand without a value."""
    row = row_of(name)
    return name in SWITCHES or (row is not None and row.kind == "bool")


def row_of(name: str) -> Field | None:
    """The field that sends an argument."""
    return next((rows[name] for rows in BY_KIND_ARG.values() if name in rows), None)


def typed(name: str, values: Sequence[str]) -> Any:
    """The value of an option, as LLaMA-Factory's parser (argparse, by the type of its argument) reads it."""
    if not values:
        return True
    row = row_of(name)
    other = name.endswith(("_bit", "_pixels")) or (values[0].lower() in ("true", "false") and name not in WORDS)
    if row is not None and row.kind in AS_TYPED and not other:
        return values[0] if len(values) == 1 else list(values)
    if values[0].startswith(("{", "[")):
        return spoken(" ".join(values))  # LlamaBoard's Preview writes a mapping without quotes
    found = [spoken(value) for value in values]
    return found[0] if len(found) == 1 else found

