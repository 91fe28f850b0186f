"""Tables as HTML: whatever a run is called, it is text."""

from __future__ import annotations

from lfdash.ui.compare.tables import Cell, Group, Head, Row, table

BAD = '<img src=x onerror="alert(1)">&'


def test_every_value_is_escaped() -> None:
    text = table(BAD, [Head(BAD, notes=(BAD,))], [Group(BAD, (
        Row(BAD, (Cell(BAD, (BAD,), BAD + "more", strong=True, mark=BAD),), code=True),
    ))])
    assert "<img" not in text and 'onerror="' not in text and text.count("&lt;img") == 9


def test_what_a_row_says_without_colour() -> None:
    text = table("t", [Head("a"), Head("b")], [Group("", (
        Row("row", (Cell("1", strong=True, mark="★"), Cell(quiet=True))),
    ))])
    assert "<td><b>1</b> ★</td>" in text and '<td><span class="lf-quiet">–</span></td>' in text
    assert '<th scope="row">row</th>' in text and '<th scope="col">a</th>' in text and "lf-group" not in text


def test_the_whole_value_is_told_where_it_is_cut() -> None:
    text = table("t", [Head("a")], [Group("g", (Row("r", (Cell("lo…g", full="long"), Cell("x", full="x"))),))])
    assert '<td title="long">lo…g</td><td>x</td>' in text and 'colspan="2">g</th>' in text


def test_long_names_are_broken_where_they_are_joined() -> None:
    text = table("t", [Head("a")], [Group("", (Row("lora_rank", (Cell("saves/a_b"),)),))])
    assert ">lora_<wbr>rank</th>" in text and "<td>saves/<wbr>a_<wbr>b</td>" in text
