"""What sinfo says of a cluster."""

from __future__ import annotations

import pytest

from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_offers import Free, Nodes, accounts_in, free_of, offered, offers, parse_nodes
from lfdash.targets.offered import Offer
from lfdash.targets.target import Target
from tests.support.clusters.slurm import SlurmCluster, until


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("gpu|up|1-00:00:00|3/5|64|515000|gpu:a100:4(S:0-1)|gpu*",
         Nodes("gpu", True, True, "1-00:00:00", 3, 5, 64, 515000, 4, "a100")),
        ("old|down|infinite|0/0|8+|16000+|gpu:2|old", Nodes("old", False, False, "infinite", 0, 0, 8, 16000, 2)),
        ("cpu|up|2:00:00|1/0|8|16000|(null)|cpu", Nodes("cpu", False, True, "2:00:00", 1, 0, 8, 16000)),
        ("mig|up|1:00|0/1|8|1|shard:8,gpu:1g.5gb:7|mig", Nodes("mig", False, True, "1:00", 0, 1, 8, 1, 7, "1g.5gb")),
        ("sinfo: error", None),
    ],
)
def test_a_line_of_sinfo(line: str, nodes: Nodes | None) -> None:
    assert parse_nodes(line) == nodes


@pytest.mark.clusters
def test_a_real_cluster(cluster: SlurmCluster) -> None:
    assert offers(Calls(str(cluster.conf))) == [
        Nodes("main", True, True, "infinite", 0, 2, 8, 4000), Nodes("short", False, True, "2:00", 0, 2, 8, 4000),
    ]


def test_what_is_free_is_summed_over_the_nodes_that_take_jobs() -> None:
    lines = [
        "n1 gpu* mix 16/48/0/64 gpu:a100:4(S:0-1) gpu:a100:3(IDX:0-2)",
        "n2 gpu* down* 0/0/64/64 gpu:a100:4(S:0-1) gpu:a100:0(IDX:N/A)",
        "n3 gpu* idle~ 0/64/0/64 gpu:h100:2,shard:8 gpu:h100:0(IDX:N/A),shard:0",
        "n4 cpu drng 8/0/0/8 (null) (null)",
        "sinfo: error: of another kind",
    ]
    assert free_of(lines) == {"gpu": Free(112, 3, 10), "cpu": Free(0, 0, 0)}


def test_accounts_are_those_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "proj|normal,long\nother|normal\nThis is no row\n"
    monkeypatch.setattr(Calls, "run", lambda *words, **options: text)
    assert accounts_in(Calls()) == (("proj", "other"), ("normal", "long"))


@pytest.mark.clusters
def test_free_gpus_of_a_real_cluster() -> None:
    """GPUs that only the controller counts: a job that asks for one takes it."""
    cluster = SlurmCluster(gpus=3).start()
    try:
        target = Target("lab", "slurm", slurm_conf=str(cluster.conf))
        expected = Offer("main", True, True, "infinite", 2, 2, 8, 4000, 3, ("tiny",), 6, 6, 16)
        assert offered(target).offers[0] == expected and offered(target).accounts == ()
        cluster.call("sbatch", "--parsable", "--gres=gpu:tiny:2", "-c2", "-o/dev/null", "--wrap=sleep 60")

        def taken() -> bool:
            first = offered(target).offers[0]
            return (first.free_gpus, first.free_cpus, first.idle) == (4, 14, 1)

        assert until(taken, 20), offered(target)
    finally:
        cluster.stop()
