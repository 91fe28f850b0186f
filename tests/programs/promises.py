"""Says what a new row of a table has become: `python -m tests.programs.promises PART WORKSPACE [WORDS]`.

Run by tests/test_promises.py in a copy of the project that has the row; the answer is JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from streamlit.testing.v1 import AppTest

from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.services import Services
from lfdash.jobs import checks
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.environment import Facts
from lfdash.jobs.llamaboard_format import job_from_state, state_from_job
from lfdash.launchers import table
from lfdash.runs.record import RunRecord
from lfdash.ui.shared.text import LANGUAGE
from lfdash.ui.train.monitor import TAB
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.runs import plan_for, record_for, wait_end, wait_for


def previewed(app: AppTest) -> dict[str, Any]:
    """The YAML that the page previews, read."""
    app.button(key="preview").click()
    pages.good(app.run())
    (text,) = [item.value for item in app.code if item.language == "yaml"]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def field(services: Services, field_id: str, raw: str, group: str) -> dict[str, Any]:
    """A field: what its widget is called, and what becomes of a value that is typed into it."""
    app = pages.start()
    app.session_state[f"open_{group}"] = True
    pages.good(app.run())
    box = pages.widget(app, "text_input", field_id)
    shown = box.label
    name = field_id.partition(".")[2]
    before = name in previewed(app)
    app.session_state[field_id] = raw
    pages.good(app.run())
    return {"label": shown, "before": before, "yaml": previewed(app).get(name)}


def texts(app: AppTest) -> set[str]:
    """The fields that a text is typed into."""
    return {(item.key or "").strip() for item in app.text_input}


def stage(services: Services, code: str) -> dict[str, Any]:
    """A stage: its word in the form, what it opens there, and what its preset becomes."""
    app = pages.start()
    app.session_state["open_preference"] = True
    pages.good(app.run())
    box = pages.widget(app, "selectbox", "train.training_stage")
    before = texts(app)
    box.set_value(code)
    pages.good(app.run())
    preset = services.presets[code]
    job = job_from_args({**preset.args, "output_dir": "saves/m/lora/r1"})
    facts = Facts(datasets=frozenset({"demo_pairs"}), ranking={"demo_pairs": False})
    state = state_from_job(job)
    again = build_args(job_from_state(state))
    extra = json.loads(state["train.extra_args"])
    return {
        "word": box.options[-1], "opened": "train.pref_beta" in texts(app) - before,
        "yaml": previewed(app)["stage"], "preset": preset.title, "args": build_args(job)["stage"],
        "llamaboard": {name: extra.get(name) for name in ("stage", "pref_beta", "pref_loss")},
        "lost there": sorted(name for name, value in build_args(job).items() if again.get(name) != value),
        "problems": sorted(problem.code for problem in checks.problems(job, facts)),
    }


def launcher(services: Services, name: str) -> dict[str, Any]:
    """A launcher: a run that it starts beside those of the default one, seen by another process, then stopped."""
    root = services.workspace.root
    registry = ProcessRegistry(root, table.get(table.DEFAULT))
    own = registry.launchers.get(name)
    plan = own.plan(plan_for(root, steps=2))
    registry.launch(plan, record_for(plan, name))
    registry.start()
    view = wait_end(registry, plan.run_id)
    forever = own.plan(plan_for(root, name="r2", load=600))
    registry.launch(forever, record_for(forever, name))
    found = json.loads(other("see", root, "id-r2"))
    wait_for(lambda: state(registry, "id-r2") in ("STOPPED", "FAILED"))
    registry.close()
    record = RunRecord.from_json(view.paths.record.read_text())
    return {
        "listed": name in table.TABLE, "record": record.launcher, "state": view.state.name,
        "added": sorted(set(record.last.env) - set(plan_for(root, name="x").env)), "elsewhere": found,
        "stopped": state(registry, "id-r2"),
    }


def state(registry: ProcessRegistry, run_id: str) -> str:
    view = registry.get(run_id)
    return view.state.name if view else ""


def other(part: str, root: Path, *words: str) -> str:
    """What another process finds."""
    command = [sys.executable, "-m", "tests.programs.promises", part, str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout


def see(services: Services, run_id: str) -> str:
    """How a run stands in a dashboard that did not start it; it is stopped then."""
    registry = services.registry
    registry.start()
    wait_for(lambda: state(registry, run_id) == "RUNNING")
    refused = registry.stop(run_id, "kill")
    return "RUNNING" if refused is None else refused.code


def chart(services: Services, column: str) -> dict[str, Any]:
    """A chart: what the page draws of a run that has the column."""
    paths = add_run(services.workspace.root, "r1", steps=4)
    with paths.trainer_log.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"current_steps": n, "total_steps": 9, "loss": 1.0, column: 5.0 + n}) + "\n"
                        for n in (5, 6))
    services.registry.refresh()
    app = pages.start()
    drawn = titles(app)
    app.session_state[f"{TAB}_train"] = "curves"
    pages.good(app.run())
    return {"before": drawn, "curves": titles(app)}


def titles(app: AppTest) -> list[str]:
    sent = [json.loads(item.proto.json).get("parts", {}) for item in app.get("bidi_component")]
    return [part["title"] for parts in sent for name, part in parts.items() if name.startswith("chart/")]


def language(services: Services, code: str) -> dict[str, Any]:
    """A language: whether the page offers it, and what it says where the file says nothing."""
    app = pages.start()
    box = pages.widget(app, "selectbox", LANGUAGE)
    offered = list(box.options)
    pages.speak(app, code)
    return {
        "offered": offered, "start": app.button(key="start").label, "queue": app.button(key="enqueue").label,
    }


PARTS = {part.__name__: part for part in (field, stage, launcher, see, chart, language)}


def main(name: str, root: str, *words: str) -> None:
    os.environ["LFDASH_CLI"] = "/no/llamafactory-cli"
    with pages.opened(Path(root)) as services:
        print(json.dumps(PARTS[name](services, *words), ensure_ascii=False))  # type: ignore[operator]


if __name__ == "__main__":
    main(*sys.argv[1:])
