"""The rows of a data file, one at a time: in bounded memory, whatever the file holds."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lfdash.data.json_text import Broken, decode, next_sign, parse
from lfdash.outcomes import Problem

CHUNK = 1 << 18  # bytes read at once
LONGEST = 16 << 20  # characters of one row; a longer one is not read
BATCH = 64  # rows of a Parquet or Arrow file that are read at once
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".arrow", ".txt")  # FILEEXT2TYPE of LLaMA-Factory
SPREAD = (10 << 20) // 32  # bytes: the block that datasets' JSON reader cuts at a line's end, within an object too
JSON_BATCH = 10 << 20  # bytes of lines that datasets' JSON reader makes one table of
CSV_CHUNK = 10_000  # records from which datasets' CSV reader takes the columns' types
NOT_THERE = frozenset({  # what pandas reads as no value
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})
TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
INT64 = 19  # digits
# what a value is, in a word that JSON has for it
KINDS: Mapping[type, str] = {
    type(None): "null", bool: "true/false", int: "number", float: "number", str: "text", list: "list", dict: "object",
}
csv.field_size_limit(LONGEST)
BLANK = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"[-+.eE0-9]*")
UNENDED = 16  # characters before the end of what was read: a mistake there may be no more than the text's end


class Rows:
    """Gives the rows of an open data file. Afterwards `problem` says why there are no more: None at the file's end,
    and where only its beginning was wanted; then `cut` is true.

    file: as `open_plain` opens it. path: whose suffix says what it is, and whose name is told. most: bytes of the
    beginning that are read; None = all that the file has now (one that grows meanwhile is not followed).
    """

    def __init__(self, file: BinaryIO, path: Path, most: int | None = None) -> None:
        self.problem: Problem | None = None
        self._file = file
        self._path = path
        self.size = file.seek(0, io.SEEK_END)
        self._most = self.size if most is None else min(most, self.size)
        self._through = False  # whether all lines were given
        self._line = 0
        self.batch = 0
        self._window = self._rewound()

    @property
    def cut(self) -> bool:
        """Whether there is more of the file than was to be read."""
        return self._most < self.size

    @property
    def taken(self) -> int:
        """Bytes read so far."""
        return self._window.taken

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        try:
            yield from self._by_suffix()
        except UnicodeDecodeError as error:
            if not (self.cut and error.reason == "unexpected end of data"):
                self._fail("data_unreadable", reason=f"not UTF-8 ({error.reason})")
        except (OSError, csv.Error, MemoryError) as error:
            self._fail("data_unreadable", reason=str(error) or type(error).__name__)

    def _by_suffix(self) -> Iterator[Mapping[str, Any]]:
        readers: dict[str, Callable[[], Iterator[Mapping[str, Any]]]] = {
            ".csv": self._csv_rows, ".parquet": self._parquet_rows, ".arrow": self._arrow_rows, ".txt": self._text_rows,
        }
        return readers.get(self._path.suffix, self._json_rows)()

    def _fail(self, code: str, **params: Any) -> None:
        self.problem = Problem(None, code, {"file": self._path.name, **params})

    def _broken(self, found: Broken, line: int) -> None:
        self._fail(f"data_{found.code}", line=line, **({"reason": found.reason} if found.code == "syntax" else {}))

    def _rewound(self) -> Window:
        self._file.seek(0)
        return Window(self._file, self._most)

    def _text(self, encoding: str, newline: str | None = None) -> io.TextIOWrapper:
        self._window = self._rewound()
        return io.TextIOWrapper(io.BufferedReader(self._window, CHUNK), encoding=encoding, newline=newline)

    # -- lines ----------------------------------------------------------------------------------------

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        """The lines with their ends; the last one, where it is cut, is left out. Then `_through` is true."""
        number, self._through = 0, False
        while line := text.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                self._fail("data_long", line=number, mb=LONGEST >> 20)
                break
            if self.cut and not line.endswith(("\n", "\r")):
                break
            yield line
        self._through = True

    def _text_rows(self) -> Iterator[Mapping[str, Any]]:
        """Every line is a row, the empty ones too."""
        for line in self._lines(self._text("utf-8")):
            yield {"text": line.removesuffix("\n")}

    # -- CSV -------------------------------------------------------------------------------------------

    def _csv_rows(self) -> Iterator[Mapping[str, Any]]:
        kinds: list[str] = []
        for kind, record in zip(("head", *("",) * CSV_CHUNK), self._records(), strict=False):
            kinds = ["none"] * len(record) if kind else [*map(kind_with, kinds, record), *kinds[len(record) :]]
        head: list[str] = []
        for number, record in enumerate(self._records()):
            if number == 0:
                head = [name or f"Unnamed: {place}" for place, name in enumerate(record)]
                continue
            cells = [as_kind(kind, cell) for kind, cell in zip(kinds, record, strict=False)]
            odd = next((place for place, cell in enumerate(cells) if isinstance(cell, Misfit)), None)
            if odd is not None:
                self._fail("data_csv_kind", line=self._line, column=head[odd])
                return
            yield {**dict.fromkeys(head), **dict(zip(head, cells, strict=False))}

    def _records(self) -> Iterator[list[str]]:
        """The records of a CSV file, its head first; `_line` is the line that the last one ends in."""
        records = csv.reader(self._lines(self._text("utf-8-sig", "")))
        width = -1
        for record in records:
            self._line = records.line_num
            if self.cut and self._through:
                return  # the lines ended within it
            if not record or (len(record) == 1 and record[0].isspace()):
                continue
            width = len(record) if width < 0 else width
            if len(record) > width:
                self._fail("data_cells", line=self._line, cells=len(record), head=width)
                return
            yield record

    # -- JSON ------------------------------------------------------------------------------------------

    def _json_rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows of an array, or of objects one after the other: LLaMA-Factory reads both under either name."""
        self._file.seek(0)
        marked = self._file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
        scan = Scan(self._text("utf-8-sig"))
        if scan.next() != "[":
            yield from self._line_rows()
        elif marked:
            self._fail("data_bom")
        else:
            yield from self._array_rows(scan)

    def _line_rows(self) -> Iterator[Mapping[str, Any]]:
        """One object a line, or several; where the first line ends within one, objects over several lines."""
        first, in_batch = True, 0
        for number, line in enumerate(self._lines(self._text("utf-8-sig")), 1):
            if in_batch >= JSON_BATCH:
                self.batch, in_batch = self.batch + 1, 0
            in_batch += len(line.encode())
            if not line.strip():
                continue
            for value in values_in(line):
                if isinstance(value, Broken) and first and value.code == "syntax" and ends_within(value, line):
                    yield from self._spread_rows()
                    return
                if isinstance(value, Broken):
                    self._broken(value, number)
                    return
                if not isinstance(value, dict):
                    self._fail("data_not_object", line=number, kind=KINDS.get(type(value), ""))
                    return
                first = False
                yield value

    def _spread_rows(self) -> Iterator[Mapping[str, Any]]:
        """Objects over several lines."""
        scan = Scan(self._text("utf-8-sig"))
        while scan.next():
            value = self._value(scan)
            if isinstance(value, Broken):
                return
            if not isinstance(value, dict):
                self._fail("data_not_object", line=scan.line, kind=KINDS.get(type(value), ""))
                return
            yield value
        if self.size > SPREAD:
            self._fail("data_spread", kb=SPREAD >> 10)

    def _array_rows(self, scan: Scan) -> Iterator[Mapping[str, Any]]:
        scan.place += 1
        sign = scan.next()
        if sign == "]":
            scan.place += 1
        while sign != "]":
            value = self._value(scan)
            if isinstance(value, Broken):
                return
            sign = scan.next()
            if self.cut and scan.touches_end(scan.place):
                return
            yield as_row(value)
            if sign not in (",", "]"):
                reason = "Expecting ',' delimiter" if sign else "Expecting ',' or ']', but the file ends here"
                self._broken(Broken("syntax", reason), scan.line)
                return
            scan.place += 1
            scan.next()
        if scan.next():
            self._broken(Broken("syntax", "Extra data after the list"), scan.line)

    def _value(self, scan: Scan) -> Any | Broken:
        value = scan.value()
        if isinstance(value, Broken):
            if value.code == "long":
                self._fail("data_long", line=scan.line, mb=LONGEST >> 20)
            elif not (self.cut and scan.ended and value.code == "syntax"):
                self._broken(value, scan.line_at(value))
        return value

    # -- Parquet and Arrow -----------------------------------------------------------------------------

    def _parquet_rows(self) -> Iterator[Mapping[str, Any]]:
        return self._batches(lambda: parquet(self._file).iter_batches(batch_size=BATCH))

    def _arrow_rows(self) -> Iterator[Mapping[str, Any]]:
        return self._batches(lambda: arrow_batches(self._file))

    def _batches(self, opened: Callable[[], Iterator[Any]]) -> Iterator[Mapping[str, Any]]:
        """Of a beginning nothing is cut: its rows are read as they are asked for."""
        import pyarrow as pa  # 40 MB, which a workspace without such a file never pays

        self._most = self.size
        try:
            for batch in opened():
                for start in range(0, batch.num_rows, BATCH):
                    yield from batch.slice(start, BATCH).to_pylist()
        except (pa.ArrowException, ValueError, TypeError) as error:  # of a spoiled file also plain ones
            self._fail("data_unreadable", reason=str(error))


