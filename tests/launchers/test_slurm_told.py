"""What the launcher for Slurm makes of files, of a heart, and of what Slurm says. The real one: tests/clusters."""

from __future__ import annotations

import json

import pytest

from lfdash.launchers import pulse, watching
from lfdash.launchers.slurm import ENDS_S
from lfdash.launchers.slurm_calls import Job
from lfdash.launchers.slurm_jobs import OVER, PENDING, Snapshot
from lfdash.launchers.watching import GONE_S, JOB, LAST, SETTLE_S, SUBMIT_S
from lfdash.runs.record import NO_HEART, Exit, RunState, Scheduled, Status
from lfdash.runs.view import judge
from lfdash.supervisor.records import is_given_up
from lfdash.supervisor.remote import SEALED
from tests.support.clusters.slurm_case import NAME, Case, launcher_of


@pytest.mark.parametrize("word", PENDING)
def test_one_that_waits(case: Case, word: str) -> None:
    case.told.says(word, "Priority", starts=99.0)
    assert case.poll() == Status("pending", scheduled=Scheduled("slurm", "7", word, "Priority", 99.0))


@pytest.mark.parametrize("word", ["RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "A_WORD_OF_A_LATER_SLURM"])
@pytest.mark.parametrize("begun", [False, True])
def test_one_that_lives(case: Case, word: str, begun: bool) -> None:
    """Nothing is over that Slurm does not call so."""
    if begun:
        case.begin()
    case.told.says(word, nodes="n1")
    for _ in range(3):
        case.later(100)
        status = case.poll()
        assert status.phase == ("running" if begun else "starting")
        assert status.scheduled == Scheduled("slurm", "7", word, "", None, "n1")


@pytest.mark.parametrize("word", OVER)
def test_one_that_is_over_and_never_began(case: Case, word: str) -> None:
    case.control.shim_log.write_text("bash: no such python\n")
    case.told.says(word, "Why")
    assert case.poll().phase == "starting"
    case.later(SETTLE_S)
    status = case.poll()
    assert status.phase == "ended" and status.exit is not None
    assert status.exit.error == f"Slurm: {word} (Why): bash: no such python"
    canceled = word == "CANCELLED"
    assert status.unused is not canceled
    assert judge(status, complete=False) is (RunState.STOPPED if canceled else RunState.FAILED)
    secrets = case.control.root / SEALED
    secrets.write_text("{}")
    case.launcher.reap()
    assert not secrets.exists(), "nobody is to take them any more"
    case.told.jobs = []  # it has forgotten it
    for launcher in (case.launcher, launcher_of(case.told)):
        assert launcher.poll(case.handle) == status


@pytest.mark.parametrize("said", ["", "python3: not found\n"])
def test_one_that_left_its_array_before_it_began(case: Case, said: str) -> None:
    """Without accounting: one that has said nothing was canceled while it waited; why another failed it has said."""
    (case.control.root / JOB).write_text('{"id": "7_1"}')
    case.control.shim_log.write_text(said)
    case.told.jobs = [Job("7_0", "RUNNING", name="other")]
    case.told.now += 1
    case.poll()
    case.later(GONE_S + 1)
    status = case.poll()
    assert status.exit is not None and status.phase == "ended" and status.unused is bool(said)
    assert status.exit.error == (said.strip() or "Slurm: CANCELLED") and status.exit.by == (None if said else "signal")


@pytest.mark.parametrize("word", OVER)
def test_one_that_is_over_and_whose_supervisor_wrote_nothing(case: Case, word: str) -> None:
    case.begin()
    case.told.says(word)
    for seconds in (0, SETTLE_S + 1):  # its heart may beat: that takes a while to be seen
        case.later(seconds)
        assert case.poll().phase == "running"
    case.later(pulse.DEAD_S + SETTLE_S)
    status = case.poll()
    assert status.phase == "ended" and status.exit is not None and status.exit.error == f"Slurm: {word}"
    expected = RunState.STOPPED if word == "CANCELLED" else RunState.FAILED
    assert judge(status, complete=False) is expected
    case.launcher.reap()
    assert json.loads((case.control.root / LAST).read_text()) == {"word": word, "reason": ""}
    case.told.jobs = []  # it has forgotten it
    later = launcher_of(case.told)
    for seconds in (0, 1, pulse.DEAD_S + SETTLE_S):
        case.later(seconds)
        status = later.poll(case.handle)
    assert judge(status, complete=False) is expected


@pytest.mark.parametrize("held", [0, 7])
def test_one_that_began_and_was_requeued_by_somebody_does_not_go_on(
    case: Case, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes were ended by Slurm. An answer from before it began says nothing; one whose lock is held lives."""
    monkeypatch.setattr(watching, "holder", lambda _: held)
    case.begin()
    case.told.says("PENDING", "job requeued in held state")
    before = case.told.jobs
    for seconds in (0, pulse.DEAD_S + 1, SETTLE_S + 1):
        case.later(seconds)
        monkeypatch.setattr(case.told, "look", lambda: Snapshot.of(0.0, before))
        assert case.poll().phase == "running"
    monkeypatch.undo()
    monkeypatch.setattr(watching, "holder", lambda _: held)
    for _ in range(2):
        case.later(SETTLE_S + 1)
        status = case.poll()
    if held:
        assert status.phase == "running"
        return
    assert status.phase == "ended" and status.exit is not None and not status.unused
    assert status.exit.error == "Slurm: PENDING (job requeued in held state)"
    assert ("cancel", "7") in case.told.wanted, "it would begin nothing, and somebody waits for its place"


@pytest.mark.parametrize("held", [0, 7, -1])
@pytest.mark.parametrize("word", ["", "NODE_FAIL"])
def test_one_whose_lock_is_held_is_not_lost(
    case: Case, word: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supervisor sleeps, and squeue tells nothing, or its node is cut off: its trainer may go on."""
    monkeypatch.setattr(watching, "holder", lambda _: held)
    case.begin()
    case.told.says(word) if word else setattr(case.told, "jobs", [])
    case.poll()
    for _ in range(3):
        case.later(pulse.DEAD_S + SETTLE_S)
        status = case.poll()
    assert status.phase == ("running" if held else "ended" if word else "lost")
    if held and word:
        assert status.scheduled is not None and status.scheduled.reason == NO_HEART


def test_the_secrets_of_nodes_are_not_left_where_all_was_killed(case: Case) -> None:
    case.begin()
    left = [case.control.root / name for name in (SEALED, f"{SEALED}.0", f"{SEALED}.1")]
    for path in left:
        path.write_text("{}")
    case.told.says("OUT_OF_MEMORY")
    for _ in range(3):
        case.later(pulse.DEAD_S + SETTLE_S)
        phase = case.poll().phase
    case.launcher.reap()
    assert phase == "ended" and not any(path.exists() for path in left) and case.control.spec.exists()


@pytest.mark.parametrize("wish", [False, True])
def test_a_time_limit_is_no_wish(case: Case, wish: bool) -> None:
    """The first of several supervisors leaves one for the others. What somebody wished afterwards counts."""
    spec = json.loads(case.control.spec.read_text())
    spec["slurm"]["resume"] = 3
    case.control.spec.write_text(json.dumps(spec))
    case.begin()
    case.control.armed.rename(case.control.stop("graceful"))
    by = None if wish else "time_limit"
    ended = Exit("id-r1", 1, 0, started=5.0, by=by, stop=("graceful",) if wish else ())
    case.handle.paths.exit.write_text(json.dumps(ended.__dict__))
    assert case.launcher.interruption(case.handle).why == ("" if wish else "time_limit")
    case.control.stays.touch()
    assert case.launcher.interruption(case.handle).why == ""


def test_one_whose_heart_beats_goes_on_whatever_slurm_says(case: Case) -> None:
    case.begin()
    for count, jobs in enumerate(([], [Job("7", "NODE_FAIL", name=NAME)], None, [Job("7", "FAILED", name=NAME)]) * 5):
        case.told.jobs = jobs
        case.beat(count)
        case.later(10)
        case.launcher.poll(case.handle) if count else None
        if count > 1:
            status = case.poll()
            assert status.phase == "running" and (status.elapsed or 0) >= count


def test_one_whose_heart_has_just_stopped_may_go_on(case: Case) -> None:
    """Its node may have lost the disk for a moment, and Slurm the node."""
    case.begin()
    case.told.says("NODE_FAIL")
    for count in (1, 2):
        case.beat(count)
        case.poll()
        case.later(1)
    case.later(pulse.DEAD_S - 2)
    assert case.poll().phase == "running"
    case.later(2 + SETTLE_S)
    assert case.poll().phase == "ended"


def test_one_that_nobody_knows_is_lost_only_after_a_while(case: Case) -> None:
    case.begin()
    case.told.jobs = []
    case.later(1)
    assert case.poll().phase == "running"
    case.later(pulse.DEAD_S + SETTLE_S)
    assert case.poll() == Status("lost", None, None, 5.0, why="gone")


def test_one_that_waits_is_not_given_up_after_one_empty_answer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer must say the same: a controller that has just started may know no job yet, and then fall silent.
    Why it was given up is told later, too."""
    case.told.jobs = []
    empty = case.told.look()
    with monkeypatch.context() as patch:
        patch.setattr(case.told, "look", lambda: empty)
        for _ in range(4):
            assert case.poll().phase == "starting"
            case.later(GONE_S)
    status = case.poll()
    assert status.phase == "ended" and status.unused and status.exit is not None
    case.launcher.reap()
    assert is_given_up(str(case.control.root))
    for launcher in (case.launcher, launcher_of(case.told)):
        assert launcher.poll(case.handle) == status and "no such job" in str(status.exit.error)


@pytest.mark.parametrize("begun", [False, True])
def test_where_slurm_does_not_answer_nothing_is_over(case: Case, begun: bool) -> None:
    if begun:
        case.begin()
    case.told.jobs, case.told.failure = None, "squeue did not answer within 20 s"
    for _ in range(3):
        case.later(1000)
        with pytest.raises(OSError, match="Slurm has not answered: squeue did not answer"):
            case.poll()


@pytest.mark.parametrize(("word", "code", "state", "said"), [
    ("NODE_FAIL", 0, RunState.FAILED, "Slurm: NODE_FAIL (Why)"), ("OUT_OF_MEMORY", 1, RunState.FAILED, "Slurm: OUT_OF"),
    ("PREEMPTED", 0, RunState.STOPPED, "preempted"), ("TIMEOUT", 0, RunState.STOPPED, "time_limit"),
    ("CANCELLED", 0, RunState.STOPPED, "signal"),
])
def test_whose_signal_it_was_that_ended_one(case: Case, word: str, code: int, state: RunState, said: str) -> None:
    """Its supervisor has saved and written its end, and does not know why it was asked to."""
    case.begin()
    case.told.says("RUNNING")
    assert case.poll().phase == "running"
    ended = Exit("id-r1", 1, code, started=5.0, stop=("graceful",), by="signal")
    case.handle.paths.exit.write_text(json.dumps(ended.__dict__))
    assert case.poll().phase == "running", "Slurm has not said yet"
    case.told.says(word, "Why")
    status = case.poll()
    assert judge(status, complete=False) is state and status.exit is not None
    assert (status.exit.error or status.exit.by or "").startswith(said)
    case.launcher.reap()
    for jobs in ([], None):  # it has forgotten it, or does not answer
        case.told.jobs = jobs
        assert launcher_of(case.told).poll(case.handle) == status


def test_one_that_was_ended_by_a_signal_is_over_whatever_slurm_says(case: Case) -> None:
    case.begin()
    case.told.says("COMPLETING")
    case.handle.paths.exit.write_text(json.dumps(Exit("id-r1", 1, 0, started=5.0, by="signal").__dict__))
    assert case.poll().phase == "running"
    case.later(ENDS_S + 1)
    assert case.poll().phase == "ended"
    case.told.jobs = None
    assert launcher_of(case.told).poll(case.handle).phase == "ended"


def test_an_end_that_was_written_needs_no_slurm(case: Case) -> None:
    case.told.jobs = None
    ended = Exit("id-r1", 1, 3, started=5.0)
    case.handle.paths.exit.write_text(json.dumps(ended.__dict__))
    assert case.poll() == Status("ended", ended, None, 5.0)


def test_one_that_was_cut_before_sbatch_was_never_started(case: Case) -> None:
    (case.control.root / JOB).unlink()
    case.told.jobs = []
    case.later(1)
    assert case.poll().phase == "starting"
    case.later(GONE_S)
    status = case.poll()
    assert status.phase == "ended" and status.unused and case.launcher.give_up(case.handle)
    assert case.poll().unused


def test_one_that_is_just_being_submitted_is_not_taken_for_that(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another dashboard, which holds the launch lock meanwhile."""
    monkeypatch.setattr(watching, "SUBMIT_S", SUBMIT_S)
    (case.control.root / JOB).unlink()
    other = launcher_of(case.told)
    for seconds in (1, SETTLE_S, SETTLE_S):
        case.later(seconds)
        assert other.poll(case.handle).phase == "starting"


def test_a_job_is_found_by_name_and_ticket(case: Case) -> None:
    (case.control.root / JOB).unlink()
    ticket = case.told.submitted[0][1]
    case.told.jobs = [
        Job("5", "RUNNING", name=NAME, comment="another"), Job("8", "PENDING", "Resources", name=NAME, comment=ticket)
    ]
    case.later(1)
    status = case.poll()
    assert status.phase == "pending" and status.scheduled is not None and status.scheduled.job == "8"


def test_another_job_of_that_number_is_not_it(case: Case) -> None:
    """As after a controller that has lost its state."""
    case.begin()
    case.told.jobs = [Job("7", "RUNNING", name="lfdash-other-1", comment="other")]
    for seconds in (1, pulse.DEAD_S + SETTLE_S):
        case.later(seconds)
        status = case.poll()
    assert status.phase == "lost" and status.scheduled is None


def test_one_that_has_just_begun_is_seen_before_slurm_tells_of_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing could be started beside it for a moment."""
    monkeypatch.setattr(watching, "SUBMIT_S", SUBMIT_S)
    case.begin()
    case.told.jobs = None
    assert case.poll() == Status("running", None, None, 5.0)


def test_an_answer_from_before_it_began_is_not_shown(case: Case) -> None:
    case.told.says("PENDING", "Resources")
    case.begin()
    assert case.poll() == Status("running", None, None, 5.0)
