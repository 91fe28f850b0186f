"""The processes of a run, as /proc shows them, and who of them is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from lfdash.supervisor.processes import (
    MARKER,
    Rank,
    boot_id,
    catches_abort,
    descendants,
    environ,
    is_torchrun,
    marked,
    marked_folder,
    pass_on,
    ranks,
    recorded_alive,
    recorded_ranks,
    savers,
    start_ticks,
    stat_fields,
)
from tests.supervisor.conftest import CATCH, FORK, WAIT, WIPE, Spawn
from tests.support.runs import wait_for


def test_a_process_has_an_identity_until_it_is_a_zombie(spawn: Spawn) -> None:
    process = spawn("import time; " + WAIT)
    ticks = start_ticks(process.pid)
    assert ticks is not None and ticks == start_ticks(process.pid)
    assert boot_id() == boot_id() != ""
    process.kill()
    wait_for(lambda: start_ticks(process.pid) is None)
    assert process.returncode is None  # not reaped: a zombie, which kill(pid, 0) takes for alive
    assert stat_fields(2**22 + 1) == [] and environ(2**22 + 1) == []


def test_descendants_are_found_through_their_parents(spawn: Spawn) -> None:
    child = "import time; " + WAIT
    process = spawn(FORK.format(code=child) + child, ups=2)
    found = descendants(os.getpid())
    assert process.pid in found
    below = descendants(process.pid)
    assert len(below) == 1 and set(below) <= set(found)


def test_only_who_handles_the_signal_is_asked_and_not_its_children(spawn: Spawn) -> None:
    deaf = spawn("import time; " + WAIT)
    both = spawn(CATCH + "import os\nos.fork()\n" + WAIT, ups=2)
    assert catches_abort(both.pid) and not catches_abort(deaf.pid)
    pids = [deaf.pid, both.pid, *descendants(both.pid)]
    assert len(pids) == 3
    assert savers(pids) == [both.pid]
    assert savers([deaf.pid]) == []


def test_under_torchrun_the_ranks_are_asked_and_never_its_agent(spawn: Spawn) -> None:
    agent = spawn(CATCH + WAIT, "/env/bin/torchrun")
    assert catches_abort(agent.pid) and is_torchrun(agent.pid) is False  # too far down the command line
    agent = spawn("import sys; sys.argv[0] = ''; " + CATCH + WAIT)
    rank = spawn(CATCH + WAIT, env={"LOCAL_RANK": "0"})
    assert savers([agent.pid, rank.pid]) == [rank.pid]


def test_ranks_that_wiped_their_environment_are_asked_where_they_are_known(spawn: Spawn) -> None:
    agent = spawn(CATCH + WAIT)
    both = [spawn(CATCH + WIPE + WAIT, env={"LOCAL_RANK": str(number)}) for number in range(2)]
    pids = [agent.pid, *(process.pid for process in both)]
    known = [Rank(process.pid, start_ticks(process.pid) or 0, str(number), 2) for number, process in enumerate(both)]
    assert ranks(pids) is None  # nothing says so any more
    assert sorted(savers(pids, known)) == sorted(pids[1:]) and ranks(pids, known) == (2, 2)
    assert ranks(pids[:2], known) == (1, 2)
    used_again = [rank._replace(ticks=rank.ticks + 1) for rank in known]
    assert ranks(pids, used_again) is None
    record = {"boot_id": boot_id(), "child": 0, "ranks": [list(rank) for rank in known]}
    assert recorded_ranks(record) == known and recorded_alive(record) == pids[1:]
    assert recorded_ranks(record, "another") == recorded_alive(record, "another") == []
    spoiled = [None, 1, "12", [None], [[1, 2]], [[*known[0][:2], 3, 2]], [[*known[0][:3], None]], [[[], 2, "0", 2]]]
    assert [recorded_ranks({**record, "ranks": listed}) for listed in spoiled] == [[]] * 8
    assert pass_on(pids, "graceful", known) == "SIGABRT"


def test_ranks_that_nobody_knows_are_those_that_torchrun_started(spawn: Spawn, tmp_path: Path) -> None:
    """Wiped ones have neither marker nor number; a helper of torchrun's, which has the marker, is no rank."""
    script = tmp_path / "torchrun"
    script.write_text(FORK.format(code=CATCH + WIPE + WAIT) * 2 + FORK.format(code=CATCH + WAIT) + CATCH + WAIT)
    agent = spawn(script, ups=4, env={MARKER: "1:/here"})
    pids = [agent.pid, *descendants(agent.pid)]
    wiped = [pid for pid in pids if not environ(pid)[0]]
    assert len(pids) == 4 and len(wiped) == 2
    assert sorted(savers(pids)) == sorted(wiped) and ranks(pids) == (2, 2)


