"""Reading what LLaMA-Factory offers in its own environment: what is said, what is kept, what fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.llamafactory import probe as probing
from lfdash.llamafactory.catalogue import Upstream, from_json, load_snapshot, to_json
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.llamafactory.probe import cached, is_described, packages_of, probe, stem
from lfdash.outcomes import Refused
from tests.support import ROOT

SNAPSHOT = ROOT / "configs" / "upstream.json"

# Stands for `scripts/probe.py`: says what `answer` and `identity` hold, and notes each full question in `asked`.
SCRIPT = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
if "--identity" in sys.argv:
    print((here / "identity").read_text())
else:
    (here / "asked").open("a").write(json.dumps(dict(os.environ)) + chr(10))
    sys.stderr.buffer.write(b"a warning in latin-1: \\xe9" + b"\\n")
    print((here / "answer").read_text())
"""
# Three packages of a pretended environment: what arguments look like is what LLaMA-Factory and transformers use.
HPARAMS = """
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Optional, Union
print("words of an import")
import os; os.system("echo words of a library in C")
class Color(str, Enum):
    RED = "red"
    BLUE = "blue"
@dataclass
class ModelArguments:
    closed: Optional[Literal["a", "b"]] = field(default=None, metadata={"help": "two  lines\\n joined"})
    color: Union[Color, str] = Color.RED
    free: Union[str, None, Literal[False]] = None
    switch: bool | str = "no"
    ratio: float | int = float("inf")
    count: int = 3
    config: dict[str, Any] | str | None = None
    names: list[str] = field(default_factory=list)
    hidden: int = field(init=False)
@dataclass
class DataArguments:
    count: str = "the first dataclass that has a name keeps it"
@dataclass
class TrainingArguments:
    only: bool = True
FinetuningArguments = GeneratingArguments = DataArguments
"""
CONSTANTS = """
from enum import Enum
class DownloadSource(str, Enum):
    DEFAULT = "hf"
    MODELSCOPE = "ms"
    OPENMIND = "om"
SUPPORTED_MODELS = {"One-Instruct": {DownloadSource.DEFAULT: "org/one", DownloadSource.OPENMIND: "om/one"}, "Two": {}}
DEFAULT_TEMPLATE = {"One-Instruct": "one"}
MULTIMODAL_SUPPORTED_MODELS = {"Two"}
"""
TEMPLATES = """
from types import SimpleNamespace as Made
class Text: pass
class Pictures: pass
def made(user, plugin=Text):
    slots = [{"bos_token"}, user]
    return Made(format_user=Made(slots=slots), format_assistant=Made(slots=["{{content}}"]), mm_plugin=plugin())
TEMPLATES = {
    "default": made("Human: {{content}}"), "one": made("<1>{{content}}"), "one_nothink": made("<1>{{content}}"),
    "one_vl": made("<1>{{content}}", Pictures), "odd": 3,
}
"""


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in place of ours; the file notes how often, and with which environment, everything was asked."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "probe.py").write_text(SCRIPT)
    (there / "identity").write_text("one")
    (there / "answer").write_text(SNAPSHOT.read_text(encoding="utf-8"))
    monkeypatch.setattr(probing, "SCRIPT", there / "probe.py")
    monkeypatch.setattr("lfdash.llamafactory.ask.SCRIPTS", there)
    return there / "asked"


@pytest.fixture
def cli() -> Cli:
    return Cli("/somewhere/llamafactory-cli", sys.executable)


def times(note: Path) -> int:
    return len(note.read_text().splitlines()) if note.exists() else 0


