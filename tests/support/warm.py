"""A LLaMA-Factory kept warm for tests: with little to import, and a llamafactory-cli that trains nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.warm import Warm
from tests.support import FIXTURES
from tests.support.runs import wait_for

SECONDS = 240.0  # the imports of LLaMA-Factory take 6 s idle


def warmable_cli(folder: Path) -> Cli:
    """The stand-in as a plain Python script: an interpreter with options is not kept warm."""
    path = folder / "bin" / "llamafactory-cli"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n" + (FIXTURES / "fake_cli.py").read_text(encoding="utf-8"))
    path.chmod(0o755)
    return Cli(str(path), sys.executable)


@contextmanager
def kept_warm(cli: Cli, folder: Path, *, modules: Sequence[str] = ("json",), **options: Any) -> Iterator[Warm]:
    """A warm process that is ready; ended afterwards."""
    warm = Warm(cli, folder, modules=modules, **{"room": 0, **options})
    try:
        warm.want()
        wait_for(lambda: warm.state != "starting", SECONDS)
        assert warm.state == "ready", warm.why
        yield warm
    finally:
        warm.close()
