"""More epochs for a training that is over: what the new run is told, and why there may be none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.engine.more import MoreEpochs, fresh_folder, more_epochs, prepare_more
from lfdash.engine.services import Services, find_project
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.queue.genuine import why_not_ours
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from tests.support.many import add_run

OLD = "saves/demo-llama/lora/old"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    found = Services(find_project(), tmp_path / "workspace", [], create=True)
    found.registry.launchers.default = FakeLauncher()
    yield found
    found.registry.close()


def ended(services: Services, *, whole: bool = True, checkpoints: tuple[int, ...] = (20, 40), **about: Any) -> RunView:
    """A run that is over. whole: whether its checkpoints hold an optimizer."""
    paths = add_run(services.workspace.root, "old", checkpoints=checkpoints, **about)
    for step in checkpoints if whole else ():
        for name in ("trainer_state.json", "optimizer.pt"):
            (paths.root / f"checkpoint-{step}" / name).write_text("{}")
    services.registry.refresh()
    view = services.registry.get("id-old")
    assert view is not None
    return view


def told(services: Services, view: RunView, epochs: float) -> dict[str, Any]:
    """The arguments of the new run that differ from those of the old one."""
    prepared = prepare_more(services, view, epochs, "header")
    assert not isinstance(prepared, Refused), prepared
    assert why_not_ours(prepared.plan, prepared.record, services.workspace.root, services.cli_path) is None
    new, old = (yaml.safe_load(text) for text in (
        prepared.plan.files["training_args.yaml"], view.paths.training_args.read_text()
    ))
    return {key: value for key, value in new.items() if old.get(key) != value} | {
        key: None for key in old if key not in new
    }


def test_a_new_run_goes_on_from_the_newest_whole_checkpoint(services: Services) -> None:
    view = ended(services, args={"num_train_epochs": 2.0})
    assert more_epochs(view) == MoreEpochs(2.0, 40)
    assert told(services, view, 5) == {
        "num_train_epochs": 5, "output_dir": f"{OLD}-5ep", "resume_from_checkpoint": f"{OLD}/checkpoint-40",
    }
    (view.path / "checkpoint-40" / "optimizer.pt").unlink()
    assert more_epochs(view) == MoreEpochs(2.0, 20)
    prepared = prepare_more(services, view, 5, "header")
    assert not isinstance(prepared, Refused)
    assert (prepared.record.name, prepared.record.model, prepared.plan.attempt) == ("old-5ep", "demo-llama", 1)


def test_a_resumed_run_does_not_resume_its_first_checkpoint_again(services: Services) -> None:
    view = ended(services, args={"resume_from_checkpoint": f"{OLD}/checkpoint-20", "overwrite_output_dir": True})
    said = told(services, view, 6)
    assert said["resume_from_checkpoint"] == f"{OLD}/checkpoint-40" and said["overwrite_output_dir"] is None


@pytest.mark.parametrize(
    ("method", "args", "weights"),
    [
        ("lora", {}, {"adapter_name_or_path": OLD}),
        ("lora", {"adapter_name_or_path": "saves/a,saves/b"}, {"adapter_name_or_path": f"saves/a,{OLD}"}),
        ("lora", {"adapter_name_or_path": "saves/a", "create_new_adapter": True},
         {"adapter_name_or_path": f"saves/a,{OLD}", "create_new_adapter": False}),
        ("oft", {}, {"adapter_name_or_path": OLD.replace("lora", "oft"), "finetuning_type": "lora"}),
        ("full", {}, {"model_name_or_path": OLD.replace("lora", "full")}),
    ],
)
def test_from_weights_only_the_epochs_that_are_missing_are_trained(
    services: Services, method: str, args: dict[str, Any], weights: dict[str, Any]
) -> None:
    view = ended(services, whole=False, method=method, args=args)
    assert more_epochs(view) == MoreEpochs(3.0, None)
    said = told(services, view, 4.5)
    assert said.pop("output_dir") == f"{view.output_dir}-4.5ep"
    assert said == {"num_train_epochs": 1.5, **weights}


def test_the_trainer_of_ppo_takes_no_checkpoint(services: Services) -> None:
    assert more_epochs(ended(services, stage="ppo")) == MoreEpochs(3.0, None)


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"kind": "eval"}, "more_kind"),
        ({"args": {"max_steps": 60}}, "more_max_steps"),
        ({"state": RunState.FAILED, "checkpoints": ()}, "more_nothing"),
    ],
)
def test_why_there_are_no_more_epochs(services: Services, about: dict[str, Any], code: str) -> None:
    view = ended(services, **about)
    for found in (more_epochs(view), prepare_more(services, view, 9, "header")):
        assert isinstance(found, Refused) and found.code == code


@pytest.mark.parametrize("epochs", [3, 1, 0, -1, 1001, float("nan")])
def test_the_total_is_greater_than_what_it_had(services: Services, epochs: float) -> None:
    found = prepare_more(services, ended(services), epochs, "header")
    assert isinstance(found, Refused) and found.code == "more_less"


def test_the_new_folder_is_nobody_elses(services: Services) -> None:
    view = ended(services)
    (view.path.parent / "old-4ep").mkdir()
    assert fresh_folder(services, view, 4.0) == f"{OLD}-4ep-2"
    assert not (view.path.parent / "old-4ep-2").exists()
