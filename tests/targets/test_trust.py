"""Which targets were used by hand: kept for this user, and another one as soon as anything of it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.launchers.ray import told_by
from lfdash.launchers.ray_calls import Calls
from lfdash.targets import trust
from lfdash.targets.target import Target
from lfdash.targets.trust import FILE, KEPT, UsedTargets

LAB = Target("lab", "slurm", cli="/venv/bin/llamafactory-cli", env={"A": "1", "B": "2"})


def test_one_that_was_used_is_known_to_later_processes(tmp_path: Path) -> None:
    state, place = tmp_path / "state", tmp_path / "workspace"
    assert not UsedTargets(place, state).has(LAB)
    UsedTargets(place, state).add(LAB)
    assert UsedTargets(place, state).has(replace(LAB, env={"B": "2", "A": "1"}))
    assert not UsedTargets(place, state).has(replace(LAB, cli="/tmp/evil"))
    assert not UsedTargets(tmp_path / "another", state).has(LAB)
    assert (state.stat().st_mode & 0o777, (state / FILE).stat().st_mode & 0o022) == (0o700, 0)


def test_one_process_remembers_where_nothing_can_be_kept() -> None:
    used = UsedTargets(Path("/w"), Path("/dev/null/state"))
    assert not used.has(LAB)
    used.add(LAB)
    assert used.has(LAB) and not UsedTargets(Path("/w"), Path("/dev/null/state")).has(LAB)


def test_the_oldest_go(tmp_path: Path) -> None:
    used = UsedTargets(tmp_path, tmp_path)
    for number in range(KEPT + 1):
        used.add(replace(LAB, cpus=number + 1))
    assert len(json.loads((tmp_path / FILE).read_text())["used"]) == KEPT
    later = UsedTargets(tmp_path, tmp_path)
    assert not later.has(replace(LAB, cpus=1)) and later.has(replace(LAB, cpus=2))


def test_a_file_that_is_none_knows_nothing(tmp_path: Path) -> None:
    for text in ("[]", '{"used": 3}', '{"used": [1, null]}', "\x00"):
        (tmp_path / FILE).write_text(text)
        assert not UsedTargets(tmp_path, tmp_path).has(LAB)


def test_a_token_is_sent_only_where_this_user_has_sent_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "ALLOWED_TOKENS", set())
    spec = {"ray": {"address": "http://evil:1", "token_file": "/home/me/token", "job": "j"}}
    assert told_by(spec)[0] == Calls("http://evil:1", ""), "a folder of somebody else sends no token anywhere"
    trust.allow_token("http://head:8265", "/home/me/token")
    assert told_by(spec)[0].token_file == ""
    monkeypatch.setattr(trust, "ALLOWED_TOKENS", set())  # another process
    own = {"ray": {**spec["ray"], "address": "http://head:8265"}}
    assert told_by(own)[0].token_file == "/home/me/token"
