"""Reads what the installed LLaMA-Factory offers, in its own environment; cached until a package there changes."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lfdash.files import read_text_file, write_text_atomic
from lfdash.llamafactory.ask import SCRIPTS, ask
from lfdash.llamafactory.catalogue import Upstream, UpstreamError, from_json, to_json
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.locales import DEFAULT_LANGUAGE, refusal_in
from lfdash.outcomes import Refused

SCRIPT = SCRIPTS / "probe.py"
LARGEST_FILE = 64 << 20  # bytes of an answer
TIMEOUT = 120.0  # seconds; the imports take 8 idle and 20 under load
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def probe(cli: Cli, private: Path) -> Upstream | Refused:
    """What the LLaMA-Factory of `cli` offers.

    private: folder for the answer (about 200 kB), which is asked for again only when a package of that
    environment, or a file of LLaMA-Factory that is read, changed. Takes 0.2 s when cached, else as long as the
    imports. Refused: as `ask`.
    """
    installed = identity(cli)
    if isinstance(installed, Refused):
        return installed
    path = private / f"{stem(cli)}-{short_hash(SCRIPT.read_text(encoding='utf-8'), installed)}.json"
    return kept(path) or ask_everything(cli, path)  # not there, or broken: ask again


def identity(cli: Cli) -> str | Refused:
    """What the answer depends on, found without LLaMA-Factory's imports (0.2 s)."""
    return ask(cli, "probe", arguments=("--identity",), timeout=TIMEOUT, env=OFFLINE)


def stem(cli: Cli) -> str:
    """What the names of answers of this environment start with."""
    return f"upstream-{short_hash(str(cli.python))}"


def short_hash(*texts: str) -> str:
    """16 characters that stand for texts."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def packages_of(cli: Cli) -> Mapping[str, str] | Refused:
    """Distribution (lower case) -> version of the environment of `cli`, in 0.2 s. Refused: as `ask`, asked_said."""
    installed = identity(cli)
    if isinstance(installed, Refused):
        return installed
    try:
        packages = json.loads(installed)["packages"]
        return {str(name): str(version) for name, version in packages.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Refused("asked_said", {"reason": repr(error)})


def is_described(packages: Mapping[str, str], upstream: Upstream) -> bool:
    """Whether an environment of these packages has the versions that a description is of; True when that cannot be
    told. What is asked for in full takes as long as LLaMA-Factory's imports: it is worth it only where not."""
    versions = (packages.get("llamafactory"), packages.get("transformers"))
    return None in versions or versions == (upstream.llamafactory, upstream.transformers)


def kept(path: Path) -> Upstream | None:
    """An answer that lies in a file; None when it is missing or cannot be read."""
    text = read_text_file(path, limit=LARGEST_FILE)
    try:
        return from_json(text, "installed") if isinstance(text, str) else None
    except UpstreamError:
        return None


def cached(private: Path, cli: Cli) -> Upstream | None:
    """The answer of the environment of `cli` that lies in the folder, without asking whether it is still the newest;
    None when there is none."""
    answers = (kept(path) for path in sorted(private.glob(f"{stem(cli)}-*.json")))
    return next((upstream for upstream in answers if upstream is not None), None)


def ask_everything(cli: Cli, path: Path) -> Upstream | Refused:
    """Asks, and keeps the answer in place of this environment's earlier ones and of those that name none."""
    text = ask(cli, "probe", timeout=TIMEOUT, env=OFFLINE)
    if isinstance(text, Refused):
        return text
    try:
        upstream = from_json(text, "installed")
    except UpstreamError as error:
        return Refused("asked_said", {"reason": str(error)})
    try:
        write_text_atomic(path, text)
        for earlier in set(path.parent.glob("upstream-*.json")) - {path}:
            if earlier.name.startswith(stem(cli)) or earlier.name.count("-") == 1:
                earlier.unlink(missing_ok=True)
    except OSError:
        pass  # a full disk costs the next start some seconds
    return upstream


def main(argv: list[str] | None = None) -> int:
    """`python -m lfdash.llamafactory.probe FILE` writes the snapshot (without help texts)."""
    about = "Writes the snapshot of LLaMA-Factory."
    parser = argparse.ArgumentParser(prog="lfdash.llamafactory.probe", description=about)
    parser.add_argument("snapshot", type=Path)
    path: Path = parser.parse_args(argv).snapshot
    cli = find_cli(os.environ)
    with tempfile.TemporaryDirectory() as nothing_kept:
        found = probe(cli, Path(nothing_kept)) if isinstance(cli, Cli) else cli
    if isinstance(found, Refused):
        sys.stderr.write(f"{refusal_in(DEFAULT_LANGUAGE, found)}\n")
        return 1
    path.write_text(to_json(found, with_help=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
