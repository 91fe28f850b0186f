"""What the page says of runs whose end nobody saw, and of a stop that hangs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine.resuming import Standing
from lfdash.engine.services import Services
from lfdash.jobs.kinds import BY_NAME
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.locales import in_language
from lfdash.outcomes import Refused
from lfdash.runs.metrics.progress import Progress
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Exit, RunRecord, RunState
from lfdash.runs.view import RunView, Saved, Stall
from lfdash.ui.shared.scheduled_words import was_words
from lfdash.ui.shared.text import language, markdown_safe, t
from lfdash.ui.train import outcome
from lfdash.ui.train.outcome import preparing_words
from tests.support import app
from tests.support.runs import FIXTURES, plan_for, record_for


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    with app.opened(tmp_path / "workspace") as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True  # its thread would tell of the runs at moments of its own
        yield found


def show(services: Services, logs: str = "", more: str = "", **changes: object) -> str:
    """All that the page says of one run, whose view has these changes. logs: recorded ones, by their name; more: a line
    that the log has after them."""
    registry = services.registry
    plan = plan_for(registry.workspace)
    outcome = registry.launch(plan, record_for(plan))
    assert isinstance(outcome, Launched)
    folder = registry.workspace / plan.output_dir
    (folder / "checkpoint-5").mkdir()
    for name, file in ((f"{logs}.jsonl", "trainer_log.jsonl"), (f"{logs}_console.txt", "console.log")):
        if logs:
            (folder / file).write_bytes((FIXTURES / "logs" / name).read_bytes())
    if more:
        with (folder / "trainer_log.jsonl").open("a") as log:
            log.write(more + "\n")
    registry.refresh()
    (view,) = registry.snapshot()
    changed: RunView = replace(view, **changes)  # type: ignore[arg-type]
    registry.snapshot = lambda: (changed,)  # type: ignore[method-assign]
    registry.get = lambda run_id: changed  # type: ignore[method-assign]
    page = app.start()
    parts = [*page.error, *page.warning, *page.success, *page.info, *page.caption, *page.markdown, *page.get("html")]
    keys = [button.key for button in page.button]
    return json.dumps([*(part.value for part in parts), *keys], ensure_ascii=False)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("gone", "no sign that"), ("boot", "was restarted"), ("host", "only that machine can tell"),
        ("launcher", "its launcher “fake” is not known here"),
    ],
)
def test_a_lost_run_says_why_and_can_be_resumed(services: Services, lost: str, words: str) -> None:
    said = show(services, state=RunState.LOST, lost=lost, saved=saved())
    assert words in said and "resume" in said
    if lost == "host":
        assert services.registry.snapshot()[0].record.host in said  # type: ignore[union-attr]


def saved() -> object:
    from lfdash.runs.view import Saved

    return Saved(None, None, (5,))


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.STOPPED])
def test_an_end_that_nobody_saw_has_no_code(services: Services, state: RunState) -> None:
    assert t("ui.code_unknown") in show(services, state=state, exit_code=None)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.SUCCEEDED])
def test_a_run_whose_loss_is_no_number_says_so_whether_or_not_it_succeeds(services: Services, state: RunState) -> None:
    said = show(services, "sft_overflow", state=state, exit_code=0)
    assert t("ui.loss_dead", step="4") in said and t("ui.eval_nan", step="4")[:20] not in said
    assert "<b>NaN</b><small>loss</small>" in said and "0.0000" not in said


def test_an_evaluation_loss_that_is_no_number_is_told(services: Services) -> None:
    said = show(services, "sft", '{"current_steps": 99, "total_steps": 99, "eval_loss": NaN, "epoch": 1.0}')
    assert t("ui.eval_nan", step="99") in said


def test_a_run_that_learns_says_nothing_of_that(services: Services) -> None:
    assert t("ui.loss_dead", step="")[-60:] not in show(services, "sft", state=RunState.SUCCEEDED, exit_code=0)


def test_a_code_that_was_seen_is_not_called_unknown(services: Services) -> None:
    assert t("ui.code_unknown") not in show(services, state=RunState.SUCCEEDED, exit_code=0)


def test_a_run_that_never_began_says_so(services: Services) -> None:
    assert t("ui.never_started") in show(services, state=RunState.FAILED)


def test_a_stop_that_hangs_offers_the_harder_step(services: Services) -> None:
    said = show(services, state=RunState.STOPPING, awaiting="save", stalled=True)
    assert t("ui.awaiting_stuck") in said and t("ui.awaiting_save") not in said


def test_a_run_that_cannot_be_read_says_so_and_why(services: Services) -> None:
    words = show(services, state=RunState.RUNNING, unseen="Input/output error")
    assert t("ui.unseen", reason="Input/output error") in words


def test_the_name_of_a_target_is_no_markdown(services: Services) -> None:
    """It is what the run's folder says, which may be somebody else's."""
    record = replace(record_for(plan_for(services.registry.workspace)), launcher="slurm:![x](http://else.where/y)")
    words = show(services, state=RunState.RUNNING, unseen="no answer", record=record)
    assert "no answer. The page" in words and "scheduler of ![x](http" not in words


def test_a_live_run_whose_record_is_spoiled_says_so(services: Services) -> None:
    words = show(services, state=RunState.RUNNING, error="run.json is torn.")
    assert t("ui.record_spoiled", reason="run.json is torn.") in words


@pytest.mark.parametrize(("record", "told"), [(False, True), (True, False)])
def test_a_run_that_is_over_whose_record_is_spoiled_says_so_too(
    services: Services, record: bool, told: bool
) -> None:
    """One that failed says its error as that."""
    changes = {} if record else {"record": None}
    words = show(services, state=RunState.STOPPED, error="run.json is torn.", **changes)
    assert (t("ui.record_spoiled_over", reason="run.json is torn.") in words) is told


@pytest.mark.parametrize(("saved", "key"), [(None, "outcomes.more_nothing"), ("adapter", "ui.past_end_more")])
def test_a_checkpoint_at_the_end_says_that_nothing_was_left(services: Services, saved: str | None, key: str) -> None:
    """And only then to press a button when that is not disabled."""
    said = show(services, state=RunState.SUCCEEDED, progress=Progress(step=3, total=2), saved=Saved(saved))
    assert t("ui.past_end", step=3, total=2) in said
    assert t(key) in said and (t("ui.past_end_more") in said) is (saved is not None)
    assert "already" not in said.replace(t("ui.past_end", step=3, total=2), "")


def test_a_run_that_does_not_step_says_what_to_do(services: Services) -> None:
    said = show(services, state=RunState.RUNNING, stall=Stall(960.0, 9.0), progress=Progress(step=13, total=40))
    assert "After step 13, there has been no step for 16 min; usually there is one every 9 s" in said
    assert t("alerts.stall_do") in said


def test_a_run_that_steps_does_not(services: Services) -> None:
    assert t("alerts.stall_do") not in show(services, state=RunState.RUNNING, progress=Progress(step=13, total=40))


def test_a_stop_before_the_first_checkpoint_is_said_to_end_the_run(services: Services) -> None:
    going = show(services, "sft", state=RunState.RUNNING, saved=Saved())
    assert "if it is stopped now, this run cannot be resumed" in going


def test_a_stop_after_a_checkpoint_loses_nothing(services: Services) -> None:
    assert "cannot be resumed" not in show(services, "sft", state=RunState.RUNNING, saved=Saved(checkpoints=(5,)))


def test_a_stopped_run_without_a_checkpoint_says_that_it_cannot_be_resumed(services: Services) -> None:
    said = show(services, "sft", state=RunState.STOPPED, saved=Saved("adapter", 12))
    assert "The adapter is saved (step 12). It has no saved checkpoint, so it cannot be resumed." in said


def test_a_stopped_run_with_a_checkpoint_says_no_such_thing(services: Services) -> None:
    said = show(services, "sft", state=RunState.STOPPED, saved=Saved("adapter", 12, (5,)))
    assert "cannot be resumed" not in said


@pytest.mark.parametrize("code", ["en", "ru", "zh", "ko", "ja"])
def test_each_kind_says_what_begins_after_its_preparation(code: str) -> None:
    keys = {"train": "ui.preparing", "eval": "ui.preparing_eval", "export": "ui.preparing_export"}
    said = {in_language(code, key) for key in keys.values()}
    assert len(said) == len(keys)
    assert {name: preparing_words(BY_NAME[name]) for name in keys} == {
        name: in_language("en", key) for name, key in keys.items()
    }


def test_a_training_that_finished_before_its_end_says_at_which_step(services: Services) -> None:
    early = Progress(step=7, total=1600, percent=0.4375)
    said = show(services, state=RunState.SUCCEEDED, progress=early, saved=Saved())
    assert t("ui.ended_early", step=7, total=1600) in said


def test_an_end_by_the_scheduler_says_what_follows_and_what_it_took(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "resumed_in", lambda code, view, why: f"goes on *{code}* {view.name}")
    monkeypatch.setattr(outcome, "used_in", lambda _services, code, view: f"took 3 GiB {view.attempt}")
    record = replace(record_for(plan_for(services.workspace.root)), launcher="slurm:lab")
    said = show(services, state=RunState.STOPPED, record=record)
    assert f"goes on \\\\*{language()}" in said and "took 3 GiB 1" in said


@pytest.mark.parametrize("code", ["resume_next", "resume_tries", "resume_strange", "resume_limit"])
def test_a_run_that_is_to_go_on_by_itself_can_be_called_off(
    services: Services, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    params = {"why": "time_limit", "most": "3", "done": "3", "step": "5"}
    why = Standing(code, params, Refused("unbegun", {"reason": "x"}) if code == "resume_tries" else None)
    monkeypatch.setattr(outcome, "look_standing", lambda *_: why)
    record = replace(record_for(plan_for(services.workspace.root)), launcher="slurm:lab")
    said = show(services, state=RunState.STOPPED, record=record)
    assert ('"stay"' in said) is (code in ("resume_next", "resume_tries")) and "by its time limit" in said


def test_a_run_of_this_machine_has_no_scheduler(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "resumed_in", lambda *_: "goes on")
    assert "goes on" not in show(services, state=RunState.STOPPED)


def elsewhere(services: Services, state: RunState, error: str | None = None, by: str | None = None) -> RunRecord:
    """The record of a run on a cluster that was over before it began."""
    record = replace(record_for(plan_for(services.workspace.root)), launcher="slurm:lab")
    return record.with_last(state=state, exit=Exit(record.run_id, 1, None, error, by=by))


@pytest.mark.parametrize("by", [None, "signal"])
def test_a_run_that_is_stopped_while_it_waits_elsewhere_has_not_begun(services: Services, by: str | None) -> None:
    record = elsewhere(services, RunState.STOPPED, by=by)
    said = show(services, state=RunState.STOPPED, record=record, exit_code=None, saved=Saved())
    assert t("ui.stopped_unbegun", target="lab", saved=t("outcomes.resume_never_began")) in said
    assert t("ui.code_unknown") not in said and t("outcomes.resume_no_checkpoint") not in said
    assert (t("scheduled.ended_signal") in said) is (by is not None)


def test_a_resume_that_is_stopped_while_it_waits_keeps_what_was_saved_before(services: Services) -> None:
    said = show(services, state=RunState.STOPPED, record=elsewhere(services, RunState.STOPPED), saved=saved())
    assert t("ui.stopped_unbegun", target="lab", saved=t("ui.saved_checkpoints", count=1, last=5)) in said


def test_a_job_that_fails_before_its_supervisor_began_says_so(services: Services) -> None:
    error = "Slurm: FAILED (NonZeroExitCode): /nope/bin/python: No such file or directory"
    record = elsewhere(services, RunState.FAILED, error)
    said = show(services, state=RunState.FAILED, record=record, error=error, exit_code=None, saved=Saved())
    assert t("ui.failed_unbegun", target="lab", cause=markdown_safe(error)) in json.loads(said)[0]
    assert t("diagnosis.slurm_unbegun", what="FAILED") in json.loads(said)[0]
    assert "was killed" not in said and "exit code ?" not in said


def test_where_a_run_was_is_still_told_when_it_is_over(services: Services) -> None:
    plan = plan_for(services.workspace.root)
    record = replace(record_for(plan), launcher="slurm:lab")
    attempt = RunPaths(services.workspace.root / plan.output_dir).attempt(1)
    assert was_words(RunView("a", "a", Path("a"), "a", RunState.STOPPED)) == ""
    with mock.patch.object(outcome, "used_in", return_value="took 3 GiB"):
        said = show(services, state=RunState.STOPPED, record=record)
        assert ":material/dns: took 3 GiB" in said
        (attempt.root / "job.json").write_text('{"id": "7"}')
        attempt.child.write_text('{"host": "u1"}')
        page = app.start()
    told = [str(item.value) for item in page.caption]
    words = f"lab · u1 · {t('scheduled.job', by='Slurm', job='7')} · took 3 GiB"
    assert f":material/dns: {markdown_safe(words)}" in told
