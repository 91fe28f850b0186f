"""Predictions of an evaluation: pages of a file that grows, searches in stretches, rows that nobody expected."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs import predictions as module
from lfdash.runs.predictions import BEGINNING, Prediction, Predictions, Search


def line(n: int, answer: str = "") -> str:
    return json.dumps({"prompt": f"Question {n}", "predict": answer or f"guess {n}", "label": f"truth {n}"}) + "\n"


def found(rows: Predictions, text: str) -> list[int]:
    """The places of the rows that have a text, looked for to the end."""
    rows.count()
    search = Search(rows, text)
    search.go_on(lambda: False)
    assert search.done
    return list(search.hits)


def test_pages_of_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "generated_predictions.jsonl"
    rows = Predictions(path)
    assert (rows.count(), rows.page(0, 10)) == (0, [])
    path.write_text("".join(line(n) for n in range(25)))
    assert rows.count() == 25
    assert [row.number for row in rows.page(20, 10)] == [21, 22, 23, 24, 25]
    assert rows.page(3, 1)[0].label == "truth 3"
    with path.open("a") as file:
        file.write(line(25) + '{"prompt": "half')
    assert rows.count() == 26
    assert rows.page(25, 5)[0].prompt == "Question 25"
    with path.open("a") as file:
        file.write('"}\n')
    assert rows.count() == 27 and rows.page(26, 1)[0].prompt == "half"
    path.write_text(line(7))  # replaced by a shorter one
    assert rows.count() == 1 and rows.generation == 1
    assert rows.page(0, 5)[0].prompt == "Question 7"
    (tmp_path / "other").write_text(line(1, "a longer answer") + line(2))
    os.replace(tmp_path / "other", path)  # by a longer one
    assert rows.count() == 2 and rows.generation == 2
    assert [row.prompt for row in rows.page(0, 5)] == ["Question 1", "Question 2"]


def test_search_looks_into_every_column(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(line(n, "Zürich" if n % 10 == 0 else "") for n in range(100)) + "not json\n")
    rows = Predictions(path)
    hits = found(rows, "zÜRICH")
    assert hits == list(range(0, 100, 10))
    assert [row.number for row in rows.at(hits[2:5])] == [21, 31, 41]
    assert found(rows, "nothing") == []
    assert rows.at(found(rows, "not json"))[0].prompt == "not json"


def test_a_search_stops_when_it_is_told_and_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    path = tmp_path / "p.jsonl"
    path.write_text("".join(line(n) for n in range(1000)))
    rows = Predictions(path)
    rows.count()
    search = Search(rows, "guess")
    search.go_on(lambda: True)
    assert 0 < search.looked == len(search.hits) < 50 and not search.done
    search.go_on(lambda: False)
    assert search.done and list(search.hits) == list(range(1000))
    with path.open("a") as file:
        file.write(line(1000))
    assert rows.count() == 1001 and not search.done
    search.go_on(lambda: False)
    assert search.done and len(search.hits) == 1001
    path.write_text(line(7) + line(8, "other"))
    rows.count()
    assert not search.done
    search.go_on(lambda: False)
    assert search.done and list(search.hits) == [0]


def test_rows_are_read_as_they_are_written_and_not_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a key quick: a row of LLaMA-Factory's is not parsed, whether it has the text or not."""
    path = tmp_path / "p.jsonl"
    path.write_text("".join(line(n, "two\nlines" if n % 2 else "") for n in range(1000)))
    rows = Predictions(path)
    rows.count()
    monkeypatch.setattr(module, "parse", lambda *_: pytest.fail("a row was parsed"))
    for text, hits in (("9", 271), ("guess", 500), ("predict", 0), ("p", 0), ("question", 1000), ("e", 1000)):
        assert len(found(rows, text)) == hits, text


