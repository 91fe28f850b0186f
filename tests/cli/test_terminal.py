"""What is said: columns, JSON without NaN, no secrets, nothing that a terminal would obey."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lfdash.cli.terminal import Terminal, local_time, number, pairs, plain, seconds, table, utc
from lfdash.data.usable import LeftOut
from lfdash.runs.record import RunState
from tests.support.terminal import DEMO, lfdash


def test_wide_letters_stand_in_columns() -> None:
    assert table(["状态", "x"], [["abc", "1"]]) == "状态  x\nabc   1"
    assert pairs([("이름", "a"), ("x", "b")]) == "이름  a\nx     b"


def test_values_for_a_program() -> None:
    value = {
        "state": RunState.FAILED, "loss": math.nan, "some": (1, 2.5, None, True), "hub_token": "abc", "api_key": "",
        "left": LeftOut("stage", 1, (1,)), "path": Path("/a"), "text": "its secret",
    }
    assert plain(value, lambda text: text.replace("secret", "***")) == {
        "state": "FAILED", "loss": None, "some": [1, 2.5, None, True], "hub_token": "•••", "api_key": "",
        "left": {"reason": "stage", "count": 1, "rows": [1], "what": ""}, "path": "/a", "text": "its ***",
    }


def test_values_for_a_person() -> None:
    assert (number(None), number(0.5), seconds(None), seconds(3725.9)) == ("–", "0.5000", "–", "1:02:05")
    assert (local_time(None), utc(None), utc(1764000000.9)) == ("–", None, "2025-11-24T16:00:00Z")


def test_secrets_and_control_characters_are_taken_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "f00dfacef00dface")
    redact = Terminal(tmp_path, as_json=False).redactor()
    assert "f00dface" not in redact("key f00dfacef00dface")
    assert "hf_" not in redact("hf_" + "a1B2" * 9)
    assert redact("a\x1b]0;title\x07b\tc\n") == "a�]0;title�b\tc\n"


TURNED = ("\u202e", "\u2066", "\u200b", "\u200d", "\u200f", "\u2028", "\u2060", "\ufeff", "\xad", "\U000e0041")


@pytest.mark.parametrize("odd", TURNED)
def test_what_is_not_seen_or_turns_a_text_round_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    """A person sees its number; a program gets the same text."""
    terminal = Terminal(tmp_path, as_json=True)
    terminal.say(f"a{odd}b")
    terminal.note(f"c{odd}d")
    said = capsys.readouterr()
    assert said.out == f"a⟨U+{ord(odd):04X}⟩b\n" and said.err == f"c⟨U+{ord(odd):04X}⟩d\n"
    terminal.give({"text": f"é{odd}b"})
    out = capsys.readouterr().out
    assert odd not in out and "é" in out and json.loads(out) == {"text": f"é{odd}b"}


def test_a_workspace_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = lfdash("start", "--workspace", tmp_path / "file" / "ws", DEMO)
    assert said.code == 1 and said.out == ""
    assert said.err.startswith("lfdash: Nothing was changed")
