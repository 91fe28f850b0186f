"""A shell command that starts LLaMA-Factory, as people paste it or keep it in a script, read as a configuration.

`llamafactory-cli train --stage sft ...` (LlamaBoard's own Preview too), `python src/train_bash.py ...`, behind
`torchrun`, `accelerate launch` or `deepspeed`, with line continuations, quotes, comments, variables that the text
itself sets, and `key=value` on top of a YAML file that the text writes (our own Preview). Nothing is ever run. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lfdash.errors import ConfigError
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import KINDS
from lfdash.jobs.yaml_format import load, spoken

COMMANDS = ("llamafactory-cli", "lmf")
MODULES = ("llamafactory.cli", "llamafactory.launcher")
RUNS = frozenset(kind.command for kind in KINDS)
CHATS = ("chat", "api", "webchat", "webui", "cli_demo", "api_demo", "web_demo")
BENCHMARKS = ("eval", "evaluate")
NO_JOB = dict.fromkeys(CHATS, "not_job_chat") | dict.fromkeys(BENCHMARKS, "not_job_benchmark")
SCRIPTS = re.compile(rf"(?:^|/)(?:train_bash|train|launcher|run_exp|export_model|{'|'.join(NO_JOB)})\.py$")
# a line that starts LLaMA-Factory, and not one of YAML or JSON that only mentions it
STARTS = re.compile(
    r"^(?![ \t]*(?:- |[{\[]|[\w.\"']+:(?:[ \t]|$)))[^\n]*"
    r"(?:\bllamafactory-cli|\blmf|\bllamafactory\.(?:cli|launcher)|\b(?:train_bash|train|launcher|export_model|cli_demo)\.py)"
    r"(?=[ \t\\])",
    re.MULTILINE,
)
WORD = re.compile(
    r"(?P<blank>[ \t]+)|(?P<comment>(?:^|(?<=[\s;&|]))#[^\n]*)|(?P<end>\n|&&|\|\||[;&|()])"
    r"|(?P<redirect>\d*(?:>>?|<)&?\d*)|(?P<single>'[^']*')|(?P<double>\"(?:[^\"\\]|\\.)*\")|(?P<escape>\\.)"
    r"|(?P<plain>(?:\$\{[^}]*\}|\$\([^()]*\)|[^\s;&|()<>'\"\\])+)",
    re.DOTALL,
)
VARIABLE = re.compile(r"\$(?:(\w+|[@*#?!$-])|\{(\w+)(?::?[-=]([^}]*))?[^}]*\})")
SUBSTITUTED = re.compile(r"\$\([^()]*\)|`[^`\n]*`")
UNSET = "\ufffc"  # stands in a word for a variable that the text does not set
HERE = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1([^\n]*)\n(.*?)\n[ \t]*\2[ \t]*(?=\n|$)", re.DOTALL)
AS_TYPED = frozenset({"text", "choice", "choices"})  # kinds of fields whose value is a word as it stands


@dataclass(frozen=True)
class Command:
    """A command as a configuration.

    args, env: as of a file. unset: arguments whose value names a variable that the text does not set, left out.
    launcher: words for torchrun and the like, left out. others: how many more commands the text holds.
    """

    args: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    others: int = 0


def is_command(text: str) -> bool:
    """Whether a text holds a command that starts LLaMA-Factory, and is no YAML that only mentions one."""
    return bool(STARTS.search(re.sub(r"(?m)^[ \t]*#.*$", "", text)))


def read_command(text: str, read_file: Callable[[str], str | None] = lambda _path: None) -> Command:
    """The first command of a text. read_file: the text of a configuration that it names, None when it is not there.
    ConfigError says why it is none: it starts no job, or its settings are in another file."""
    files: dict[str, str] = {}
    script = HERE.sub(lambda found: taken_out(found, files), unfenced(text))
    variables: dict[str, str] = {}
    commands = [command for words in lines_of(script) if (command := started(words, variables)) is not None]
    if not commands:
        raise ConfigError("no_command", "no command in it starts LLaMA-Factory")
    env, launcher, words = commands[0]

    def known(path: str) -> str | None:
        name = path.replace(UNSET, "").rsplit("/", 1)[-1]
        here = next((body for file, body in files.items() if file.rsplit("/", 1)[-1] == name), None)
        return read_file(path) if here is None else substituted(here, variables)

    args, unset = arguments_of(words, known)
    shown = tuple(word.replace(UNSET, "$…") for word in launcher)
    return Command(args, env, unset, shown, len(commands) - 1)


def unfenced(text: str) -> str:
    """The text without Markdown's fences and with its lines joined: `\\`, PowerShell's backtick, cmd's ^ at their
    ends."""
    text = re.sub(r"(?m)^[ \t]*```\w*[ \t]*$", "", text.replace("\r\n", "\n"))
    return re.sub(r"(?<=[ \t\"'\w])\\[ \t]*\n|[ \t][`^][ \t]*\n", " ", text)


def taken_out(found: re.Match[str], files: dict[str, str]) -> str:
    """Keeps the text that a here-document writes, by its file, and leaves the rest of the line."""
    line = found.string[: found.start()].rpartition("\n")[2]
    target = re.search(r">>?[ \t]*['\"]?([^\s'\"<>|&;]+)", line + " " + found[3])
    if target is not None:
        files[target[1]] = found[4]
    return found[3]


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """A text with the variables that are known filled in; UNSET for the others."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return variables.get(name, UNSET if found[3] is None else found[3])

    return VARIABLE.sub(value, SUBSTITUTED.sub(UNSET, text))


