"""What sstat tells of jobs that go on; asked once a minute for all, and nobody waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from lfdash.launchers.asking import CallError
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_usage import EVERY_S, FORGET_S, NOTHING_S, Usage, Usages, parse
from tests.support.runs import wait_for

TEXT = """\
7.extern|0|00:00:00|1
7.batch|1073741824|00:01:30|1
7.0|4G|1-00:00:00|2
8.batch||00:00.500|1
9.batch|12K||1
x|y
10.batch|||
"""


def test_steps_are_taken_together() -> None:
    assert parse(TEXT) == {
        "7": Usage(4 << 30, 90 + 2 * 86400), "8": Usage(None, 0.5), "9": Usage(12 << 10, None),
    }


@pytest.mark.parametrize("text", ["", "|||", "\0|1|1|1", "7.batch|1e9|now|-1", "7.batch|" + "9" * 400 + "X|1:1|1"])
def test_what_is_no_answer_tells_nothing(text: str) -> None:
    assert all(usage.max_rss is None for usage in parse(text).values())


@dataclass(frozen=True)
class Sstat(Calls):
    says: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def run(self, *words: str, **_: object) -> str:
        self.asked.append(words[words.index("-j") + 1])
        if not self.says:
            raise CallError("sstat: not here")
        return self.says[0]


def test_all_are_asked_for_at_once_and_seldom() -> None:
    calls, now = Sstat(says=[TEXT]), [1000.0]
    usages = Usages(calls, lambda: now[0])
    wait_for(lambda: usages.look("7") == Usage(4 << 30, 90 + 2 * 86400))
    for _ in range(50):
        usages.look("8")
    assert calls.asked == ["7"]
    now[0] += EVERY_S
    wait_for(lambda: usages.look("8") and len(calls.asked) == 2)
    assert calls.asked[1] == "7,8"
    for _ in range(6):
        now[0] += FORGET_S / 5
        usages.look("8")
        wait_for(lambda: not usages._busy)
    assert calls.asked[-1] == "8", "nobody looks at the other any more"


def test_a_cluster_that_does_not_count_is_asked_less_and_less() -> None:
    calls, now = Sstat(), [1000.0]
    usages, asked = Usages(calls, lambda: now[0]), []
    for _ in range(4000):
        before = len(calls.asked)
        usages.look("7")
        wait_for(lambda: not usages._busy)
        if len(calls.asked) > before:
            asked.append(now[0])
        now[0] += 1
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:4] == [EVERY_S, 2 * EVERY_S, 4 * EVERY_S, 8 * EVERY_S] and set(pauses[4:]) == {NOTHING_S}
