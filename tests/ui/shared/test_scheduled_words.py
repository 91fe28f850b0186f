"""What a scheduler says of a run, in words; and what the page shows of a run on a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash import locales
from lfdash.engine import scheduled_words as engine_words
from lfdash.runs.record import WAITS, Attempt, Exit, RunRecord, RunState, Scheduled
from lfdash.runs.summary_cache import UNKNOWN
from lfdash.runs.table import BADGES, badges_of
from lfdash.runs.view import RunView
from lfdash.ui.shared import scheduled_words as words
from lfdash.ui.shared.run_words import PENDING, state_of, state_word
from lfdash.ui.shared.text import markdown_safe, t
from lfdash.ui.train.strip import strip_html, title_words

SAID = Scheduled("slurm", "42", "PENDING", "Resources", 0.0)
RECORD = RunRecord("id-a", "train", "a", "slurm:lab", "m", "sft", "lora", (), (Attempt(1, ("train",), {}),))
WAITING = RunView("id-a", "a", Path("/w/saves/a"), "saves/a", RunState.STARTING, record=RECORD, scheduled=SAID)
RUNNING = replace(WAITING, state=RunState.RUNNING, scheduled=Scheduled("slurm", "42", "RUNNING", "None", None, "n1"))


def test_a_run_that_waits_there_says_so_why_and_until_when() -> None:
    said = words.pending_words(WAITING)
    assert said == markdown_safe(" ".join((
        t("scheduled.waits", by="Slurm", target="lab", job="42"), t("scheduled.why_resources"),
        t("scheduled.starts", when="1970-01-01 00:00"),
    )))
    unknown = words.pending_words(replace(WAITING, scheduled=replace(SAID, reason="", starts=None)))
    assert t("scheduled.why_none") in unknown and "1970" not in unknown


@pytest.mark.parametrize("starts", [1e30, float("inf"), -1e30])
def test_a_time_that_is_none_is_not_told(starts: float) -> None:
    said = words.pending_words(replace(WAITING, scheduled=replace(SAID, starts=starts)))
    assert t("scheduled.why_resources") in said and t("scheduled.starts", when="")[:10] not in said


@pytest.mark.parametrize(("reason", "code"), [
    ("Priority", "priority"), ("(Priority)", "priority"), ("PartitionTimeLimit", "partition_limit"),
    ("PartitionDown", "partition_down"), ("ReqNodeNotAvail, Reserved for maintenance", "nodes_down"),
    ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", "nodes_down"),
    ("QOSMaxGRESPerUser", "limit"), ("AssocGrpGRES", "limit"), ("JobHeldUser", "held"), ("Reservation", "reservation"),
    ("None", "none"),
])
def test_a_reason_of_slurm_is_a_sentence(reason: str, code: str) -> None:
    assert engine_words.reason_in("en", reason) == t(f"scheduled.why_{code}")


def test_a_reason_that_nobody_knows_is_shown_as_it_is() -> None:
    assert engine_words.reason_in("en", "SomethingNew") == t("scheduled.why_other", reason="SomethingNew")


def test_every_reason_has_a_text() -> None:
    assert all(locales.lookup("en", "scheduled", f"why_{code}") for _, code in engine_words.REASONS)


@pytest.mark.parametrize("word", sorted(WAITS))
def test_every_word_for_waiting_is_one_state_of_the_page(word: str) -> None:
    view = replace(WAITING, scheduled=replace(SAID, word=word))
    assert view.pending and state_of(view) == PENDING


def test_a_run_that_goes_on_there_or_stops_is_not_waiting() -> None:
    assert not RUNNING.pending and state_of(RUNNING) == "RUNNING"
    assert not replace(WAITING, scheduled=None).pending and not replace(WAITING, state=RunState.STOPPING).pending


def test_a_run_that_was_given_away_is_not_said_to_load_anything() -> None:
    handed = replace(WAITING, scheduled=None)
    assert words.handed_words(handed) == markdown_safe(t("scheduled.handed", target="lab"))
    setting_up = replace(WAITING, scheduled=replace(SAID, word="CONFIGURING", nodes="n[1-2]"))
    assert words.handed_words(setting_up) == markdown_safe(t("scheduled.setting_up", nodes="n[1-2]", target="lab"))


def test_the_strip_has_the_schedulers_own_words_and_the_target() -> None:
    html = strip_html(WAITING)
    assert 'title="Slurm 42: PENDING (Resources)"' in html and f">{state_word(PENDING)}</span>" in html
    assert ">lab</span>" in html and title_words(WAITING) == f"{state_word(PENDING)} a"
    assert 'title="Slurm 42: RUNNING n1"' in strip_html(RUNNING)
    here = strip_html(replace(RUNNING, record=replace(RECORD, launcher="local"), scheduled=None))
    assert "data-target" not in here and "Slurm" not in here


def test_what_a_scheduler_says_is_no_markup() -> None:
    html = strip_html(replace(WAITING, scheduled=replace(SAID, reason='"><b>x')))
    assert "<b>x" not in html
    assert "<b>" not in words.pending_words(replace(WAITING, scheduled=replace(SAID, reason="<b>")))


def test_where_it_is_as_far_as_somebody_tells() -> None:
    assert words.place_words(RUNNING) == f"lab · n1 · {t('scheduled.job', by='Slurm', job='42')}"
    assert words.place_words(replace(RUNNING, scheduled=None)) == "lab"
    assert words.place_words(replace(RUNNING, record=replace(RECORD, launcher="local"))) == ""


def test_a_scheduler_that_says_nothing_for_a_while_is_told() -> None:
    silent = replace(RUNNING, scheduled=None, progress=replace(RUNNING.progress, elapsed_s=engine_words.SILENT_S + 1))
    assert words.is_silent(silent)
    assert not words.is_silent(replace(silent, progress=replace(RUNNING.progress, elapsed_s=5.0))), "not asked yet"
    assert not words.is_silent(replace(silent, unseen="no answer")), "told as such"
    assert not words.is_silent(replace(silent, record=replace(RECORD, launcher="local")))
    assert not words.is_silent(replace(silent, state=RunState.STOPPED))


@pytest.mark.parametrize(("by", "told"), [("signal", True), ("time_limit", True), (None, False), ("odd", False)])
def test_who_ended_it_is_told_where_it_was_nobody_here(by: str | None, told: bool) -> None:
    ended = replace(RECORD, attempts=(replace(RECORD.last, exit=Exit("id-a", 1, 0, by=by)),))
    view = replace(WAITING, state=RunState.STOPPED, record=ended, scheduled=None)
    assert words.ended_words(view) == (t(f"scheduled.ended_{by}") if told else "")
    assert words.ended_words(replace(view, record=replace(ended, launcher="local"))) == ""


def test_runs_marks_what_waits_there_and_what_nobody_sees() -> None:
    assert badges_of(WAITING, UNKNOWN) == (PENDING,)
    assert badges_of(replace(RUNNING, unseen="no answer"), UNKNOWN) == ("unseen",)
    assert badges_of(replace(RUNNING, unseen="x", record=replace(RECORD, launcher="local")), UNKNOWN) == ()
    assert {PENDING, "unseen"} <= set(BADGES)
