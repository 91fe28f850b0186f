"""What the model sees, on the page: escaped, waited for without blocking, asked for once, in a dialog that stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine import sees as asking
from lfdash.engine.services import Services
from lfdash.jobs.args import job_from_args
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.sees import Sample, Seen, Side, Token
from lfdash.outcomes import Refused
from lfdash.ui.data import train_with
from lfdash.ui.form import sees_html
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.page import DEMO

EVIL = '<img src=x onerror="alert(1)"></i><script>'
TOKENS = (
    Token(1, EVIL, "user", "masked", False), Token(2, "yes\n", "assistant", "trained", False),
    Token(3, "cut", "assistant", "cut", False), *[Token(0, "<pad>", "padding", "masked", True)] * 30,
)
SIDE = Side("", TOKENS, (("cut", {"count": 1, "answers": 1, "of": 33}),))
SAMPLE = Sample((1,), (SIDE,), ((("user", EVIL), ("assistant", "yes")),), {})
SEEN = Seen("sft", 128, False, 9, 2, (SAMPLE,), ((0, "invalid"),))


class Slow:
    """Answers when somebody says so; counts the questions."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Seen | Refused = SEEN
        self.go = threading.Event()

    def __call__(self, _cli: Any, _root: Path, args: dict[str, Any], *_more: Any) -> Seen | Refused:
        self.asked.append(args)
        assert self.go.wait(30)
        return self.answer


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    found = Slow()
    monkeypatch.setattr(asking, "see", found)
    return found


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    make_data(tmp_path / "ws" / "data")
    with pages.opened(tmp_path / "ws") as found:
        found._started = True
        found.cli = found.sees._cli = Cli("/no/llamafactory-cli", "/no/python")
        yield found


def html(app: AppTest) -> str:
    return "".join(str(item.proto.body) for item in app.get("html"))


def settled(services: Services, slow: Slow, app: AppTest) -> AppTest:
    """The page once the answer is there."""
    slow.go.set()
    assert services.sees._counter.settle(30)
    return pages.good(app.run())


def test_a_browser_is_not_given_more_than_it_can_draw() -> None:
    many = [Token(number, f"w{number} ", "user", "trained", False) for number in range(100_000)]
    found = sees_html.tokens(Side("", tuple(many)))
    assert found.count("<i ") <= sees_html.FOLDED + sees_html.MOST_TOKENS and len(found) < 1_000_000
    assert ">w0 <" in found and ">w99999 <" in found and ">w50000 <" not in found
    assert t("sees.undrawn_tokens", count=f"{100_000 - found.count('<i '):,}") in found
    talk = sees_html.conversation([("user", "a" * 1_000_000 + "z")])
    assert len(talk) < 110_000 and "az<" in talk
    assert t("sees.undrawn_letters", count=f"{1_000_001 - sees_html.LETTERS - sees_html.MOST_LETTERS:,}") in talk


def test_a_row_that_is_too_long_is_named_with_its_size(services: Services, slow: Slow) -> None:
    slow.answer = Seen("sft", 128, False, 9, 3, (SAMPLE,), large=((2, 9_900_000),), few=1_234_567)
    app = pages.start()
    app.button(key="sees_open").click().run()
    app = settled(services, slow, app)
    words = [item.value for item in (*app.warning, *app.info)]
    assert t("sees.large", row=3, count="9,900,000") in words
    assert t("sees.few", rows=3, count="1,234,567") in words


def test_what_comes_from_data_is_escaped() -> None:
    for found in (sees_html.tokens(SIDE), sees_html.conversation([("user", EVIL), (EVIL, "x" * 2000)])):
        assert "<img" not in found and "<script" not in found and "&lt;img" in found
    assert "×30" in sees_html.tokens(SIDE) and sees_html.tokens(SIDE).count("&lt;pad&gt;") == 1


@pytest.mark.parametrize("odd", ["\u202e", "\u2067", "\u200b", "\u200e", "\u2029", "\u2060", "\ufeff", "\x1b", "\x85"])
def test_what_is_not_seen_or_turns_a_text_round_is_shown(odd: str) -> None:
    token = Token(1, f"ab{odd}cd", "user", "masked", False)
    number = "␛" if odd == "\x1b" else f"⟨U+{ord(odd):04X}⟩"
    for found in (sees_html.tokens(Side("", (token,))), sees_html.conversation([("user", f"ab{odd}cd")])):
        assert odd not in found and f"ab{number}cd" in found


def test_a_long_bubble_is_folded() -> None:
    found = sees_html.folded([Token(n, "x", "user", "masked", False) for n in range(sees_html.FOLDED + 7)])
    assert found.index("<details>") > found.index(f'title="{sees_html.FOLDED - 1} ')
    assert "<summary>7 " in found


def test_the_dialog_waits_stays_and_asks_once(services: Services, slow: Slow) -> None:
    app = pages.start()
    app.button(key="sees_open").click().run()
    pages.good(app.run())
    waiting = [item.value for item in app.info]
    assert dialogs.SEES in app.session_state and any(t("sees.waiting", seconds=0)[:20] in text for text in waiting)
    app = settled(services, slow, app)
    assert "&lt;img" in html(app) and dialogs.SEES in app.session_state
    pages.good(app.run())
    assert "&lt;img" in html(app) and len(slow.asked) == 1


def test_a_refusal_can_be_asked_again(services: Services, slow: Slow) -> None:
    slow.answer = Refused("asked_time", {"reason": "3"})
    app = pages.start()
    app.button(key="sees_open").click().run()
    app = settled(services, slow, app)
    assert any("3" in item.value for item in app.warning)
    slow.answer = SEEN
    app.button(key="sees_again_form").click().run()
    assert "&lt;img" in html(settled(services, slow, app)) and len(slow.asked) == 2


def test_the_part_of_the_data_page(services: Services, slow: Slow) -> None:
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    app.selectbox(key=train_with.PICK).set_value("demo_pairs").run()
    app.button(key="sees_part").click().run()
    app = settled(services, slow, app)
    assert "&lt;img" in html(app) and [args["stage"] for args in slow.asked] == ["dpo"]
    assert slow.asked[0]["dataset"] == "demo_pairs"


def test_a_changed_file_is_asked_about_anew(services: Services, slow: Slow) -> None:
    slow.go.set()
    job = job_from_args({**DEMO, "dataset_dir": "data"})
    first = services.sees.question(job)
    assert first == services.sees.question(job)
    path = services.workspace.root / "data" / "demo_sft.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert services.sees.question(job) != first
