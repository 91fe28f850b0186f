"""No shell, no pickle, no code made of text: read from every line that the dashboard runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "app.py", ROOT / "tools/setup.py", *sorted((ROOT / "pages").glob("*.py"))]
FILES += sorted((ROOT / "lfdash").rglob("*.py"))
# modules that run text, or undo what `pickle` made, which runs what the text says
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "code", "pty", "commands"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execl", "os.execle", "os.execlp", "os.execv",
    "os.execve", "os.execvp", "os.spawnl", "os.spawnv", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "pd.read_pickle", "pandas.read_pickle", "torch.load", "yaml.unsafe_load",
    "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all", "st.cache_data",
}
ALLOWED = {
    ("lfdash/llamafactory/scripts/warm.py", "os.execve"): "becomes the supervisor: words of the plan, no shell",
    ("lfdash/llamafactory/scripts/warm_same.py", "compile"): "whether llamafactory-cli is Python; not run",
}
STARTERS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file: what is called, as it is written, and the call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(path: Path) -> set[str]:
    """The top-level modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def is_text(node: ast.expr) -> bool:
    """Whether an argument is a text rather than a list of words."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def offences(path: Path) -> list[str]:
    found = [f"imports {name}" for name in sorted(imported(path) & MODULES)]
    for name, call in calls(path):
        given = {word.arg: word.value for word in call.keywords}
        if name in CALLS and (path.relative_to(ROOT).as_posix() if ROOT in path.parents else "", name) not in ALLOWED:
            found.append(f"{call.lineno}: {name}")
        if name in STARTERS and (not call.args or is_text(call.args[0])):
            found.append(f"{call.lineno}: {name} of a text")
        if "shell" in given or "executable" in given or "preexec_fn" in given or "allow_pickle" in given:
            found.append(f"{call.lineno}: {name} with {sorted(word for word in given if word)}")
        if name == "yaml.load" and ast.unparse(given.get("Loader", ast.Constant(None))) != "Loader":
            found.append(f"{call.lineno}: yaml.load without the safe loader")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_a_page_reaches_a_shell_or_a_pickle(path: Path) -> None:
    assert offences(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('ls')", "import subprocess\nsubprocess.run('ls')", "subprocess.run(['a'], shell=True)",
        "import pickle", "from pickle import loads", "eval('1')", "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)", "subprocess.Popen(f'{a}')", "np.load(path, allow_pickle=True)",
        "torch.load(path)",
    ],
)
def test_each_of_them_would_be_seen(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert offences(tmp_path / "a.py")


def test_the_loader_of_yaml_makes_plain_values_only() -> None:
    import yaml

    from lfdash.jobs.yaml_format import Loader

    assert issubclass(Loader, yaml.SafeLoader)
    made = {tag.rpartition(":")[2] for tag in Loader.yaml_constructors if tag}
    assert made == {"null", "bool", "int", "float", "str", "seq", "map"}
    assert not Loader.yaml_multi_constructors
