"""Secrets: which variables hold one, and what is shown in their place; in texts, and in log files while they grow.

Standard library only, since the parent of a run hides secrets too.
"""

from __future__ import annotations

import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from lfdash.supervisor.forms import SHORTEST, TYPED, Finder, forms, raw

CHUNK = 1 << 20  # bytes read at once
WHOLE = 1 << 28  # bytes of a log that is read once more at the end
STAR = b"*"

# Of a variable's name, in capitals, with _ for all that is no letter or digit.
NAMED = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL)S?\d*(?:_|$)"
    r"|(?:^|_|ACCESS|ACCOUNT|API|AUTH|ENCRYPTION|MASTER|PRIVATE|SECRET|SIGNING|STORAGE)KEYS?\d*(?:_|$)"
    r"|(?:^|_)(?:CREDS?|PAT\d*)(?:_|$)"
    r"|(?:._|DB|PG|SQL|SSH|FTP|SMTP|LDAP)(?:PWD|PASS)\d*$"  # not the shell's PWD and OLDPWD
    r"|(?:^|_)(?:PASS|AUTHORIZATION|JWT|BEARER)$"
    r"|CONN(?:ECTION)?_?STR(?:ING)?S?$"
)
WEAK = re.compile(r"(?:^|_)(?:AUTH|AUTH_CONFIG|COOKIES?)$")  # also of a setting, whose value is a word
HOOK = re.compile(r"(?:^|_)WEBHOOKS?(?:_UR[LI])?$")
ABOUT = re.compile(  # where one lies, or what kind it is of
    r"_(?:PATH|FILE|DIR|NAME|SOCK|SOCKET|HOME|ROOT|STORE|UR[LI]|HOST|ENDPOINT|COMMAND|CMD|TYPE|ALGORITHM|LENGTH|TTL)$"
)
OF_TEXT = re.compile(r"(?:^|_)(?:PAD|EOS|BOS|UNK|MASK|SEP|CLS|STOP|SPECIAL|IMAGE|VIDEO|AUDIO)_TOKENS?$")
MAYBE_PATH = re.compile(r"(?:PWD|CREDENTIALS?)$")
NUMBER = re.compile(r"[\d.,]+")
ADDRESS = re.compile(r"(?:^|_)(?:UR[LI]|DSN|PROXY|CONN|CONNECTION)$")

# Of a value: the secrets within it.
IN_ADDRESS = re.compile(r"\w://[^/\s:@]*:([^/\s]+)@")  # the password of http://user:password@proxy
FOR_USER = re.compile(r"\w://(?=[^\s:/@]*\d)([\w.~%-]{16,})(?::[^/\s@]*)?@")  # a token in the place of the user
BARE = re.compile(r"^[^\s:/@]+:([^/\s]+)@[\w.\[-]")  # user:password@proxy, in a variable for addresses
SCHEME = re.compile(r"^(?:Bearer|Basic|Token)\s+(\S{8,})")  # of a header
SETTINGS = (  # name=secret; or "name": "secret"
    re.compile(r"""(?i)(?<![a-z\d])(?:password|passwd|pwd|passphrase)(?:\s*=\s*|"\s*:\s*)["']?([^\s;&"',}]{4,})"""),
    re.compile(
        r"""(?i)(?<![a-z\d])(?:secret|token|auth|sig|signature|(?:api|account|access|private)_?key|sharedaccesskey"""
        r"""|(?:access|auth)_?token|client_?secret)(?:\s*=\s*|"\s*:\s*)["']?([^\s;&"',}]{8,})"""
    ),
)


def names(env: Mapping[str, str], declared: Iterable[str] = ()) -> list[str]:
    """The variables that hold a secret: those declared, those whose name says so, and those with one in their value."""
    hold = {name for name, value in env.items() if guessed(name, value) or within(name, value)}
    return sorted(hold | set(declared))


@lru_cache(4096)
def guessed(name: str, value: str) -> bool:
    """Whether a variable holds a secret by its name."""
    name = plain(name)
    if len(value) < SHORTEST:
        return False
    if HOOK.search(name) or (WEAK.search(name) and not value.isalpha()):
        return True
    if not NAMED.search(name) or ABOUT.search(name) or OF_TEXT.search(name):
        return False
    counted = "TOKENS" in name and NUMBER.fullmatch(value)
    return not counted and not (MAYBE_PATH.search(name) and value.startswith(("/", "~")))


def plain(name: str) -> str:
    """A variable's name as NAMED and the others read it."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())


@lru_cache(4096)
def within(name: str, value: str) -> tuple[str, ...]:
    """The secrets in a value: passwords of addresses and of settings, as they stand there and as they are meant."""
    found: list[str] = SCHEME.findall(value)
    if "@" in value:
        found += [*IN_ADDRESS.findall(value), *FOR_USER.findall(value)]
        found += BARE.findall(value) if ADDRESS.search(plain(name)) else []
    if "=" in value or ":" in value:
        found += [secret for setting in SETTINGS for secret in setting.findall(value)]
    return tuple(dict.fromkeys(text for secret in found for text in (secret, urllib.parse.unquote(secret))))


def values(env: Mapping[str, str], declared: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(variable, text to be hidden) for each declared variable: its value, and the secrets in it; those alone where
    its name does not say that all of it is one."""
    for name in declared:
        value = env.get(name, "")
        inner = within(name, value)
        if len(value) >= TYPED and (not inner or guessed(name, value)):
            yield name, value
        yield from ((name, text) for text in inner)


def redactor(known: Iterable[tuple[str, str]]) -> Callable[[str], str]:
    """A function that puts `•••NAME` in place of the secrets (variable, value), the longer ones first."""
    return hider(tuple(known))


@lru_cache(8)
def hider(known: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    """As `redactor`; the last ones are kept, since every drawing of a page asks for one."""
    shown: dict[bytes, str] = {}
    for name, value in known:
        for form in forms(value):
            shown.setdefault(form.encode("utf-8", "surrogatepass"), f"•••{name}")
    finder = Finder(shown)

    def redact(text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        pieces, done = [], 0
        for begin, end, name in finder.find(data):
            pieces += [data[done:begin], name.encode("utf-8", "surrogatepass")]
            done = end
        return b"".join([*pieces, data[done:]]).decode("utf-8", "surrogatepass") if pieces else text

    return redact


class LogMask:
    """Overwrites secrets in log files with as many stars, in place: the file is never cut, moved or replaced, so who
    writes to it or reads it notices nothing. Reads only what is new since the last look, and as much before it as a
    secret may reach back.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._finder = Finder({raw(form): "" for value in secrets for form in forms(value)})
        self._reach = self._finder.longest - 1
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
        if not self._finder.longest:
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
            data = os.pread(descriptor, CHUNK + done - start, start)
            if not data:
                break
            for begin, end, _ in self._finder.find(data):
                os.pwrite(descriptor, STAR * (end - begin), start + begin)
                count += 1
            done = start + len(data)
            self._places[path] = (about.st_ino, done)
        return count
