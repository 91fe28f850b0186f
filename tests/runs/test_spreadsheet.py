"""No cell of a CSV file is a formula, in spreadsheets of any country."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.spreadsheet import harmless

FORMULAS = "=+-@＝＋－＠"
UNSEEN = " \t\r\n\u00a0\u200b\ufeff'\""


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(1)", "'@SUM(1)"), ("＝1+1", "'＝1+1"), ("＋1", "'＋1"),
        ("－1", "'－1"), ("＠A1", "'＠A1"), (" =1", "' =1"), ("\u00a0=1", "'\u00a0=1"), ("\u200b=1", "'\u200b=1"),
        ("\ufeff=1", "'\ufeff=1"), ('"=1"', "'\"=1\""), ("'=1", "''=1"), ("\t=1", "'\t'=1"), ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"), ("\tx", "'\tx"), ("a;=1+1", "a;'=1+1"), ("a; =1+1", "a;' =1+1"), (";=1", "';'=1"),
        ('a;"=1+1"', "a;'\"=1+1\""), ("a\n=1", "a\n'=1"), ("a\t=1", "a\t'=1"), ("a;＝1", "a;'＝1"), ("a;;-b", "a;;'-b"),
        ("a\n\n @x;b", "a\n\n' @x;b"), ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"), ("1;-1", "1;'-1"),
        # what is none stays as it is
        ("", ""), ("a", "a"), ("a=b", "a=b"), ("a =b", "a =b"), ("x, -y", "x, -y"), ("5 - 3", "5 - 3"), ("a;b", "a;b"),
        ("ana@example.org", "ana@example.org"), ("two\nlines", "two\nlines"), ("it's", "it's"), (" ", " "),
    ],
)
def test_what_a_cell_becomes(cell: str, guarded: str) -> None:
    assert harmless(cell) == guarded


@given(st.lists(st.text(st.sampled_from([*FORMULAS, *UNSEEN, *";,a1|"]), max_size=12), min_size=1, max_size=4))
def test_no_country_finds_a_formula(cells: list[str]) -> None:
    """Whichever sign parts the cells: none that results begins a formula, blanks and quotes taken off."""
    text = io.StringIO()
    csv.writer(text).writerow([harmless(cell) for cell in cells])
    read = [cell for row in csv.reader(io.StringIO(text.getvalue())) for cell in row]
    split = [part for line in text.getvalue().splitlines() for part in line.replace("\t", ";").split(";")[1:]]
    for part in (*read, *split):
        assert not part.lstrip(' \t\r\n\u00a0\u200b\ufeff"').startswith(tuple(FORMULAS)), (cells, part)
    for cell, guarded in zip(cells, map(harmless, cells), strict=True):
        assert guarded.replace("'", "") == cell.replace("'", "")  # nothing is lost


@pytest.mark.parametrize("part", ["\n", ";", " ", "'", ";=", "a"])
def test_a_long_cell_takes_no_longer_than_its_length(part: str) -> None:
    start = time.monotonic()
    harmless(part * 200_000)
    assert time.monotonic() - start < 5
