"""What may be loaded where, asked of the real thing: a fresh interpreter. Who may import whom is import-linter's
(contracts in pyproject.toml, `make lint`)."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from lfdash.jobs.fields import BY_ID
from tests.support import ROOT

PACKAGE = ROOT / "lfdash"
HEAVY = {"torch", "transformers", "llamafactory", "gradio", "accelerate", "peft", "trl", "datasets"}
DRAWING = {"streamlit", "altair"}
# Run by themselves, without lfdash and without installed packages: the parent of a run, and what LLaMA-Factory's own
# interpreter runs (which has LLaMA-Factory's packages).
ALONE = ("supervisor", "llamafactory.scripts")


def name_of(path: Path) -> str:
    """`launchers.local` for lfdash/launchers/local.py; `launchers` for its __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


def inside(*packages: str) -> list[str]:
    """The modules of some packages, without programs."""
    names = [name for name in MODULES if name.split(".")[0] in packages or name in packages]
    return [name for name in names if not name.startswith(ALONE) and not name.endswith("__main__")]


BELOW_THE_PAGE = inside(
    "errors", "outcomes", "files", "locales", "jobs", "data", "runs", "launchers", "queue", "llamafactory",
    "workspace", "access", "machine", "memory", "targets",
)
ENGINE = inside("engine", "cli")
PAGE = inside("ui", "web")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a file may load; `from a import b` may load the module a.b."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def mentions(path: Path, wanted: str) -> bool:
    """Whether a file uses a name, as `st.name`, bare, or by importing it."""
    used = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree(path))}
    return wanted in used | {name.rpartition(".")[2] for name in imports(path)}


def test_every_module_is_looked_at() -> None:
    alone = {name for name in MODULES if name.startswith((*ALONE, "demo")) or name.endswith("__main__")}
    seen = {*BELOW_THE_PAGE, *ENGINE, *PAGE, *alone, ""}
    assert MODULES.keys() == seen, "a new package: say above where it belongs"


def test_pages_only_draw() -> None:
    for page in PAGES:
        own = {name for name in imports(page) if name.startswith("lfdash")}
        assert own, f"{page.name} draws nothing"
        assert all(name.startswith("lfdash.ui.") for name in own), f"{page.name} has logic of its own"


def test_one_place_holds_what_all_sessions_share() -> None:
    users = [path for path in [*MODULES.values(), *PAGES] if mentions(path, "cache_resource")]
    assert users == [MODULES["ui.shared.session"]]


def is_job_key(key: ast.expr, names: dict[str, object]) -> bool:
    """Whether an index of the session may be a field's id; what cannot be known counts as one."""
    if isinstance(key, ast.Call):  # a function of the module that makes keys: judged by what it returns
        made = names.get(ast.unparse(key.func))
        body = ast.parse(inspect.getsource(made)).body[0] if inspect.isfunction(made) else key
        returned = [node.value for node in ast.walk(body) if isinstance(node, ast.Return)]
        return not returned or any(value is None or is_job_key(value, names) for value in returned)
    if isinstance(key, ast.JoinedStr):
        start = key.values[0]
        if any(isinstance(part, ast.Constant) and str(part.value).startswith(".form.") for part in key.values):
            return False  # a key of the form itself: no field is called form
        return not isinstance(start, ast.Constant) or str(start.value).startswith(("top.", "train.", "eval."))
    try:
        value = eval(ast.unparse(key), names)  # the module's own constants
    except (NameError, AttributeError):
        return True
    return value in BY_ID


# the parts of the form; ui.shared.keyed stands for widgets, which write their own keys
WRITERS = {*(f"ui.form.{name}" for name in ("state", "held", "undo", "draft", "run_name")), "ui.shared.keyed"}


@pytest.mark.parametrize("name", sorted(set(PAGE) - WRITERS))
def test_only_the_form_writes_job_keys(name: str) -> None:
    names = vars(importlib.import_module(f"lfdash.{name}"))
    written = [
        ast.unparse(node)
        for node in ast.walk(tree(MODULES[name]))
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and ast.unparse(node.value).endswith("session_state")
        and is_job_key(node.slice, names)
    ]
    assert not written


def loaded_by(modules: Iterable[str]) -> set[str]:
    """Top-level modules that a fresh interpreter holds after importing these, away from the project."""
    lines = [f"import lfdash.{name}" for name in modules]
    script = "\n".join([*lines, "import sys", "print(*{name.partition('.')[0] for name in sys.modules})"])
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=90)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_lies_below_the_engine_in_a_fresh_interpreter() -> None:
    loaded = loaded_by(BELOW_THE_PAGE)
    assert {"lfdash", "psutil"} <= loaded
    assert not loaded & (DRAWING | HEAVY | {"pandas"})


def test_the_engine_in_a_fresh_interpreter() -> None:
    """A command line, a notebook or a sweep needs no page."""
    loaded = loaded_by(ENGINE)
    assert {"lfdash", "filelock", "click"} <= loaded
    assert not loaded & (DRAWING | HEAVY | {"pandas"}), "a table is drawn up when it is asked for"


def test_the_package_itself_loads_nothing() -> None:
    """The parent of every run loads it, and has the standard library only."""
    script = "import sys; before = set(sys.modules); import lfdash; print(*set(sys.modules) - before)"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout.split() == ["lfdash"]


def test_the_web_process_in_a_fresh_interpreter() -> None:
    loaded = loaded_by(PAGE)
    assert "streamlit" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("supervisor")))
def test_the_parent_of_a_run_needs_the_standard_library_only(name: str) -> None:
    beside = {path.stem for path in (PACKAGE / "supervisor").glob("*.py")}
    tops = {item.partition(".")[0] for item in imports(MODULES[name])} - {"__future__", "lfdash"} - beside
    # a program of the cluster's own Python, which the parent on the first node starts
    cluster = {"ray"} if name == "supervisor.ray_nodes" else set()
    assert tops <= set(sys.stdlib_module_names) | cluster
