"""FIELDS: what a row of targets.toml may say, one row each: for which kinds, and what it must be."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.supervisor import mask
from lfdash.supervisor.target_probe import MOST_SETUP
from lfdash.targets.target import KINDS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+,=-]{0,199}")
# what sbatch(1) says of --constraint: AND, OR, counts, brackets, parentheses
FEATURES = re.compile(r"[A-Za-z0-9_.:&|*,()\[\]-]{1,200}")
TIME = re.compile(r"\d{1,4}-\d{1,2}(:\d{1,2}(:\d{1,2})?)?|\d{1,6}(:\d{1,2}(:\d{1,2})?)?")  # --time
MEMORY = re.compile(r"\d{1,9}[KMGT]?")  # --mem
IMAGE = re.compile(r"[^\s\x00-\x1f\x7f'\"\\$`]{1,500}")
ADDRESS = re.compile(r"https?://[^\s/@\x00-\x1f\x7f]+(/[^\s\x00-\x1f\x7f]*)?")
VARIABLE = re.compile(r"(?!LFDASH_|LLAMABOARD_|SLURM_)[A-Za-z_][A-Za-z0-9_]{0,99}")
OPTION = re.compile(r"--?([A-Za-z][A-Za-z-]*)")
ASSIGNED = re.compile(r"""(?<![\w$])([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;&|]*)""")  # in a line of a shell
COMPUTED = re.compile(r"""[=:]["']?[$`]""")  # what a shell puts in
UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # among them all that ends a line somewhere

# Options that lfdash gives sbatch itself, or that change who runs what, where and when behind its back.
OWN_OPTIONS = frozenset({
    "job-name", "J", "output", "o", "error", "e", "input", "i", "open-mode", "chdir", "D", "requeue", "no-requeue",
    "signal", "comment", "wrap", "parsable", "wait", "W", "hold", "H", "export", "export-file", "get-user-env",
    "array", "a", "partition", "p", "account", "A", "qos", "q", "time", "t", "mem", "constraint", "C", "nodes", "N",
    "ntasks", "n", "ntasks-per-node", "cpus-per-task", "c", "gpus-per-node", "gpus", "G", "gres", "uid", "gid",
    "test-only", "quiet", "Q", "version", "V", "help", "h", "usage", "ignore-pbs", "kill-on-invalid-dep", "clusters",
    "M", "batch", "bb", "bbf", "container-image", "container-mounts", "container-workdir", "propagate", "no-kill", "k",
})

# Options that are fields here.
FIELD_OF_OPTION = {
    "partition": "partition", "p": "partition", "account": "account", "A": "account", "qos": "qos", "q": "qos",
    "time": "time_limit", "t": "time_limit", "mem": "memory", "constraint": "constraint", "C": "constraint",
    "nodes": "nodes", "N": "nodes", "cpus-per-task": "cpus", "c": "cpus", "gpus-per-node": "gpus", "gpus": "gpus",
    "G": "gpus", "gres": "gpus", "container-image": "container", "export": "env",
}

Found = str | int | tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A field. kinds: of which targets. check: the code of what is wrong with a value (text: `problems.<code>`), or
    None; params fill that text, too."""

    kinds: tuple[str, ...]
    check: Callable[[Any], str | None]
    params: Mapping[str, str] | None = None


def matching(pattern: re.Pattern[str], code: str) -> Callable[[Any], str | None]:
    """A check that a value is a text of that form."""
    return lambda value: None if isinstance(value, str) and pattern.fullmatch(value) else code


def address(value: Any) -> str | None:
    """Where a server is: one that can be taken apart again."""
    code = "target_address"
    if not isinstance(value, str) or not ADDRESS.fullmatch(value):
        return code
    try:
        split = urllib.parse.urlsplit(value)
        return None if split.hostname and (split.port or 0) >= 0 else code
    except ValueError:
        return code


def path(value: Any) -> str | None:
    """An absolute path that a line of a script can hold."""
    good = isinstance(value, str) and value.startswith("/") and not UNPRINTED.search(value) and ".." not in value
    return None if good else "target_path"


def program(value: Any) -> str | None:
    """An absolute path, or a name."""
    return None if isinstance(value, str) and WORD.fullmatch(value) and "/" not in value else path(value)


def whole(least: int, most: int) -> Callable[[Any], str | None]:
    """A check that a value is a whole number in that range."""
    return lambda value: None if type(value) is int and least <= value <= most else "target_number"


def words(value: Any) -> str | None:
    """A list of names without spaces."""
    good = isinstance(value, list) and all(isinstance(item, str) and WORD.fullmatch(item) for item in value)
    return None if good else "target_words"


def setup(value: Any) -> str | None:
    """A list of lines of bash, or a text of such lines. Each is run alone: none goes on in the next."""
    return setup_fault(value)[0]


def setup_fault(value: Any) -> tuple[str | None, str]:
    """What is wrong with lines of bash, and what of it is named."""
    lines = setup_lines(value)
    if lines is None or len(lines) > MOST_SETUP:
        return "target_setup", UNNAMED
    return next((fault for fault in map(setup_line, lines) if fault[0] is not None), (None, ""))


def setup_lines(value: Any) -> tuple[str, ...] | None:
    """The lines without the empty ones; None for what is neither a text nor a list of texts."""
    found = value.split("\n") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        return None
    return tuple(line.strip(" \t") for line in found if line.strip(" \t"))


def setup_line(line: str) -> tuple[str | None, str]:
    """What is wrong with a line of bash, and what is named of it: of a secret only where it stands."""
    held = setup_secrets(line)
    if held:
        return "target_setup_secret", ", ".join(held)
    if UNPRINTED.search(line) or len(line) > MOST_SETUP_LINE:
        return "target_setup", line
    return ("target_setup_open" if (len(line) - len(line.rstrip("\\"))) % 2 else None), line


def setup_secrets(line: str) -> list[str]:
    """The variables that a line gives a secret, or its first word where it holds one elsewhere. What a shell puts in
    ($TOKEN, $(cat FILE)) is none."""
    plain = COMPUTED.sub("=;", line)
    found = mask.names({name: value.strip("\"'") for name, value in ASSIGNED.findall(plain)})
    words = line.partition("=")[0].split()
    return found or (words[:1] if mask.within("LINE", plain) else [])


def variables(value: Any) -> str | None:
    """A table of variables, none of which holds a secret: whoever reads the workspace reads it."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        return "target_env"
    if any(not VARIABLE.fullmatch(name) or "\0" in text for name, text in value.items()):
        return "target_env"
    return "target_env_secret" if mask.names(value) else None


