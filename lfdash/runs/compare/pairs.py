"""The predictions of two evaluations row by row: matched by their prompts, whatever their order; read in stretches.

Neither file is held in memory: of each row two hashes of 8 bytes are kept (its prompt's, its answer's), and where it
begins (predictions.py). Rows with the same prompt are matched in their order: the second with the second.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np
import numpy.typing as npt

from lfdash.runs.predictions import Prediction, Predictions, Search, parse

Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
NOWHERE = -1
MIX = 0x9E3779B97F4A7C15  # an odd number: times 1, 2, 3 ... it is never the same


class Written(msgspec.Struct):
    """A row as LLaMA-Factory writes it (train/sft/trainer.py)."""

    prompt: str = ""
    label: str = ""
    predict: str = ""


DECODER = msgspec.json.Decoder(Written)


def row_of(line: bytes) -> tuple[str, str]:
    """The prompt and the answer of a line, also of one that nobody expected."""
    try:
        row = DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        other = parse(0, line)
        return other.prompt, other.predict
    return row.prompt, row.predict


def hash_of(text: str) -> int:
    """8 bytes that tell texts apart."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Index:
    """The hashes of a file's rows, made in stretches."""

    def __init__(self, rows: Predictions) -> None:
        self.rows = rows
        self._restart()

    def _restart(self) -> None:
        self._generation = self.rows.generation
        self._prompts, self._answers = array("Q"), array("Q")

    def __len__(self) -> int:
        """How many rows were looked at."""
        return len(self._prompts)

    @property
    def done(self) -> bool:
        """Whether all rows that were counted were looked at."""
        return self._generation == self.rows.generation and len(self) >= len(self.rows)

    @property
    def mark(self) -> tuple[int, int]:
        """Another one as soon as it has grown, or begun anew."""
        return self._generation, len(self)

    def go_on(self, enough: Callable[[], bool]) -> None:
        """Looks on until all rows were looked at, or `enough` says so: it is asked after each stretch."""
        if self._generation != self.rows.generation:
            self._restart()
        try:
            with closing(self.rows.stretches(len(self))) as stretches:
                for _, _, data in stretches:
                    for line in data.split(b"\n"):
                        prompt, answer = row_of(line)
                        self._prompts.append(hash_of(prompt))
                        self._answers.append(hash_of(answer))
                    if enough():
                        return
        except OSError:
            return

    @property
    def prompts(self) -> Hashes:
        """Of each row's prompt, as a copy: the arrays grow."""
        return np.array(self._prompts, dtype=np.uint64)

    @property
    def answers(self) -> Hashes:
        """Of each row's answer."""
        return np.array(self._answers, dtype=np.uint64)


@dataclass(frozen=True)
class Matched:
    """Rows beside each other. left, right: places in the two files, of equal length; -1 where one of them has no such
    row. differs: whether the answers do. In the order of the first file, then what only the second has."""

    left: Places
    right: Places
    differs: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.left)

    @property
    def both(self) -> int:
        """How many rows both files have."""
        return int(np.count_nonzero((self.left != NOWHERE) & (self.right != NOWHERE)))

    @property
    def only_left(self) -> int:
        """How many only the first has."""
        return int(np.count_nonzero(self.right == NOWHERE))

    @property
    def only_right(self) -> int:
        """How many only the second has."""
        return int(np.count_nonzero(self.left == NOWHERE))


def turns(hashes: Hashes) -> Places:
    """Of each row, how many rows before it have the same hash."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.empty(0, np.int64)
    found = np.empty(len(hashes), dtype=np.int64)
    found[order] = np.arange(len(hashes)) - np.repeat(begins, np.diff(np.append(begins, len(hashes))))
    return found


def with_turns(hashes: Hashes) -> Hashes:
    """Hashes that tell the rows with the same one apart, by their order."""
    return hashes ^ (turns(hashes).astype(np.uint64) * np.uint64(MIX))


def match(left: Index, right: Index) -> Matched:
    """The rows of two files that have the same prompt, the n-th with the n-th."""
    return matched(left.prompts, left.answers, right.prompts, right.answers)


def matched(prompts: Hashes, answers: Hashes, other_prompts: Hashes, other_answers: Hashes) -> Matched:
    """The same of hashes."""
    _, mine, theirs = np.intersect1d(
        with_turns(prompts), with_turns(other_prompts), assume_unique=True, return_indices=True
    )
    partner = np.full(len(prompts), NOWHERE, dtype=np.int64)
    partner[mine] = theirs
    alone = np.ones(len(other_prompts), dtype=bool)
    alone[theirs] = False
    rest = np.flatnonzero(alone)
    left = np.concatenate((np.arange(len(prompts), dtype=np.int64), np.full(len(rest), NOWHERE, dtype=np.int64)))
    right = np.concatenate((partner, rest))
    differs = np.ones(len(left), dtype=bool)
    pair = (left != NOWHERE) & (right != NOWHERE)
    differs[pair] = answers[left[pair]] != other_answers[right[pair]]
    return Matched(left, right, differs)


class Pairs:
    """The predictions of two evaluations, matched as far as they were read."""

    def __init__(self, left: Predictions, right: Predictions) -> None:
        self.left, self.right = Index(left), Index(right)
        self._matched: tuple[tuple[tuple[int, int], tuple[int, int]], Matched] | None = None
        self.count()

    def count(self) -> None:
        """Looks how many rows the files have now."""
        for index in (self.left, self.right):
            index.rows.count()

    @property
    def done(self) -> bool:
        """Whether both files were read to their ends."""
        return self.left.done and self.right.done

    @property
    def share(self) -> float:
        """How much was read, 0..1."""
        total = len(self.left.rows) + len(self.right.rows)
        return min(1.0, (len(self.left) + len(self.right)) / total) if total else 1.0

    def go_on(self, enough: Callable[[], bool]) -> None:
        """Reads on until the ends, or `enough` says so."""
        self.count()
        for index in (self.left, self.right):
            if not index.done:
                index.go_on(enough)
                if enough():
                    return

    @property
    def matched(self) -> Matched:
        """The rows that were read, beside each other; made again when more were."""
        mark = (self.left.mark, self.right.mark)
        if self._matched is None or self._matched[0] != mark:
            self._matched = (mark, match(self.left, self.right))
        return self._matched[1]

    def wanted(self, *, all_rows: bool, searches: Sequence[Search] = ()) -> Places:
        """The numbers of the pairs to be shown. all_rows: also those whose answers are the same. searches: of the two
        files; a pair is wanted where one of its rows is a hit."""
        found = self.matched
        chosen = np.ones(len(found), dtype=bool) if all_rows else found.differs.copy()
        if searches:
            hit = np.zeros(len(found), dtype=bool)
            for places, search in zip((found.left, found.right), searches, strict=True):
                hits = np.array(search.hits, dtype=np.int64)
                hit |= (places != NOWHERE) & np.isin(places, hits)
            chosen &= hit
        return np.flatnonzero(chosen)

    def at(self, numbers: Sequence[int] | Places) -> Iterator[tuple[Prediction | None, Prediction | None]]:
        """The pairs of these numbers."""
        found = self.matched
        for number in numbers:
            yield one(self.left.rows, int(found.left[number])), one(self.right.rows, int(found.right[number]))


def one(rows: Predictions, place: int) -> Prediction | None:
    """The row at a place; None where there is none (any more)."""
    return next(iter(rows.at([place])), None) if place != NOWHERE and place < len(rows) else None
