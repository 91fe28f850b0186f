"""The architecture, told by imports: core <- machinery <- ui <- pages; nothing heavy in the web process."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from lfdash.fields import BY_ID

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lfdash"

# Every module stands on one floor; a new one has to be put on the list before the tests pass.
CORE = {
    "args", "convert", "demo_texts", "diagnose", "errors", "field", "fields", "formats", "job", "llamaboard",
    "loading", "logs", "metrics", "placement", "plan", "presets", "problems", "rules", "run", "stages", "summary",
    "tokens", "upstream", "world", "yamlio",
}  # fmt: skip
MACHINERY = {
    "about", "access", "archive", "cli", "data", "data_cache", "datasets", "deep_check", "devices", "dispatch",
    "failpoints", "failure", "jobqueue", "launchers.base", "launchers.fake", "launchers.folder", "launchers.local",
    "lengths", "listing", "mask", "notes", "ports", "probe", "registry", "rename", "results", "roots", "scheduler",
    "shelf", "shim", "signin", "store", "stuck", "summaries", "trash", "vault", "waitlist", "watcher", "workspace",
}  # fmt: skip
UI = {
    "ui.actions", "ui.advice", "ui.charts", "ui.configurations", "ui.data", "ui.doorway", "ui.evaluation",
    "ui.existing", "ui.facts", "ui.form", "ui.frame", "ui.gate", "ui.habits", "ui.kind", "ui.lengths", "ui.monitor",
    "ui.more", "ui.new_data", "ui.page", "ui.pick", "ui.plans", "ui.preview", "ui.queue", "ui.reference",
    "ui.run_actions", "ui.run_filters", "ui.runs", "ui.server", "ui.session", "ui.sidebar", "ui.text", "ui.trash",
    "ui.trouble", "ui.widgets",
}  # fmt: skip
# Programs: started as processes of their own, imported by nobody.
PROGRAMS = {"__main__", "check_script", "demo", "lengths_script", "probe_script"}
PACKAGES = {"", "launchers", "ui"}  # only an __init__.py with a docstring

# What core may use beside the standard library and itself.
CORE_MAY = {"*": {"yaml"}, "metrics": {"numpy"}, "summary": {"numpy"}}
CORE_NEVER = {"subprocess", "multiprocessing", "socket", "urllib", "http", "asyncio"}
MACHINERY_MAY = {"yaml", "numpy", "psutil", "pyarrow", "pynvml", "filelock"}
HEAVY = {"torch", "transformers", "llamafactory", "gradio", "accelerate", "peft", "trl", "datasets"}
# A tiny parent of every run, which starts with `python -I -S`: no lfdash, no site-packages.
STDLIB_ONLY = {"check_script", "failpoints", "lengths_script", "mask", "shim", "probe_script"}
ASKED_THERE = {"check_script", "lengths_script", "probe_script"}  # these run in LLaMA-Factory's own environment


def name_of(path: Path) -> str:
    """`launchers.local` for lfdash/launchers/local.py; `launchers` for its __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def absolute(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Dotted names that an import statement may load; `from a import b` may load the module a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        assert node.level == 0, "relative imports hide which floor they reach"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports(path: Path) -> frozenset[str]:
    """All that a file imports, wherever in the file, but for what only type checkers read."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in typing_only
    ]
    return frozenset(name for node in nodes for name in absolute(node))


def tops(path: Path) -> set[str]:
    """The distributions a file imports from, without lfdash's own."""
    return {name.partition(".")[0] for name in imports(path)} - {"lfdash", "__future__"}


def outside(path: Path) -> set[str]:
    return tops(path) - set(sys.stdlib_module_names)


def own(path: Path) -> set[str]:
    """The modules of lfdash that a file imports, as names of this test."""
    found = set()
    for name in imports(path):
        head, _, rest = name.partition(".")
        if head != "lfdash":
            continue
        while rest and rest not in MODULES:  # `from lfdash.run import RunState` names a class, not a module
            rest = rest.rpartition(".")[0]
        found.add(rest)
    return found - {""}


def mentions(path: Path, wanted: str) -> bool:
    """Whether a file uses a name, as `st.name`, bare, or by importing it."""
    used = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree(path))}
    return wanted in used | {name.rpartition(".")[2] for name in imports(path)}


def floor(names: set[str]) -> list[str]:
    return sorted(names & MODULES.keys())


def test_every_module_stands_on_a_floor() -> None:
    known = CORE | MACHINERY | UI | PROGRAMS | PACKAGES
    new = MODULES.keys() - known
    assert not new, f"say in tests/test_imports.py on which floor these stand: {sorted(new)}"
    assert not known - MODULES.keys(), "listed here, but gone"


def test_a_package_holds_no_code() -> None:
    for name in PACKAGES & MODULES.keys():
        assert all(isinstance(node, ast.Expr) for node in tree(MODULES[name]).body), name


@pytest.mark.parametrize("name", floor(CORE))
def test_core_needs_nothing_but_the_standard_library_and_yaml(name: str) -> None:
    path = MODULES[name]
    assert outside(path) <= CORE_MAY["*"] | CORE_MAY.get(name, set())
    assert not tops(path) & CORE_NEVER
    assert own(path) <= CORE


@pytest.mark.parametrize("name", floor(MACHINERY))
def test_machinery_never_draws(name: str) -> None:
    path = MODULES[name]
    assert outside(path) <= MACHINERY_MAY
    assert own(path) <= CORE | MACHINERY | {"launchers"}


@pytest.mark.parametrize("name", sorted(STDLIB_ONLY & MODULES.keys()))
def test_what_runs_alone_imports_the_standard_library_only(name: str) -> None:
    allowed = HEAVY if name in ASKED_THERE else set()  # run inside LLaMA-Factory's own environment
    assert outside(MODULES[name]) <= allowed
    assert not own(MODULES[name])


def test_programs_are_imported_by_nobody() -> None:
    for name, path in MODULES.items():
        assert not own(path) & PROGRAMS, f"{name} imports a program"


def test_only_the_pages_and_the_entry_import_the_interface() -> None:
    for name, path in MODULES.items():
        if not name.startswith("ui") and name != "__main__":
            assert not {used for used in own(path) if used.startswith("ui")}, name
    for page in PAGES:
        assert own(page), f"{page.name} draws nothing"
        assert all(used.startswith("ui.") for used in own(page)), f"{page.name} has logic of its own"


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"demo", *ASKED_THERE}))
def test_nothing_in_the_web_process_imports_torch(name: str) -> None:
    assert not tops(MODULES[name]) & HEAVY


def test_one_place_holds_what_all_sessions_share() -> None:
    users = [path for path in [*MODULES.values(), *PAGES] if mentions(path, "cache_resource")]
    assert users == [MODULES["ui.session"]]


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


# ui.pick stands for widgets, which write their own keys.
@pytest.mark.parametrize("name", sorted(UI - {"ui.form", "ui.pick"}))
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


def test_core_in_a_fresh_interpreter() -> None:
    loaded = loaded_by(floor(CORE))
    assert {"lfdash", "yaml"} <= loaded
    assert not loaded & ({"streamlit", "altair", "pandas", "psutil"} | HEAVY)


def test_machinery_in_a_fresh_interpreter() -> None:
    loaded = loaded_by(floor(MACHINERY))
    assert {"lfdash", "psutil"} <= loaded
    assert not loaded & ({"streamlit", "altair", "pandas"} | HEAVY)


def test_the_web_process_in_a_fresh_interpreter() -> None:
    loaded = loaded_by(name for name in MODULES if name.startswith("ui."))
    assert "streamlit" in loaded
    assert not loaded & HEAVY
