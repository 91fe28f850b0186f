"""What the files of a run tell beside its log, and how that of many is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.queue.store import QueueSettings
from lfdash.runs import details
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.file import append
from lfdash.runs.details import NO_DETAILS, Packed, RunDetails, read_details, unpack, unpacked
from lfdash.runs.table import BADGES, Table
from tests.support.many import add_plain, add_run
from tests.support.runs import plan_for, record_for


@pytest.fixture
def registry(tmp_path: Path) -> ProcessRegistry:
    root = tmp_path / "workspace"
    root.mkdir()
    return ProcessRegistry(root, FakeLauncher(), interval=60)


def test_arguments_and_results_of_a_run(registry: ProcessRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = add_run(registry.workspace, "a", args={"lora_rank": 8, "hf_hub_token": "hf_x"})
    paths.all_results.write_text('{"predict_rouge-1": 31.5, "epoch": 3, "bad": NaN, "word": "x"}')
    registry.refresh()
    (view,) = registry.snapshot()
    found = read_details(view)
    assert found.args["lora_rank"] == 8 and "hf_hub_token" not in found.args
    assert found.scores == {"predict_rouge-1": 31.5, "epoch": 3.0} and found.flags == ()
    monkeypatch.setattr(details, "flags_of", lambda paths: ("diverged",))
    assert read_details(view).flags == ("diverged",) and details.with_flags(found, view).flags == ("diverged",)


def test_what_was_kept_is_what_was_found_and_common_values_are_written_once() -> None:
    many = [
        RunDetails({"seed": n % 2, "packing": True, "lr": 1.0, "one": 1, "text": "1"}, {"acc": n / 2},
            ("dead",) * (n % 2), partial=n % 3 == 0)
        for n in range(9)
    ]
    packed = Packed()
    rows = msgspec.json.decode(msgspec.json.encode([packed.pack(one) for one in many]))
    pairs = unpacked(msgspec.json.decode(msgspec.json.encode(packed.pairs)))
    back = [unpack(row, pairs) for row in rows]
    assert back == many and len(pairs) == 6
    assert [type(value) for value in back[0].args.values()] == [int, bool, float, int, str]


@pytest.mark.parametrize(
    "broken", [[[9], {}, [], 0], [["x"], {}, [], 0], [[], {"a": "x"}, [], 0], [[]], 5, [[0], [], [], 0]]
)
def test_what_was_not_written_here_raises(broken: object) -> None:
    with pytest.raises((TypeError, ValueError, IndexError, AttributeError)):
        unpack(broken, [("a", 1)])  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        unpacked([["a", [1]]])


def test_results_and_arguments_are_read_when_the_folder_changes(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "a")
    registry.refresh()
    registry.summaries.step(registry.snapshot(), budget=60)
    (view,) = registry.snapshot()
    first = registry.summaries.get(view).details
    assert first.scores == {} and first.args["learning_rate"] == 0.0002
    paths.all_results.write_text(json.dumps({"acc": 1}))
    registry.refresh()
    (again,) = registry.snapshot()
    registry.summaries.step((replace(again, name="b"),), budget=60)
    assert registry.summaries.get(view).details.scores == {"acc": 1.0}
    registry.summaries.save()
    other = ProcessRegistry(registry.workspace, FakeLauncher(), interval=60)
    other.summaries.load()
    other.refresh()
    assert other.summaries.get(other.snapshot()[0]).details == registry.summaries.get(view).details != NO_DETAILS


def test_what_the_alerts_noticed_is_a_badge(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "a")
    registry.refresh()
    table = Table(registry.summaries)

    def badges() -> tuple[str, ...]:
        registry.refresh()
        registry.summaries.step(registry.snapshot(), budget=60)
        return table.rows(registry.snapshot())[0].badges

    assert badges() == ()
    for rule in ("overfit", "nan", "failed", "diverged"):
        append(paths.alerts, Alert(rule, "id-a", "a", 1, "", 5, 1.0))
    assert badges() == ()  # the run is over, and as it was
    registry.summaries.look_again(paths.root)
    assert badges() == ("dead", "diverged", "overfit") == tuple(name for name in BADGES if name in badges())


def test_a_job_that_waits_has_the_settings_it_will_be_started_with(registry: ProcessRegistry) -> None:
    registry.queue.set_settings(QueueSettings(paused=True))
    plan = plan_for(registry.workspace, name="later", learning_rate=0.01, dataset="demo", hf_hub_token="hf_x")
    registry.enqueue(plan, record_for(plan))
    registry.refresh()
    registry.summaries.step(registry.snapshot(), budget=60)
    (one,) = Table(registry.summaries).rows(registry.snapshot())
    assert one.details == RunDetails({"learning_rate": 0.01, "dataset": "demo"}) and one.details.complete
    assert one.datasets == ("demo",)


def test_of_a_copied_run_a_part_is_known(registry: ProcessRegistry) -> None:
    paths = add_plain(registry.workspace, "copied")
    registry.refresh()
    (view,) = registry.snapshot()
    assert read_details(view).args == {} and not read_details(view).complete
    (paths.root / "README.md").write_text("### Training hyperparameters\n\n- learning_rate: 0.002\n")
    (paths.root / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 16, "lora_alpha": 32, "bias": "none"}')
    found = read_details(view)
    assert found.args == {"learning_rate": 0.002, "lora_rank": 16, "lora_alpha": 32} and found.partial
    assert not found.complete
    paths.training_args.write_text("seed: 1\n")
    assert read_details(view) == RunDetails({"seed": 1}) and read_details(view).complete
