"""Which sign-ins are over: kept over restarts, seen by every dashboard, never guessed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lfdash.access.ended_sign_ins import KEPT, EndedSignIns, digests

COOKIES = {"user": "claims.time.signature", "user_1": "more.time.signature", "other": "x.y.z"}


def test_a_sign_in_is_known_by_what_is_signed() -> None:
    known = digests(COOKIES, "user")
    assert len(set(known)) == 2 == len(known) and all(len(mark) == 64 for mark in known)
    assert digests({**COOKIES, "user": "claims.time.Signature", "user_2": "a.b.c"}, "user") == known
    assert set(known).isdisjoint(digests({"user": "claims.later.signature", "user_1": "claims.time.signature"}, "user"))
    assert digests({}, "user") == ()
    assert digests({"user": "claims.time.signature"}, "user") == known[:1]


def test_it_is_kept_and_seen_by_others(tmp_path: Path) -> None:
    here, there = EndedSignIns(tmp_path / "a" / "ended"), EndedSignIns(tmp_path / "a" / "ended")
    one, two = digests(COOKIES, "user")
    assert not here.holds([one, two])
    here.add([one])
    assert here.holds([two, one]) and there.holds([one]) and not there.holds([two])
    here.add([one, two])
    assert there.holds([two]) and EndedSignIns(tmp_path / "a" / "ended").holds([two])
    assert (tmp_path / "a" / "ended").stat().st_mode & 0o77 == 0


def test_what_no_cookie_can_ask_for_is_forgotten(tmp_path: Path) -> None:
    ended = EndedSignIns(tmp_path / "ended")
    one, two = digests(COOKIES, "user")
    ended.add([one])
    (tmp_path / "ended" / "notes").touch()
    for name, age in ((one, KEPT + 60), ("notes", KEPT + 60)):
        os.utime(tmp_path / "ended" / name, (time.time() - age,) * 2)
    EndedSignIns(tmp_path / "ended").add([two])
    assert {path.name for path in (tmp_path / "ended").iterdir()} == {two, "notes"}


def test_a_disk_that_fails_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ended").write_text("no folder")
    ended = EndedSignIns(tmp_path / "ended")
    with pytest.raises(OSError):
        ended.holds(["a" * 64])
    with pytest.raises(OSError):
        ended.add(["a" * 64])
    assert ended.holds(["a" * 64])  # in this server it is over all the same
