"""What users and the queue do in a workspace, each as one call of a fresh dashboard, and how it is seen whether it
was done: the walks over every crash point and every pause go through this table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers import folder
from lfdash.launchers.local import STARTUP_S
from lfdash.outcomes import Refused
from lfdash.queue.commands import CANCELLED
from lfdash.queue.store import Queued, QueueSettings
from lfdash.runs import notes
from lfdash.runs.notes import Notes
from lfdash.runs.paths import RunPaths, private
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.trash import Emptied
from lfdash.supervisor.shim import Shim
from lfdash.workspace.memo import Memo
from lfdash.workspace.saved_configs import SavedConfigs
from tests.faults.runs import alive, new, over, shims, starts
from tests.support.runs import fake_cli, launch, plan_for, record_for, wait_for

QUICK = {"steps": 1, "delay": 0.0}
LONG = {"steps": 100_000, "delay": 0.02}
AWAY = "outputs/r1"  # a run's folder outside saves/
R1 = "id-r1"

LATE = 3 * STARTUP_S  # by which no supervisor comes any more

Outcome = object  # whatever the call returns; a Refused is none that is hoped for


def plan(root: Path, name: str = "r1", **args: object) -> LaunchPlan:
    return plan_for(root, name=name, cli=fake_cli(root.parent), **(args or QUICK))  # type: ignore[arg-type]


def paths(root: Path, name: str = "r1") -> RunPaths:
    """A run's folder where it was started, under its first name."""
    away = RunPaths(root / AWAY)
    return away if away.root.exists() and name == "r1" else RunPaths(root / f"saves/m/lora/{name}")


def looked(root: Path, *, later: float = 0.0) -> ProcessRegistry:
    """A new dashboard that has looked once."""
    registry = new(root, later=later)
    registry.refresh()
    return registry


# -- beforehand ---------------------------------------------------------------------------------------------


def nothing(root: Path) -> None:
    """An empty workspace."""
    fake_cli(root.parent)


def ended(root: Path, *names: str, **args: object) -> None:
    """Runs that are over, each with something in its folder that must not be lost."""
    registry = new(root)
    for name in names or ("r1",):
        handle = launch(registry, plan(root, name, **args))
        over(registry, len(registry.watcher.views))
        (handle.paths.root / "weights.bin").write_text(name)


def ended_away(root: Path) -> None:
    ended(root, output_dir=AWAY, **QUICK)


def deleted(root: Path) -> None:
    ended(root, "r1", "r2")
    assert looked(root).archive.discard(R1) is None


def deleted_away(root: Path) -> None:
    ended_away(root)
    assert looked(root).archive.discard(R1) is None


def never_begun(root: Path) -> None:
    """A run whose supervisor never came: its dashboard died in that moment."""
    registry = new(root)
    launch(registry, plan(root, fail="exit:3"))
    over(registry)
    control = paths(root).attempt(1)
    (control.child).rename(control.child_reserve)
    for path in (paths(root).exit, paths(root).console):
        path.unlink()
    control.reserve.write_text(" " * 4096)
    (paths(root).root / "weights.bin").write_text("r1")


def made(root: Path) -> None:
    """A run that was made, and whose supervisor is about to come."""
    assert isinstance(folder.make(plan(root), replace(record_for(plan(root)), launcher="local")), RunPaths)


def waiting(root: Path, *names: str, slots: int = 1) -> None:
    """Jobs in a queue that is paused."""
    registry = new(root)
    assert registry.queue.set_settings(QueueSettings(slots=slots, paused=True)) is None
    for name in names or ("r1",):
        assert isinstance(registry.enqueue(plan(root, name), record_for(plan(root, name))), Queued)


def its_turn(root: Path) -> None:
    """Two jobs for which there is room."""
    waiting(root, "r1", "r2", slots=2)
    assert new(root).queue.set_settings(QueueSettings(slots=2)) is None


def cancelled(root: Path) -> None:
    waiting(root)
    assert new(root).queue.cancel(R1) is None


def held(root: Path) -> None:
    waiting(root)
    assert new(root).queue.hold(R1) is None


def training(root: Path) -> None:
    """A run that trains."""
    launch(new(root), plan(root, **LONG))
    wait_for(paths(root).trainer_log.exists)


