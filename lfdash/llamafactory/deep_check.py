"""Deep check: LLaMA-Factory's own parser on a job, in its own environment, without loading a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.jobs.fields import BY_ARG
from lfdash.llamafactory.ask import Answers, ask_json
from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused

TIMEOUT = 180  # seconds; nearly all of it is imports


@dataclass(frozen=True)
class Verdict:
    """What the parser said: text "" = it takes the job. field: the form's field it names, if it names one."""

    text: str
    field: str | None = None


def deep_check(
    cli: Cli, workspace: Path, jobs: Sequence[Mapping[str, Any]], env: Mapping[str, str] | None = None,
    warm: Answers | None = None,
) -> list[Verdict] | Refused:
    """The verdict on each job (LLaMA-Factory's arguments), in one subprocess started in the workspace.

    env: what the jobs ask of the environment. warm: is asked first.
    Refused: as `ask`; then the check itself did not work.
    """
    answer = ask_json(cli, "check", [dict(job) for job in jobs], timeout=TIMEOUT, cwd=workspace, env=env, warm=warm)
    return answer if isinstance(answer, Refused) else [Verdict(text, named_field(text)) for text in answer]


def named_field(text: str) -> str | None:
    """The id of the first field whose argument a sentence names."""
    for word in re.findall(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|\b(?:template|dataset|stage|packing)\b", text):
        if word in BY_ARG:
            return BY_ARG[word].id
    return None
