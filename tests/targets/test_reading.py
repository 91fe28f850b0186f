"""What targets.toml says, and what is wrong with it: file, line, field, value and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lfdash import files
from lfdash.locales import available, problem_in
from lfdash.targets.fields import FIELDS
from lfdash.targets.reading import Lines, Targets, parse, read
from lfdash.targets.target import Target

WHOLE = """
[target.lab]
kind = "slurm"
cli = "/opt/venv/bin/llamafactory-cli"
python = "python3.11"
workspace = "/shared/ws"
modules = ["cuda/12.4", "gcc"]
setup = ["source ~/conda.sh", "", "conda activate lf"]
container = "/images/lf.sif"
runner = "apptainer"
slurm_conf = "/etc/slurm/slurm.conf"
partition = "gpu"
account = "proj-1"
qos = "long"
constraint = "a100&nvlink"
time_limit = "1-12:00:00"
memory = "64G"
cpus = 16
gpus = 4
gpu_type = "a100"
nodes = 2
env = {OMP_NUM_THREADS = "1", HF_HOME = "/shared/hf"}
save_s = 300
extra = ["--exclusive", "--mail-type=END", "-x node7"]

[target.ray]
kind = "ray"
address = "http://head:8265"
"""


def test_a_row_is_typed() -> None:
    found = parse(WHOLE, "t")
    assert found.problems == () and list(found.rows) == ["lab", "ray"]
    lab = found.rows["lab"]
    assert lab.env == {"OMP_NUM_THREADS": "1", "HF_HOME": "/shared/hf"}
    assert (lab.gpus, lab.modules, lab.extra[2], lab.save_s) == (4, ("cuda/12.4", "gcc"), "-x node7", 300)
    assert (lab.launcher, found.rows["ray"].launcher) == ("slurm:lab", "ray:ray")
    assert Target("here", "local").launcher == "local"


@pytest.mark.parametrize("value", [
    "['a && b # c', ' ', '\tulimit -n 9 ']", "\'\'\'\n\n  a && b # c\n\tulimit -n 9\t\n\'\'\'",
    "\'\'\'\r\na && b # c\r\nulimit -n 9\'\'\'",
], ids=["list", "text", "crlf"])
@pytest.mark.parametrize("kind", ["slurm", "ray"])
def test_lines_of_a_shell(kind: str, value: str) -> None:
    found = parse(f"[target.lab]\nkind = '{kind}'\naddress = 'http://h'\nsetup = {value}".replace(
        "address = 'http://h'\n" if kind == "slurm" else "\0", ""), "t")
    assert found.problems == () and found.rows["lab"].setup == ("a && b # c", "ulimit -n 9")


@pytest.mark.parametrize(("lines", "good"), [
    (["x" * 500] * 50, True), (["x" * 501], False), (["x"] * 51, False), (["x"] * 50 + [""], True), (["a \\\\"], True),
    (["export HF_TOKEN=$(cat ~/token-of-hf)"], True), (["HF_TOKEN=\"$MY_TOKEN_OF_HF\" true"], True),
    (["export TOKENIZERS_PARALLELISM=false A=b"], True), (["curl -H x http://u:$PASS@h"], True),
])
def test_how_many_lines_of_a_shell(lines: list[str], good: bool) -> None:
    assert (FIELDS["setup"].check(lines) is None) is good


def test_a_workspace_without_the_file_has_no_targets(tmp_path: Path) -> None:
    assert read(tmp_path / "targets.toml") == Targets()


WRONG: list[tuple[str, Any, str]] = [
    ("kind", "pbs", "target_choice"), ("cli", "bin/llamafactory-cli", "target_path"), ("python", 3, "target_path"),
    ("workspace", "ws", "target_path"), ("workspace", "/a/../b", "target_path"), ("modules", ["a b"], "target_words"),
    ("modules", "cuda", "target_words"), ("container", "a b", "target_text"), ("container", "$(x)", "target_text"),
    ("runner", "docker", "target_choice"), ("slurm_conf", "x\\n/y", "target_path"), ("partition", "", "target_text"),
    ("partition", "a\\n#SBATCH --uid=0", "target_text"), ("account", "-x", "target_text"), ("qos", 1, "target_text"),
    ("constraint", "a b", "target_text"), ("time_limit", "two days", "target_time"), ("time_limit", 90, "target_time"),
    ("memory", "64 GB", "target_memory"), ("cpus", 0, "target_number"), ("cpus", True, "target_number"),
    ("gpus", -1, "target_number"), ("gpus", "2", "target_number"), ("nodes", 5000, "target_number"),
    ("token_file", "token", "target_path"), ("token_file", 1, "target_path"),
    ("save_s", 70000, "target_number"), ("extra", "--exclusive", "target_extra"),
    ("extra", ["exclusive"], "target_extra"),
    ("extra", ["--a\\n#SBATCH --b"], "target_extra"), ("extra", ["--a\\u2028--b"], "target_extra"),
    ("extra", ["--a # b"], "target_extra"), ("extra", ["--requeue"], "target_extra_own"),
    ("extra", ["--reque"], "target_extra_own"), ("extra", ["-J x"], "target_extra_own"),
    ("extra", ["-ppartition"], "target_extra_own"), ("extra", ["--output=/x"], "target_extra_own"),
    ("extra", ["--exclusive --uid=0"], "target_extra_two"), ("extra", ["--wrap=x"], "target_extra_own"),
    ("env", "A=1", "target_env"), ("env", {"A": 1}, "target_env"), ("env", {"A B": "1"}, "target_env"),
    ("env", {"LFDASH_TICKET": "1"}, "target_env"), ("env", {"HF_TOKEN": "hf_abcdefgh"}, "target_env_secret"),
    ("setup", 3, "target_setup"), ("setup", ["a", 1], "target_setup"), ("setup", ["a", "b\\nc"], "target_setup"),
    ("setup", ["a\\rb"], "target_setup"), ("setup", "a\\u2028b", "target_setup"),
    ("setup", ["a\\u0000"], "target_setup"),
    ("setup", {"HF_TOKEN": "hf_abcdefgh"}, "target_setup"), ("setup", ["module load \\\\", "x"], "target_setup_open"),
    ("setup", "a\\nexport A=1 HF_TOKEN=hf_abcdefgh", "target_setup_secret"),
    ("setup", ["HF_TOKEN='hf_abcdefgh' run"], "target_setup_secret"),
    ("setup", ["login --token=hf_abcdefgh"], "target_setup_secret"),
    ("partitions", "gpu", "target_unknown"), ("address", "http://x", "target_kinds"),
]


def toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {toml(item)}' for name, item in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@pytest.mark.parametrize(("key", "value", "code"), WRONG, ids=lambda item: str(item)[:30])
def test_what_is_wrong_is_named_with_its_place_and_a_remedy(key: str, value: Any, code: str) -> None:
    kind = '\nkind = "slurm"\n' if key != "kind" else "\n"
    text = f"# mine\n[target.lab]{kind}{key} = {toml(value)}\n[target.good]\nkind = 'slurm'\n"
    found = parse(text, "/w/targets.toml")
    problem = next(problem for problem in found.problems if problem.code == code)
    line = "3" if key == "kind" else "4"
    assert (problem.params["file"], problem.params["line"], problem.params["key"]) == ("/w/targets.toml", line, key)
    assert list(found.rows) == ["good"] and found.broken == ("lab",)
    for language in available():
        told = problem_in(language, problem)
        assert "/w/targets.toml" in told and line in told and key in told
        assert str(problem.params["value"]) in told
        assert "hf_abcdefgh" not in told


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("[target.lab]\n", "target_kind", "1"), ("\n[target.local]\nkind = 'slurm'", "target_name", "2"),
        ('[target."a b"]\nkind = "slurm"', "target_name", "1"), ("[lab]\nkind = 'slurm'", "target_table", "1"),
        ("[target]\nlab = 3", "target_table", "2"), ("target = 3", "target_table", "1"),
        ("[target.lab]\nkind = 'slurm'\nrunner = 'pyxis'", "target_both", "1"),
        ("[target.lab]\nkind = 'ray'", "target_both", "1"), ("[target.lab]\nkind = slurm", "target_toml", "2"),
        ("[target.a]\nkind='slurm'\n[target.a]\n", "target_toml", "3"), ("a = " + "[" * 2000, "target_toml", "1"),
    ],
)
def test_what_is_wrong_with_the_table(text: str, code: str, line: str) -> None:
    problem = next(problem for problem in parse(text, "f").problems if problem.code == code)
    assert problem.params["line"] == line
    for language in available():
        told = problem_in(language, problem)
        assert told.startswith("f") and line in told


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_file_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "targets.toml").write_text(WHOLE)

    def fail(*_args: object, **_more: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "open", fail)
    found = read(tmp_path / "targets.toml")
    assert found.unread and found.rows == {}
    (problem,) = found.problems
    assert problem.code == "target_file" and os.strerror(number) in problem_in("en", problem)


def test_every_field_of_a_target_is_in_the_table() -> None:
    assert {"name", *FIELDS} == set(Target.__dataclass_fields__)


@pytest.mark.parametrize("row", [
    f"gpus = {'9' * 5000}", f"gpus = 0x{'f' * 20000}", f"kind = 0x{'f' * 20000}", f"{'a.' * 20000}b = 1",
    f"{'a.' * 1500}b = 1\n{'c.' * 1500}d = 1", f"modules = {'[' * 50000}", f"modules = {'[' * 200}{']' * 200}",
], ids=["digits", "hex", "kind", "dotted", "dotted twice", "deep", "nested"])
def test_a_value_that_nobody_can_mean_is_told_like_any_other(row: str) -> None:
    kind = "" if row.startswith("kind") else 'kind = "slurm"\n'
    found = parse(f"[target.lab]\n{kind}{row}\n", "t")
    assert found.problems and not found.rows
    assert all(problem_in(code, one) for one in found.problems for code in available())


def test_a_comment_of_dots_is_one() -> None:
    assert parse(f"# {'.' * 100}\n" * 50 + WHOLE, "t").problems == ()


def test_a_line_of_spaces_is_searched_once() -> None:
    """A pattern that tries every way to share them out takes the cube of them: minutes."""
    text = "#\n" + "[" + " " * 200_000 + "x\n"
    assert Lines(text + "[ target . lab ] # ours\ngpus = 1\n").of("target.lab", "gpus") == "4"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(WHOLE + "#" * (1 << 20))
    found = read(path)
    assert found.unread and not found.rows and "larger than" in str(found.problems[0].params["reason"])
