"""The rows of a data file, one at a time: in bounded memory, whatever the file holds."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lfdash.data.json_text import Broken, decode, parse
from lfdash.outcomes import Problem

CHUNK = 1 << 18  # bytes read at once
LONGEST = 16 << 20  # characters of one row; a longer one is not read
BATCH = 64  # rows of a Parquet file that are read at once
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
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
        if self._path.suffix == ".csv":
            return self._csv_rows()
        if self._path.suffix == ".parquet":
            return self._parquet_rows()
        return self._line_rows() if self._path.suffix == ".jsonl" else self._json_rows()

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

    def _line_rows(self) -> Iterator[Mapping[str, Any]]:
        for number, line in enumerate(self._lines(self._text("utf-8")), 1):
            if not line.strip():
                continue
            value = parse(line)
            if isinstance(value, Broken):
                self._broken(value, number)
                return
            yield as_row(value)

    def _csv_rows(self) -> Iterator[Mapping[str, Any]]:
        records = csv.reader(self._lines(self._text("utf-8-sig", "")))
        head = next(records, [])
        for record in records:
            if self.cut and self._through:
                return  # the lines ended within it
            if record:
                yield named(head, record)

    # -- JSON ------------------------------------------------------------------------------------------

    def _json_rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows of an array; or JSON lines under another name, which LLaMA-Factory takes."""
        scan = Scan(self._text("utf-8-sig"))
        if scan.next() == "[":
            yield from self._array_rows(scan)
            return
        first = self._value(scan)
        if isinstance(first, Broken):
            return
        line = scan.line
        if scan.next() and scan.line > line:
            yield from self._line_rows()
        elif not self.cut:
            self._fail("data_shape", reason=type(first).__name__)

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
                reason = "Expecting ',' delimiter" if sign else "Expecting ',' or ']', the file ends here"
                self._broken(Broken("syntax", reason), scan.line)
                return
            scan.place += 1
            scan.next()
        if scan.next():
            self._broken(Broken("syntax", "Extra data behind the list"), scan.line)

    def _value(self, scan: Scan) -> Any | Broken:
        value = scan.value()
        if isinstance(value, Broken):
            if value.code == "long":
                self._fail("data_long", line=scan.line, mb=LONGEST >> 20)
            elif not (self.cut and scan.ended and value.code == "syntax"):
                self._broken(value, scan.line_at(value))
        return value

    # -- Parquet ---------------------------------------------------------------------------------------

    def _parquet_rows(self) -> Iterator[Mapping[str, Any]]:
        """Of a beginning nothing is cut: its rows are read as they are asked for."""
        import pyarrow as pa  # 40 MB, which a workspace without such a file never pays

        self._most = self.size
        try:
            for batch in parquet(self._file).iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
        except (pa.ArrowException, ValueError, TypeError) as error:  # of a spoiled file also plain ones
            self._fail("data_unreadable", reason=str(error))


def parquet(file: BinaryIO) -> Any:
    """A Parquet file; its columns are read piece by piece."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, buffer_size=CHUNK, pre_buffer=False)


def named(head: Sequence[str], record: Sequence[str]) -> dict[str, Any]:
    """A record of a CSV file under its columns' names: None where it has too few cells, more of them under "None"."""
    row: dict[str, Any] = {**dict.fromkeys(head), **dict(zip(head, record, strict=False))}
    return {**row, "None": list(record[len(head) :])} if len(record) > len(head) else row


def as_row(value: Any) -> Mapping[str, Any]:
    """What a list of rows holds, as a row."""
    return value if isinstance(value, dict) else {"": value}


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