def parquet(file: BinaryIO) -> Any:
    """A Parquet file; its columns are read piece by piece."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, buffer_size=CHUNK, pre_buffer=False)


def arrow_batches(file: BinaryIO) -> Iterator[Any]:
    """The record batches of an Arrow file: a stream, as datasets saves them, or a file with an index."""
    import pyarrow as pa

    try:
        yield from pa.ipc.open_stream(file)
    except pa.ArrowInvalid:
        file.seek(0)
        indexed = pa.ipc.open_file(file)
        yield from map(indexed.get_batch, range(indexed.num_record_batches))


class Misfit:
    """A cell that does not go with its column's type."""


def kind_with(kind: str, cell: str) -> str:
    """What pandas takes a column for that has been of a kind, once a cell more was seen: none, number, truth, text."""
    if cell in NOT_THERE:
        return kind
    own = "truth" if cell in TRUTHS else "number" if is_number(cell) else "text"
    return own if kind in ("none", own) else "text"


def as_kind(kind: str, cell: str) -> Any | Misfit:
    """A cell as datasets gives it. A column without any value is one of numbers for it."""
    if cell in NOT_THERE:
        return None
    if kind == "text":
        return cell
    if kind == "truth":
        return TRUTHS.get(cell, Misfit())
    if not is_number(cell):
        return Misfit()
    return float(cell) if set(cell) & set(".eEnN") or len(cell) > INT64 else int(cell)


