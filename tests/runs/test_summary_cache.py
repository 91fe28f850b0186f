"""Summaries of many runs: a little at a time, kept on disk, never twice."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs import details, summary_cache
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.metadata import RunMetadata
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Handle, RunState
from lfdash.runs.summary import LogDigest
from lfdash.runs.summary_cache import SummaryCache
from lfdash.runs.view import RunView
from tests.support.runs import plan_for, record_for, wait_for


class Bench:
    """A workspace whose runs a fake launcher holds, and how many bytes of logs were read."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.fake = FakeLauncher()
        self.registry = ProcessRegistry(root, self.fake, interval=60)
        self.reads: list[str] = []
        original = LogDigest.read

        def counted(digest: LogDigest, limit: int) -> bool:
            self.reads.append(digest._path.parent.name)
            return original(digest, limit)

        monkeypatch.setattr(LogDigest, "read", counted)

    def begin(self, name: str) -> Handle:
        """A run that is alive (written by the launcher alone, since the registry takes one at a time)."""
        plan = plan_for(self.root, name=name)
        outcome = self.fake.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched)
        self.fake.begin(outcome.handle)
        return outcome.handle

    def log(self, handle: Handle, *losses: float) -> None:
        for place, loss in enumerate(losses, 1):
            self.fake.log(handle, {"current_steps": place, "total_steps": 9, "loss": loss})

    def views(self) -> tuple[RunView, ...]:
        self.registry.refresh()
        return self.registry.snapshot()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    root = tmp_path / "workspace"
    root.mkdir()
    return Bench(root, monkeypatch)


def of(found: SummaryCache, views: tuple[RunView, ...], name: str) -> Any:
    return found.get(next(view for view in views if view.name == name)).summary


def fresh(bench: Bench) -> SummaryCache:
    made = SummaryCache(bench.root / ".lfdash" / "summaries.json")
    made.load()
    return made


def test_a_log_is_read_once_and_a_live_one_goes_on(bench: Bench) -> None:
    done, live = bench.begin("done"), bench.begin("live")
    bench.log(done, 3.0, 2.0)
    bench.fake.end(done, 0)
    bench.log(live, 5.0)
    found = fresh(bench)
    assert found.step(bench.views())
    views = bench.views()
    assert (of(found, views, "done").best, of(found, views, "live").last) == (2.0, 5.0)
    assert sorted(bench.reads) == ["done", "live"]
    bench.fake.log(live, {"current_steps": 2, "total_steps": 9, "loss": 1.0})
    views = bench.views()
    assert found.step(views)
    assert of(found, views, "live").best == 1.0
    assert sorted(bench.reads) == ["done", "live", "live"]
    before = found.get(views[0])
    found.step(bench.views())
    assert found.get(views[0]) is before  # nothing new: the same object


def test_after_a_restart_nothing_is_read_that_did_not_change(bench: Bench) -> None:
    for name, loss in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        handle = bench.begin(name)
        bench.log(handle, loss)
        bench.fake.end(handle, 0)
    bench.views()
    first = fresh(bench)
    first.step(bench.views())
    first.close()
    bench.reads.clear()
    again = fresh(bench)
    again.step(views := bench.views())
    assert bench.reads == []
    assert [of(again, views, name).last for name in "abc"] == [1.0, 2.0, 3.0]
    again.close()  # nothing is new: nothing is written
    with (bench.root / "saves/m/lora/b/trainer_log.jsonl").open("a") as file:
        file.write('{"current_steps": 2, "loss": 0.5}\n')
    third = fresh(bench)
    third.step(views := bench.views())
    assert bench.reads == ["b"] and of(third, views, "b").best == 0.5


def test_a_loss_that_is_no_number_is_kept(bench: Bench) -> None:
    handle = bench.begin("a")
    bench.log(handle, 1.0)
    bench.fake.log(handle, {"current_steps": 2, "loss": float("nan"), "eval_loss": float("inf")})
    bench.fake.end(handle, 0)
    found = fresh(bench)
    found.step(views := bench.views())
    found.close()
    json.loads((bench.root / ".lfdash" / "summaries.json").read_text(), parse_constant=pytest.fail)
    bench.reads.clear()
    again = fresh(bench)
    again.step(views)
    assert bench.reads == [] and repr(of(again, views, "a")) == repr(of(found, views, "a"))
    assert repr(of(again, views, "a").last) == "nan" and of(again, views, "a").last_eval == float("inf")


