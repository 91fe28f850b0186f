"""A turn of a large sweep in which nothing happens: its journal kept open beside opened anew each time, in one run.

    python bench/sweep_turn.py [--turns 20]

250 runs, of which 180 are complete and 64 wait in the queue. A dashboard takes such a turn every two seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lfdash.demo.__main__ import make_data  # noqa: E402
from lfdash.engine.services import Services, find_project  # noqa: E402
from lfdash.engine.sweeps import Sweeps, attach  # noqa: E402
from tests.support.models import pretend_model  # noqa: E402
from tests.support.runs import fake_cli  # noqa: E402
from tests.support.sweeps import add_sweep  # noqa: E402

SETTINGS = {"learning_rate": [(place + 1) / 1e5 for place in range(25)], "lora_rank": list(range(1, 11))}
COMPLETE, PARALLEL = 180, 64


def turn_s(sweeps: Sweeps) -> float:
    """Seconds of one turn."""
    sweeps._next = 0.0
    start = time.perf_counter()
    sweeps.tick()
    return time.perf_counter() - start


def main() -> None:
    """Prints both and their ratio."""
    options = argparse.ArgumentParser(description="A turn of a large sweep in which nothing happens.")
    options.add_argument("--turns", type=int, default=20, help="of each kind")
    turns = options.parse_args().turns
    with tempfile.TemporaryDirectory(prefix="lfdash-bench-") as folder:
        workspace = Path(folder) / "workspace"
        os.environ["LFDASH_CLI"] = fake_cli(Path(folder))
        make_data(workspace / "data")
        pretend_model(workspace)
        services = Services(find_project(), workspace)
        sweeps = attach(services)
        ends = [1 + place / 100 for place in range(COMPLETE)]
        add_sweep(sweeps, SETTINGS, ends, parallel=PARALLEL)
        while len(services.registry.queue.jobs.entries()) < PARALLEL:
            turn_s(sweeps)
        kept, anew = [], []
        for _ in range(turns):
            kept.append(turn_s(sweeps))
            sweeps._open.clear()
            anew.append(turn_s(sweeps))
        services.close()
    one, other = statistics.median(kept), statistics.median(anew)
    print(f"kept open {1000 * one:.0f} ms, opened anew {1000 * other:.0f} ms: {other / one:.1f} times as long")


if __name__ == "__main__":
    main()
