"""Deep check: LLaMA-Factory's own parser on a job, in its own environment, without loading a model."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lfdash.jobs.fields import BY_ARG
from lfdash.llamafactory.locate import Cli
from lfdash.runs.plan import UNSET

SCRIPT = Path(__file__).with_name("scripts") / "check.py"
TIMEOUT = 180  # seconds; nearly all of it is imports


@dataclass(frozen=True)
class Verdict:
    """What the parser said: text "" = it takes the job. field: the form's field it names, if it names one."""

    text: str
    field: str | None = None


@dataclass(frozen=True)
class CheckFailed:
    """The check itself did not work.

    code: "said" (reason is the last line it said), "python" (reason: a llamafactory-cli whose interpreter is not
    known), "time" (no answer in so many seconds) or "exit" (nothing was said; reason: the exit code).
    """

    reason: str
    code: Literal["said", "python", "time", "exit"] = "said"


def deep_check(
    cli: Cli, workspace: Path, jobs: Sequence[Mapping[str, Any]], env: Mapping[str, str] | None = None
) -> list[Verdict] | CheckFailed:
    """The verdict on each job (LLaMA-Factory's arguments), in one subprocess started in the workspace.

    env: what the jobs ask of the environment. Takes as long as LLaMA-Factory's imports (8 s idle).
    """
    if cli.python is None:
        return CheckFailed(cli.path, "python")
    inherited = {key: value for key, value in os.environ.items() if key not in UNSET}
    try:
        done = subprocess.run(
            [cli.python, str(SCRIPT)], input=json.dumps([dict(job) for job in jobs]), capture_output=True,
            text=True, timeout=TIMEOUT, cwd=workspace, env={**inherited, **(env or {})},
        )
        said = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return CheckFailed(str(TIMEOUT), "time")
    except (OSError, ValueError) as error:
        return CheckFailed(str(error))
    if said is None:
        lines = done.stderr.strip().splitlines()
        return CheckFailed(lines[-1]) if lines else CheckFailed(str(done.returncode), "exit")
    return [Verdict(text, named_field(text)) for text in said]


def named_field(text: str) -> str | None:
    """The id of the first field whose argument a sentence names."""
    for word in re.findall(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|\b(?:template|dataset|stage|packing)\b", text):
        if word in BY_ARG:
            return BY_ARG[word].id
    return None
