"""Rows of a log become columns, quickly: the same as slowly, however the log was written and cut into pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.metrics.merge import Merge
from lfdash.runs.metrics.rows import read_block
from tests.support.plain_metrics import Plain, rows_of, same

ODD = (
    b"", b"{", b"[1]", b"\0\0", b"\xff\xfe", b"null", b'{"current_steps": null}', b'{"current_steps": "7"}', b"{}",
    b'{"current_steps": 3, "loss": NaN, "total_steps": 9}', b'{"current_steps": 4, "loss": "2.5"}',
    b'{"current_steps": 4, "loss": -Infinity, "epoch": NaN}', b'{"current_steps": 5, "loss": [1], "epoch": {}}',
    b'{"current_steps": 1e999}', b'{"current_steps": 6, "loss": 123456789012345678901234567890}',
    b'{"current_steps": 6, "loss": 1, "loss": 2.0}', b' {"current_steps": 8, "eval_loss": 1e-320}\r',
    b'{"current_steps": 7, "loss": true, "eval_loss": null}', b'{"current_steps": 2, "loss": 1' + b"0" * 400 + b"}",
    b'{"current_steps": 9, "elapsed_time": 7, "loss": 1}', b'{"current_steps": 9, "elapsed_time": "9:99"}',
    b'\0\0{"current_steps": 5, "loss": 1.5}', b'{"current_steps": -2, "loss": 1.5}', b'{"current_steps": 2.5}',
    b"[" * 3000, b'{"asked": 7, "current_steps": 2}', b'{"current_steps": 4, "total_steps": 1e300, "loss": 3}',
)


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    """A line as LLaMA-Factory writes them."""
    step = draw(st.integers(0, 12))
    row: dict[str, Any] = {"current_steps": step, "total_steps": draw(st.sampled_from([9, 12]))}
    kind = draw(st.sampled_from(["loss", "loss", "loss", "eval_loss", "none", "predict"]))
    if kind in ("loss", "eval_loss"):
        row[kind] = draw(st.sampled_from([0.0, 1.5, 2.25, 3.0]))
    if kind != "predict":
        row["epoch"] = step / 4
    if draw(st.booleans()):
        row |= {"lr": 1e-4 / (1 + step), "accuracy": 0.5}
    if draw(st.booleans()):
        row |= {"total_tokens": 100 * step, "throughput": draw(st.sampled_from([0.0, 12.5, 100.0]))}
    row["elapsed_time"] = draw(st.sampled_from(["0:00:01", "0:00:09", "1 day, 2:03:04", "1 day, 2:03:05", ""]))
    return json.dumps(row).encode()


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Launches, each of ascending steps, or rows in any order; now and then a line of something else."""
    lines: list[bytes] = []
    for _ in range(draw(st.integers(0, 4))):
        part = draw(st.lists(st.one_of(rows(), rows(), rows(), st.sampled_from(ODD)), max_size=12))
        if draw(st.booleans()):
            part.sort(key=lambda line: read_block(line)[0].step.tolist())
        lines += part
    return lines


@settings(max_examples=150, deadline=None)
@given(logs(), st.lists(st.integers(1, 6), max_size=12))
def test_a_log_in_pieces_is_what_it_is_row_by_row(lines: list[bytes], sizes: list[int]) -> None:
    merge, plain = Merge(), Plain()
    plain.add(rows_of(b"".join(line + b"\n" for line in lines)))
    while lines:
        count = sizes.pop() if sizes else len(lines)
        merge.add(read_block(b"".join(line + b"\n" for line in lines[:count]))[0])
        lines = lines[count:]
    frame = merge.frame()
    assert frame["step"].tolist() == plain.column("step")
    for name in {*frame.columns, *(name for values in plain.steps.values() for name in values)}:
        assert same(frame[name], plain.column(name)), name
    assert [segment.step for segment in frame.segments] == [int(step) for step in plain.starts]
    assert merge.planned == plain.planned
    assert all(frame["step"][segment.place] >= segment.step for segment in frame.segments)


@pytest.mark.parametrize("line", ODD, ids=repr)
def test_an_odd_line_is_what_python_makes_of_it_and_harms_no_other(line: bytes) -> None:
    text = b'{"current_steps": 1, "loss": 2.5}\n' + line + b'\n{"current_steps": 90, "loss": 1.5}\n'
    merge, plain = Merge(), Plain()
    plain.add(rows_of(text))
    block, bad = read_block(text)
    merge.add(block)
    assert merge.frame()["step"].tolist() == plain.column("step") and merge.frame()["loss"][-1] == 1.5
    assert all(same(merge.frame()[name], plain.column(name)) for name in merge.frame().columns)
    assert bad == (len(rows_of(text)) == 2 and bool(line.strip(b"\0")))
