"""Reads what the installed LLaMA-Factory offers, in its own environment; cached per version."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lfdash.cli import Cli, find_cli
from lfdash.plan import UNSET
from lfdash.upstream import Upstream, UpstreamError, from_json, to_json

SCRIPT = Path(__file__).with_name("probe_script.py")
TIMEOUT = 180  # seconds; the imports take 8 idle and 20 under load
# printed by LLaMA-Factory's interpreter in 0.1 s: what the cache depends on
PACKAGES = (
    "import importlib.metadata as m;"
    "print(sorted({(d.metadata['Name'] or '').lower() + '=' + d.version for d in m.distributions()}))"
)


@dataclass(frozen=True)
class ProbeFailed:
    """LLaMA-Factory could not be asked; `reason` is the last line it said."""

    reason: str


def probe(cli: Cli, cache: Path) -> Upstream | ProbeFailed:
    """What the LLaMA-Factory of `cli` offers.

    cache: folder for the answer (about 300 kB), which is asked for again only when a package of that
    environment changed. Takes 0.2 s when cached, else as long as the imports.
    """
    if cli.python is None:
        return ProbeFailed(f"the interpreter of {cli.path} is not known")
    installed = ask(cli.python, "-c", PACKAGES)
    if isinstance(installed, ProbeFailed):
        return installed
    key = hashlib.sha256(f"{SCRIPT.read_text(encoding='utf-8')}{cli.python}{installed}".encode()).hexdigest()[:16]
    path = cache / f"upstream-{key}.json"
    try:
        return from_json(path.read_text(encoding="utf-8"), "installed")
    except (OSError, UpstreamError):
        pass  # not there, or broken: ask again
    return ask_everything(cli.python, path)


def ask_everything(python: str, path: Path) -> Upstream | ProbeFailed:
    """Asks, and keeps the answer."""
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
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk costs the next start some seconds
    return found


def ask(python: str, *arguments: str) -> str | ProbeFailed:
    """What a program of that interpreter prints."""
    env = {key: value for key, value in os.environ.items() if key not in UNSET}
    try:
        done = subprocess.run(
            [python, *arguments], capture_output=True, text=True, timeout=TIMEOUT, env=env, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return ProbeFailed(str(error))
    if done.returncode != 0:
        return ProbeFailed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def main(argv: list[str] | None = None) -> int:
    """`python -m lfdash.probe FILE` writes the snapshot (without help texts)."""
    parser = argparse.ArgumentParser(prog="lfdash.probe", description="Writes the snapshot of LLaMA-Factory.")
    parser.add_argument("snapshot", type=Path)
    path: Path = parser.parse_args(argv).snapshot
    cli = find_cli(os.environ)
    found = probe(cli, path.parent) if isinstance(cli, Cli) else ProbeFailed("llamafactory-cli was not found")
    if isinstance(found, ProbeFailed):
        sys.stderr.write(f"{found.reason}\n")
        return 1
    for kept in path.parent.glob("upstream-*.json"):
        kept.unlink()
    path.write_text(to_json(found, with_help=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