def lines_of(script: str) -> Iterator[list[tuple[str, bool]]]:
    """The words of each command: (text, whether variables in it count). ConfigError for a quotation mark left open."""
    words: list[tuple[str, bool]] = []
    place, glued, skip = 0, False, False
    while place < len(script):
        found = WORD.match(script, place)
        if found is None:
            line = script.count("\n", 0, place) + 1
            raise ConfigError("command_quote", "line {line}: a quotation mark is not closed", line)
        place, kind = found.end(), str(found.lastgroup)
        if kind == "end":
            yield words
            words, glued, skip = [], False, False
        elif kind in ("blank", "comment"):
            glued = False
        elif kind == "redirect":
            skip, glued = not found[0].endswith(("&1", "&2")), False
        elif skip:
            skip = False
        else:
            part = unquoted(found)
            words[-1:] = [joined(words[-1], part)] if glued else [*words[-1:], part]
            glued = True
    yield words


def unquoted(found: re.Match[str]) -> tuple[str, bool]:
    """A part of a word without its quotes, and whether variables in it count."""
    text = found[0]
    if found.lastgroup == "single":
        return text[1:-1], False
    if found.lastgroup == "double":
        return re.sub(r'\\(["\\$`])', r"\1", text[1:-1]), True
    return (text[1:], False) if found.lastgroup == "escape" else (text, True)


def joined(first: tuple[str, bool], second: tuple[str, bool]) -> tuple[str, bool]:
    """Two parts as one word."""
    return first[0] + second[0], first[1] or second[1]


Started = tuple[dict[str, str], tuple[str, ...], list[str]]  # environment, the launcher's words, its own words


def started(parts: Sequence[tuple[str, bool]], variables: dict[str, str]) -> Started | None:
    """What one line starts, None when that is not LLaMA-Factory; what it assigns is kept in `variables`."""
    words = [substituted(text, variables) if counts else text for text, counts in parts]
    env: dict[str, str] = {}
    for place, word in enumerate(words):
        assigned = re.match(r"([A-Za-z_]\w*)=(.*)$", word, re.DOTALL)
        if assigned is not None:
            env[assigned[1]] = assigned[2]
        elif word not in BEFORE and words[place - 1] != "-u":
            own = of_llamafactory(words[place:])
            if own is None:
                return None
            return exported(variables) | {k: v for k, v in env.items() if UNSET not in v}, *own
    variables.update({name: value for name, value in env.items() if UNSET not in value})
    if words[:1] in (["export"], ["set"]):
        variables[EXPORTED] = " ".join([*variables.get(EXPORTED, "").split(), *env])
    return None


