"""What sacct prints, and how seldom it is asked. Its lines are as Slurm 22.05 printed them with a slurmdbd, and of the
form that sacct(1) documents."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lfdash.launchers.slurm_accounts import AGAIN_S, TRIES, Account, Accounts, parse
from lfdash.launchers.slurm_calls import Calls
from tests.support.runs import wait_for

TOLD = """\
7|lfdash-a-1|COMPLETED|3723|
7.batch|batch|COMPLETED|3723|12345678K
7.extern|extern|COMPLETED|3723|100K
8_2|lfdash-sweep-x|CANCELLED by 1000|12|
8_2.batch|batch|CANCELLED|13|1.5G
9|a|b|OUT_OF_ME+|5|
10_[3-5%2]|lfdash-sweep-y|PENDING|0|
no line
2|lfdash-id-r2-1|FAILED|6|
2.batch|batch|CANCELLED|6|26034176
11|lfdash-b-1|TIMEOUT||
"""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sacct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sacct that prints the file `says`, or fails with the file `fails`, and notes what it was asked."""
    program = tmp_path / "sacct"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\necho "$@" >> asked\n[ -e fails ] && {{ cat fails >&2; exit 1; }}\ncat says\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "says").write_text(TOLD)
    return tmp_path


def test_lines_are_read() -> None:
    assert parse(TOLD) == {
        "7": Account("COMPLETED", "lfdash-a-1", 3723, 12345678 * 1024),
        "8_2": Account("CANCELLED", "lfdash-sweep-x", 12, 3 << 29),
        "9": Account("OUT_OF_ME", "a|b", 5),
        "2": Account("FAILED", "lfdash-id-r2-1", 6, 26034176),
        "11": Account("TIMEOUT", "lfdash-b-1"),
    }


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []


def test_a_job_is_asked_for_once(sacct: Path) -> None:
    accounts = Accounts(Calls())
    assert accounts.look("7", "lfdash-a-1") is None and accounts.waits("7")
    assert wait_for(lambda: accounts.look("7", "lfdash-a-1")).word == "COMPLETED"
    assert accounts.look("7", "another") is None, "a controller that lost its state counts anew"
    assert len(asked(sacct)) == 1 and "-j 7 " in asked(sacct)[0] and not accounts.waits("7")


def test_one_that_goes_on_is_asked_for_again(sacct: Path) -> None:
    (sacct / "says").write_text("7|lfdash-a-1|RUNNING|5|\n")
    clock = Clock()
    accounts = Accounts(Calls(), clock)
    accounts.look("7", "lfdash-a-1")
    wait_for(lambda: accounts.asked == 1 and not accounts._busy)
    assert accounts.look("7", "lfdash-a-1") is None and accounts.waits("7")
    (sacct / "says").write_text(TOLD)
    clock.now += AGAIN_S + 1
    assert wait_for(lambda: accounts.look("7", "lfdash-a-1")).word == "COMPLETED"


def test_one_that_is_not_known_is_given_up(sacct: Path) -> None:
    clock = Clock()
    accounts = Accounts(Calls(), clock)
    for number in range(1, TRIES + 3):
        accounts.look("99", "x")
        wait_for(lambda: not accounts._busy)
        assert accounts.asked == min(number, TRIES)
        clock.now += AGAIN_S + 1
    assert not accounts.waits("99")


@pytest.mark.parametrize("said", ["sacct: error: Slurm accounting storage is disabled", None])
def test_without_accounting_it_is_asked_once(sacct: Path, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if said is None:
        monkeypatch.setenv("PATH", str(sacct / "nothing"))
    else:
        (sacct / "fails").write_text(said)
    accounts = Accounts(Calls(), Clock())
    accounts.look("7", "lfdash-a-1")
    wait_for(lambda: accounts.off)
    assert not accounts.waits("7") and accounts.look("8_2", "lfdash-sweep-x") is None
    wait_for(lambda: not accounts._busy)
    assert accounts.asked == 1


def test_one_that_fails_is_asked_again_later(sacct: Path) -> None:
    (sacct / "fails").write_text("sacct: error: slurm_persist_conn_open_without_init: Connection refused")
    clock = Clock()
    accounts = Accounts(Calls(), clock)
    accounts.look("7", "lfdash-a-1")
    wait_for(lambda: accounts.asked == 1 and not accounts._busy)
    (sacct / "fails").unlink()
    accounts.look("7", "lfdash-a-1")
    assert accounts.asked == 1 and accounts.waits("7")
    clock.now += AGAIN_S + 1
    assert wait_for(lambda: accounts.look("7", "lfdash-a-1")).seconds == 3723
