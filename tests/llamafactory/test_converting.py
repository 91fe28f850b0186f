"""What we say of a row is what LLaMA-Factory's own converters and processors make of it, for generated rows and
entries of all its formattings and stages."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.data.attributes import attributes
from lfdash.data.converting import Converter, Verdict
from lfdash.jobs.stages import BY_CODE
from tests.support import PROGRAMS

pytestmark = pytest.mark.train_env

CASES = 1500
TEXTS = ("q", "a", "", "long text")
CALLS = ('{"name": "f", "arguments": {}}', '[{"name": "f", "arguments": {"x": 1}}]', "no call", "{}")
OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
          "system_tag": "system", "observation_tag": "tool", "function_tag": "call"}
SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
            "system_tag": "system", "observation_tag": "observation", "function_tag": "function_call"}


def rarely(dice: random.Random, odd: Any, usual: Any, share: float = 0.12) -> Any:
    return odd if dice.random() < share else usual


def a_text(dice: random.Random) -> Any:
    return rarely(dice, None, dice.choice(TEXTS), 0.08)


def turn(dice: random.Random, tags: dict[str, str], side: int) -> dict[str, Any]:
    """A turn of a side (0 asks, 1 answers), now and then of another."""
    names = [("user_tag", "observation_tag"), ("assistant_tag", "function_tag")][side]
    name = rarely(dice, dice.choice([*tags][2:]), rarely(dice, names[1], names[0], 0.25), 0.06)
    role = rarely(dice, dice.choice(["critic", None, "User"]), tags[name], 0.03)
    content = dice.choice(CALLS) if name == "function_tag" else a_text(dice)
    made = {tags["role_tag"]: role, tags["content_tag"]: content}
    if name in ("assistant_tag", "function_tag") and dice.random() < 0.2:
        made["tool_calls"] = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    return made


def turns(dice: random.Random, tags: dict[str, str], odd: bool) -> list[Any]:
    count = rarely(dice, dice.randrange(6), dice.choice([2, 2, 4]) + odd)
    conversation = [turn(dice, tags, place % 2) for place in range(count)]
    for place in range(len(conversation)):
        if dice.random() < 0.08:
            conversation.insert(place, turn(dice, {**tags, "user_tag": tags["observation_tag"]}, 0))
    if dice.random() < 0.4:
        conversation.insert(0, {tags["role_tag"]: tags["system_tag"], tags["content_tag"]: a_text(dice)})
    return conversation


def a_row(dice: random.Random, tags: dict[str, str], kinds: dict[str, Any]) -> dict[str, Any]:
    """A row with all columns; `kinds` says what those are that are odd in the whole file (a table has one type)."""
    answer = {tags["role_tag"]: rarely(dice, dice.choice(["user", "critic"]), tags["assistant_tag"], 0.1),
              tags["content_tag"]: a_text(dice)}
    row = {
        "question": a_text(dice), "more": rarely(dice, "more", "", 0.3), "answer": a_text(dice),
        "turns": turns(dice, tags, kinds["ranked"]), "prompt": rarely(dice, "be kind", "", 0.3),
        "tools": rarely(dice, dice.choice(["{", "[]", '[{"name": "f", "parameters": {"properties": {}}}]']), "", 0.1),
        "history": [[a_text(dice), a_text(dice)] for _ in range(dice.randrange(2))],
        "mark": rarely(dice, None, dice.random() < 0.5, 0.1), "better": a_text(dice), "worse": a_text(dice),
        "better_turn": rarely(dice, None, answer), "worse_turn": rarely(dice, None, dict(answer)),
    }
    odd = {name: made(dice) for name, made in kinds["odd"].items()}
    return {**row, **odd}


ODD = {
    "question": lambda dice: dice.choice([0, 3, None]), "answer": lambda _: {"text": "a"},
    "mark": lambda dice: dice.choice(["true", "false"]), "history": lambda dice: dice.choice(["a", ""]),
    "better": lambda _: [{"role": "assistant", "content": "a"}], "turns": lambda _: "user: hi",
    "prompt": lambda _: {"a": "b"}, "tools": lambda _: [{"name": "f", "parameters": {"properties": {}}}],
}
ODD_TURNS = {"history": lambda _: [["a", "b", "c"]], "answer": lambda _: 7, "mark": lambda dice: dice.choice([0, 1])}


def an_entry(dice: random.Random, tags: dict[str, str], ranked: bool, marked: bool) -> dict[str, Any]:
    formatting = dice.choice(["alpaca", "sharegpt", "openai"])
    columns = {"prompt": "question", "query": "more", "response": "answer", "history": "history"}
    if formatting != "alpaca":
        columns = {"messages": "turns"}
    columns |= {"system": "prompt", "tools": "tools"}
    if marked:
        columns["kto_tag"] = "mark"
    if ranked:
        pair = ("better", "worse") if formatting == "alpaca" or dice.random() < 0.1 else ("better_turn", "worse_turn")
        columns |= dict(zip(("chosen", "rejected"), pair, strict=True))
    for role in list(columns):
        if dice.random() < 0.15 and role not in ("messages", "chosen", "rejected"):
            del columns[role]
    kept = {tag: word for tag, word in tags.items() if tag in ("role_tag", "content_tag") or dice.random() < 0.9}
    entry: dict[str, Any] = {"formatting": formatting, "columns": columns}
    return {**entry, **({"ranking": True} if ranked else {}), **({"tags": kept} if formatting != "alpaca" else {})}


def a_case(seed: int) -> dict[str, Any]:
    dice = random.Random(seed)
    tags = dice.choice([OPENAI, SHAREGPT])
    stage = dice.choice([*BY_CODE])
    ranked = BY_CODE[stage].ranked
    name = dice.choice([*ODD])
    odd = {name: dice.choice([ODD, ODD_TURNS])[name]} if name in ODD_TURNS else {name: ODD[name]}
    kinds = {"ranked": ranked, "odd": odd if dice.random() < 0.25 else {}}
    entry = an_entry(dice, tags, ranked, rarely(dice, stage != "kto", stage == "kto", 0.1))
    return {"entry": entry, "stage": stage, "rows": [a_row(dice, tags, kinds) for _ in range(dice.randrange(1, 6))]}


def word(reason: Verdict | None) -> str:
    return "used" if reason is None else "stops" if reason.stops else "left"


def ours(case: dict[str, Any]) -> tuple[list[str], str | int]:
    """Each row by itself, and all together."""
    entry, stage = attributes(case["entry"]), case["stage"]
    each = [word(Converter(entry, stage).reason(row)) for row in case["rows"]]
    converter = Converter(entry, stage)
    together = [word(converter.reason(row)) for row in case["rows"]]
    closing = converter.closing()
    return each, "stops" if "stops" in together or closing is not None else together.count("used")


def test_rows_are_taken_left_out_or_the_end_as_llamafactory_says(tmp_path: Path) -> None:
    cases = [a_case(seed) for seed in range(CASES)]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, str(PROGRAMS / "converted_rows.py"), str(tmp_path / "cases.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    wrong, seen = [], {"used": 0, "left": 0, "stops": 0}
    for case, theirs in zip(cases, json.loads(done.stdout), strict=True):
        each, together = ours(case)
        for row, own, their in zip(case["rows"], each, theirs["each"], strict=True):
            seen[own] += 1
            if own != their.split(":")[0]:
                wrong.append((own, their, case["stage"], case["entry"], row))
        real = "stops" if isinstance(theirs["all"], str) else theirs["all"]
        if each == [str(their).split(":")[0] for their in theirs["each"]] and together != real:
            wrong.append((together, theirs["all"], case["stage"], case["entry"], case["rows"]))
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(map(str, wrong[:4]))
    assert all(count > CASES / 5 for count in seen.values()), seen