# -- the calls ----------------------------------------------------------------------------------------------


def start(root: Path) -> Outcome:
    return new(root).launch(plan(root), record_for(plan(root)))


def start_away(root: Path) -> Outcome:
    there = plan(root, output_dir=AWAY, **QUICK)
    return new(root).launch(there, record_for(there))


def resume(root: Path, *, later: float = 0.0) -> Outcome:
    registry = looked(root, later=later)
    view = registry.get(R1)
    if view is None or view.record is None or view.state not in TERMINAL:
        return Refused("resume_alive")
    following = replace(plan(root, output_dir=view.output_dir, **QUICK), attempt=view.paths.next_attempt())
    return registry.launch(following, view.record.resumed(following))


def resume_late(root: Path) -> Outcome:
    return resume(root, later=STARTUP_S + 1)


def enqueue(root: Path) -> Outcome:
    return new(root).enqueue(plan(root), record_for(plan(root)))


def start_now(root: Path) -> Outcome:
    return looked(root).dispatcher.start_now(R1)


def advance(root: Path, *, later: float = 0.0) -> Outcome:
    """Some turns of the registry's thread."""
    registry = looked(root, later=later)
    for _ in range(3):
        registry.dispatcher.advance()
        registry.refresh()
    return None


def restore(root: Path) -> Outcome:
    registry = looked(root)
    item = registry.archive.trash.newest(R1)
    return Refused("unknown") if item is None else registry.archive.restore(item.name)


def empty(root: Path) -> Outcome:
    registry = looked(root)
    emptied = registry.archive.empty_trash([item.name for item in registry.archive.trash.items()])
    return emptied.refused if isinstance(emptied, Emptied) else emptied


def stop(root: Path) -> Outcome:
    registry = looked(root)
    refused = registry.stop(R1, "graceful") or registry.stop(R1, "kill")
    return None if refused == Refused("not_running") else refused


def supervise(root: Path) -> Outcome:
    """What a supervisor does, in this process."""
    Shim(str(paths(root).attempt(1).root)).main()
    return None


def write_notes(root: Path) -> Outcome:
    return notes.save(paths(root), Notes("hello", ("a",)))


def remember(root: Path) -> Outcome:
    return Memo(private(root) / "settings.json").save({"language": "zh"})


def configs(root: Path) -> SavedConfigs:
    return SavedConfigs(root / "configs", private(root) / "trash-configs")


def saved(root: Path) -> None:
    """A saved configuration and a memo."""
    fake_cli(root.parent)
    private(root).mkdir()
    assert configs(root).save("mine", "old: 1\n") is None
    Memo(private(root) / "settings.json").save({"language": "en"})


# -- whether it was done ------------------------------------------------------------------------------------


def places(registry: ProcessRegistry) -> Mapping[str, list[str]]:
    """Where each run is: among the runs, in the queue, among the cancelled jobs, in the trash."""
    found: dict[str, list[str]] = {}
    for view in registry.watcher.views:
        found.setdefault(view.run_id, []).append("run")
    for entry in registry.dispatcher.entries():
        found.setdefault(entry.run_id, []).append("queue")
    for path in registry.queue.jobs.folder.glob(f"*{CANCELLED}"):
        found.setdefault(path.name.removesuffix(CANCELLED), []).append("cancelled")
    for item in registry.archive.trash.items():
        found.setdefault(item.run_id, []).append("trash")
    return found


def is_at(place: str, run_id: str = R1) -> Callable[[Path], bool]:
    return lambda root: places(looked(root)).get(run_id) == [place]


def is_gone(root: Path) -> bool:
    return R1 not in places(looked(root))


def is_renamed(root: Path) -> bool:
    view = looked(root).get(R1)
    return view is not None and view.path.name == "newname"


def has_attempts(root: Path) -> bool:
    """Whether the run was resumed."""
    return len(paths(root).made_attempts()) > 1


def has_begun(root: Path) -> bool:
    """Whether every job of the queue has become a run."""
    found = places(looked(root))
    return bool(found) and all(where == ["run"] for where in found.values())


