"""A program: what the installed LlamaBoard builds from states of its form.

`python board_oracle.py STATES.jsonl RESULTS.jsonl`: one JSON object a line, element id -> value; the results
hold `args` (its `_parse_train_args`), `clean` (what it writes to training_args.yaml) or `error`.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


class ElementsAreIds:
    """Stands where LlamaBoard's manager of Gradio elements does: an element is its own id."""

    def get_elem_by_id(self, elem_id: str) -> str:
        return elem_id

    def get_id_by_elem(self, elem: str) -> str:
        return elem


def exported(state: dict[str, Any]) -> dict[str, Any]:
    """What LlamaBoard's Export tab hands to LLaMA-Factory; empty when it refuses."""
    import gradio
    from llamafactory.webui.components import export

    caught: dict[str, Any] = {}
    export.export_model = caught.update
    gradio.Warning = lambda *_: None
    names = inspect.signature(export.save_model).parameters
    given = {"lang": "en", "extra_args": "{}"}
    for name in names:
        given.setdefault(name, state.get(f"top.{name}", state.get(f"export.{name}")))
    list(export.save_model(**given))
    return caught


def main() -> None:
    source, target = (Path(name).absolute() for name in sys.argv[1:3])
    os.chdir(tempfile.mkdtemp())  # LlamaBoard reads its user settings from the working directory
    from llamafactory.extras.constants import MULTIMODAL_SUPPORTED_MODELS
    from llamafactory.webui.common import _clean_cmd
    from llamafactory.webui.runner import Runner

    runner = Runner(ElementsAreIds(), demo_mode=False)  # type: ignore[arg-type]
    with source.open(encoding="utf-8") as states, target.open("w", encoding="utf-8") as results:
        for line in states:
            state = json.loads(line)
            if "export.export_dir" in state:
                results.write(json.dumps({"args": exported(state)}) + "\n")
                continue
            result: dict[str, Any] = {"multimodal": state["top.model_name"] in MULTIMODAL_SUPPORTED_MODELS}
            try:
                result["args"] = runner._parse_train_args(state)
                result["clean"] = _clean_cmd(result["args"])
            except (ValueError, TypeError, KeyError) as error:
                result["error"] = repr(error)
            results.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
