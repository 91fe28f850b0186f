"""Slurm's programs are called with an end, and without what is nobody's business."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from lfdash.launchers.asking import CallError
from lfdash.launchers.slurm_calls import Calls, Job, parse_job, said


def program(folder: Path, name: str, body: str) -> None:
    """A stand-in for one of Slurm's programs."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ("7|PENDING|Resources|1795815054||t1|lfdash-a-1",
         Job("7", "PENDING", "Resources", 1795815054.0, "", "t1", "lfdash-a-1")),
        ("7_2|RUNNING|None|1795815054|n[1-2]|(null)|x",
         Job("7_2", "RUNNING", "", 1795815054.0, "n[1-2]", "(null)", "x")),
        ("8|PENDING|ReqNodeNotAvail, UnavailableNodes:n1|N/A||a|b|x",
         Job("8", "PENDING", "ReqNodeNotAvail, UnavailableNodes:n1", None, "", "a|b", "x")),
        ("slurm_load_jobs error: x", None), ("", None), ("JOBID|STATE|REASON|START|NODES|COMMENT|NAME", None),
    ],
)
def test_a_line_of_squeue(line: str, job: Job | None) -> None:
    assert parse_job(line) == job


def test_all_jobs_of_this_user_in_one_call(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_FORMAT", "%A")
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    program(bin_folder, "squeue", """
json.dump([sys.argv[1:], dict(os.environ)], open(os.path.dirname(sys.argv[0]) + "/called", "w"))
print("7|RUNNING|None|N/A|n1|c|x")
print("8|PENDING|Priority|N/A||c|y")""")
    assert [job.id for job in Calls("/etc/my.conf").jobs()] == ["7", "8"]
    words, env = json.loads((bin_folder / "called").read_text())
    assert words[words.index("-t") + 1] == "all" and "-u" in words
    assert (env["SLURM_CONF"], env["SLURM_TIME_FORMAT"]) == ("/etc/my.conf", "%s")
    assert "SQUEUE_FORMAT" not in env and "SLURM_JOB_ID" not in env


def test_a_job_gets_none_of_this_process_s_environment(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "abcdefgh")
    monkeypatch.setenv("SBATCH_PARTITION", "other")
    program(bin_folder, "sbatch", """
json.dump([sys.argv[1:], dict(os.environ)], open(os.path.dirname(sys.argv[0]) + "/called", "w"))
print("sbatch: Verify job: ok")
print("123;cluster")""")
    assert Calls().submit("/w/batch.sh", "t1", {"LFDASH_TICKET": "t1"}) == "123"
    words, env = json.loads((bin_folder / "called").read_text())
    assert words == ["--parsable", "--comment=t1", "/w/batch.sh"] and env["LFDASH_TICKET"] == "t1"
    assert set(env) <= {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER",
                        "LFDASH_TICKET"}


def test_a_program_that_is_silent_is_ended(bin_folder: Path) -> None:
    program(bin_folder, "squeue", "print('7|RUNNING|None|N/A|n1|c|x', flush=True); time.sleep(600)")
    with pytest.raises(CallError, match="squeue did not answer within 0 s") as caught:
        Calls().jobs(0.3)
    assert caught.value.silent


@pytest.mark.parametrize(
    ("body", "says", "silent"),
    [
        ("sys.exit('sbatch: error: bad\\nsbatch: error: Batch job submission failed: Invalid partition')",
         "Batch job submission failed: Invalid partition", False),
        ("sys.exit(3)", "ended with exit code 3", False), ("print('hello')", "no job number but: hello", True),
        ("", "no job number", True),
    ],
)
def test_a_program_that_fails_says_why(bin_folder: Path, body: str, says: str, silent: bool) -> None:
    program(bin_folder, "sbatch", body)
    with pytest.raises(CallError, match=says) as caught:
        Calls().submit("/w/batch.sh", "t1", {})
    assert caught.value.silent is silent


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CallError, match="squeue: No such file") as caught:
        Calls().jobs()
    assert not caught.value.silent


def test_the_last_words_of_a_program() -> None:
    assert said("scancel: error: Kill job error on job id 9: Invalid job id specified\n\n").startswith("Kill job error")
    assert said("") == ""
