"""What is alerted of real folders: once, whoever looks, and with what goes with it."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.alert_sender import AlertSender
from lfdash.engine.alerts import MachineNow
from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import STOP
from lfdash.runs.alerts.settings import AlertSettings, read
from lfdash.runs.record import Handle, RunState, Status
from lfdash.runs.view import Reason
from lfdash.supervisor.records import wished
from lfdash.workspace.alert_store import AlertStore
from tests.support.alerts import Watch, log, started, unreadable
from tests.support.runs import launch, plan_for, record_for

FALLING = [3 - step / 20 for step in range(20)]
DEAD = [math.nan] * 5


def settings(**rules: dict[str, object]) -> AlertSettings:
    """Settings with some rules as they are said."""
    found, problems = read({"rules": rules}, ("en",))
    assert problems == ()
    return found


def waiting_to_be_sent(watch: Watch) -> list[str]:
    return [alert.rule for _, alert in watch.store.waiting()]


def test_an_alert_is_written_to_the_runs_folder_and_to_be_sent_once(workspace: Path) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING)
    watch.look()
    assert watch.rules(handle) == [] and not handle.paths.alerts.exists()
    log(handle, DEAD, begin=21)
    for _ in range(3):
        watch.look()
    (alert,) = file.read(handle.paths.alerts)
    assert (alert.rule, alert.run_id, alert.run, alert.attempt, alert.step) == ("nan", "id-r1", "r1", 1, 21)
    assert waiting_to_be_sent(watch) == ["nan"] and watch.sent == [None]
    assert [one.rule for one in watch.store.recent()] == ["nan"]
    assert file.badges(handle.paths) == ("nan",)


def test_a_run_is_looked_at_every_few_seconds_only(workspace: Path) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING)
    watch.look()
    log(handle, DEAD, begin=21)
    for _ in range(4):
        watch.look(1.0)
        assert watch.rules(handle) == []
    watch.look(1.0)
    assert watch.rules(handle) == ["nan"] and watch.noticed == [handle.paths.root]


def test_two_dashboards_alert_once(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    second = Watch(ProcessRegistry(workspace, fake, interval=60))
    threads = [threading.Thread(target=lambda one=one: [one.look() for _ in range(20)]) for one in (watch, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.rule for one in file.read(handle.paths.alerts)] == ["nan"]
    assert waiting_to_be_sent(watch) == ["nan"] and len(watch.sent) + len(second.sent) == 1


def test_a_restart_alerts_nothing_again(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    watch.look()
    for path, _ in watch.store.waiting():
        watch.store.sent(path)
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for _ in range(3):
        again.look()
    assert again.rules(handle) == ["nan"] and again.sent == [] and again.store.waiting() == []


def test_the_end_of_a_run_is_alerted_after_what_it_logged_last(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING)
    watch.look()
    log(handle, DEAD, begin=21)
    fake.end(handle, 1)
    for _ in range(3):
        watch.look()
    assert watch.rules(handle) == ["nan", "failed"]
    assert file.read(handle.paths.alerts)[1].params["state"] == "FAILED"


def test_a_run_that_ended_while_no_dashboard_ran_is_alerted_and_an_older_one_is_not(workspace: Path) -> None:
    watch, fake, old = started(workspace, "old")
    fake.end(old, 0)
    watch.registry.refresh()  # over before anybody looked for alerts
    (ended,) = watch.registry.snapshot()
    assert ended.ended is not None
    since = workspace / ".lfdash" / "alerts" / "since.json"
    since.parent.mkdir(parents=True)
    since.write_text(json.dumps({"since": ended.ended + 0.001}))
    handle = launch(watch.registry, plan_for(workspace, name="r2"))
    fake.begin(handle)
    fake.end(handle, 0)
    later = Watch(ProcessRegistry(workspace, fake, interval=60))
    later.look()
    assert later.rules(handle) == ["ended"] and later.rules(old) == []
    assert Watch(later.registry).store.began(list).since == ended.ended + 0.001


def test_what_is_over_and_told_is_not_looked_at_again_after_a_restart(workspace: Path) -> None:
    """Other rules, or a newer lfdash, would tell of a run that ended hours ago."""
    watch, fake, handle = started(workspace)
    watch.store.save_settings(settings(nan={"on": False}))
    log(handle, FALLING + DEAD)
    watch.look()
    fake.end(handle, 1)
    watch.look()
    assert watch.rules(handle) == ["failed"]
    watch.store.save_settings(AlertSettings())
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for _ in range(3):
        again.look()
    assert again.rules(handle) == ["failed"] and again.sent == []


def test_a_lost_run_is_alerted_only_when_it_stays_lost(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING)
    watch.look()
    with monkeypatch.context() as patch:
        patch.setattr(fake, "poll", lambda _: Status("lost", why="gone"))
        watch.look()
        assert watch.view(handle).state is RunState.LOST
    watch.look()
    assert watch.view(handle).state is RunState.RUNNING and watch.rules(handle) == []
    monkeypatch.setattr(fake, "poll", lambda _: Status("lost", why="gone"))
    for _ in range(5):
        watch.look()
    assert watch.rules(handle) == ["failed"]


def test_a_next_attempt_has_alerts_of_its_own_once_it_has_logged(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    watch.look()
    fake.end(handle, 1)
    watch.look()
    view = watch.view(handle)
    plan = replace(plan_for(workspace), attempt=2)
    assert view.record is not None
    watch.registry.launch(plan, view.record.resumed(plan))
    second = replace(handle, attempt=2)
    fake.begin(second)
    watch.look()
    assert watch.rules(handle) == ["nan", "failed"], "the log is the first attempt's still"
    log(handle, DEAD, begin=21)
    watch.look()
    assert [(one.rule, one.attempt) for one in watch.alerts.of(watch.view(handle))][2:] == [("nan", 2)]
    assert [one.attempt for one in watch.alerts.unread(watch.view(handle))] == [2]


# -- the automatic stop -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "rule"), [(DEAD, "nan"), ([30.0 + step for step in range(10)], "diverged")]
)
def test_a_run_is_stopped_gracefully_where_that_is_set_and_it_is_written_down(
    workspace: Path, losses: list[float], rule: str
) -> None:
    watch, fake, handle = started(workspace)
    assert watch.store.save_settings(settings(**{rule: {"stop": True}})) is None
    log(handle, FALLING + losses)
    second = Watch(ProcessRegistry(workspace, fake, interval=60))
    for one in (watch, second, watch):
        one.look()
    assert watch.stopped + second.stopped == ["id-r1"]
    assert wished(str(handle.paths.attempt(1).root)) == "graceful"
    first, stop = file.read(handle.paths.alerts)
    assert (first.rule, first.params["stopping"]) == (rule, 1)
    assert (stop.rule, stop.params["rule"], stop.params["refused"], stop.step) == (STOP, rule, "", first.step)
    assert waiting_to_be_sent(watch) == [rule], "one message for both"
    assert [one.rule for one in watch.alerts.unread(watch.view(handle))] == [rule, STOP]


def test_nothing_is_stopped_by_itself(workspace: Path) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING + DEAD)
    watch.look()
    assert watch.rules(handle) == ["nan"] and watch.stopped == []


# -- settings ---------------------------------------------------------------------------------------------


def test_a_rule_that_is_off_alerts_nothing_and_one_that_is_not_sent_is_written(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    watch.store.save_settings(settings(nan={"on": False}, ended={"send": False}))
    log(handle, FALLING + DEAD)
    watch.look()
    fake.end(handle, 0)
    watch.look()
    watch.look()
    assert watch.rules(handle) == ["ended"] and watch.store.waiting() == [] and watch.sent == []


def test_a_threshold_counts_from_the_next_look_on(workspace: Path) -> None:
    watch, _, handle = started(workspace)
    watch.store.save_settings(settings(nan={"rows": 50}))
    log(handle, FALLING + DEAD)
    watch.look()
    assert watch.rules(handle) == []
    watch.store.save_settings(settings(nan={"rows": 4}))
    watch.look()
    assert watch.rules(handle) == ["nan"]


def test_what_was_read_is_not_shown_again_also_after_a_restart(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    watch.look()
    (alert,) = watch.alerts.unread(watch.view(handle))
    assert watch.store.dismiss([alert.id]) is None
    assert watch.alerts.unread(watch.view(handle)) == ()
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    again.look()
    assert again.alerts.unread(again.view(handle)) == () and again.rules(handle) == ["nan"]


# -- the disk and the machine -------------------------------------------------------------------------------


@pytest.mark.parametrize("was_sent", [True, False])
def test_a_disk_that_takes_nothing_hides_no_alert_and_sends_it_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, was_sent: bool
) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING + DEAD)
    with monkeypatch.context() as patch:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(file, "append", full)
        patch.setattr(AlertStore, "put", full)
        for _ in range(3):
            watch.look()
        assert watch.rules(handle) == ["nan"] and [one.rule for one in watch.sent if one] == ["nan"]
        (alert,) = watch.alerts.recent()
        assert alert.rule == "nan"
        if was_sent:
            watch.store.told(alert)  # as whoever sends does
    for _ in range(3):
        watch.look()
    assert [one.rule for one in file.read(handle.paths.alerts)] == ["nan"] and len(watch.sent) == 1
    assert watch.rules(handle) == ["nan"] and waiting_to_be_sent(watch) == ([] if was_sent else ["nan"])


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_takes_the_message_only_sends_it_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING + DEAD)
    with monkeypatch.context() as patch:
        patch.setattr(file, "append", full_disk)
        watch.look()
    assert waiting_to_be_sent(watch) == ["nan"] and watch.sent == [None]
    watch.store.sent(watch.store.waiting()[0][0])
    watch.look()
    assert [one.rule for one in file.read(handle.paths.alerts)] == ["nan"] and watch.store.waiting() == []
    assert [one.rule for one in watch.store.recent()] == ["nan"]


def test_what_the_log_did_not_take_is_added_later(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING + DEAD)
    with monkeypatch.context() as patch:
        patch.setattr(AlertStore, "add", full_disk)
        watch.look()
        assert [one.rule for one in watch.alerts.recent()] == ["nan"] and watch.store.recent() == ()
    watch.look()
    assert [one.rule for one in watch.store.recent()] == ["nan"] and len(watch.alerts.recent()) == 1
    assert waiting_to_be_sent(watch) == ["nan"] and watch.rules(handle) == ["nan"]


@pytest.mark.parametrize("failure", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", ["alerts.jsonl", "settings.json"])
def test_while_it_cannot_be_known_nothing_is_written_or_sent(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, failure: int
) -> None:
    watch, fake, handle = started(workspace)
    watch.store.save_settings(settings(ended={"send": False}))
    log(handle, FALLING + DEAD)
    watch.look()
    for path, _ in watch.store.waiting():
        watch.store.sent(path)
    fake.end(handle, 0)
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    with unreadable(monkeypatch, failure, name):
        for _ in range(3):
            again.look()
    assert [one.rule for one in file.read(handle.paths.alerts)] == ["nan"] and again.sent == []
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1, "said once"
    again.look()
    assert again.rules(handle) == ["nan", "ended"] and again.store.waiting() == []


WRITES = [(AlertStore, "put"), (AlertStore, "add"), (file, "append")]


@pytest.mark.parametrize("second_fails", range(2 ** len(WRITES)))
@pytest.mark.parametrize("first_fails", range(2 ** len(WRITES)))
@pytest.mark.parametrize("sends_between", [True, False])
def test_two_dashboards_on_a_nearly_full_disk_send_an_alert_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, first_fails: int, second_fails: int, sends_between: bool
) -> None:
    """Each of the writes may fail, of either dashboard; the first one has the right to send."""
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    said: list[str] = []

    def notify(*words: str) -> str:
        said.append(words[1])
        return ""

    pairs = []
    for one in (watch, Watch(ProcessRegistry(workspace, fake, interval=60))):
        sender = AlertSender(one.store, lambda: "json://127.0.0.1:9", lambda: "en", notify)
        monkeypatch.setattr(one.alerts, "_wake", sender.wake)
        pairs.append((one, sender))
    pairs[0][0].store.folder.mkdir(parents=True)
    assert pairs[0][1]._turn.hold()
    for (one, _), fails in zip(pairs, (first_fails, second_fails), strict=True):
        with monkeypatch.context() as patch:
            for place, (owner, name) in enumerate(WRITES):
                if fails >> place & 1:
                    patch.setattr(owner, name, full_disk)
            one.look()
        for _, sender in pairs if sends_between else ():
            sender._round()
    for _ in range(3):
        for one, sender in pairs:
            one.look()
            sender._round()
    assert said == ["r1: NaN loss or zero gradient"]
    assert [one.rule for one in file.read(handle.paths.alerts)] == ["nan"]
    assert [one.rule for one in watch.store.logged()] == ["nan"] and os.listdir(watch.store.outbox) == []
    for _, sender in pairs:
        sender._turn.release()


def test_a_dashboard_that_is_killed_before_it_has_sent_what_no_file_was_written_of_loses_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)
    with monkeypatch.context() as patch:
        patch.setattr(AlertStore, "put", full_disk)
        watch.look()
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for _ in range(3):
        again.look()
    assert again.rules(handle) == ["nan"] and waiting_to_be_sent(again) == ["nan"]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(("owner", "name"), [(file, "append"), (AlertStore, "add")])
def test_a_dashboard_that_is_killed_while_it_alerts_loses_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    watch, fake, handle = started(workspace)
    log(handle, FALLING + DEAD)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, killed)
        watch.look()
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for _ in range(3):
        again.look()
    assert again.rules(handle) == ["nan"] and waiting_to_be_sent(again) == ["nan"]
    assert [one.rule for one in again.store.recent()] == ["nan"]


def test_what_stands_in_the_way_of_a_runs_file_sends_nothing_twice(workspace: Path) -> None:
    watch, fake, handle = started(workspace)
    handle.paths.alerts.mkdir()
    log(handle, FALLING + DEAD)
    watch.look()
    assert waiting_to_be_sent(watch) == ["nan"] and [one.rule for one in watch.alerts.recent()] == ["nan"]
    for path, _ in watch.store.waiting():
        watch.store.sent(path)
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for one in (again, watch, again):
        one.look()
    assert again.rules(handle) == ["nan"] and again.sent == [] and again.store.waiting() == []
    assert [one.rule for one in again.alerts.recent()] == ["nan"]


# -- ends that nobody saw coming ----------------------------------------------------------------------------


def short_run(watch: Watch, fake: FakeLauncher, workspace: Path, name: str, code: int = 3) -> Handle:
    """A run that begins and ends between two looks."""
    handle = launch(ProcessRegistry(workspace, fake, interval=60), plan_for(workspace, name=name))
    fake.begin(handle)
    fake.end(handle, code)
    return handle


def test_a_run_that_begins_and_ends_between_two_looks_is_told_once(workspace: Path) -> None:
    fake = FakeLauncher()
    watches = [Watch(ProcessRegistry(workspace, fake, interval=60)) for _ in range(2)]
    for watch in watches:
        watch.look()
    handles = [short_run(watches[0], fake, workspace, f"f{count}") for count in range(3)]
    for watch in watches * 4:
        watch.look()
    assert [watches[1].rules(handle) for handle in handles] == [["failed"]] * 3
    assert waiting_to_be_sent(watches[0]) == ["failed"] * 3
    for watch in watches:
        for path, _ in watch.store.waiting():
            watch.store.sent(path)
    again = Watch(ProcessRegistry(workspace, fake, interval=60))
    for _ in range(3):
        again.look()
    assert again.sent == [] and again.store.waiting() == []


def test_a_short_run_is_told_also_where_something_could_not_be_read_first(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeLauncher()
    watch = Watch(ProcessRegistry(workspace, fake, interval=60))
    watch.look()
    handle = short_run(watch, fake, workspace, "f")
    for name in ("since.json", "alerts.jsonl"):
        with unreadable(monkeypatch, errno.EMFILE, name):
            watch.look()
            assert waiting_to_be_sent(watch) == []
    watch.look()
    assert watch.rules(handle) == ["failed"] and waiting_to_be_sent(watch) == ["failed"]


def test_a_run_that_took_the_place_of_another_one_is_told(workspace: Path) -> None:
    fake = FakeLauncher()
    watch = Watch(ProcessRegistry(workspace, fake, interval=60))
    watch.look()
    first = short_run(watch, fake, workspace, "f")
    watch.look()
    assert watch.rules(first) == ["failed"]
    first.paths.root.rename(workspace / "saves" / "away")
    plan = replace(plan_for(workspace, name="f"), run_id="id-second")
    second = launch(ProcessRegistry(workspace, fake, interval=60), plan)
    fake.begin(second)
    fake.end(second, 3)
    for _ in range(3):
        watch.look()
    assert [one.run_id for one in file.read(second.paths.alerts)] == ["id-second"]


def test_a_run_that_was_copied_here_after_its_end_is_no_news(workspace: Path) -> None:
    fake = FakeLauncher()
    watch = Watch(ProcessRegistry(workspace, fake, interval=60))
    watch.look()
    (workspace / ".lfdash" / "alerts" / "since.json").write_text('{"since": 1000}')
    handle = short_run(watch, fake, workspace, "f")
    told = json.loads(handle.paths.exit.read_text())
    handle.paths.exit.write_text(json.dumps(told | {"ended": time.time() - 3600}))
    for _ in range(3):
        watch.look()
    assert watch.view(handle).state is RunState.FAILED and watch.rules(handle) == [] and watch.sent == []


@pytest.mark.parametrize("noted", [True, False])
def test_a_clock_that_was_ahead_when_alerts_began_loses_no_end(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """noted: the ends of then; an earlier version noted the time only."""
    fake = FakeLauncher()
    first = Watch(ProcessRegistry(workspace, fake, interval=60))
    old = short_run(first, fake, workspace, "old")
    with monkeypatch.context() as patch:
        ahead = time.time() + 7200
        patch.setattr("lfdash.workspace.alert_store.time.time", lambda: ahead)
        first.look()
    since = workspace / ".lfdash" / "alerts" / "since.json"
    assert json.loads(since.read_text())["since"] == ahead
    if not noted:
        since.write_text(json.dumps({"since": ahead}))
    handle = short_run(first, fake, workspace, "f")
    later = Watch(ProcessRegistry(workspace, fake, interval=60))
    later.look()
    assert later.rules(handle) == ["failed"] and later.rules(old) == ([] if noted else ["failed"])


def test_an_end_that_looks_old_is_told_when_the_clock_is_put_right(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeLauncher()
    watch = Watch(ProcessRegistry(workspace, fake, interval=60))
    watch.look()
    handle = short_run(watch, fake, workspace, "f")
    with monkeypatch.context() as patch:
        patch.setattr(watch.alerts, "_wall", lambda: time.time() + 3 * 24 * 3600)
        watch.look()
        assert watch.rules(handle) == []
    watch.look()
    assert watch.rules(handle) == ["failed"]


def plain_run(folder: Path, count: int) -> None:
    """The log of a plain CLI run at some step."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"current_steps": step, "total_steps": 20, "loss": loss, "epoch": step / 20, "elapsed_time": "0:00:01"}
            for step, loss in enumerate(FALLING[:count], 1)]
    (folder / "trainer_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(("begun", "told"), [(20, []), (12, ["ended"])])
def test_of_a_plain_run_the_end_is_told_only_when_it_was_seen_to_step(
    workspace: Path, begun: int, told: list[str]
) -> None:
    """A folder that was just copied looks as if it went on, for a while."""
    folder = workspace / "saves" / "plain"
    plain_run(folder, begun)
    watch = Watch(ProcessRegistry(workspace, FakeLauncher(), interval=60))
    watch.look()
    (view,) = watch.registry.snapshot()
    assert view.state is RunState.RUNNING
    plain_run(folder, 20)
    watch.look()
    (folder / "all_results.json").write_text(json.dumps({"epoch": 1.0, "train_loss": 2.0}))
    for _ in range(3):
        watch.look()
    (view,) = watch.registry.snapshot()
    assert view.state is RunState.SUCCEEDED and [one.rule for one in watch.alerts.of(view)] == told


def test_a_plain_run_gets_no_file_and_its_alerts_are_in_the_workspaces_log(workspace: Path) -> None:
    folder = workspace / "saves" / "m" / "lora" / "plain"
    folder.mkdir(parents=True)
    rows = [{"current_steps": step, "total_steps": 100, "loss": loss, "epoch": 0.1, "elapsed_time": "0:00:01"}
            for step, loss in enumerate(FALLING + DEAD, 1)]
    (folder / "trainer_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    watch = Watch(ProcessRegistry(workspace, FakeLauncher(), interval=60))
    for _ in range(3):
        watch.look()
    (view,) = watch.registry.snapshot()
    assert view.state is RunState.RUNNING and view.record is None
    assert [one.rule for one in watch.alerts.of(view)] == ["nan"]
    assert sorted(os.listdir(folder)) == ["trainer_log.jsonl"]


def test_the_disk_is_alerted_once_a_day_for_the_workspace(workspace: Path) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher(), interval=60)
    machine = MachineNow(1.0, disk_free=50 * 2**30, disk_hours=3.0)
    for watch in (Watch(registry, machine=lambda: machine), Watch(registry, machine=lambda: machine)):
        for _ in range(3):
            watch.look()
    (alert,) = watch.store.recent()
    assert (alert.rule, alert.run_id, alert.params["hours"]) == ("disk", "", "3.0")


def test_a_device_that_rests_is_alerted_of_the_run_that_has_it(workspace: Path) -> None:
    watch, _, handle = started(workspace)
    log(handle, FALLING)
    now = [1000.0]
    idle = Watch(watch.registry, machine=lambda: MachineNow(now[0], {"id-r1": (0.0, 99.5)}, ram=50.0))
    for _ in range(130):
        idle.look()
        now[0] += 5.0
    assert idle.rules(handle) == ["gpu_memory", "gpu_idle"]


def test_a_queue_that_cannot_go_on_is_alerted_once_for_its_cause(workspace: Path) -> None:
    watch, _, _ = started(workspace)
    for name in ("q1", "q2"):
        plan = plan_for(workspace, name=name)
        watch.registry.enqueue(plan, record_for(plan))
    watch.look()
    assert [one.rule for one in watch.store.recent()] == []
    for entry in watch.registry.queue.jobs.entries():
        watch.registry.queue.jobs.write(replace(entry, held=Reason("after_failure", {"run": "r0"})))
    for _ in range(3):
        watch.look()
    (alert,) = watch.store.recent()
    told = [alert.params[name] for name in ("job", "waiting", "why_run")]
    assert (alert.rule, told) == ("queue", ["q1", 2, "r0"])
    watch.registry.queue.hold("id-q1")
    watch.registry.queue.hold("id-q2")
    watch.look()
    assert len(watch.store.recent()) == 1, "held by a person"
