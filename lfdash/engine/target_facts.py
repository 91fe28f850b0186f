"""What the last test of a target found there, kept in the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.files import FileMark, Unreadable, file_mark, read_json_file, real_number, write_text_atomic
from lfdash.targets.fields import NAME
from lfdash.targets.target import Target

FOLDER = "target_facts"  # in the workspace's private folder: a file for each target that was tested
MOST_BYTES = 1 << 20
MOST_PACKAGES, MOST_GPUS, MOST_TEXT = 5000, 64, 500
# What of a target's row decides what its jobs find: another row, and nothing is known.
DECIDES = (
    "kind", "cli", "python", "workspace", "modules", "setup", "container", "runner", "address", "token_file",
    "slurm_conf", "partition", "account", "qos", "constraint", "memory", "cpus", "gpus", "gpu_type", "env", "extra",
)
NEWER = ("setup",)  # left out where it is empty: what was kept before there was one is of the same target


@dataclass(frozen=True)
class TargetGpu:
    """A GPU that a job there sees. memory: bytes. capability: as NVIDIA counts it, "" when unknown."""

    name: str
    memory: int
    capability: str = ""


@dataclass(frozen=True)
class TargetFacts:
    """What a test found. Nothing that could not be asked is taken for absent.

    host: the node. supervisor_python, python: the versions that run the supervisor and LLaMA-Factory; cli: where that
    lies there, "" when it was not found; interpreter: what runs it. packages: distribution (lower case) -> version of
    its environment, None when that was not told. gpus: those that a job sees, None when neither torch nor nvidia-smi
    told; bf16: whether they compute in it, None when unknown. cpus, memory (bytes), disk (bytes free in the workspace):
    of the job; 0 unknown. clock: the least and most seconds that its clock is ahead of this one's; None unknown. locks:
    "seen", "unseen", or why that is not known. error: why the environment told no more.
    """

    host: str = ""
    supervisor_python: str = ""
    cli: str = ""
    python: str = ""
    interpreter: str = ""
    packages: Mapping[str, str] | None = None
    gpus: tuple[TargetGpu, ...] | None = None
    bf16: bool | None = None
    cpus: int = 0
    memory: int = 0
    disk: int = 0
    clock: tuple[float, float] | None = None
    locks: str = ""
    error: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a test found nothing. Its text is `why_CODE` in the locales' [target_test]; `params` fill it."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TargetResult:
    """How the last test of a target ended. time: epoch seconds. row: what of the target's row decided it. facts: None
    where there is no report; failure: then why."""

    time: float
    row: Mapping[str, Any]
    facts: TargetFacts | None
    failure: Failure | None = None

    def is_of(self, target: Target) -> bool:
        """Whether the target is as it was tested."""
        return dict(self.row) == deciding(target)


@dataclass(frozen=True)
class TargetTestFiles:
    """The results in a folder (absolute); each is read again when its file has changed."""

    folder: Path
    _seen: dict[str, tuple[FileMark, TargetResult | None]] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> Path:
        return self.folder / FOLDER / f"{name}.json"

    def load(self, name: str) -> TargetResult | None:
        """The last result of a target; None where there is none, or it cannot be read. One stat where that has not
        changed."""
        mark = file_mark(self.path(name)) if NAME.fullmatch(name) else None
        if mark is None:
            return None
        seen = self._seen.get(name)
        if seen is None or seen[0] != mark:
            told = read_json_file(self.path(name), limit=MOST_BYTES)
            if isinstance(told, Unreadable):  # maybe only just now
                return None
            seen = self._seen[name] = (mark, result_in(told) if isinstance(told, dict) else None)
        return seen[1]

    def save(self, target: Target, time: float, report: Mapping[str, Any] | None, failure: Failure | None) -> None:
        """Keeps a result in place of the one before. OSError."""
        path = self.path(target.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = written(target, time, report, failure)
        write_text_atomic(path, json.dumps(content, indent=1) + "\n", durable=False)

    def forget(self, name: str) -> None:
        """Takes the result of a target away that is removed. OSError."""
        self.path(name).unlink(missing_ok=True)


def written(
    target: Target, time: float, report: Mapping[str, Any] | None, failure: Failure | None
) -> dict[str, Any]:
    """A result as JSON holds it."""
    told = {"code": failure.code, "params": dict(failure.params)} if failure else None
    return {"time": time, "row": deciding(target), "report": report, "failure": told}


def result_in(told: Mapping[str, Any]) -> TargetResult | None:
    """The inverse of `written`; None for what is no result."""
    when = real_number(told.get("time"))
    if when is None:
        return None
    report, row, failure = told.get("report"), told.get("row"), told.get("failure")
    refused = None
    if isinstance(failure, dict):
        params = failure.get("params")
        refused = Failure(word(failure.get("code")), params if isinstance(params, dict) else {})
    facts = facts_in(report) if isinstance(report, dict) else None
    return TargetResult(when, row if isinstance(row, dict) else {}, facts, refused)


def deciding(target: Target) -> dict[str, Any]:
    """What of a row decides what its jobs find, as JSON holds it."""
    row = {name: getattr(target, name) for name in DECIDES if name not in NEWER or getattr(target, name)}
    return {
        name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        for name, value in row.items()
    }


def facts_in(report: Mapping[str, Any]) -> TargetFacts:
    """What a report (supervisor/target_probe.py) tells; whatever in it is not as it should be is unknown."""
    torch = report.get("torch")
    torch = torch if isinstance(torch, dict) else {}
    told = torch.get("gpus") if torch.get("cuda") is not None else report.get("smi") or None
    bf16 = torch.get("bf16")
    least, most = (real_number(report.get(name)) for name in ("clock_least", "clock_most"))
    return TargetFacts(
        host=word(report.get("host")),
        supervisor_python=word(report.get("supervisor_python")),
        cli=word(report.get("cli")),
        python=word(report.get("python")),
        interpreter=word(report.get("interpreter")),
        packages=packages_in(report.get("packages")),
        gpus=gpus_in(told),
        bf16=bf16 if isinstance(bf16, bool) else None,
        cpus=whole(report.get("cpus")),
        memory=whole(report.get("memory")),
        disk=whole(report.get("disk")),
        clock=(least, most) if least is not None and most is not None else None,
        locks=word(report.get("locks")),
        error=word(report.get("error")),
    )


def packages_in(told: Any) -> dict[str, str] | None:
    """The packages of an environment."""
    if not isinstance(told, dict):
        return None
    return {str(name): word(version) for name, version in list(told.items())[:MOST_PACKAGES]}


def gpus_in(told: Any) -> tuple[TargetGpu, ...] | None:
    """The GPUs in a list; None where there is no list."""
    if not isinstance(told, list):
        return None
    rows = [one for one in told[:MOST_GPUS] if isinstance(one, dict)]
    return tuple(
        TargetGpu(word(one.get("name")), whole(one.get("memory")), word(one.get("capability"))) for one in rows
    )


def word(value: Any) -> str:
    """A short text; "" for what is none."""
    return value[:MOST_TEXT] if isinstance(value, str) else ""


def whole(value: Any) -> int:
    """A number that is not negative; 0 for what is none, or more than any machine has."""
    return value if type(value) is int and 0 <= value < 1 << 63 else 0
