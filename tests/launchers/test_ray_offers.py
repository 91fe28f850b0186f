"""What a Ray cluster has, by an answer that is believed nothing; the real one's below."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.launchers import ray_offers
from lfdash.launchers.asking import CallError
from lfdash.launchers.ray_calls import Calls
from lfdash.launchers.ray_offers import nodes_in, offered, usage_in
from lfdash.targets.offered import Offer
from lfdash.targets.target import Target
from tests.support.clusters.ray import RayCluster
from tests.support.clusters.slurm import until

POOL = Target("pool", "ray", address="http://head:8265")
GIB = 1 << 30


def row(number: int, state: str = "ALIVE", **total: Any) -> dict[str, Any]:
    return {"raylet": {
        "nodeId": f"id{number}", "state": state, "nodeManagerAddress": f"10.0.0.{number}",
        "resourcesTotal": {"node:x": 1.0, **total},
    }}


def answered(monkeypatch: pytest.MonkeyPatch, *rows: Any, **usage: Any) -> tuple[Offer, ...]:
    """What is offered where Ray says that."""
    answer = {"data": {"summary": list(rows), "nodeLogicalResources": usage}}
    monkeypatch.setattr(ray_offers, "parsed", lambda *_: answer)
    monkeypatch.setattr(Calls, "request", lambda *_, **__: (200, ""))
    return offered(POOL).offers


def test_what_is_free_is_summed_over_the_nodes_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(
        monkeypatch, row(1, CPU=64.0, GPU=8.0, memory=512.0 * GIB), row(2, CPU=8.0, memory=16.0 * GIB),
        row(3, "DEAD", CPU=64.0, GPU=8.0),
        id1="0.0/1.0 accelerator_type:A100\n16.0/64.0 CPU\n3.0/8.0 GPU\n128.00GiB/512.00GiB memory",
        id2="0.0/8.0 CPU\n0B/16.00GiB memory\n0B/1.00GiB object_store_memory",
    ) == (
        Offer("", True, True, "", 2, 1, 64, 524288, 8, ("A100",), 8, 5, 56, 72, 540672, 409600),
        Offer("10.0.0.1", False, True, "", 1, 0, 64, 524288, 8, ("A100",), 8, 5, 48, 64, 524288, 393216),
        Offer("10.0.0.2", False, True, "", 1, 1, 8, 16384, 0, (), 0, 0, 8, 8, 16384, 16384),
    )


def test_what_is_not_told_is_unknown_and_not_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first, second = answered(
        monkeypatch, row(1, CPU=8.0, GPU=2.0, memory=GIB), row(2, CPU=4.0), id2="1.0/4.0 CPU",
    )
    assert (first.gpus, first.free_gpus, first.free_cpus, first.free_memory_mb, first.idle) == (2, *[None] * 4)
    assert (whole.all_cpus, whole.free_cpus, whole.free_gpus, whole.idle) == (12, None, None, None)
    assert (second.free_cpus, second.free_gpus, second.idle) == (3, 0, 0)


def test_what_a_placement_group_keeps_is_not_free() -> None:
    """Ray's text counts only what of it is used: used = all that is given away - kept + used of that."""
    lines = [
        "3.0/8.0 CPU (1.0 used of 4.0 reserved in placement groups)",
        "512.00MiB/2.00GiB memory (0B used of 1.00GiB reserved in placement groups)", "1.0/1.0 accelerator_type:T4",
    ]
    assert usage_in(lines) == ({"CPU": 2.0, "memory": 0.5 * GIB}, ("T4",))


@pytest.mark.parametrize("line", [
    "", "CPU", "1.0/8.0", "-1.0/8.0 CPU", "nan/8.0 CPU", "1.2.3/8.0 CPU", "./. CPU", f"{'9' * 30}/8.0 CPU", "1/8 CPU x",
    "1.0/8.0XiB CPU", "1.0PiB/8.0 memory", f"{'9' * 31}/1 CPU", "1.0/8.0 CPU (1.0 used of 4.0 reserved in nothing)",
])
def test_a_line_that_is_none_tells_nothing(line: str) -> None:
    assert usage_in([line]) == ({}, ())


@pytest.mark.parametrize("answer", [
    None, [], "x", {}, {"data": None}, {"data": []}, {"data": {}}, {"data": {"summary": {}}},
])
def test_an_answer_that_is_none_is_said_to_be(answer: Any) -> None:
    with pytest.raises(CallError, match="no list of nodes"):
        nodes_in(answer)


@pytest.mark.parametrize("odd", [
    None, 3, "x", [], {}, {"raylet": None}, {"raylet": {}}, {"raylet": {"state": ["ALIVE"]}}, row(9, "DEAD"),
])
def test_a_node_that_is_none_is_left_out(monkeypatch: pytest.MonkeyPatch, odd: Any) -> None:
    assert [one.name for one in answered(monkeypatch, odd, row(1, CPU=1.0))] == ["", "10.0.0.1"]
    with pytest.raises(CallError, match="no node"):
        answered(monkeypatch, odd)


@pytest.mark.parametrize("amount", ["8", True, -1.0, float("inf"), float("nan"), 1e300, None, [8], 10**400])
def test_an_amount_that_is_none_is_none(monkeypatch: pytest.MonkeyPatch, amount: Any) -> None:
    whole = answered(monkeypatch, row(1, CPU=amount, memory=amount, GPU=amount), id1=["1.0/8.0 CPU"])[0]
    assert (whole.all_cpus, whole.gpus, whole.all_memory_mb) == (0, 0, 0)


def test_a_name_that_does_something_is_shown_without_that(monkeypatch: pytest.MonkeyPatch) -> None:
    node = row(1, CPU=1.0)
    node["raylet"]["nodeManagerAddress"] = "\x1b[31mred\x00" + "x" * 500
    name = answered(monkeypatch, node)[1].name
    assert name.startswith("red") and len(name) == 60


@pytest.mark.clusters
def test_a_real_cluster(ray_cluster: RayCluster) -> None:
    target = Target("pool", "ray", address=ray_cluster.address, token_file=str(ray_cluster.token_file))

    def free() -> tuple[int | None, int | None, int | None]:
        whole = offered(target).offers[0]
        return whole.free_cpus, whole.free_memory_mb, whole.idle

    found: list[Offer] = []

    def is_unused() -> bool:
        """A job that was canceled while it waited may begin, and end, just now."""
        found[:] = offered(target).offers
        return found[0] == Offer("", True, True, "", 2, 2, 8, 8192, 0, (), 0, 0, 16, 16, 16384, 16384)

    assert until(is_unused, 30), found
    _, *nodes = found
    assert [(one.name, one.all_cpus, one.free_cpus) for one in nodes] == [("127.0.0.1", 8, 8)] * 2
    ray_cluster.request("POST", "/api/jobs/", {
        "entrypoint": "sleep 60", "submission_id": "holds", "entrypoint_num_cpus": 3, "entrypoint_memory": 2 * GIB,
    })
    assert until(lambda: free() == (13, 14336, 1), 30), offered(target)
    (ray_cluster.folder / "other").touch(0o600)
    (ray_cluster.folder / "other").write_text("f" * 64)
    wrong = Target("pool", "ray", address=ray_cluster.address, token_file=str(ray_cluster.folder / "other"))
    with pytest.raises(CallError, match="token"):
        offered(wrong)
