"""Targets are changed without losing what people wrote, and without losing what another dashboard changed."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash import files
from lfdash.locales import available, refusal_in
from lfdash.outcomes import Refused
from lfdash.targets.store import TargetStore
from lfdash.targets.target import Target

LAB = Target("lab", "slurm", partition="gpu", gpus=2, extra=("--exclusive",), modules=("cuda/12",))
TEXT = """# of the lab
[target.lab]  # big
kind = "slurm"
partition = "gpu"  # the large one
gpus = 2
extra = ["--exclusive"]
modules = ["cuda/12"]

# for trying things
[target.small]
kind = "slurm"
"""


@pytest.fixture
def store(tmp_path: Path) -> TargetStore:
    return TargetStore(tmp_path / ".lfdash")


def test_a_first_target_makes_the_file(store: TargetStore) -> None:
    assert store.put(LAB, None) is None
    assert store.read().rows == {"lab": LAB} == TargetStore(store.path.parent).read().rows
    assert store.get("lab") == LAB
    assert store.get("other") == Refused("target_unknown", {"name": "other", "file": str(store.path)})


def test_comments_stay_where_they_are(store: TargetStore) -> None:
    store.path.parent.mkdir()
    store.path.write_text(TEXT)
    assert store.put(replace(LAB, partition="a100", gpus=None, qos="long"), LAB) is None
    assert store.path.read_text() == TEXT.replace('"gpu"  #', '"a100"  #').replace(
        'gpus = 2\n', "").replace('modules = ["cuda/12"]\n', 'modules = ["cuda/12"]\nqos = "long"\n')
    assert store.remove("lab", replace(LAB, partition="a100", gpus=None, qos="long")) is None
    assert store.path.read_text() == '# of the lab\n\n# for trying things\n[target.small]\nkind = "slurm"\n'
    assert store.remove("small", Target("small", "slurm")) is None
    assert store.read().rows == {} and "# of the lab" in store.path.read_text()


def test_variables_are_written_in_one_line(store: TargetStore) -> None:
    target = replace(LAB, env={"OMP_NUM_THREADS": "1"})
    assert store.put(target, None) is None and store.read().rows == {"lab": target}
    assert store.put(replace(target, qos="x"), target) is None and store.read().rows["lab"].env == target.env
    assert store.put(replace(LAB, qos="x"), replace(target, qos="x")) is None
    assert "env" not in store.path.read_text() and "[target.lab.env]" not in store.path.read_text()


def test_what_another_dashboard_changed_is_not_written_over(store: TargetStore) -> None:
    other = TargetStore(store.path.parent)
    store.put(LAB, None)
    assert other.put(replace(LAB, gpus=8), LAB) is None
    assert store.put(replace(LAB, gpus=4), LAB) == Refused("target_changed", {"name": "lab"})
    assert store.remove("lab", LAB) == Refused("target_changed", {"name": "lab"})
    assert store.put(LAB, None) == Refused("target_exists", {"name": "lab"})
    assert store.read().rows["lab"].gpus == 8


def test_two_that_add_at_once_both_stay(store: TargetStore) -> None:
    stores = [TargetStore(store.path.parent) for _ in range(6)]
    threads = [
        threading.Thread(target=one.put, args=(Target(f"t{number}", "slurm"), None))
        for number, one in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.read().rows) == [f"t{number}" for number in range(6)]


@pytest.mark.parametrize("text", ["[target.lab", "kind = \xff", "target = 3"])
def test_a_file_that_is_none_is_left_alone(store: TargetStore, text: str) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(text.encode("latin-1"))
    before = store.path.read_bytes()
    for refused in (store.put(LAB, None), store.remove("lab", LAB), store.get("lab")):
        assert isinstance(refused, Refused) and refused.code == "target_broken"
        assert all(str(store.path) in refusal_in(language, refused) for language in available())
    assert store.path.read_bytes() == before


def test_a_broken_row_is_not_an_unknown_one_and_can_be_removed(store: TargetStore) -> None:
    store.path.parent.mkdir()
    store.path.write_text(TEXT + "cpus = 0\n")
    assert list(store.read().rows) == ["lab"]
    assert store.get("small") == Refused("target_broken", {"name": "small", "file": str(store.path)})
    assert store.put(replace(LAB, gpus=1), LAB) is None
    assert store.remove("lab", None) == Refused("target_changed", {"name": "lab"})  # it was broken when it was shown
    assert store.remove("small", None) is None and store.read().problems == ()


@pytest.mark.parametrize("target", [
    replace(LAB, partition="a\nb"), replace(LAB, extra=("--uid=0",)), replace(LAB, name="a b"), replace(LAB, cpus=0),
    replace(LAB, name="local"), Target("r", "ray"),
])
def test_what_could_not_be_read_back_is_not_written(store: TargetStore, target: Target) -> None:
    assert store.put(target, None) == Refused("target_invalid", {"name": target.name})
    assert not store.path.exists()


def test_a_disk_that_fails_leaves_the_file(store: TargetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(LAB, None)
    before = store.path.read_text()

    def fail(_point: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "hit", fail)
    assert store.put(replace(LAB, gpus=1), LAB) == Refused("disk_kept", {"path": str(store.path)})
    assert store.path.read_text() == before and store.read().rows == {"lab": LAB}


def test_the_refusals_have_texts() -> None:
    for code in ("target_unknown", "target_broken", "target_exists", "target_changed", "target_invalid"):
        refused = Refused(code, {"name": "lab", "file": "f"})
        assert all("lab" in refusal_in(language, refused) for language in available())
