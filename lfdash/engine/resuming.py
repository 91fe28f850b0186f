"""Runs that a scheduler has ended before they were done are resumed by themselves, where their target says so: a new
attempt from the newest checkpoint, as whoever presses Resume makes it.

Only after the scheduler's own end (a time limit, another job's turn), never after a stop that somebody wished; only
where the attempt has won a checkpoint, so that it ends some time; at most so many in a row as the target said when it
was submitted; only from the folder that this user's lfdash submitted, not from a copy of it or somebody else's; and
only on a target that this user has used by hand (targets/trust.py). Exactly once: an attempt is a
folder that one dashboard makes, under the right to start. What refuses it may pass: it is tried again as long as the
dashboard runs (engine/rests.py). What lasts ends it, and is said.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from lfdash.engine.rests import PASSING
from lfdash.engine.resume import look_stored, prepare_resume, why_not_resumed
from lfdash.engine.services import Services
from lfdash.engine.taking_back import take_back
from lfdash.launchers.base import InterruptingLauncher, Interruption
from lfdash.launchers.table import is_target
from lfdash.locales import from_environment, in_language, refusal_in
from lfdash.outcomes import Refused
from lfdash.runs.record import RunRecord, RunState
from lfdash.runs.steps import read_steps
from lfdash.runs.view import CHECKPOINT, RunView

EVERY_S = 2.0  # between two looks for such runs
NEXT = ("resume_next", "resume_tries")
ENDED = (RunState.STOPPED, RunState.FAILED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """How a run stands that its scheduler has ended. The text of `scheduler.<code>` is filled with params, and with
    why the last try to go on was refused."""

    code: str
    params: Mapping[str, str]
    refused: Refused | None = None


class Resuming:
    """Resumes the runs of one workspace, from a thread of its registry's."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._next = 0.0
        self._settled: set[tuple[str, int]] = set()  # attempts that nothing follows by itself

    def tick(self) -> None:
        """Looks at the runs that are over, and resumes what is to go on."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        for view in self.services.registry.watcher.views:
            key = (view.run_id, view.attempt)
            if view.state in ENDED and key not in self._settled and is_on_target(view):
                try:
                    if self.consider(view):
                        self._settled.add(key)
                except OSError as error:
                    logger.info("whether run %s goes on by itself is not known just now: %s", view.run_id, error)

    def consider(self, view: RunView) -> bool:
        """Resumes a run, or not; whether that is settled. OSError when it cannot be seen."""
        why = standing(self.services, view)
        if isinstance(why, Refused):
            return False
        if why is None:
            # of a dashboard that ended while it submitted: the attempt before may follow anew
            unused = view.record is not None and view.record.last.automatic and view.exit_code is None
            if not unused or not take_back(self.services.registry.dispatcher.handing, view.run_id):
                return True
            self._settled.discard((view.run_id, view.attempt - 1))
            self.services.registry.rests.note(
                unbegun_key(view.run_id, view.attempt - 1), Refused("unbegun", {"reason": view.error or "?"})
            )
            return False
        if why.code in ("resume_waits", "resume_no_target"):  # until somebody uses the target by hand, or corrects it
            return False
        if why.code not in NEXT:
            return True
        if self.services.registry.rests.rests(*rest_keys(view)):
            return False
        if self.services.registry.queue.jobs.settings().paused:
            return False
        return self._resume(view, int(why.params["step"]))

    def _resume(self, view: RunView, step: int) -> bool:
        """Submits the next attempt; whether nothing more is to be tried."""
        header = in_language(from_environment(os.environ), "ui.yaml_header")
        prepared = prepare_resume(self.services, view, step, header)
        if prepared is None:  # its configuration: the next look tells why
            return False
        record = prepared.record.with_last(automatic=True)
        registry, (own, launcher, _) = self.services.registry, rest_keys(view)
        outcome = registry.launch(prepared.plan, record, prepared.request)
        if not isinstance(outcome, Refused):
            logger.info("run %s goes on by itself from step %d", view.run_id, step)
            registry.rests.forget(own, launcher)
            return True
        if outcome.code == "scheduler_silent":  # each that asks it waits long
            registry.rests.note(launcher, outcome)
        registry.rests.note(own, outcome)
        logger.warning("run %s does not go on by itself: %s", view.run_id, outcome.code)
        return outcome.code not in PASSING


def rest_keys(view: RunView) -> tuple[str, str, str]:
    """By what refusals of a run's next attempt are remembered: its own, those of its target, and that it was submitted
    and has begun nothing."""
    assert view.record is not None
    return f"{view.run_id}#{view.attempt}", view.record.launcher, unbegun_key(view.run_id, view.attempt)


def unbegun_key(run_id: str, attempt: int) -> str:
    """The last of those: it is not forgotten with the next submission, which may begin nothing, too."""
    return f"{run_id}#{attempt} unbegun"


def is_on_target(view: RunView) -> bool:
    """Whether a run was started on a target."""
    return view.record is not None and is_target(view.record.launcher)


def interruption_of(services: Services, view: RunView) -> Interruption:
    """Why a run that is over was ended. OSError when that cannot be seen."""
    assert view.record is not None
    watcher = services.registry.watcher
    launcher = services.registry.launchers.get(view.record.launcher)
    if not isinstance(launcher, InterruptingLauncher):
        return Interruption()
    return launcher.interruption(watcher.handle(view.paths, view.record))


def standing(services: Services, view: RunView) -> Standing | Refused | None:
    """How a run stands that its scheduler may have ended; None for any other end. Refused: not known yet. The text of
    `scheduler.<code>` is filled with the params. OSError when it cannot be seen.

    resume_next: it goes on by itself from that step. resume_tries: it does, once what refused it has passed.
    resume_refused: it does not, by what does not pass. resume_limit: it went on so often. resume_no_step: its last
    attempt has won no checkpoint. resume_strange: its folder is a copy, was moved, or comes from somebody else.
    resume_waits: nobody here has used its target as it is now. resume_no_target: that is
    not there, or cannot be read.
    """
    if view.record is None or view.state not in ENDED:
        return None
    found = interruption_of(services, view)
    if found.why == "unknown":
        return Refused("unseen")
    if not found.why or (view.saved.checkpoints and why_not_resumed(view) is not None and look_stored(view) is None):
        return None
    params = {"why": found.why, "most": str(found.most), "done": str(in_a_row(view.record))}
    if not found.ours:
        return Standing("resume_strange", params)
    if in_a_row(view.record) >= found.most:
        return Standing("resume_limit", params)
    step = newest_whole(view)
    if step is None or step <= found.step:
        return Standing("resume_no_step", {**params, "step": str(found.step)})
    if not services.registry.dispatcher.trusts(view.record.launcher):
        target = services.registry.launchers.target(view.record.launcher)
        if isinstance(target, Refused):  # nobody can use it now
            return Standing("resume_no_target", params, target)
        return Standing("resume_waits", params)
    refused = services.registry.rests.why(*rest_keys(view))
    tries = "resume_next" if refused is None else "resume_tries" if refused.code in PASSING else "resume_refused"
    return Standing(tries, {**params, "step": str(step)}, refused)


def in_a_row(record: RunRecord) -> int:
    """How many attempts have begun by themselves since somebody started or resumed the run."""
    return len(list(takewhile(lambda attempt: attempt.automatic, reversed(record.attempts))))


def newest_whole(view: RunView) -> int | None:
    """The step of the newest checkpoint that is whole: its trainer_state.json, which the trainer writes last
    (transformers/trainer.py, _save_checkpoint), says that step."""
    for step in reversed(view.saved.checkpoints):
        if read_steps(view.path / f"{CHECKPOINT}{step}" / "trainer_state.json")[0] == step:
            return step
    return None


def look_standing(services: Services, view: RunView) -> Standing | None:
    """How a run stands that its scheduler has ended; None for any other, and where that cannot be seen now."""
    try:
        why = standing(services, view) if is_on_target(view) else None
    except OSError:
        return None
    return why if isinstance(why, Standing) else None


def goes_on(why: Standing | None) -> bool:
    """Whether a run that is over is to go on by itself, now or once what refuses it has passed."""
    return why is not None and why.code in NEXT


def resumed_in(code: str, view: RunView, why: Standing | None) -> str:
    """In a sentence, that a run went on by itself, goes on, or does not; "" where nothing is to be said. why: of
    `look_standing`."""
    if view.record is not None and view.record.last.automatic and view.state not in ENDED:
        return in_language(code, "scheduler.resumed", number=in_a_row(view.record))
    if why is None:
        return ""
    reason = in_language(code, f"scheduler.why_{why.params['why']}")
    refused = refusal_in(code, why.refused) if why.refused is not None else ""
    return in_language(code, f"scheduler.{why.code}", **{**why.params, "why": reason, "refused": refused})


def attach(services: Services) -> Resuming:
    """Has the registry's carrying thread resume the runs of its workspace, where it starts jobs."""
    found = Resuming(services)
    services.registry.on_ended = found.tick
    return found
