"""Datasets that templates treat differently, and the example that LLaMA-Factory prints at the beginning of a run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lfdash.llamafactory.locate import Cli
from tests.support.page import DEMO

SYSTEM = "You are a careful clerk. Żółw 🐢"
TOOLS = json.dumps([{
    "name": "opening", "description": "When a shop opens.",
    "parameters": {"type": "object", "properties": {"shop": {"type": "string", "description": "Its name."}}},
}])
CALL = json.dumps({"name": "opening", "arguments": {"shop": "baker"}})
TURNS = [("human", "Is it open?"), ("gpt", "It is."), ("human", "And <b>now</b> & then?"), ("gpt", "Yes: 日本語, too.")]
ASKED = [("human", "When?"), ("function_call", CALL), ("observation", '{"hour": 7}'), ("gpt", "At seven.")]


def turns(said: list[tuple[str, str]]) -> list[dict[str, str]]:
    """As a row of ShareGPT has them."""
    return [{"from": who, "value": text} for who, text in said]


def make_data(workspace: Path, demo_workspace: Path) -> Path:
    """A workspace with the demo's model, without its weights, its data, and datasets of its own: talk, tools, long, odd
    (its first row ends with a question), pairs."""
    model = workspace / DEMO["model_name_or_path"]
    model.mkdir(parents=True)
    for file in (demo_workspace / DEMO["model_name_or_path"]).iterdir():
        if file.suffix != ".safetensors":  # a run prints its example before it looks for them, and ends there
            (model / file.name).symlink_to(file)
    data = workspace / "data"
    data.mkdir()
    entries = json.loads((demo_workspace / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    for entry in entries.values():
        (data / entry["file_name"]).symlink_to(demo_workspace / "data" / entry["file_name"])
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    long = [("human", "one two three " * 30), ("gpt", "yes " * 5), ("human", "four"), ("gpt", "five six " * 60)]
    pair = {"conversations": turns(TURNS[:3]), "system": SYSTEM, "tools": ""}
    better, worse = ({"from": "gpt", "value": "Yes, " * 20}, {"from": "gpt", "value": "No."})
    rows: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
        "talk": ([{"conversations": turns(TURNS), "system": SYSTEM, "tools": ""}] * 2, {}),
        "tools": ([{"conversations": turns(ASKED), "system": SYSTEM, "tools": TOOLS}], {}),
        "long": ([{"conversations": turns(long), "system": SYSTEM, "tools": ""}], {}),
        "odd": ([{"conversations": turns(said), "system": "", "tools": ""} for said in (TURNS[:3], TURNS)], {}),
        "pairs": (
            [{**pair, "chosen": better, "rejected": worse}],
            {"ranking": True, "columns": {**columns, "chosen": "chosen", "rejected": "rejected"}},
        ),
    }
    for name, (made, more) in rows.items():
        (data / f"{name}.json").write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
        entries[name] = {"file_name": f"{name}.json", "formatting": "sharegpt", "columns": columns, **more}
    (data / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    return workspace


def arguments(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The demo's arguments with changes; None takes one out."""
    args = {**DEMO, "dataset_dir": "data", "preprocessing_num_workers": 1, **changes}
    return {name: value for name, value in args.items() if value is not None}


def printed(cli: Cli, workspace: Path, output: Path, args: Mapping[str, Any]) -> dict[str, Any]:
    """What a real run prints of its first example, before it ends since it finds no weights: "input_ids" and the like
    as lists, "inputs" and the like as texts."""
    output.mkdir()
    file = output / "args.yaml"
    more = {"output_dir": str(output / "run"), "overwrite_output_dir": True, "max_steps": 1}
    file.write_text(yaml.safe_dump({**args, **more}), encoding="utf-8")
    done = subprocess.run(
        [cli.path, "train", str(file)], cwd=workspace, capture_output=True, encoding="utf-8", timeout=300
    )
    assert "training example:" in done.stdout, done.stdout[-2000:] + done.stderr[-3000:]
    text = done.stdout.split("training example:\n", 1)[1].split("eval example:\n", 1)[0]
    parts = re.split(r"^((?:\w+_)?(?:input_ids|inputs|label_ids|labels)):\n", text, flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    lists = {name: json.loads(text.splitlines()[0]) for name, text in found.items() if name.endswith("_ids")}
    return {**found, **lists}