TEXT = st.text(alphabet='aAsSßKKﬁé"\\/\nn\tu0{},: promtdicel\U0001f600', max_size=8)
ROW = st.fixed_dictionaries({"prompt": TEXT, "predict": TEXT, "label": TEXT})
LINE = (
    st.builds(lambda row, ascii_: json.dumps(row, ensure_ascii=ascii_), ROW, st.booleans())
    | st.builds(json.dumps, st.dictionaries(st.sampled_from(["prompt", "label", "other"]), TEXT | st.lists(TEXT)))
    | TEXT.map(lambda text: text.replace("\n", "")).filter(bool)
    | st.builds(lambda row, place: json.dumps(row)[place:], ROW, st.integers(0, 9))
)


@pytest.mark.parametrize(
    ("text", "places"),
    [("n", []), ("\\", [1]), ('"', [2]), ("\\x", [1]), ("u", [3]), ("ß", [4]), ("SS", [4]), ("x", [0, 1])],
)
def test_an_escape_is_not_taken_for_what_it_is_written_with(tmp_path: Path, text: str, places: list[int]) -> None:
    answers = ["\nx", "\\x", '"', "u", "ß"]
    rows = [{"prompt": "", "predict": answer, "label": ""} for answer in answers]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    assert found(Predictions(tmp_path / "p.jsonl"), text) == places


def told(row: Prediction) -> str:
    return f"{row.prompt}\n{row.label}\n{row.predict}".casefold()


@given(st.lists(LINE, min_size=1, max_size=6), TEXT.filter(bool))
def test_a_search_finds_what_reading_every_row_finds(lines: list[str], wanted: str) -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(module, "CHUNK", 100):
        path = Path(folder) / "p.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), newline="")
        rows = Predictions(path)
        assert rows.count() == len(lines)
        whole = list(rows.rows())
        assert whole == rows.page(0, len(lines)) and len(whole) == len(lines)
        assert found(rows, wanted) == [place for place, row in enumerate(whole) if wanted.casefold() in told(row)]


def test_csv_is_whole_and_harmless(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(line(1, '=cmd("x")') + line(2, 'two\nlines, "quoted"'))
    table = list(csv.reader("".join(Predictions(path).csv()).splitlines(keepends=True)))
    assert table[0] == ["prompt", "label", "predict"]
    assert table[1][2] == '\'=cmd("x")'
    assert table[2][2] == 'two\nlines, "quoted"'


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ('{"prompt": "\\ud800"}', "\\ud800"), ('{"prompt": ' + "9" * 5000 + "}", '{"prompt": 999'),
        ("[" * 100_000, "[[["), ('{"prompt": ' + "[" * 99 + "]" * 99 + "}", "…"),
        ('"text"', '"text"'), ("\xff", "\xff"),
        ('{"prompt": null}', "None"), ('{"prompt": [1]}', "[1]"), ("x" * 20_000, "xxx"),
    ],
)
def test_rows_that_nobody_expected_are_shown(tmp_path: Path, text: str, prompt: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f"{text}\n{line(2)}")
    rows = Predictions(path)
    odd, good = rows.page(0, 5)
    assert odd.prompt.startswith(prompt) and len(odd.prompt) <= BEGINNING + 1 and good.label == "truth 2"
    odd.prompt.encode()
    assert "".join(rows.csv()).encode() and found(rows, "truth 2") == [1]


def test_of_a_line_of_gigabytes_only_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 50_000)
    path = tmp_path / "p.jsonl"
    with path.open("wb") as file:
        file.write(line(1).encode() + b"needle")
        file.truncate(3 << 30)  # sparse
        file.seek(0, 2)
        file.write(b"\n" + line(3).encode())
    rows = Predictions(path)
    assert rows.count() == 3
    assert [len(row.prompt) for row in rows.page(0, 3)] == [10, BEGINNING + 1, 10]
    assert found(rows, "needle") == [1] and found(rows, "truth") == [0, 2]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_has_no_rows(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "p.jsonl")
    rows = Predictions(tmp_path / "p.jsonl")
    assert rows.count() == 0 and rows.page(0, 9) == [] and found(rows, "a") == [] and list(rows.rows()) == []
