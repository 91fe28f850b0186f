"""A run whose configuration cannot be read for a moment goes on by itself later on."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from lfdash.engine import resuming
from lfdash.engine.resuming import Resuming
from lfdash.launchers.base import Interruption
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.targets.target import Target
from tests.support.resuming import resumed_words

LAB = Target("lab", "slurm")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Resuming, Any]:
    """A run that its time limit has ended, on a target that nobody here has used."""
    monkeypatch.setattr(resuming, "interruption_of", lambda *_: Interruption("time_limit", 3, 0))
    monkeypatch.setattr(resuming, "newest_whole", lambda view: 5)
    attempt = SimpleNamespace(automatic=False)
    view = SimpleNamespace(
        run_id="id-r1", attempt=1, state=RunState.STOPPED, exit_code=0, saved=SimpleNamespace(checkpoints=(5,)),
        record=SimpleNamespace(launcher="slurm:lab", attempts=(attempt,), last=attempt),
        paths=SimpleNamespace(training_args=tmp_path / "training_args.yaml"),
    )
    services: Any = SimpleNamespace(registry=SimpleNamespace(
        watcher=SimpleNamespace(views=[view]), launchers=SimpleNamespace(target=lambda name: LAB),
        dispatcher=SimpleNamespace(trusts=lambda name: False),
    ))
    return Resuming(services), view


def test_what_could_not_be_read_once_is_looked_at_again(bench: tuple[Resuming, Any]) -> None:
    turns, view = bench
    view.paths.training_args.write_text("stage: sft\n")
    with mock.patch("os.open", side_effect=OSError(errno.EMFILE, "Too many open files")):
        turns.tick()
        assert resumed_words(turns.services, "en", view) == ""
    assert not turns._settled
    assert "you have not used its target" in resumed_words(turns.services, "en", view)


def test_a_configuration_that_is_not_there_settles_it(bench: tuple[Resuming, Any]) -> None:
    turns, _ = bench
    turns.tick()
    assert turns._settled == {("id-r1", 1)}


@pytest.mark.parametrize("code", ["target_unknown", "target_broken"])
def test_a_target_that_is_gone_or_broken_is_told_and_nothing_starts(bench: tuple[Resuming, Any], code: str) -> None:
    """That nobody has used it would be said in vain: nobody can. Once its row is back it counts again who has."""
    turns, view = bench
    view.paths.training_args.write_text("stage: sft\n")
    registry = turns.services.registry
    registry.launch = mock.Mock()
    registry.launchers.target = lambda name: Refused(code, {"name": "lab", "file": "targets.toml"})
    turns.tick()
    said = resumed_words(turns.services, "en", view)
    assert "targets.toml" in said and "have not used" not in said
    assert not turns._settled and not registry.launch.called