def test_everything_is_asked_once(note: Path, cli: Cli, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    first = probe(cli, private)
    assert isinstance(first, Upstream)
    assert first.source == "installed"
    assert probe(cli, private) == first
    assert times(note) == 1


def test_a_changed_environment_is_asked_again_and_only_its_answer_kept(note: Path, cli: Cli, tmp_path: Path) -> None:
    probe(cli, tmp_path)
    (before,) = tmp_path.glob("upstream-*.json")
    (note.parent / "identity").write_text("two")
    assert isinstance(probe(cli, tmp_path), Upstream)
    assert times(note) == 2
    (after,) = tmp_path.glob("upstream-*.json")
    assert after != before


def test_a_broken_answer_that_was_kept_is_asked_again(note: Path, cli: Cli, tmp_path: Path) -> None:
    probe(cli, tmp_path)
    (kept,) = tmp_path.glob("upstream-*.json")
    kept.write_text('{"version": 1')
    assert isinstance(probe(cli, tmp_path), Upstream)
    assert times(note) == 2
    assert isinstance(from_json(kept.read_text()), Upstream)


def test_the_kept_answer_without_asking(note: Path, cli: Cli, tmp_path: Path) -> None:
    assert cached(tmp_path, cli) is None
    first = probe(cli, tmp_path)
    (note.parent / "identity").write_text("two")
    assert cached(tmp_path, cli) == first
    assert cached(tmp_path, Cli("/elsewhere/llamafactory-cli", "/elsewhere/python")) is None
    (kept,) = tmp_path.glob("upstream-*.json")
    kept.write_text('{"version": 1')
    assert cached(tmp_path, cli) is None
    assert times(note) == 1


def test_answers_of_other_environments_are_kept_beside(note: Path, cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / f"{stem(Cli('', '/elsewhere/python'))}-1.json"
    older = tmp_path / "upstream-0123456789abcdef.json"  # as they were called before: of which environment is not said
    for path in (other, older):
        path.write_text("{}")
    probe(cli, tmp_path)
    assert other.exists() and not older.exists()


@pytest.mark.parametrize(
    ("packages", "same"),
    [
        ({}, True), ({"llamafactory": "0.9.3", "transformers": "4.52.4"}, False),
        ({"llamafactory": "LF", "transformers": "4.52.4"}, False),
        ({"llamafactory": "LF", "transformers": "TF"}, True), ({"llamafactory": "0.9.3"}, True),
    ],
)
def test_whether_a_description_is_of_what_is_installed(
    note: Path, cli: Cli, packages: dict[str, str], same: bool
) -> None:
    """What cannot be told counts as the same: nothing is asked in vain."""
    snapshot = load_snapshot(SNAPSHOT)
    words = {"LF": snapshot.llamafactory, "TF": snapshot.transformers}
    installed = {name: words.get(version, version) for name, version in packages.items()}
    (note.parent / "identity").write_text(json.dumps({"packages": installed}))
    found = packages_of(cli)
    assert found == installed and is_described(installed, snapshot) == same
    assert times(note) == 0


@pytest.mark.parametrize("answer", ["{}", "[]", "no", '{"packages": [1]}'])
def test_packages_that_are_not_told_are_not_known(note: Path, cli: Cli, answer: str) -> None:
    (note.parent / "identity").write_text(answer)
    assert isinstance(packages_of(cli), Refused)


def test_an_answer_that_cannot_be_kept_is_still_given(note: Path, cli: Cli, tmp_path: Path) -> None:
    assert isinstance(probe(cli, tmp_path / "no" / "such" / "folder"), Upstream)
    assert times(note) == 1


def test_nothing_of_a_run_is_passed_on(note: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = ("LOCAL_RANK", "WORLD_SIZE", "FORCE_TORCHRUN", "USE_RAY", "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR")
    for name in hidden:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("KEPT", "yes")
    assert isinstance(probe(cli, tmp_path), Upstream)
    seen = json.loads(note.read_text())
    assert not set(hidden) & set(seen)
    assert (seen["HF_HUB_OFFLINE"], seen["KEPT"]) == ("1", "yes")


def test_a_probe_that_fails_says_why(tmp_path: Path) -> None:
    gone = probe(Cli("/no/llamafactory-cli", "/no/python"), tmp_path)
    assert isinstance(gone, Refused)
    assert "/no/python" in gone.params["reason"]
    unknown = probe(Cli("/no/llamafactory-cli", None), tmp_path)
    assert isinstance(unknown, Refused)
    assert "/no/llamafactory-cli" in unknown.params["reason"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ImportError('no such package')", "ImportError: no such package"),
        ("import os; os.kill(os.getpid(), 9)", "-9"),
        ("print('hello')", "not a description"),
        ("import threading; threading.Event().wait()", "0.5"),
    ],
)
def test_what_went_wrong_there_is_told_and_not_kept(
    note: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    guard = "import sys\nif '--identity' in sys.argv: print(1); sys.exit()\n"
    (note.parent / "probe.py").write_text(guard + body)
    if "wait" in body:
        monkeypatch.setattr(probing, "TIMEOUT", 0.5)
    failed = probe(cli, tmp_path)
    assert isinstance(failed, Refused)
    assert reason in str(failed.params["reason"])
    assert not list(tmp_path.glob("upstream-*"))


@pytest.fixture
def pretended(tmp_path: Path) -> Path:
    """A folder with packages that look like LLaMA-Factory and what is installed beside it."""
    site = tmp_path / "site"
    for name, text in {
        "llamafactory/__init__.py": "",
        "llamafactory/hparams/__init__.py": HPARAMS,
        "llamafactory/extras/__init__.py": "",
        "llamafactory/extras/constants.py": CONSTANTS,
        "llamafactory/data/__init__.py": "",
        "llamafactory/data/template.py": TEMPLATES,
        "LLaMAFactory-9.8.dist-info/METADATA": "Metadata-Version: 2.1\nName: LLaMAFactory\nVersion: 9.8\n",
        "half-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: half\n",
        "gone-1.dist-info/INSTALLER": "pip\n",
    }.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return site


def said(site: Path, *arguments: str) -> str:
    """What the program prints where `site` comes first."""
    command = [sys.executable, str(ROOT / "lfdash" / "llamafactory" / "scripts" / "probe.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(site)}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_describes_what_it_finds(pretended: Path) -> None:
    found = from_json(said(pretended), "installed")
    rows = {name: (row.kind, row.nullable, row.default, row.choices) for name, row in found.arguments.items()}
    assert rows == {
        "closed": ("choice", True, None, ("a", "b")),
        "color": ("choice", False, "red", ("red", "blue")),
        "free": ("text", True, None, ()),
        "switch": ("text", False, "no", ()),
        "ratio": ("float", False, None, ()),
        "count": ("int", False, 3, ()),
        "config": ("json", True, None, ()),
        "names": ("list", False, (), ()),
        "only": ("bool", False, True, ()),
    }
    assert found.arguments["closed"].help == "two lines joined"
    assert found.arguments["closed"].commands == ("train", "export")
    assert (found.arguments["only"].group, found.arguments["only"].commands) == ("TrainingArguments", ("train",))
    one, two = found.models.values()
    assert (one.paths, one.template, one.multimodal) == ({"huggingface": "org/one", "openmind": "om/one"}, "one", False)
    assert (two.paths, two.template, two.multimodal) == ({}, "", True)
    assert found.templates == ("default", "one", "one_nothink", "one_vl", "odd")
    assert found.families == (("one", "one_nothink"),)
    assert found.packages["llamafactory"] == found.llamafactory == "9.8"
    assert not {"half", "gone"} & set(found.packages)


def test_the_identity_imports_nothing_and_sees_an_edited_checkout(pretended: Path) -> None:
    (pretended / "llamafactory" / "__init__.py").write_text("raise SystemExit('imported')")
    before = said(pretended, "--identity")
    assert before == said(pretended, "--identity")
    with (pretended / "llamafactory" / "extras" / "constants.py").open("a") as file:
        file.write("# one more model\n")
    edited = said(pretended, "--identity")
    assert edited != before
    (pretended / "half-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 2\n")
    assert said(pretended, "--identity") != edited


@pytest.mark.train_env
def test_the_snapshot_is_what_is_installed(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one was asked for all tests; nothing changed since, so it is not asked again."""

    def never(*_: object) -> None:
        raise AssertionError("asked again although nothing changed")

    monkeypatch.setattr(probing, "ask_everything", never)
    cli = find_cli({})
    assert isinstance(cli, Cli)
    found = probe(cli, asked)
    assert isinstance(found, Upstream)
    assert found.arguments["learning_rate"].help
    assert found.packages["transformers"] == found.transformers
    assert from_json(to_json(found, with_help=False)) == load_snapshot(SNAPSHOT)


def test_without_a_cli_the_snapshot_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "upstream.json"
    path.write_text("as it was")
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    assert probing.main([str(path)]) == 1
    assert path.read_text() == "as it was"


def test_the_snapshot_is_written_without_help(
    note: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "find_cli", lambda _: cli)
    path = tmp_path / "configs" / "upstream.json"
    path.parent.mkdir()
    assert probing.main([str(path)]) == 0
    assert path.read_text(encoding="utf-8") == SNAPSHOT.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