def is_ended(*states: RunState) -> Callable[[Path], bool]:
    def look(root: Path) -> bool:
        wait_for(lambda: alive(paths(root)) == 0)
        view = looked(root, later=LATE).get(R1)
        return view is not None and view.state in states

    return look


def is_wished(root: Path) -> bool:
    view = looked(root).get(R1)
    return view is not None and (view.state in TERMINAL or paths(root).attempt(1).read_wish() == "kill")


def is_held(wanted: bool) -> Callable[[Path], bool]:
    def look(root: Path) -> bool:
        entry = new(root).queue.jobs.get(R1)
        return entry is not None and (entry.held is not None) is wanted

    return look


def order(root: Path) -> list[str]:
    return [entry.run_id for entry in new(root).queue.jobs.entries()]


@dataclass(frozen=True)
class Operation:
    """One thing that is done. before: makes the workspace; act: does it, in a fresh dashboard; done: whether it was
    done, as a fresh dashboard sees; undone: whether nothing of it is to be seen. runs: those that are there
    beforehand; starts: how often each is to have been started at its end, where the operation starts runs. live:
    something runs beforehand, so each time anew."""

    before: Callable[[Path], None]
    act: Callable[[Path], Outcome]
    done: Callable[[Path], bool]
    undone: Callable[[Path], bool]
    runs: tuple[str, ...] = (R1,)
    starts: Mapping[str, int] = field(default_factory=dict)
    live: bool = False


OPERATIONS: Mapping[str, Operation] = {
    "start": Operation(nothing, start, is_at("run"), is_gone, (), {"r1": 1}),
    "start outside saves": Operation(nothing, start_away, is_at("run"), is_gone, (), {"r1": 1}),
    "resume": Operation(ended, resume, has_attempts, lambda root: not has_attempts(root), starts={"r1": 2}),
    "give up and resume": Operation(
        never_begun, resume_late, has_attempts, lambda root: not has_attempts(root), starts={"r1": 1}
    ),
    "queue": Operation(nothing, enqueue, lambda root: order(root) == [R1], is_gone, ()),
    "start from the queue": Operation(
        its_turn, advance, has_begun, lambda root: "queue" in str(places(looked(root))), (R1, "id-r2"),
        {"r1": 1, "r2": 1},
    ),
    "start a waiting job now": Operation(waiting, start_now, is_at("run"), is_at("queue"), starts={"r1": 1}),
    "cancel": Operation(waiting, lambda root: new(root).queue.cancel(R1), is_at("cancelled"), is_at("queue")),
    "take back": Operation(cancelled, lambda root: new(root).queue.take_back(R1), is_at("queue"), is_at("cancelled")),
    "hold": Operation(waiting, lambda root: new(root).queue.hold(R1), is_held(True), is_held(False)),
    "release": Operation(held, lambda root: new(root).queue.release(R1), is_held(False), is_held(True)),
    "move": Operation(
        lambda root: waiting(root, "r0", "r1", "r2"), lambda root: new(root).queue.move(R1, -1),
        lambda root: order(root) == [R1, "id-r0", "id-r2"], lambda root: order(root) == ["id-r0", R1, "id-r2"],
        ("id-r0", R1, "id-r2"),
    ),
    "queue settings": Operation(
        waiting, lambda root: new(root).queue.set_settings(QueueSettings(slots=3, paused=True)),
        lambda root: new(root).queue.jobs.settings().slots == 3, lambda root: new(root).queue.jobs.settings().paused,
    ),
    "delete": Operation(ended, lambda root: looked(root).archive.discard(R1), is_at("trash"), is_at("run")),
    "delete outside saves": Operation(
        ended_away, lambda root: looked(root).archive.discard(R1), is_at("trash"), is_at("run")
    ),
    "delete three": Operation(
        lambda root: ended(root, "r1", "r2", "r3"),
        lambda root: next(
            (one for one in looked(root).archive.discard_all([R1, "id-r2", "id-r3"]) if one == Refused("failed")), None
        ),
        lambda root: set(map(tuple, places(looked(root)).values())) == {("trash",)},
        lambda root: "run" in str(places(looked(root))), (R1, "id-r2", "id-r3"),
    ),
    "restore": Operation(deleted, restore, is_at("run"), is_at("trash"), (R1, "id-r2")),
    "restore outside saves": Operation(deleted_away, restore, is_at("run"), is_at("trash")),
    "rename": Operation(
        ended, lambda root: looked(root).archive.rename(R1, "newname"), is_renamed,
        lambda root: is_at("run")(root) and not is_renamed(root),
    ),
    "rename outside saves": Operation(
        ended_away, lambda root: looked(root).archive.rename(R1, "newname"), is_renamed,
        lambda root: is_at("run")(root) and not is_renamed(root),
    ),
    "empty the trash": Operation(deleted, empty, is_gone, is_at("trash"), ("id-r2",)),
    "stop": Operation(
        training, stop, is_wished, lambda _root: True, starts={"r1": 1}, live=True
    ),
    "supervise": Operation(
        made, supervise, is_ended(RunState.SUCCEEDED), is_ended(RunState.FAILED, RunState.LOST), starts={"r1": 1}
    ),
    "notes": Operation(
        ended, write_notes, lambda root: notes.read(paths(root).notes).note == "hello",
        lambda root: notes.read(paths(root).notes) == notes.NONE,
    ),
    "settings": Operation(
        saved, remember, lambda root: Memo(private(root) / "settings.json").load() == {"language": "zh"},
        lambda root: Memo(private(root) / "settings.json").load() == {"language": "en"}, (),
    ),
    "save a configuration": Operation(
        saved, lambda root: configs(root).save("other", "new: 2\n"),
        lambda root: configs(root).load("other") == "new: 2\n",
        lambda root: configs(root).names() == ["mine"], (),
    ),
    "replace a configuration": Operation(
        saved, lambda root: configs(root).save("mine", "new: 2\n", replace=True),
        lambda root: configs(root).load("mine") == "new: 2\n",
        lambda root: "old: 1\n" in texts_of(root), (),
    ),
    "rename a configuration": Operation(
        saved, lambda root: configs(root).rename("mine", "other"),
        lambda root: configs(root).names() == ["other"],
        lambda root: configs(root).load("mine") == "old: 1\n", (),
    ),
    "delete a configuration": Operation(
        saved, lambda root: configs(root).delete("mine"), lambda root: configs(root).names() == [],
        lambda root: configs(root).load("mine") == "old: 1\n", (),
    ),
}


