"""The workspace of the tests of the Compare page: two trainings, an evaluation of each, and a run of the plain CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from tests.support import app as pages
from tests.support.many import add_plain, add_run


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        yield found


def predict(folder: Path, answers: dict[str, str]) -> None:
    """What an evaluation leaves."""
    rows = [{"prompt": prompt, "predict": answer, "label": f"label of {prompt}"} for prompt, answer in answers.items()]
    (folder / "generated_predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def several(services: Services) -> Services:
    root = services.workspace.root
    add_run(root, "slow", age=9000, args={"learning_rate": 1e-5, "lora_rank": 8, "seed": 42})
    add_run(root, "fast", age=8000, steps=40, total=40, args={"learning_rate": 1e-3})
    for name, of, score in (("eval-slow", "slow", 40.0), ("eval-fast", "fast", 50.0)):
        args = {"adapter_name_or_path": f"saves/demo-llama/lora/{of}", "eval_dataset": "demo_sft"}
        paths = add_run(root, name, kind="eval", age=5000, args=args)
        (paths.root / "predict_results.json").write_text(json.dumps({"predict_bleu-4": score}))
    evaluations = root / "saves" / "demo-llama" / "lora"
    predict(evaluations / "eval-slow", {"one": "the same", "two": "a cat <b>", "three": "only here"})
    predict(evaluations / "eval-fast", {"two": "a dog <b>", "one": "the same"})
    add_plain(root, "cli")
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    return services


def visit(query: dict[str, str] | None = None) -> AppTest:
    app = pages.start()
    for name, value in (query or {}).items():
        app.query_params[name] = value
    app.switch_page("pages/compare.py")
    return pages.good(app.run())


def html(app: AppTest) -> str:
    return "\n".join(item.proto.body for item in app.get("html")).replace("<wbr>", "")


def words(app: AppTest) -> str:
    kinds = ("info", "warning", "error", "caption", "markdown")
    return "\n".join(str(item.value) for kind in kinds for item in app.get(kind))


def address(app: AppTest) -> dict[str, str]:
    return {name: values[0] if isinstance(values, list) else values for name, values in app.query_params.items()}


def press(app: AppTest, key: str) -> AppTest:
    (found,) = [item for item in app.button if item.key == key]
    found.click()
    return pages.good(app.run())


PAIR = {"runs": "id-slow,id-fast"}