BEFORE = ("export", "env", "-u", "nohup", "sudo", "time", "exec", "set", "$")  # words that may stand before it
EXPORTED = " "  # key of the names that were exported; no variable is called so


def exported(variables: Mapping[str, str]) -> dict[str, str]:
    """What the text has put into the environment."""
    return {name: variables[name] for name in variables.get(EXPORTED, "").split() if name in variables}


def of_llamafactory(words: list[str]) -> tuple[tuple[str, ...], list[str]] | None:
    """The launcher's words and LLaMA-Factory's own. ConfigError for a command of it that runs no job."""
    for place, word in enumerate(words):
        name = word.rsplit("/", 1)[-1]
        if name in COMMANDS or word in MODULES:
            command, rest = (words[place + 1], words[place + 2 :]) if place + 1 < len(words) else ("", [])
            if command in RUNS:
                return tuple(words[1:place]), rest
        elif SCRIPTS.search(word):
            command, rest = name.removesuffix(".py"), words[place + 1 :]
            if command not in NO_JOB:
                launcher = () if words[0].rsplit("/", 1)[-1].startswith("python") else tuple(words[1:place])
                return launcher, rest
        else:
            continue
        if command in NO_JOB:
            raise ConfigError(NO_JOB[command], "this is no job: {command}", command=command)
        return None
    return None


def arguments_of(
    words: list[str], read_file: Callable[[str], str | None]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """LLaMA-Factory's arguments, and those whose value is not known."""
    args: dict[str, Any] = {}
    if words and words[0].endswith((".yaml", ".yml", ".json")):
        text = read_file(words[0])
        if text is None:
            name = words[0].replace(UNSET, "$…")
            raise ConfigError("command_file", "its settings are in {file}: open that file", file=name)
        args = {key: UNSET if UNSET in str(value) else value for key, value in load(text).args.items()}
        words = words[1:]
    for name, values in options(words):
        args[name] = typed(name, values)
    unset = tuple(name for name, value in args.items() if UNSET in str(value))
    return {name: value for name, value in args.items() if name not in unset}, unset


def options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """`--name value...`, `--name=value` and `name=value`, with its values."""
    name, values = "", list[str]()
    for word in words:
        option = re.match(r"--([A-Za-z][\w-]*)(?:=(.*))?$", word, re.DOTALL)
        override = re.match(r"\+{0,2}([A-Za-z_]\w*)=(.*)$", word, re.DOTALL) if not name or values else None
        if option is None and override is None:
            if word != UNSET or not values:  # one that stands for more options, or for nothing
                values.append(word)
            continue
        if name:
            yield name, values
        found = option or override
        assert found is not None
        name, values = found[1].replace("-", "_"), [found[2]] if found[2] is not None else []
    if name:
        yield name, values


def typed(name: str, values: Sequence[str]) -> Any:
    """The value of an option, as LLaMA-Factory's parser (argparse, by the type of its argument) reads it."""
    if not values:
        return True
    row = next((rows[name] for rows in BY_KIND_ARG.values() if name in rows), None)
    other = name.endswith(("_bit", "_pixels")) or values[0] in ("True", "False", "true", "false")
    if row is not None and row.kind in AS_TYPED and not other:
        return values[0] if len(values) == 1 else list(values)
    if values[0].startswith(("{", "[")):
        return spoken(" ".join(values))  # LlamaBoard's Preview writes a mapping without quotes
    found = [spoken(value) for value in values]
    return found[0] if len(found) == 1 else found

