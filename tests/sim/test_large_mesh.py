"""What a large mesh does otherwise than a small one: nobody says something to everybody."""

from __future__ import annotations

import pytest

from gossipsa.replication.recall import ASKED_MAX
from gossipsa.takeover import kept_records
from sim.cluster import Cluster, ClusterSettings
from sim.faults import Faults
from sim.virtual_clock import SECOND_NS

GATEWAYS = ASKED_MAX + 4
CLIENTS_EACH = 4


@pytest.mark.parametrize("at_once", [1_024, 1], ids=["in one part", "in many parts"])
def test_restarted_gateway_gets_its_records_without_asking(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_records, "_RETURNED_AT_ONCE", at_once)
    cluster = Cluster(ClusterSettings(gateways=GATEWAYS, clients=CLIENTS_EACH * GATEWAYS), seed=1)
    faults = Faults(cluster)
    cluster.start()
    cluster.run_for(6 * SECOND_NS)
    before = cluster.trace.counts.copy()
    faults.kill_gossipsa("g7")
    cluster.run_for(SECOND_NS)
    faults.start_gossipsa("g7")
    cluster.run_for(4 * SECOND_NS)
    happened = cluster.trace.counts - before
    assert happened["client-adopted"] == CLIENTS_EACH
    assert happened["client-moved"] == 0
    for number in range(CLIENTS_EACH):
        holders = cluster.holders()[f"c{7 + number * GATEWAYS}"]
        assert [name for name, entry in holders.items() if entry.role == "owner"] == ["g7"]
        assert len(holders) == 3
