"""A program for LLaMA-Factory's interpreter: many dry runs, each in a fork of a process that has imported all of it.

Reads a JSON list of dry runs' inputs from stdin, prints the list of their answers; of one that failed its traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

SIMULATION = Path(__file__).resolve().parents[2] / "lfdash" / "llamafactory" / "scripts" / "simulation"
AT_ONCE = 2


def main() -> None:
    sys.path.insert(0, str(SIMULATION))
    document, sys.stdout = sys.stdout, sys.stderr
    import dry_run
    import llamafactory.model.adapter
    import llamafactory.train.trainer_utils
    import trl

    assert llamafactory.model.adapter and llamafactory.train.trainer_utils and trl.AutoModelForCausalLMWithValueHead
    jobs = json.load(sys.stdin)
    answers: list[object] = [None] * len(jobs)
    waiting, running = list(range(len(jobs))), {}
    while waiting or running:
        if waiting and len(running) < AT_ONCE:
            at = waiting.pop(0)
            read, write = os.pipe()
            if not (pid := os.fork()):
                answer(dry_run, jobs[at], write)
            os.close(write)
            running[pid] = at, read
            continue
        pid, _ = os.wait()
        at, read = running.pop(pid)
        with os.fdopen(read) as file:
            answers[at] = json.load(file)
    json.dump(answers, document)


def answer(dry_run, job, write: int) -> None:
    """In the fork: writes the answer, which is smaller than a pipe, and ends."""
    try:
        found: object = [dry_run.measure(job, layers) for layers in job["layers"]]
    except Exception:  # noqa: BLE001  the parent tells which one
        found = traceback.format_exc()[-3000:]
    os.write(write, json.dumps(found).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
