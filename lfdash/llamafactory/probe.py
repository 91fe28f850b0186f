"""Reads what the installed LLaMA-Factory offers, in its own environment; cached until a package there changes."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lfdash.llamafactory.catalogue import Upstream, UpstreamError, from_json, to_json
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.runs.plan import UNSET

SCRIPT = Path(__file__).with_name("scripts") / "probe.py"
TIMEOUT = 120.0  # seconds; the imports take 8 idle and 20 under load
# What would make LLaMA-Factory believe that it is a rank or a run of a board, should the dashboard be started in one.
HIDDEN = frozenset({*UNSET, "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR"})


@dataclass(frozen=True)
class ProbeFailed:
    """LLaMA-Factory could not be asked; `reason` is the last line it said."""

    reason: str


def probe(cli: Cli, private: Path) -> Upstream | ProbeFailed:
    """What the LLaMA-Factory of `cli` offers.

    private: folder for the answer (about 200 kB), which is asked for again only when a package of that
    environment, or a file of LLaMA-Factory that is read, changed. Takes 0.2 s when cached, else as long as the
    imports.
    """
    if cli.python is None:
        return ProbeFailed(f"the interpreter of {cli.path} is not known")
    installed = ask(cli.python, str(SCRIPT), "--identity")
    if isinstance(installed, ProbeFailed):
        return installed
    key = hashlib.sha256(f"{SCRIPT.read_text(encoding='utf-8')}{cli.python}{installed}".encode()).hexdigest()[:16]
    path = private / f"upstream-{key}.json"
    try:
        return from_json(path.read_text(encoding="utf-8"), "installed")
    except (OSError, UpstreamError):
        pass  # not there, or broken: ask again
    return ask_everything(cli.python, path)


def ask_everything(python: str, path: Path) -> Upstream | ProbeFailed:
    """Asks, and keeps the answer in place of earlier ones."""
    text = ask(python, str(SCRIPT))
    if isinstance(text, ProbeFailed):
        return text
    try:
        found = from_json(text, "installed")
    except UpstreamError as error:
        return ProbeFailed(str(error))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
        for earlier in set(path.parent.glob("upstream-*.json")) - {path}:
            earlier.unlink(missing_ok=True)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk costs the next start some seconds
    return found


def ask(python: str, *arguments: str) -> str | ProbeFailed:
    """What a program of that interpreter prints."""
    env = {key: value for key, value in os.environ.items() if key not in HIDDEN} | {"HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            [python, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            env=env,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return ProbeFailed(f"{python} did not answer within {TIMEOUT:g} s")
    except OSError as error:
        return ProbeFailed(str(error))
    if done.returncode != 0:
        return ProbeFailed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def main(argv: list[str] | None = None) -> int:
    """`python -m lfdash.llamafactory.probe FILE` writes the snapshot (without help texts)."""
    about = "Writes the snapshot of LLaMA-Factory."
    parser = argparse.ArgumentParser(prog="lfdash.llamafactory.probe", description=about)
    parser.add_argument("snapshot", type=Path)
    path: Path = parser.parse_args(argv).snapshot
    cli = find_cli(os.environ)
    with tempfile.TemporaryDirectory() as nothing_kept:
        found = (
            probe(cli, Path(nothing_kept)) if isinstance(cli, Cli) else ProbeFailed("llamafactory-cli was not found")
        )
    if isinstance(found, ProbeFailed):
        sys.stderr.write(f"{found.reason}\n")
        return 1
    path.write_text(to_json(found, with_help=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