def texts_of(root: Path) -> list[str]:
    """The texts of all saved configurations, those in the trash as well."""
    folders = (configs(root).folder, configs(root).trash)
    return [path.read_text() for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")]


# -- what must hold whatever happened -----------------------------------------------------------------------


def quiet(root: Path, names: Mapping[str, int]) -> None:
    """Until every supervisor that was started has begun its run, and ended it."""
    for name in names:
        control = paths(root, name)
        if control.root.exists():
            for number in control.made_attempts():
                wait_for(lambda c=control, n=number: shims(c, n) == 0)  # type: ignore[misc]


def harm(root: Path, operation: Operation) -> list[str]:
    """What is wrong in a workspace once everything is over; nothing when all is well."""
    registry = looked(root, later=LATE)
    registry.archive.trash.sweep()
    found = places(registry)
    wrong = [f"{run_id} is in {where}" for run_id, where in found.items() if len(where) != 1]
    gone = [run_id for run_id in operation.runs if run_id not in found and not emptied(operation, run_id)]
    wrong += [f"{run_id} is lost" for run_id in gone]
    weights = Counter(path.read_text() for path in root.rglob("weights.bin"))
    wrong += [f"{count} folders of {name}" for name, count in weights.items() if count > 1]
    wrong += [f"folder of {name} without a run" for name in weights if f"id-{name}" not in found]
    for name, most in operation.starts.items():
        if starts(paths(root, name)) > most:
            wrong.append(f"{name} was started {starts(paths(root, name))} times")
    wrong += [f"{view.name} cannot be read: {view.error}" for view in registry.watcher.views if view.record is None]
    return wrong + ([f"unseen: {registry.watcher.unseen}"] if registry.watcher.unseen else [])


def emptied(operation: Operation, run_id: str) -> bool:
    """Whether it is the one that the operation deletes for good."""
    return operation.act is empty and run_id == R1


def is_accepted(outcome: Outcome) -> bool:
    return not isinstance(outcome, Refused)
