"""What a large mesh does otherwise than a small one: nobody says something to everybody."""

from __future__ import annotations

from gossipsa.replication.recall import ASKED_MAX
from sim.cluster import Cluster, ClusterSettings
from sim.faults import Faults
from sim.virtual_clock import SECOND_NS

GATEWAYS = ASKED_MAX + 4


def test_restarted_gateway_gets_its_records_without_asking() -> None:
    cluster = Cluster(ClusterSettings(gateways=GATEWAYS, clients=GATEWAYS), seed=1)
    faults = Faults(cluster)
    cluster.start()
    cluster.run_for(6 * SECOND_NS)
    before = cluster.trace.counts.copy()
    faults.kill_gossipsa("g7")
    cluster.run_for(SECOND_NS)
    faults.start_gossipsa("g7")
    cluster.run_for(4 * SECOND_NS)
    happened = cluster.trace.counts - before
    assert happened["client-adopted"] == 1
    assert happened["client-moved"] == 0
    holders = cluster.holders()["c7"]
    assert [name for name, entry in holders.items() if entry.role == "owner"] == ["g7"]
    assert len(holders) == 3
