"""How a secret may be written in a text, and where it stands in one. Standard library only.

A secret has some thirty forms (escaped for JSON, an address, a page; base64, hex). Most of them share a piece, so only
the pieces are searched for. Pieces of RUN letters and digits and more are searched for in runs of that length alone:
logs hardly have any, so that all forms of a token cost less than one search for it.
"""

from __future__ import annotations

import binascii
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from itertools import islice

SHORTEST = 8  # characters of what is taken for a secret by its name alone, and of a line of one
TYPED = 4  # of one that was given as such
ENCODED = 6  # of base64 or hex
RUN = 20  # longer than the digits of a number
MANY = 200  # runs of that length, from which on it is quicker to search in all
LETTERS = re.compile(rb"[A-Za-z0-9]+")
SHAPE = bytes(ord("a") if LETTERS.match(bytes([code])) else ord(" ") for code in range(256))
FOR_PAGES = (  # as Python, Jinja and XML write them; the first character of each is the one to begin with
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"},
)
FOR_SCRIPTS = ({"/": "\\/"}, {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})  # JSON as PHP and Go write it


def forms(value: str) -> list[str]:
    """A secret as it may be printed: as it is, each of its lines, escaped for JSON (twice), an address or a page, and
    in base64 and hex."""
    lines = [line.strip() for line in value.splitlines()]
    parts = [value, *(line for line in lines if len(line) >= SHORTEST)]
    written = [form for part in parts for form in escaped(part) if len(form) >= TYPED]
    return list(dict.fromkeys([*written, *(form for form in encoded(raw(value)) if len(form) >= ENCODED)]))


def raw(text: str) -> bytes:
    """A text as the system holds it; half a character, which it cannot hold, as it comes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def escaped(text: str) -> Iterator[str]:
    """A text as it is, in JSON, in JSON in JSON, as Python shows it, in an address and in a page."""
    once = {text, *(json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))}
    once |= {replaced(form, table) for form in once for table in FOR_SCRIPTS}
    yield text
    yield from once
    yield from (json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in once for ascii_only in (True, False))
    yield repr(text)[1:-1]
    for safe in ("", "/"):
        address = urllib.parse.quote(raw(text), safe=safe)
        lower = re.sub("%..", lambda match: match[0].lower(), address)
        yield from (address, lower, address.replace("%20", "+"), lower.replace("%20", "+"))
    yield from (replaced(text, table) for table in FOR_PAGES)


def replaced(text: str, table: Mapping[str, str]) -> str:
    """A text with other words for some of its characters."""
    return "".join(table.get(character, character) for character in text)


def encoded(data: bytes) -> Iterator[str]:
    """Bytes in hex and in base64, also within longer ones (`user:secret`), whatever stands around them there.

    A character of base64 is six bits: those that hold bits of a byte before are left out, and those that hold bits of
    one behind, but for the end of the whole.
    """
    yield from (data.hex(), data.hex().upper())
    for before in range(3):
        whole = binascii.b2a_base64(b"\0" * before + data, newline=False).decode("ascii")
        begin, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for form in (whole[begin:], whole[begin:end]):
            yield from (form, form.replace("+", "-").replace("/", "_"), urllib.parse.quote(form, safe=""))


class Finder:
    """Finds forms of secrets in bytes. forms: each form with what it stands for."""

    def __init__(self, forms: Mapping[bytes, str]) -> None:
        self.longest = max(map(len, forms), default=0)
        self._names = dict(forms)
        self._short: dict[bytes, list[tuple[int, bytes]]] = {}  # piece -> forms that have it, and where
        self._long: dict[bytes, list[tuple[int, bytes]]] = {}
        for form in forms:
            self._file(form)

    def _file(self, form: bytes) -> None:
        own = max(LETTERS.findall(form), key=len, default=b"")
        shared = (piece for pieces in (self._long, self._short) for piece in pieces if piece in form)
        piece = max(shared, key=len, default=b"")
        if not piece or len(piece) < min(RUN, 2 * len(own) / 3):  # a search of its own is quicker
            piece = own if len(own) >= TYPED else form
        pieces = self._long if len(piece) >= RUN and LETTERS.fullmatch(piece) else self._short
        pieces.setdefault(piece, []).append((form.index(piece), form))

    def find(self, data: bytes | bytearray) -> list[tuple[int, int, str]]:
        """(begin, end, what it stands for) of all secrets, in order; those that overlap count as one, the longest."""
        hits = [hit for piece, filed in self._short.items() for hit in occurrences(data, piece, filed, 0, len(data))]
        if self._long:
            parts = list(islice(runs(data), MANY))
            for part in parts if len(parts) < MANY else [(0, len(data))]:
                hits += [hit for piece, filed in self._long.items() for hit in occurrences(data, piece, filed, *part)]
        places: list[tuple[int, int, bytes]] = []
        for begin, form in sorted(hits, key=lambda hit: (hit[0], -len(hit[1]))):
            end = begin + len(form)
            if places and begin < places[-1][1]:
                first, last, longest = places.pop()
                places.append((first, max(last, end), max(longest, form, key=len)))
            else:
                places.append((begin, end, form))
        return [(begin, end, self._names[form]) for begin, end, form in places]


def occurrences(
    data: bytes | bytearray, piece: bytes, filed: list[tuple[int, bytes]], begin: int, end: int
) -> Iterator[tuple[int, bytes]]:
    """Where forms begin that have `piece`, which is searched for in a part of `data`."""
    place = data.find(piece, begin, end)
    while place >= 0:
        for offset, form in filed:
            if place >= offset and data.startswith(form, place - offset):
                yield place - offset, form
        place = data.find(piece, place + 1, end)


def runs(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """(begin, end) of the parts of RUN letters and digits and more."""
    shape, wanted = data.translate(SHAPE), b"a" * RUN
    begin = shape.find(wanted)
    while begin >= 0:
        end = shape.find(b" ", begin + RUN)
        end = end if end >= 0 else len(shape)
        yield begin, end
        begin = shape.find(wanted, end)
