"""Which targets were used by hand: kept for this user, and another one as soon as anything of it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

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
