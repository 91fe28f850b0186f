"""Runs that are compared: with what their folders tell, or by name why they cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.comparison import Subject, evaluations_of, settings_of, subjects_of
from lfdash.engine.services import Services
from lfdash.runs.compare.address import Comparison, of_runs
from tests.support import app as pages
from tests.support.many import add_plain, add_run


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        yield found


def look(services: Services) -> None:
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)


def remarks(found: tuple[Subject, ...]) -> dict[str, tuple[str, ...]]:
    return {subject.name: subject.remarks for subject in found}


def test_places_and_remarks(services: Services) -> None:
    root = services.workspace.root
    add_run(root, "good")
    add_run(root, "gone", age=5000)
    add_run(root, "scored", kind="eval")
    add_run(root, "silent", steps=0)
    plain = add_plain(root, "cli")
    card = add_plain(root, "card")
    (card.root / "README.md").write_text("### Training hyperparameters\n\n- learning_rate: 0.002\n")
    broken = add_run(root, "broken")
    broken.training_args.write_text("a: [1\n")
    look(services)
    ids = {view.name: view.run_id for view in services.registry.snapshot()}
    assert services.registry.archive.discard("id-gone") is None
    wanted = of_runs([*ids.values(), "id-never"]).without_run("id-good")
    found = subjects_of(services, wanted.with_run("id-good"))
    assert remarks(found) == {
        "good": (), "gone": ("deleted",), "scored": ("evaluation",), "silent": ("empty",), "cli": ("no_settings",),
        "card": ("card",), "broken": ("spoiled_settings",), "id-never": ("missing",),
    }
    assert {subject.run_id: subject.place for subject in found} == {
        run_id: place for place, run_id in enumerate([*ids.values(), "id-never"])
    }
    assert plain.root.is_dir()


def test_a_run_whose_arguments_are_a_pipe_blocks_nobody(services: Services) -> None:
    paths = add_run(services.workspace.root, "piped")
    paths.training_args.unlink()
    os.mkfifo(paths.training_args)
    look(services)
    (subject,) = subjects_of(services, Comparison(("id-piped",)))
    assert subject.view is not None and not subject.given.known


def test_the_defaults_are_those_of_the_installed_llama_factory(services: Services) -> None:
    root = services.workspace.root
    add_run(root, "a", args={"lora_rank": 16})
    add_run(root, "b")
    look(services)
    (row,) = settings_of(services, subjects_of(services, of_runs(["id-a", "id-b"])))
    assert row.name == "lora_rank" and [(cell.how, cell.value) for cell in row.cells] == [("given", 16), ("default", 8)]


def test_evaluations_belong_to_the_runs_whose_weights_they_name(services: Services) -> None:
    root = services.workspace.root
    for name in ("a", "b"):
        trained = add_run(root, name)
        (trained.root / "all_results.json").write_text('{"train_loss": 1.5}')
    for name, of in (("of-a", "a"), ("of-b", "b/checkpoint-20"), ("of-none", "nobody")):
        paths = add_run(root, name, kind="eval", args={"adapter_name_or_path": f"saves/demo-llama/lora/{of}"})
        (paths.root / "predict_results.json").write_text(json.dumps({"predict_bleu-4": 3.0}))
    merged = {"adapter_name_or_path": "saves/demo-llama/lora/a", "export_dir": "exports/m", "do_predict": False}
    add_run(root, "merge", kind="export", args=merged)
    paths = add_run(root, "of-merged", kind="eval", args={"model_name_or_path": "exports/m"})
    (paths.root / "predict_results.json").write_text(json.dumps({"predict_bleu-4": 4.0}))
    look(services)
    found = evaluations_of(services, subjects_of(services, of_runs(["id-b", "id-a"])))
    assert [(one.name, one.origin and (one.origin.run_id, one.origin.step)) for one in found] == [
        ("of-b", ("id-b", 20)), ("b", None), ("a", None), ("of-a", ("id-a", None)), ("of-merged", ("id-a", None)),
    ]
    assert found[0].scores == {"predict_bleu-4": 3.0} and found[1].scores == {"train_loss": 1.5}