def test_numbers_of_ranks_may_be_nonsense(spawn: Spawn) -> None:
    odd = spawn("import time; " + WAIT, env={"LOCAL_RANK": "first", "LOCAL_WORLD_SIZE": "many"})
    assert ranks([odd.pid]) == (1, 1)


def test_a_torchrun_without_ranks_is_not_asked(tmp_path: Path) -> None:
    script = tmp_path / "torchrun"
    script.write_text(CATCH + WAIT)
    agent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None and agent.stdout.readline() == "up\n"
        assert catches_abort(agent.pid) and is_torchrun(agent.pid)
        assert savers([agent.pid]) == []
        assert pass_on([agent.pid], "graceful") == "SIGTERM"
        assert agent.wait(10) == -signal.SIGTERM
    finally:
        agent.kill()
        agent.communicate()


def test_a_recorded_process_is_known_without_its_environment(spawn: Spawn) -> None:
    """By its pid and start ticks, with all below it, though no marker is left to be found."""
    code = "import time; " + WIPE + WAIT
    process = spawn(FORK.format(code=code) + code, ups=2, env={MARKER: "1:/wiped"})
    (below,) = descendants(process.pid)
    assert environ(process.pid)[0] == environ(below)[0] == b"" and marked("1:/wiped") == []
    record = {"child": process.pid, "child_ticks": start_ticks(process.pid), "boot_id": boot_id()}
    assert recorded_alive(record) == [process.pid, below]
    for unknown in ({**record, "boot_id": ""}, {**record, "boot_id": None}):
        assert recorded_alive(unknown) == [process.pid, below]
    assert recorded_alive(record, "") == recorded_alive(record, boot_id()) == [process.pid, below]
    process.kill()
    wait_for(lambda: recorded_alive(record) == [])  # a zombie is over


def test_a_process_tells_the_run_that_it_belongs_to(spawn: Spawn) -> None:
    """Also one that wiped its environment, by the one that it descends from."""
    worker = "import time; " + WIPE + WAIT
    process = spawn("import time; " + FORK.format(code=worker) + WAIT, ups=2, env={MARKER: "2:/runs/a:b"})
    (below,) = descendants(process.pid)
    assert environ(below)[0] == b""
    assert marked_folder(process.pid) == marked_folder(below) == "/runs/a:b"
    assert marked_folder(os.getpid()) == marked_folder(1) == marked_folder(2**22 + 1) == ""


def test_a_process_that_does_not_fit_the_record_is_a_stranger(spawn: Spawn) -> None:
    leader = spawn(FORK.format(code="import time; " + WAIT) + "import time; " + WAIT, ups=2)
    (member,) = descendants(leader.pid)
    fits = {"child": leader.pid, "child_ticks": start_ticks(leader.pid), "boot_id": boot_id()}
    assert recorded_alive(fits)
    assert recorded_alive({**fits, "boot_id": "another"}) == recorded_alive(fits, "another") == []
    assert recorded_alive({**fits, "child_ticks": fits["child_ticks"] + 1}) == []  # the pid was used again
    assert recorded_alive({**fits, "child": member, "child_ticks": start_ticks(member)}) == []  # leads no session
    spoiled = ({}, {**fits, "child": str(leader.pid)}, {**fits, "child": True}, {**fits, "child_ticks": None})
    assert [recorded_alive(record) for record in spoiled] == [[], [], [], []]
