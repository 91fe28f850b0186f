"""Keys of runs: random, readable by their owner alone, hidden, and gone with the runs they are of."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lfdash.workspace.run_keys import RunKeys


def test_a_key_is_new_each_time_and_its_owners_alone(tmp_path: Path) -> None:
    hidden: list[tuple[str, str]] = []
    keys = RunKeys(tmp_path, lambda name, value: hidden.append((name, value)))
    path = tmp_path / "keys" / "r.1"
    first = keys.make("r", 1)
    path.chmod(0o644)
    second = keys.make("r", 1)
    assert first != second and len(second) == 32 and keys.read("r", 1) == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {name for name, _ in hidden} == {"API_KEY"} and {value for _, value in hidden} == {first, second}


def test_what_is_no_key_is_none(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    assert keys.read("r", 1) == ""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "r.1").write_text("short\n")
    assert keys.read("r", 1) == ""
    os.symlink(tmp_path / "keys" / "r.1", tmp_path / "keys" / "r.2")
    assert keys.read("r", 2) == ""


def test_keys_of_runs_that_are_over_go_and_young_ones_stay(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    for attempt in (1, 2):
        keys.make("a.b", attempt)
    keys.keep_only(lambda: [("a.b", 2)], older_s=60)
    assert keys.read("a.b", 1)
    os.utime(tmp_path / "keys" / "a.b.1", (1, 1))
    keys.keep_only(lambda: None, older_s=60)
    assert keys.read("a.b", 1)
    keys.keep_only(lambda: [("a.b", 2)], older_s=60)
    assert not keys.read("a.b", 1) and keys.read("a.b", 2)


def test_a_key_that_was_made_while_one_slept_stays(tmp_path: Path) -> None:
    keys = RunKeys(tmp_path)
    keys.make("over", 1)
    os.utime(tmp_path / "keys" / "over.1", (1, 1))

    def sleeps() -> list[tuple[str, int]]:
        keys.make("new", 1)
        os.utime(tmp_path / "keys" / "new.1", (1, 1))  # it slept for long
        return []

    keys.keep_only(sleeps, older_s=60)
    assert keys.read("new", 1) and not keys.read("over", 1)
