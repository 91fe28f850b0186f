"""Files of a run are torn, garbage, cut, replaced or huge: the page stays, other runs stay, nothing is made up."""

from __future__ import annotations

import json
import os
import random
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.files import write_text_atomic
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs import view as judging
from lfdash.runs.log_reader import Cursor, read_new
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.output.log import RunLog
from lfdash.runs.output.rows import Folded
from lfdash.runs.output.shown import texts as shown_texts
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunState
from lfdash.runs.report import bundle, explain
from lfdash.runs.view import RunView, Saved, read_saved
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, charts_of, picture
from lfdash.ui.curves.settings import INITIAL
from lfdash.ui.train.strip import strip_html
from tests.faults.runs import new, over, seen
from tests.faults.table import LONG, Row, fault
from tests.support.runs import FIXTURES, launch, plan_for, wait_for

GARBAGE: dict[str, bytes] = {
    "empty": b"", "one byte": b"{", "binary": bytes(range(256)), "NULs": b"\0" * 4096, "not a mapping": b"[1, 2]",
    "null": b"null", "a number": b"7", "deep": b"[" * 100_000, "half a character": b'{"run_id": "\\ud800"}',
    "no keys": b"{}", "newer": b'{"version": 99}', "version as text": b'{"version": "1"}',
    "UTF-16": "{}".encode("utf-16"),
    "NaN": b'{"version": NaN}', "huge number": b'{"version": 1' + b"0" * 5000 + b"}",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a real run of the stand-in that failed, by their names in the run's folder."""
    workspace = tmp_path_factory.mktemp("whole") / "workspace"
    workspace.mkdir()
    launch(new(workspace), plan_for(workspace, steps=5, delay=0.01))
    (view,) = over(new(workspace))
    return {str(p.relative_to(view.path)): p.read_bytes() for p in view.path.rglob("*") if p.is_file()}


def lay(root: Path, files: dict[str, bytes]) -> RunPaths:
    """Writes files into a run's folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return RunPaths(root)


def shown(log: RunLog) -> list[str]:
    """The end of a log as a page shows it."""
    log.poll()
    if not log.size:
        return []
    return shown_texts([row.raw for row in log.before(log.size, 100).rows if not isinstance(row, Folded)], str)


def everything(view: RunView) -> None:
    """All that a page reads of a run."""
    metrics = RunFeed(view.paths)
    metrics.poll()
    assert len(metrics.frame) >= 0
    names = [name for name, _, _ in view.paths.listing()]
    texts = [*shown(RunLog(view.paths.console)), *names, view.run_id, view.name, view.output_dir, view.error or ""]
    assert "\n".join(texts).encode()
    assert strip_html(view)
    run = CurveRun("run", RUN_COLOURS[0], metrics)
    assert all(picture(chart, [run], INITIAL, span=5, points=700) for chart in charts_of([run]))
    explain(view)
    assert bundle(view, {}, str)


def healthy(registry: ProcessRegistry, whole: dict[str, bytes]) -> None:
    """A run beside the broken one, which must be shown whatever happens to that."""
    lay(registry.workspace / "saves/m/lora/healthy", whole)


# -- our own records ------------------------------------------------------------------------------------


def spoil_record(whole: dict[str, bytes]) -> dict[str, bytes]:
    """run.json torn at every 17th byte, and each kind of garbage."""
    text = whole["run.json"]
    return {f"torn at {n}": text[:n] for n in range(0, len(text) - 2, 17)} | GARBAGE


@fault(
    "run.json truncated, empty, garbage, from a newer version", how="each kind written over it, beside a healthy run",
    expected="listed as a run that cannot be read, with the reason; the healthy one as ever",
)
def test_a_spoiled_record(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    registry = new(workspace)
    healthy(registry, whole)
    paths = lay(workspace / "saves/m/lora/broken", whole)
    cases = spoil_record(whole)
    for name, content in cases.items():
        paths.record.write_bytes(content)
        registry.refresh()
        views = {view.path.name: view for view in registry.snapshot()}
        assert views["healthy"].state is RunState.SUCCEEDED, name
        broken = views["broken"]
        assert broken.error and "run.json" in broken.error, (name, broken)
        assert broken.record is None or (broken.state, broken.record.model) == (RunState.SUCCEEDED, ""), (name, broken)
        everything(broken)
    row.note(f"{len(cases)} kinds: read-only, with the reason", inputs=len(cases))


@fault(
    "run.json unreadable", how="a folder, a dangling link, a named pipe, no rights (where not root) in its place",
    expected="never waits for it; the healthy run as ever",
)
def test_an_unreadable_record(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    registry = new(workspace)
    healthy(registry, whole)
    makers: dict[str, Callable[[Path], object]] = {
        "folder": Path.mkdir, "link": lambda path: path.symlink_to("/no/such"), "pipe": os.mkfifo,
        "no rights": lambda path: (path.write_bytes(whole["run.json"]), path.chmod(0)),
    }
    for name, make in makers.items():
        paths = lay(workspace / f"saves/m/lora/{name}", whole)
        paths.record.unlink()
        make(paths.record)
        looked = threading.Thread(target=registry.refresh, daemon=True)
        looked.start()
        looked.join(10)
        assert not looked.is_alive(), f"waits for a {name}"
        views = {view.path.name: view for view in registry.snapshot()}
        assert views["healthy"].state is RunState.SUCCEEDED and name in views
        everything(views[name])
    row.note(f"{', '.join(makers)}: shown by its log", inputs=len(makers))


@fault(
    "names that are no text", how="a run's folder, and a file in it, with bytes that are no UTF-8",
    expected="shown with a mark in their place",
)
def test_names_that_are_no_text(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    paths = lay(Path(os.fsdecode(os.fsencode(workspace / "saves/m/lora/odd") + b"\xff")), whole)
    Path(os.fsdecode(os.fsencode(paths.root / "weights") + b"\xfe.bin")).touch()
    for record in (True, False):
        if not record:
            paths.record.unlink()
        registry = new(workspace)
        registry.refresh()
        (view,) = registry.snapshot()
        assert (view.output_dir, view.name) == ("saves/m/lora/odd?", "odd?")
        assert "weights?.bin" in [name for name, _, _ in view.paths.listing()]
        everything(view)
    row.note("odd?, weights?.bin", inputs=2)


@fault(
    "one folder that breaks the look at it", how="an exception injected for one of two runs",
    expected="the other is shown as ever; this one as it was, or as one that cannot be read",
)
def test_one_odd_folder(
    workspace: Path, row: Row, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(new(workspace), whole)
    odd = lay(workspace / "saves/m/lora/odd", {**whole, "run.json": whole["run.json"].replace(b"id-r1", b"id-odd")})
    real = read_saved

    def failing(paths: RunPaths) -> Saved:
        if paths == odd:
            raise ZeroDivisionError
        return real(paths)

    monkeypatch.setattr(judging, "read_saved", failing)
    registry = new(workspace)
    for _ in range(2):
        registry.refresh()
        views = {view.path.name: view for view in registry.snapshot()}
        assert views["healthy"].state is RunState.SUCCEEDED
        assert views["odd"].state is RunState.UNKNOWN and "unexpected error" in (views["odd"].error or "")
    row.note("the healthy one SUCCEEDED, this one read-only")


@fault(
    "exit.json torn", how="cut at every fifth byte, and garbage, of a run whose end was not noted",
    expected="LOST or judged by the results, never another code",
)
def test_a_torn_exit(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    record = json.loads(whole["run.json"])
    record["attempts"][0] |= {"state": "STARTING", "exit": None}
    files = {**whole, "run.json": json.dumps(record).encode()}
    cases = [files["exit.json"][:n] for n in range(0, len(files["exit.json"].rstrip()), 5)] + list(GARBAGE.values())
    for results, state in ((True, RunState.SUCCEEDED), (False, RunState.LOST)):
        root = workspace / str(results)
        paths = lay(root / "saves/m/lora/r1", files)
        if not results:
            paths.trainer_state.unlink()
        for content in cases:
            paths.record.write_bytes(files["run.json"])
            paths.exit.write_bytes(content)
            view = seen(new(root))
            assert (view.state, view.exit_code) == (state, None), content
    row.note(f"{2 * len(cases)} torn: SUCCEEDED or LOST by the results, code None", inputs=2 * len(cases))


@fault(
    "control files torn", how="spec.json, child.json, trainer_state.json as each kind of garbage, not noted",
    expected="judged by what is left; never an exception",
)
def test_torn_control_files(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    record = json.loads(whole["run.json"])
    record["attempts"][0] |= {"state": "STARTING", "exit": None}
    names = ("attempts/001/spec.json", "attempts/001/child.json", "trainer_state.json", "all_results.json")
    for name in names:
        for kind, content in GARBAGE.items():
            files = {**whole, "run.json": json.dumps(record).encode(), name: content}
            del files["exit.json"]
            lay(workspace / "saves/m/lora/r1", files)
            (workspace / "saves/m/lora/r1/exit.json").unlink(missing_ok=True)
            view = seen(new(workspace))
            assert view.state in (RunState.SUCCEEDED, RunState.LOST) and view.exit_code is None, (name, kind)
            everything(view)
    row.note(f"{len(names)} files: SUCCEEDED or LOST, code None", inputs=len(names) * len(GARBAGE))


ODD = (
    None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, "", "x", "\ud800", "../../etc", "\0", [], {}, [None],
    {"a": []},
)


@fault(
    "an attempt's beginning in the log is no place in it", how="console_start in spec.json as each kind of value",
    expected="the log is read from its start; never an exception",
)
def test_an_odd_beginning(workspace: Path, row: Row, whole: dict[str, bytes]) -> None:
    spec = json.loads(whole["attempts/001/spec.json"])
    for value in (*ODD, 2**63, 10**18):
        spoilt = json.dumps({**spec, "console_start": value}).encode()
        paths = lay(workspace / "saves/m/lora/r1", {**whole, "attempts/001/spec.json": spoilt})
        view = seen(new(workspace))
        assert (view.state, paths.attempt(1).console_start()) == (RunState.SUCCEEDED, value if value == 10**18 else 0)
        everything(view)
    row.note(f"{len(ODD) + 2} values: SUCCEEDED as ever", inputs=len(ODD) + 2)


def spoiled(value: object, chance: random.Random) -> object:
    """A copy of a JSON value in which one thing, somewhere, is another."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        if chance.random() < 0.2:
            return {name: kept for name, kept in value.items() if name != key}
        return {**value, key: spoiled(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], spoiled(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def scribbled(content: bytes, chance: random.Random) -> bytes:
    """A file with some bytes lost, doubled or changed."""
    place, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    middle = chance.choice([b"", content[place:end] * 2, bytes(chance.randrange(256) for _ in range(9)), b"\0" * 600])
    return content[:place] + middle + content[end:]


def spoil(name: str, content: bytes, chance: random.Random) -> bytes:
    """One file, made bad in one of two ways."""
    if chance.random() < 0.3:
        return scribbled(content, chance)
    if name.endswith(".jsonl"):
        lines = content.splitlines()
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(spoiled(json.loads(lines[place]), chance)).encode()
        return b"\n".join(lines) + b"\n"
    try:
        return json.dumps(spoiled(json.loads(content), chance)).encode()
    except ValueError:
        return scribbled(content, chance)


@fault(
    "any file of a run spoiled at random", how="a seeded change in one or two files: a value of another kind, lost or "
    "doubled bytes", expected="never an exception, the healthy run as ever",
)
def test_files_spoiled_at_random(
    workspace: Path, row: Row, whole: dict[str, bytes], seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    healthy(new(workspace), whole)
    names = sorted(name for name, content in whole.items() if content.strip())
    count = 4000 if LONG else 400
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        files = dict(whole)
        for name in chance.sample(names, chance.choice((1, 1, 2))):
            files[name] = spoil(name, whole[name], chance)
        root = workspace / "saves/m/lora/spoiled"
        lay(root, files)
        registry = new(workspace)
        registry.refresh()
        views = {view.path.name: view for view in registry.snapshot()}
        assert views["healthy"].state is RunState.SUCCEEDED, number
        everything(views["spoiled"])
    assert "failed" not in caplog.text
    row.note(f"{count} sets of files", inputs=count)


@fault(
    "a reader while the record is rewritten", how="one thread replaces run.json without pause, another reads it",
    expected="no bad read",
)
def test_reading_while_it_is_rewritten(workspace: Path, row: Row) -> None:
    fake = FakeLauncher()
    registry = ProcessRegistry(workspace, fake)
    handle = launch(registry, plan_for(workspace))
    text = handle.paths.record.read_text()
    done = threading.Event()

    def rewrite() -> None:
        while not done.is_set():
            write_text_atomic(handle.paths.record, text)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        reads, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            assert seen(registry).record is not None
            reads += 1
    finally:
        done.set()
        writer.join()
    row.note(f"0 bad of {reads} reads")


# -- logs -----------------------------------------------------------------------------------------------

LOG = (FIXTURES / "logs" / "sft.jsonl").read_bytes()


@pytest.fixture
def log(workspace: Path) -> RunPaths:
    """A run of the plain CLI, of which nothing is written yet."""
    root = workspace / "saves/m/lora/plain"
    root.mkdir(parents=True)
    return RunPaths(root)


@fault(
    "half-written lines in trainer_log.jsonl", how="written in pieces of 1 to 400 random bytes, read after each",
    expected="every row once, none bad",
)
def test_a_log_in_pieces(log: RunPaths, row: Row, seed: int) -> None:
    chance = random.Random(seed)
    text = b"".join(json.dumps({"current_steps": n, "loss": 1.0 / n}).encode() + b"\n" for n in range(1, 3001))
    rows, cursor, place = [], Cursor(), 0
    with log.trainer_log.open("ab", buffering=0) as file:
        while place < len(text):
            size = chance.randint(1, 400)
            file.write(text[place : place + size])
            place += size
            found, cursor = read_new(log.trainer_log, cursor)
            rows += [one["current_steps"] for one in found]
    assert rows == list(range(1, 3001)) and cursor.bad == 0
    row.note("3000 of 3000 rows, 0 bad")


@fault(
    "garbage in the middle of trainer_log.jsonl", how="a torn line, binary, NULs, a list, text between good lines",
    expected="the good lines; the others counted",
)
def test_garbage_in_a_log(workspace: Path, log: RunPaths, row: Row) -> None:
    lines = LOG.splitlines()
    binary = bytes(byte for byte in range(1, 256) if byte != 10)
    bad = [lines[0][:30], binary, b"\0" * 500 + b"x", b"[1]", b"Traceback (most", b"7"]
    text = b"\n".join([*lines[:3], *bad, b"\0" * 900, *lines[3:]])
    log.trainer_log.write_bytes(text + b"\n" + lines[0][:40])
    rows, cursor = read_new(log.trainer_log, Cursor())
    assert rows == [json.loads(line) for line in lines] and cursor.bad == len(bad)
    os.utime(log.trainer_log, (0, 0))  # a young log may go on
    (view,) = over(new(workspace))
    assert view.state is RunState.SUCCEEDED
    everything(view)
    row.note(f"{len(rows)} rows, {cursor.bad} bad", inputs=len(bad))


@pytest.mark.parametrize("how", ["truncated", "replaced", "removed and written", "truncated and regrown"])
@fault(
    "trainer_log.jsonl truncated or replaced while it is read", how="between two looks of the page",
    expected="read anew; the chart shows what is there now",
)
def test_a_log_that_is_cut(log: RunPaths, row: Row, how: str) -> None:
    old = b"".join(json.dumps({"current_steps": n, "loss": 9.0}).encode() + b"\n" for n in range(1, 50))
    fresh = b"".join(json.dumps({"current_steps": n, "loss": 2.0}).encode() + b"\n" for n in range(1, 90))
    tail = RunFeed(log)
    log.trainer_log.write_bytes(old)
    tail.poll()
    if how == "truncated":
        fresh = fresh[: fresh.index(b"\n", 200) + 1]
        log.trainer_log.write_bytes(fresh)
    elif how == "replaced":
        other = log.root / "new"
        other.write_bytes(fresh)
        other.replace(log.trainer_log)
    elif how == "removed and written":
        log.trainer_log.unlink()
        tail.poll()
        log.trainer_log.write_bytes(fresh)
    else:
        with log.trainer_log.open("r+b") as file:
            file.truncate(0)
            file.write(fresh)
    tail.poll()
    steps, values = tail.frame.series("loss")
    assert steps.tolist() == list(range(1, fresh.count(b"\n") + 1)) and set(values.tolist()) == {2.0}
    row.note(f"{how}: {len(steps)} steps, all of the new file")


@fault(
    "steps that go back", how="a log that goes on from a checkpoint at step 10 after it had reached 25",
    expected="each step once, of the newest attempt",
)
def test_steps_that_go_back(log: RunPaths, row: Row) -> None:
    tail = RunFeed(log)
    for steps, loss in ((range(1, 26), 9.0), (range(11, 41), 2.0)):
        with log.trainer_log.open("a") as file:
            file.writelines(json.dumps({"current_steps": n, "loss": loss}) + "\n" for n in steps)
        tail.poll()
    found, values = tail.frame.series("loss")
    assert found.tolist() == list(range(1, 41)) and values.tolist() == [9.0] * 10 + [2.0] * 30
    row.note("1..40 once each; 11..25 of the second attempt")


@fault(
    "console.log rotated under the child", how="copytruncate while the stand-in prints on",
    expected="no hole of NULs; the page reads on",
)
def test_a_rotated_log(workspace: Path, row: Row) -> None:
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, steps=200, delay=0.01, chatty=True))
    console = handle.paths.console
    tail = RunLog(console)
    wait_for(lambda: console.exists() and console.stat().st_size > 2000)
    tail.poll()
    console.with_name("console.log.1").write_bytes(console.read_bytes())
    os.truncate(console, 0)
    wait_for(lambda: console.stat().st_size > 100)
    (view,) = over(registry)
    tail.poll()
    text = console.read_bytes()
    assert b"\0" not in text and b"step 200" in text and "step 200" in "".join(shown(tail))
    assert (view.state, view.exit_code) == (RunState.SUCCEEDED, 0)
    row.note("0 NULs, read to its end")


# -- size -----------------------------------------------------------------------------------------------


def spent(work: Callable[[], object]) -> tuple[float, int]:
    """(CPU seconds, bytes by which the process's peak of memory grew) that some work took."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    work()
    return time.process_time() - began, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)


def big_lines(path: Path) -> None:
    """A gigabyte of lines: a hole, then a real end."""
    with path.open("wb") as file:
        file.write(b"first line\n")
        file.seek(10**9)
        file.write(b"\n" + b"".join(b"line %d\n" % n for n in range(20_000)))
        file.write(b"Traceback (most recent call last):\n  File x\nValueError: the real reason\n")


@fault(
    "a log of 1 GB", how="console.log of 1 GB, sparse, with a real end; of a failed run",
    expected="the end is shown, with the reason; bounded time and memory",
)
def test_a_gigabyte(workspace: Path, row: Row) -> None:
    launch(new(workspace), plan_for(workspace, fail="exit:1"))
    (view,) = over(new(workspace))
    big_lines(view.paths.console)
    seconds, memory = spent(lambda: everything(seen(new(workspace))))
    assert seen(new(workspace)).error == "ValueError: the real reason"
    tail = RunLog(view.paths.console)
    assert "line 19999" in shown(tail) and tail.before(tail.size, 100).begin > 9 * 10**8
    assert seconds < 2 and memory < 60 << 20
    row.note(f"{seconds:.2f} s of CPU, {memory >> 20} MB")


@fault(
    "a line without an end", how="300 MB in one line appear in console.log and trainer_log.jsonl while they are read",
    expected="bounded time and memory; what follows is read",
)
def test_a_line_without_an_end(log: RunPaths, row: Row) -> None:
    console, metrics = RunLog(log.console), RunFeed(log)
    for path in (log.console, log.trainer_log):
        path.write_bytes(b'{"current_steps": 1, "loss": 1.0}\n')
    console.poll()
    metrics.poll()
    for path in (log.console, log.trainer_log):
        with path.open("ab") as file:
            for _ in range(300):
                file.write(b"x" * 10**6)

    def read() -> None:
        console.poll()
        metrics.poll()
        assert sum(map(len, shown(console))) < 2 << 20

    seconds, memory = spent(read)
    for path in (log.console, log.trainer_log):
        with path.open("ab") as file:
            file.write(b'\n{"current_steps": 2, "loss": 1.0}\n')
    read()
    assert "current_steps" in shown(console)[-1] and metrics.frame["step"].tolist() == [1, 2]
    assert seconds < 5 and memory < 80 << 20
    row.note(f"{seconds:.2f} s of CPU, {memory >> 20} MB")