def extra(value: Any) -> str | None:
    """A list of options of sbatch, one each, none of them one that lfdash sets."""
    if not isinstance(value, list):
        return "target_extra"
    return next((code for code, _ in map(extra_line, value) if code is not None), None)


def extra_line(item: Any) -> tuple[str | None, str]:
    """What is wrong with one option of sbatch, and its name where it is one that lfdash sets, in full where that is
    clear; "" where it is not."""
    if not isinstance(item, str) or UNPRINTED.search(item) or "#" in item:
        return "target_extra", ""
    option = OPTION.match(item)
    if option is None or not item.isascii():
        return "target_extra", ""
    # sbatch takes any beginning of a long option that is unique, and short ones with their value behind
    long = item.startswith("--")
    name = option[1] if long else option[1][0]
    if is_own(name, long=long):
        full = [own for own in FIELD_OF_OPTION if own.startswith(name) and len(own) > 1] if long else []
        return "target_extra_own", name if name in OWN_OPTIONS or len(full) != 1 else full[0]
    return ("target_extra_two" if re.search(r"\s--?[A-Za-z]", item) else None), ""


def is_own(name: str, *, long: bool) -> bool:
    """Whether an option is, or may be short for, one that lfdash sets."""
    return any(own == name or (long and len(own) > 1 and own.startswith(name)) for own in OWN_OPTIONS)


def number(least: int, most: int) -> tuple[Callable[[Any], str | None], dict[str, str]]:
    return whole(least, most), {"least": str(least), "most": str(most)}


MOST_SETUP_LINE = 500  # characters
UNNAMED = "…"  # what of lines of bash is named where no single one is wrong
CLUSTER, SLURM, RAY = ("slurm", "ray"), ("slurm",), ("ray",)
RUNNERS = ("apptainer", "pyxis")

FIELDS: Mapping[str, Row] = {
    "kind": Row(KINDS, lambda value: None if value in KINDS else "target_choice", {"choices": ", ".join(KINDS)}),
    "cli": Row(KINDS, program),
    "python": Row(CLUSTER, program),
    "workspace": Row(CLUSTER, path),
    "modules": Row(SLURM, words),
    "setup": Row(CLUSTER, setup, {"lines": str(MOST_SETUP), "length": str(MOST_SETUP_LINE)}),
    "container": Row(SLURM, matching(IMAGE, "target_text")),
    "runner": Row(
        SLURM, lambda value: None if value in RUNNERS else "target_choice", {"choices": ", ".join(RUNNERS)}
    ),
    "address": Row(RAY, address),
    "token_file": Row(RAY, path),
    "slurm_conf": Row(SLURM, path),
    "partition": Row(SLURM, matching(WORD, "target_text")),
    "account": Row(SLURM, matching(WORD, "target_text")),
    "qos": Row(SLURM, matching(WORD, "target_text")),
    "constraint": Row(SLURM, matching(FEATURES, "target_text")),
    "time_limit": Row(SLURM, matching(TIME, "target_time")),
    "memory": Row(CLUSTER, matching(MEMORY, "target_memory")),
    "cpus": Row(CLUSTER, *number(1, 4096)),
    "gpus": Row(CLUSTER, *number(0, 1024)),
    "gpu_type": Row(SLURM, matching(WORD, "target_text")),
    "nodes": Row(CLUSTER, *number(1, 4096)),
    "env": Row(CLUSTER, variables),
    "save_s": Row(CLUSTER, *number(0, 65535)),  # what --signal takes
    "resume": Row(SLURM, *number(0, 100)),
    "extra": Row(SLURM, extra),
}
