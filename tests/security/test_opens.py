"""What a person names is opened as a plain file only: no call in these modules can wait for a pipe or read a device.

Read from every line of them. `files.open_plain`, and what is built on it, looks at what it has opened.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "lfdash"
PACKAGES = ("data", "ui", "llamafactory", "cli", "jobs", "demo", "locales")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES += [ROOT / "engine" / f"{name}.py" for name in ("opening", "context", "facade", "defaults", "services")]
MODULES += [
    ROOT / "runs" / f"{name}.py"
    for name in ("console", "diagnose", "log_reader", "metadata", "predictions", "report", "results")
]
MODULES += sorted((ROOT / "runs" / "metrics").glob("*.py"))
MODULES += [ROOT / "workspace" / f"{name}.py" for name in ("allowed_paths", "folders", "devices")]
# ways to open a path; a name with a dot before it is a method or a function of any module
OPENING = {
    "open", ".open", ".fdopen", ".read_text", ".read_bytes", ".mmap", ".memmap", ".fromfile", ".loadtxt", ".genfromtxt",
    ".ParquetFile", ".ParquetDataset", ".OSFile", ".memory_map", ".ZipFile", ".TarFile", ".copyfile", ".copy2",
    ".copytree", ".read_csv", ".read_json", ".read_parquet", ".read_table", ".read_pickle", ".read_excel",
    ".read_feather", ".FileIO", ".input", ".safe_open", ".load_file", "shutil.copy",
}
ALLOWED = {
    ("data/rows.py", "pq.ParquetFile(file, buffer_size=CHUNK, pre_buffer=False)"): "an open file, not a path",
    ("locales/__init__.py", "(FOLDER / f'{code}.toml').read_text(encoding='utf-8')"): "a file of the package",
    ("llamafactory/probe.py", "SCRIPT.read_text(encoding='utf-8')"): "a file of the package",
    ("llamafactory/scripts/probe.py", "os.fdopen(os.dup(1), 'w', encoding='utf-8')"): "its standard output",
    ("llamafactory/catalogue.py", "path.read_text(encoding='utf-8')"): "the project's own snapshot",
    ("llamafactory/ask.py", "open(os.memfd_create('lfdash'), 'w+b', 0)"): "made in memory",
    ("llamafactory/scripts/warm.py", "open('/proc/self/oom_score_adj', 'r+', encoding='ascii')"): "the kernel's",
    ("llamafactory/scripts/warm_devices.py", "open(ours, 'rb')"): "a pipe",
    ("llamafactory/scripts/warm_devices.py", "open(theirs, 'wb')"): "a pipe",
    ("llamafactory/scripts/warm_fork.py", "os.open(os.devnull, os.O_RDONLY)"): "has nothing",
    ("llamafactory/scripts/warm_fork.py", "open('/proc/self/stat', encoding='ascii', errors='replace')"):
        "the kernel's",
    ("llamafactory/scripts/warm_fork.py", "open('/proc/self/environ', 'rb')"): "the kernel's",
    ("llamafactory/scripts/warm_same.py", "open('/proc/self/status', encoding='utf-8', errors='replace')"):
        "the kernel's",
    ("llamafactory/scripts/warm_same.py", "open(cli, encoding='utf-8')"): "in a process that nobody waits for",
    ("llamafactory/warm.py", "Path(f'/proc/{pid}/cmdline').read_bytes()"): "the kernel's",
    ("jobs/versions.py", "path.read_text(encoding='utf-8')"): "the project's own table",
    ("runs/diagnose.py", "path.read_text(encoding='utf-8')"): "a file of the package",
    ("runs/report.py", "zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED)"): "made in memory",
    ("workspace/folders.py", "source.read_text(encoding='utf-8')"): "the project's own settings of DeepSpeed",
}
WORKSPACES = {"terminal.open", "lfdash.open"}  # open a workspace, not a file


def opens(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every call in a module that may open a path for reading."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = f".{called.attr}" if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        whole = ast.unparse(called)
        if OPENING & {name, whole} and whole not in WORKSPACES and not makes_anew(node):
            yield node.lineno, ast.unparse(node)


def makes_anew(call: ast.Call) -> bool:
    """Whether a file is opened that must not be there yet (mode x)."""
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and str(mode.value) in ("x", "xb") for mode in given)


def offences(path: Path, name: str) -> list[str]:
    return [f"{line}: {call}" for line, call in opens(path) if (name, call) not in ALLOWED]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_opened_but_plain_files(path: Path) -> None:
    assert offences(path, path.relative_to(ROOT).as_posix()) == []


def test_what_is_allowed_is_there() -> None:
    there = {(path.relative_to(ROOT).as_posix(), call) for path in MODULES for _, call in opens(path)}
    assert set(ALLOWED) <= there


@pytest.mark.parametrize(
    "text",
    [
        "open(path)", "path.open()", "path.open('rb')", "Path(name).read_text()", "io.open(name)", "os.open(name, 0)",
        "pd.read_csv(name)", "pq.ParquetFile(path)", "np.memmap(name)", "path.read_bytes()",
        "with path.open('w') as f: f", "shutil.copy(a, b)", "fileinput.input(name)",
    ],
)
def test_each_of_them_would_be_seen(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert offences(tmp_path / "a.py", "a.py")


@pytest.mark.parametrize("text", ["open_plain(path)", "path.open('x')", "terminal.open(create=True)", "box.open"])
def test_what_is_no_such_call_is_left(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert offences(tmp_path / "a.py", "a.py") == []
