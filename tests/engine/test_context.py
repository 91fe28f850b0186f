"""What the world says of a job's data: rows that are usable, and what is wrong with them, before Start."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.data import cache
from lfdash.data.counting import Counter
from lfdash.data.usable import Usable
from lfdash.engine import context
from lfdash.engine.services import Services
from lfdash.jobs import checks
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.summary import effective_batch
from lfdash.targets.target import Target
from tests.support import app as pages

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
CHAT = [{"messages": [*([{"role": "system", "content": "s"}] if n % 2 else []), *TURNS]} for n in range(6)]
MARKS = [{"prompt": "q", "completion": "a", "label": "true"}] * 3
INFO: dict[str, Any] = {
    "old": {"file_name": "chat.json", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS},
    "typo": {"file_name": "chat.json", "format": "sharegpt", "columns": {"messages": "messages"}},
    "no_tags": {"file_name": "chat.json", "formatting": "sharegpt", "columns": {"messages": "messages"}},
    "wrong_column": {"file_name": "marks.json", "columns": {"prompt": "question", "response": "answer"}},
    "gone": {"file_name": "gone.json"},
    "unknown": {"file_name": "chat.json", "formatting": "chatml", "columns": {"messages": "messages"}},
    "good": {"file_name": "marks.json", "columns": {"prompt": "prompt", "response": "completion"}},
}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    data = tmp_path / "workspace" / "data"
    data.mkdir(parents=True)
    (data / "chat.json").write_text(json.dumps(CHAT))
    (data / "marks.json").write_text(json.dumps(MARKS))
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    with pages.opened(tmp_path / "workspace") as found:
        yield found


def job(name: str, **more: Any) -> JobConfig:
    args = {"stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "org/m",
            "template": "qwen", "dataset": name, "output_dir": "saves/m/lora/r", **more}
    return job_from_args(args)


def told(services: Services, wanted: JobConfig) -> list[tuple[str, str]]:
    """What is said at the datasets: code and level."""
    facts = context.of(services, wanted)
    return [(p.code, p.level) for p in checks.problems(wanted, facts) if p.field == "train.dataset"]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("good", []), ("old", [("data_left_out", "warning")]), ("no_tags", [("data_no_turn_key", "error")]),
        ("typo", [("data_none_usable", "error"), ("data_key_near", "warning"), ("data_unread", "warning")]),
        ("wrong_column", [("data_no_column", "error")]), ("gone", [("data_missing", "error")]),
        ("unknown", [("data_formatting", "error")]),
    ],
)
def test_data_that_do_not_fit_are_named_before_start(
    services: Services, name: str, codes: list[tuple[str, str]]
) -> None:
    assert told(services, job(name)) == codes


def test_usable_rows_within_max_samples(services: Services) -> None:
    assert context.of(services, job("old")).usable == {"old": 3}
    assert context.of(services, job("old", max_samples=1)).usable == {"old": 1}
    assert context.of(services, job("old,good", max_samples=2)).usable == {"old": 1, "good": 2}


def test_an_evaluation_that_generates_needs_no_answers(services: Services) -> None:
    """predict_with_generate makes the answers itself."""
    wanted = job("good", eval_dataset="old", predict_with_generate=True, do_train=False, do_predict=True)
    assert context.of(services, wanted).data["old"][0].params["usable"] == 3


def test_what_is_not_known_yet_is_said(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SMALL", 0)
    go = threading.Event()
    services.data.checks = Counter(lambda key, tell: cache.asked(key, tell) if go.wait(60) else None, Usable)
    assert told(services, job("old")) == [("data_counting", "warning")]
    assert context.of(services, job("old")).usable == {}
    go.set()
    assert services.data.checks.settle(60)
    assert told(services, job("old")) == [("data_left_out", "warning")]


def test_a_form_that_is_drawn_again_looks_at_nothing_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.of(services, job("old"))
    monkeypatch.setattr(cache, "asked", lambda *_: pytest.fail("looked again"))
    services.data.checks._count = cache.asked
    assert context.of(services, job("old")).usable == {"old": 3}


def on(wanted: JobConfig, more: dict[str, Any]) -> JobConfig:
    return replace(wanted, values={**wanted.values, **more})


def test_two_nodes_without_gpus_are_two_processes(services: Services) -> None:
    """What the run then logs: world size 2, twice the batch, half the steps."""
    row = Target("two", "slurm", nodes=2, gpus=0)
    assert services.registry.targets.put(row, None) is None
    wanted = job("good", per_device_train_batch_size=4, gradient_accumulation_steps=8)
    assert effective_batch(build_args(wanted), context.of(services, wanted)) == 32
    there = on(wanted, {"train.target": "two"})
    facts = context.of(services, there)
    assert (facts.processes, facts.nodes) == (2, 2) and effective_batch(build_args(there), facts) == 64


def test_only_a_training_is_offered_to_several_nodes(services: Services) -> None:
    assert services.registry.targets.put(Target("two", "slurm", nodes=2), None) is None
    wanted = job("good", eval_dataset="good", predict_with_generate=True, do_train=False, do_predict=True)
    there = on(wanted, {"eval.target": "two"})
    (found,) = [p for p in checks.problems(there, context.of(services, there)) if p.code == "target_many_nodes"]
    assert found.field == "eval.target" and found.level == "error" and context.of(services, there).nodes == 1
    training = on(job("good"), {"train.target": "two"})
    assert context.of(services, training).target is None
