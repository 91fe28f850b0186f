"""A program: the installed LlamaBoard opens run folders and saves what it then has in its form.

`python board_opens.py RUNS.json RESULTS.json`, started in a workspace. RUNS: a list of {model_name, model_path,
method, name}; for each the form is made anew (its real Gradio elements), LlamaBoard finds the folder of that
name, takes the configuration that lies there, and saves its form as `<name>-board.yaml`. RESULTS: for each
`args`, what it would then run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    import gradio as gr
    from llamafactory.webui.common import _clean_cmd, save_args
    from llamafactory.webui.components import create_eval_tab, create_top, create_train_tab
    from llamafactory.webui.engine import Engine

    gr.Warning = lambda *_: None  # it would look for the page
    engine = Engine(demo_mode=True)
    with gr.Blocks() as page:
        engine.manager.add_elems("top", create_top())
        engine.manager.add_elems("train", create_train_tab(engine))
        engine.manager.add_elems("eval", create_eval_tab(engine))
    runner, manager = engine.runner, engine.manager
    handed_over = next(fn.inputs for fn in page.fns.values() if fn.name == "run_train")
    results = []
    for run in json.loads(source.read_text(encoding="utf-8")):
        form: dict[Any, Any] = {elem: getattr(elem, "value", None) for elem in manager.get_elem_list()}
        found = runner.check_output_dir("en", run["model_name"], run["method"], run["name"])
        form |= found
        typed = {"top.lang": "en", "top.model_path": run["model_path"], "train.output_dir": run["name"]}
        form |= {manager.get_elem_by_id(name): value for name, value in typed.items()}
        save_args(f"{run['name']}-board.yaml", runner._build_config_dict({elem: form[elem] for elem in handed_over}))
        results.append({"found": len(found), "args": _clean_cmd(runner._parse_train_args(form))})
    target.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