def test_it_is_told_of_which_runs_more_is_known(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.log(bench.begin(name), 1.0)
    found = fresh(bench)
    number, _ = found.changed_since(-1)
    found.step(views := bench.views())
    number, folders = found.changed_since(number)
    assert sorted(folders or ()) == ["saves/m/lora/a", "saves/m/lora/b"]
    bench.fake.log(Handle("id-b", 1, views[0].paths), {"current_steps": 2, "total_steps": 9, "loss": 0.5})
    found.step(views)  # the same views: the log of one that is alive is followed all the same
    assert found.changed_since(number)[1] == ["saves/m/lora/b"] and found.changed_since(-1)[1] is None
    number, _ = found.changed_since(number)
    found.step(views)
    assert found.changed_since(number) == (number, [])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 3, "runs": {}}', '{"version": 2}', '{"version": 3, "runs": []}', "[" * 100_000,
     '{"version": 3, "runs": {"saves/m/lora/a": null, "saves/m/lora/b": {"mark": [1], "summary": []}}}',
     '{"version": 3, "runs": {"saves/a": {"mark": [1, 2, 3], "about": [], "summary": [1, {}, 0, 0, 0, 0, 0, 0]}}}'],
)
def test_a_broken_file_costs_reading_only(bench: Bench, text: str) -> None:
    handle = bench.begin("a")
    bench.log(handle, 4.0)
    bench.fake.end(handle, 0)
    (bench.root / ".lfdash").mkdir(exist_ok=True)
    (bench.root / ".lfdash" / "summaries.json").write_text(text)
    found = fresh(bench)
    found.step(views := bench.views())
    assert of(found, views, "a").best == 4.0


def test_many_logs_are_read_over_several_looks_newest_first(bench: Bench) -> None:
    for number in range(6):
        handle = bench.begin(f"r{number}")
        bench.log(handle, float(number))
        bench.fake.end(handle, 0)
    views = bench.views()
    found = fresh(bench)
    for count in range(1, 6):
        assert not found.step(views, budget=0)
        assert bench.reads == [view.name for view in views[:count]]
    assert found.get(views[5]).summary.last is None and found.get(views[4]).summary.last == 1.0
    assert found.get(views[5]).about == RunMetadata("train", "m", "sft", "lora")
    assert found.step(views, budget=0)


def test_a_large_log_is_read_in_pieces(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = bench.begin("large")
    bench.log(handle, *(1.0 / n for n in range(1, 200)))
    bench.fake.end(handle, 0)
    monkeypatch.setattr(summary_cache, "MEGABYTE", 1000)
    found, views, looks = fresh(bench), bench.views(), 1
    while not found.step(views, budget=0):
        assert of(found, views, "large").best is None
        looks += 1
    assert looks == len(bench.reads) and looks > 5
    assert of(found, views, "large").best == pytest.approx(1 / 199)


def test_runs_of_the_plain_cli_tell_what_they_are_once_they_are_over(bench: Bench) -> None:
    folder = bench.root / "saves" / "m2" / "full" / "cli"
    folder.mkdir(parents=True)
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 1, "total_steps": 2, "loss": 3.0}\n')
    found = fresh(bench)
    (view,) = bench.views()
    assert view.state is RunState.RUNNING
    found.step((view,))
    assert found.get(view).about == RunMetadata("train", "m2", "", "full") and found.get(view).summary.last == 3.0
    (folder / "training_args.yaml").write_text("stage: pt\ndo_train: true\nmodel_name_or_path: a/b\n")
    os.utime(folder / "trainer_log.jsonl", (1, 1))
    (view,) = bench.views()
    assert view.state is RunState.LOST
    found.step((view,))
    assert found.get(view).about == RunMetadata("train", "b", "pt", "full")


