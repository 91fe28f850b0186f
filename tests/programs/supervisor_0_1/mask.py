"""Secrets: which variables hold one, and what is shown in their place; in texts, and in log files while they grow.

The shim, which imports nothing of lfdash, loads this file by its path; so: standard library only.
"""

from __future__ import annotations

import json
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping

SHORTEST = 8  # characters of what is taken for a secret by its name alone
TYPED = 4  # of one that was given as such
CHUNK = 1 << 20  # bytes read at once
WHOLE = 1 << 28  # bytes of a log that is read once more at the end
STAR = b"*"
NAMED = re.compile(r"(?:^|_)(?:TOKEN|API_?KEY|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
PLACE = re.compile(r"_(?:PATH|FILE|DIR|NAME)$", re.IGNORECASE)  # says where one lies
IN_ADDRESS = re.compile(r"\w://[^/\s:@]*:([^/\s@]+)@")  # the password of http://user:password@proxy


def names(env: Mapping[str, str], declared: Iterable[str] = ()) -> list[str]:
    """The variables that hold a secret: those declared, those whose name says so, and addresses with a password."""
    found = {name for name, value in env.items() if guessed(name, value) or IN_ADDRESS.search(value)}
    return sorted(found | set(declared))


def guessed(name: str, value: str) -> bool:
    """Whether a variable holds a secret by its name."""
    return len(value) >= SHORTEST and bool(NAMED.search(name)) and not PLACE.search(name)


def values(env: Mapping[str, str], declared: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(variable, text to be hidden) for each declared variable: its value, or the password in an address."""
    for name in declared:
        value = env.get(name, "")
        hidden = IN_ADDRESS.findall(value)
        if hidden and not NAMED.search(name):
            yield from ((name, text) for text in hidden)
        elif len(value) >= TYPED:
            yield name, value


def forms(value: str) -> list[str]:
    """A secret as it may be printed: as it is, each of its lines, escaped, and in an address."""
    lines = [line.strip() for line in value.splitlines()]
    parts = [value, *(line for line in lines if len(line) >= SHORTEST)]
    written = [form for part in parts for form in (part, json.dumps(part)[1:-1], repr(part)[1:-1], quote(part))]
    return list(dict.fromkeys(form for form in written if len(form) >= TYPED))


def quote(text: str) -> str:
    """A text as an address holds it; half a character cannot be in one."""
    return urllib.parse.quote(text.encode("utf-8", "surrogatepass"), safe="")


def redactor(known: Iterable[tuple[str, str]]) -> Callable[[str], str]:
    """A function that puts `•••NAME` in place of the secrets (variable, value), the longer ones first."""
    shown = {form: f"•••{name}" for name, value in known for form in forms(value)}
    order = sorted(shown, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in order:
            text = text.replace(form, shown[form])
        return text

    return redact


class LogMask:
    """Overwrites secrets in log files with as many stars, in place: the file is never cut, moved or replaced, so who
    writes to it or reads it notices nothing. Reads only what is new since the last look, and as much before it as a
    secret may reach back.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        written = {form.encode("utf-8", "surrogateescape") for value in secrets for form in forms(value)}
        self._forms = sorted(written, key=len, reverse=True)
        self._reach = max(map(len, written), default=1) - 1
        self._places: dict[str, tuple[int, int]] = {}  # path -> inode and how far it was read

    def last_look(self, path: str) -> int:
        """As `look`, from the beginning: what was cut and grew again between two looks may have been missed. Of a
        file of more than WHOLE bytes only what is new, since the end of a run waits for this."""
        try:
            if os.stat(path).st_size <= WHOLE:
                self._places.pop(path, None)
        except OSError:
            return 0
        return self.look(path)

    def look(self, path: str) -> int:
        """How many secrets were overwritten in what a file gained. A file that is missing, that is no plain file or
        that cannot be written gives 0."""
        if not self._forms:
            return 0
        try:
            # not through a link: it may lead to the file that the secret lives in
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return 0
        try:
            about = os.fstat(descriptor)
            return self._pass(path, descriptor, about) if stat.S_ISREG(about.st_mode) else 0
        except OSError:  # a full or failing disk: the next look tries again
            return 0
        finally:
            os.close(descriptor)

    def _pass(self, path: str, descriptor: int, about: os.stat_result) -> int:
        inode, done = self._places.get(path, (about.st_ino, 0))
        if inode != about.st_ino or done > about.st_size:  # replaced or cut meanwhile
            done = 0
        count = 0
        while done < about.st_size:
            start = max(0, done - self._reach)
            data = bytearray(os.pread(descriptor, CHUNK + done - start, start))
            if not data:
                break
            for form in self._forms:
                place = data.find(form)
                while place >= 0:
                    data[place : place + len(form)] = STAR * len(form)
                    os.pwrite(descriptor, STAR * len(form), start + place)
                    count += 1
                    place = data.find(form, place + len(form))
            done = start + len(data)
            self._places[path] = (about.st_ino, done)
        return count
