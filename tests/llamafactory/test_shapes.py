"""Files of the shapes that people bring: the entry that we write for each, and how many rows we say are usable, is what
LLaMA-Factory makes of it. The shapes are those of public documentation and data sets; the rows are made up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.data.preview import rows_at
from lfdash.data.report import format_of, report_file, usual_stage
from tests.support import PROGRAMS

pytestmark = pytest.mark.train_env


def said(*turns: str, role: str = "role", content: str = "content") -> list[dict[str, Any]]:
    """Turns written as `word: text`."""
    return [dict(zip((role, content), turn.split(": ", 1), strict=True)) for turn in turns]


def shared(*turns: str) -> list[dict[str, Any]]:
    return said(*turns, role="from", content="value")


CALL = {"role": "assistant", "tool_calls": [
    {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Bonn"}'}}]}
OLD_CALL = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "w", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}
TEXT_CALL = '{"name": "weather", "arguments": {}}'
# name -> (rows, rows that are usable, the format; None = none is offered)
SHAPES: dict[str, tuple[list[Any] | str, int, str | None]] = {
    "openai chat with a system turn in some rows": (
        [{"messages": said("user: q", "assistant: a")}, {"messages": said("system: s", "user: q", "assistant: a")}], 2,
        "sharegpt"),
    "openai tool calls": ([{"messages": [*said("user: q"), CALL, *said("tool: rain", "assistant: a")], "tools": [TOOL]},
                           {"messages": said("user: q", "assistant: a"), "tools": [TOOL]}], 2, "sharegpt"),
    "openai parallel tool calls": (
        [{"messages": [*said("user: q"), CALL, *said("tool: rain", "tool: sun", "assistant: a")]}], 1, "sharegpt"),
    "openai older function calls": (
        [{"messages": [*said("user: q"), OLD_CALL, *said("function: rain", "assistant: a")]},
         {"messages": said("user: q", "assistant: a")}], 0, "sharegpt"),
    "openai contents as lists of parts": (
        [{"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]},
                       {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}], 0, "sharegpt"),
    "openai chat that ends with a question": (
        [{"messages": said("system: s", "user: q"), "reference_answer": "a"}] * 2, 0, "sharegpt"),
    "sharegpt with calls and observations": (
        [{"conversations": shared("human: q", f"function_call: {TEXT_CALL}", "observation: rain", "gpt: a"),
          "tools": json.dumps([TOOL["function"]])}], 1, "sharegpt"),
    "sharegpt with other words": (
        [{"conversations": shared("system: s", "user: q", "chatgpt: a")}] * 2, 2, "sharegpt"),
    "sharegpt that begins with an answer": (
        [{"conversations": shared("gpt: hi", "human: q", "gpt: a")},
         {"conversations": shared("human: q", "gpt: a")}], 1, "sharegpt"),
    "open assistant": ([{"conversation": said("prompter: q", "assistant: a", content="text")}], 1, "sharegpt"),
    "two persons with names": (
        [{"dialogue": said("Anna: q", "Boris: a", role="speaker", content="text")}], 1, "sharegpt"),
    "one list of turns a line": ("\n".join(json.dumps(said("user: q", "assistant: a")) for _ in "ab"), 0, None),
    "alpaca with history": ([{"instruction": "q", "input": "", "output": "a", "history": [["q", "a"]]},
                             {"instruction": "q", "input": "", "output": "a", "history": []}], 2, "alpaca"),
    "alpaca with history as text": (
        [{"instruction": "q", "input": "", "output": "a", "history": "q: a"}], 1, "alpaca"),
    "alpaca with objects as answers": ([{"instruction": "q", "input": "", "output": {"a": 1}}], 0, None),
    "question, context, response": (
        [{"instruction": "q", "context": "c", "response": "a", "category": "x"}] * 2, 2, "alpaca"),
    "query and response with an answer missing": (
        [{"query": "q", "response": "a"}, {"query": "q", "response": None}], 1, "alpaca"),
    "pairs of text": ([{"prompt": "q", "chosen": "a", "rejected": "b"}], 1, "pairs"),
    "pairs as lists of turns": (
        [{"prompt": "q", "chosen": said("user: q", "assistant: a"), "rejected": said("user: q", "assistant: b")}], 0,
        None),
    "pairs as turns behind a conversation": (
        [{"conversations": shared("human: q"), "chosen": shared("gpt: a")[0], "rejected": shared("gpt: b")[0]}], 1,
        "chat_pairs"),
    "pairs as turns of openai": (
        [{"messages": said("system: s", "user: q"), "chosen": said("assistant: a")[0],
          "rejected": said("assistant: b")[0]}], 1, "chat_pairs"),
    "preferred outputs": (
        [{"input": {"messages": said("user: q")}, "preferred_output": said("assistant: a"),
          "non_preferred_output": said("assistant: b")}], 0, None),
    "prompt and completion as turns": (
        [{"prompt": said("user: q"), "completion": said("assistant: a")}], 0, None),
    "marks for kto": ([{"prompt": "q", "completion": "a", "label": True},
                       {"prompt": "q", "completion": "b", "label": False}], 2, "kto"),
    "marks as text": ([{"prompt": "q", "completion": "a", "label": "true"}], 1, "alpaca"),
    "marks as numbers": ([{"prompt": "q", "completion": "a", "label": 1}], 1, "alpaca"),
    "marks on turns": ([{"messages": said("user: q", "assistant: a"), "label": True}] * 2, 2, "chat_kto"),
    "plain text": ([{"text": "a"}, {"text": ""}], 2, "text"),
    "csv of questions": ("question,answer\nq,a\nq,\nq,b\n", 2, "alpaca"),
    "csv with numbers as answers": ("question,answer\nq,1\nq,2\n", 0, None),
    "csv of marks": ("prompt,response,label\nq,a,true\nq,b,false\n", 2, "kto"),
    "a text file": ("one\n\ntwo", 3, "text"),
}


def written(folder: Path, number: int, name: str, rows: list[Any] | str) -> Path:
    suffix = "csv" if name.startswith("csv") else "txt" if name == "a text file" else "jsonl"
    path = folder / f"{number}.{suffix}"
    path.write_text(rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows)))
    return path


def test_the_shapes_that_people_bring(tmp_path: Path) -> None:
    cases, names, found = [], [], {}
    for number, (name, (rows, _, _)) in enumerate(SHAPES.items()):
        path = written(tmp_path, number, name, rows)
        report = report_file(path)
        found[name] = (report.usable or 0, report.format)
        if report.entry is not None:
            stage = usual_stage(format_of(report.entry))
            shown = [row for _, row in rows_at(path, range(1, 99))]
            cases.append({"entry": report.entry, "stage": stage, "rows": shown})
            names.append(name)
    assert found == {name: (usable, format_name) for name, (_, usable, format_name) in SHAPES.items()}
    (tmp_path / "cases").write_text(json.dumps(cases))
    command = [sys.executable, str(PROGRAMS / "converted_rows.py"), str(tmp_path / "cases")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    theirs = {name: one["all"] for name, one in zip(names, json.loads(done.stdout), strict=True)}
    theirs = {name: 0 if isinstance(count, str) else count for name, count in theirs.items()}
    assert theirs == {name: found[name][0] for name in names}