def is_number(cell: str) -> bool:
    """Whether pandas reads a cell as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def values_in(line: str) -> Iterator[Any | Broken]:
    """The JSON values of a line, up to a broken one."""
    value = parse(line)
    if not (isinstance(value, Broken) and value.reason == "Extra data"):
        yield value
        return
    place = next_sign(line, 0)
    while place < len(line):
        found = decode(line, place)
        if isinstance(found, Broken):
            yield found
            return
        yield found[0]
        place = next_sign(line, found[1])


def ends_within(value: Broken, line: str) -> bool:
    """Whether a mistake is no more than that the line ends."""
    return value.place >= len(line.rstrip())


def as_row(value: Any) -> Mapping[str, Any]:
    """What a list of rows holds, as the row that pandas makes of it: lists have numbered columns, the rest is text."""
    if isinstance(value, dict):
        return value
    return {str(place): part for place, part in enumerate(value)} if isinstance(value, list) else {"text": value}


class Window(io.RawIOBase):
    """The first `most` bytes of a file. taken: how many were read."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), self._most - self.taken)) or b""
        buffer[: len(piece)] = piece
        self.taken += len(piece)
        return len(piece)


class Scan:
    """A text that is read on as it is needed and forgotten as it is passed. place: of `text`, the next character.
    ended: whether all of it was read."""

    def __init__(self, source: io.TextIOWrapper) -> None:
        self._source = source
        self._passed = 0  # lines before `text`
        self.text = ""
        self.place = 0
        self.ended = False

    @property
    def line(self) -> int:
        """The line of the present place; the first is 1."""
        return self._passed + self.text.count("\n", 0, self.place) + 1

    def line_at(self, found: Broken) -> int:
        """The line of a mistake that `value` found."""
        return self._passed + found.line_in(self.text) if found.code == "syntax" else self.line

    def next(self) -> str:
        """Passes what is blank; the character that is next, "" at the end."""
        while True:
            blank = BLANK.match(self.text, self.place)
            self.place = blank.end() if blank else self.place
            if self.place < len(self.text) or not self._more():
                return self.text[self.place : self.place + 1]

    def value(self) -> Any | Broken:
        """Passes the value at the present place. Broken("long") for one of more than LONGEST characters."""
        while True:
            found = decode(self.text, self.place)
            if isinstance(found, Broken):
                if not self._goes_on(found):
                    return found
                if len(self.text) - self.place > LONGEST:
                    return Broken("long")
            elif self.ended or isinstance(found[0], Container) or not self.touches_end(found[1]):
                self.place = found[1]
                return found[0]
            self._more()

    def touches_end(self, place: int) -> bool:
        """Whether a number that ends at a place may go on behind what was read so far."""
        rest = NUMBER.match(self.text, place)
        return rest is not None and rest.end() == len(self.text)

    def _goes_on(self, found: Broken) -> bool:
        """Whether a mistake may be no more than the end of what was read so far."""
        at_end = found.place > len(self.text) - UNENDED or found.reason.startswith("Unterminated string")
        return found.code == "syntax" and at_end and not self.ended

    def _more(self) -> bool:
        """Reads on, twice as much each time while nothing is passed; False at the end."""
        piece = self._source.read(max(CHUNK, len(self.text) - self.place)) if not self.ended else ""
        self.ended = not piece
        self._passed += self.text.count("\n", 0, self.place)
        self.text = self.text[self.place :] + piece
        self.place = 0
        return bool(piece)