def test_what_is_gone_is_forgotten_and_a_full_disk_is_no_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = [bench.begin(name) for name in ("a", "b")]
    for handle in handles:
        bench.log(handle, 1.0)
        bench.fake.end(handle, 0)
    found = fresh(bench)
    found.step(bench.views())
    found.close()
    file = bench.root / ".lfdash" / "summaries.json"
    assert set(json.loads(file.read_text())["runs"]) == {"saves/m/lora/a", "saves/m/lora/b"}
    assert bench.registry.archive.discard("id-a") is None
    found.step(bench.views())
    found.save()
    assert set(json.loads(file.read_text())["runs"]) == {"saves/m/lora/b"}

    def full(_path: str, _text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(summary_cache, "write_text_atomic", full)
    found.save()
    assert of(found, bench.views(), "b").best == 1.0


def test_the_registry_makes_and_keeps_them(bench: Bench) -> None:
    handle = bench.begin("a")
    bench.log(handle, 1.5)
    bench.fake.end(handle, 0)
    registry = ProcessRegistry(bench.root, bench.fake, interval=0.01)
    registry.start()
    wait_for(lambda: registry.summaries.get(registry.snapshot()[0]).summary.best == 1.5)
    registry.close()
    assert "saves/m/lora/a" in json.loads((bench.root / ".lfdash" / "summaries.json").read_text())["runs"]


FAILURES = [errno.EMFILE, errno.EIO, errno.EACCES]


def failing(monkeypatch: pytest.MonkeyPatch, called: str, name: str, number: int) -> None:
    """Lets a call fail for the files of a name."""
    original = getattr(os, called)

    def fails(path: Any, *args: Any, **named: Any) -> Any:
        if str(path).endswith(name):
            raise OSError(number, os.strerror(number), path)
        return original(path, *args, **named)

    monkeypatch.setattr(os, called, fails)


@pytest.mark.parametrize("number", FAILURES)
@pytest.mark.parametrize("called", ["open", "stat"])
def test_a_log_that_fails_once_is_no_empty_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, called: str
) -> None:
    """Neither at the first look nor at a later one, and nothing of it is kept on disk."""
    handle = bench.begin("one")
    bench.log(handle, 3.0, 2.0)
    bench.fake.end(handle, 0)
    views, cache = bench.views(), fresh(bench)
    for best, losses in ((2.0, ()), (1.0, (3.0, 2.0, 1.0))):
        before = cache.get(views[0]).summary
        if losses:
            handle.paths.trainer_log.unlink()
            bench.log(handle, *losses)
            cache.look_again(handle.paths.root)
        with monkeypatch.context() as broken:
            failing(broken, called, "trainer_log.jsonl", number)
            cache.step(views)
            cache.save()
        assert cache.get(views[0]).summary is before
        assert fresh(bench).get(views[0]).summary.best in (None, before.best)
        cache.step(views)
        assert cache.get(views[0]).summary.best == best


@pytest.mark.parametrize("number", FAILURES)
@pytest.mark.parametrize("name", ["training_args.yaml", "all_results.json", "README.md", "adapter_config.json"])
def test_what_a_folder_tells_is_asked_again_when_it_could_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    folder = tmp_path / "ws" / "saves" / "m" / "other" / "run"
    folder.mkdir(parents=True)
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 1, "total_steps": 1, "loss": 1.0}\n')
    (folder / "all_results.json").write_text('{"epoch": 1.0, "train_loss": 0.5}')
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "README.md").write_text("---\nbase_model: a/model\n---\n")
    (folder / "training_args.yaml").write_text("stage: dpo\nlora_rank: 8\n")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    (tmp_path / "ws" / ".lfdash").mkdir()
    registry = ProcessRegistry(tmp_path / "ws", FakeLauncher(), interval=60)
    registry.refresh()
    views, cache = registry.snapshot(), SummaryCache(tmp_path / "summaries.json")
    assert len(views) == 1
    with monkeypatch.context() as broken:
        failing(broken, "open", name, number)
        cache.step(views)
    cache.step(views)
    known = cache.get(views[0])
    assert known.about.stage == "dpo" and (known.about.model, known.about.method) == ("model", "lora")
    assert known.details.args["lora_rank"] == 8 and known.details.scores["train_loss"] == 0.5


def test_badges_that_could_not_be_read_once_are_asked_for_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = bench.begin("a")
    bench.log(handle, 2.0, 1.0)
    bench.fake.end(handle, 0)
    bench.registry.refresh()
    views = bench.views()
    file.append(views[0].paths.alerts, Alert("nan", views[0].run_id, "a", views[0].attempt, "", 2, 0.0))
    fails = [True]

    def failing(paths: RunPaths) -> tuple[str, ...]:
        if fails[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return file.badges(paths)

    monkeypatch.setattr(details, "flags_of", failing)
    found = fresh(bench)
    found.step(views)
    assert found.get(views[0]).summary.best == 1.0 and found.get(views[0]).details.flags == ()
    found.save()
    fails[0] = False
    found.step(views)
    assert found.get(views[0]).details.flags == ("nan",), "nothing changed but that it can be read"
    after = fresh(bench)
    after.load()
    after.step(views)
    assert after.get(views[0]).details.flags == ("nan",), "what was not known was not kept"
    fails[0] = True
    found.look_again(views[0].path)
    found.step(views)
    assert found.get(views[0]).details.flags == ("nan",), "what was known stays"
