"""What the figure of GPU memory in the form's foot costs: one drawing of the Train page with it and without, in turn.

    python bench/memory_foot.py [--times 40] [--write]

Streamlit's AppTest draws the page; a setting is changed before each drawing, so no answer is kept from the one before
(`new`), or nothing is (`kept`). There are fifty past runs to learn from. CPU is that of the process; the two are drawn
one after the other, in either order, and the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from document import write  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from lfdash.demo.__main__ import make_data  # noqa: E402
from lfdash.engine import past_runs  # noqa: E402
from lfdash.machine.sampler import Machine  # noqa: E402
from lfdash.memory.estimate import estimate  # noqa: E402
from lfdash.memory.learned import PastRun  # noqa: E402
from lfdash.ui.launch import memory  # noqa: E402
from tests.support import app as pages  # noqa: E402
from tests.support.gpu import GB, device, sample  # noqa: E402
from tests.support.memory import subject  # noqa: E402

MARKS = ("<!-- memory_foot: begin, written by bench/memory_foot.py -->", "<!-- memory_foot: end -->")
MOST_MS = 20  # CPU that the figure may cost


def drawn_ms(app: AppTest, cutoff: int, *, figure: bool) -> float:
    """CPU of one drawing of the page, ms."""
    app.session_state["train.cutoff_len"] = str(cutoff)
    without = mock.patch.object(memory, "draw_figure", lambda form: None)
    begin = time.process_time()
    if figure:
        app.run()
    else:
        with without:
            app.run()
    spent = (time.process_time() - begin) * 1000
    pages.good(app)
    assert bool([one for one in app.button if one.key == "memory_open"]) == figure
    return spent


def a_run() -> past_runs.OnCard:
    """A run that took what was foretold."""
    one = subject()
    found = estimate(one)
    return past_runs.OnCard(PastRun("a run", one, found, reserved=found.reserved), 80 * GB)


def medians(times: int) -> dict[str, tuple[float, float]]:
    """What is kept -> ms with the figure, and without."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        make_data(workspace / "data")
        with (
            pages.opened(workspace) as services,
            mock.patch.object(Machine, "seen", sample(device(0), device(1))),
            mock.patch.object(past_runs, "wanted", lambda services, shown: dict.fromkeys(range(past_runs.MOST), a_run)),
        ):
            services._started = True
            app = pages.start()
            app.session_state["top.model_path"] = "Qwen/Qwen2.5-7B-Instruct"
            app.session_state["train.dataset"] = ["demo_sft"]
            drawn_ms(app, 1024, figure=True)
            for what in ("new", "kept"):
                rows: dict[bool, list[float]] = {True: [], False: []}
                for turn in range(times):
                    for figure in (True, False) if turn % 2 else (False, True):
                        rows[figure].append(drawn_ms(app, 1024 + 8 * turn * (what == "new"), figure=figure))
                found[what] = (statistics.median(rows[True]), statistics.median(rows[False]))
    return found


def table(found: dict[str, tuple[float, float]]) -> str:
    """The medians in Markdown."""
    lines = ["| the job | with the figure, ms | without, ms | more, ms | ratio |", "|---|---|---|---|---|"]
    lines += [
        f"| {what} | {one:.1f} | {other:.1f} | {one - other:.1f} (at most {MOST_MS}) | {one / other:.2f} |"
        for what, (one, other) in found.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="writes the table into docs/benchmarks.md")
    given = parser.parse_args()
    text = table(medians(given.times))
    print(text)
    if given.write:
        write(MARKS, text)


if __name__ == "__main__":
    main()
