"""What sinfo says of a cluster."""

from __future__ import annotations

import pytest

from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_offers import Nodes, offers, parse_nodes
from tests.support.clusters.slurm import SlurmCluster


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
