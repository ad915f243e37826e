"""A gateway that was out of the mesh while its client moved lets go of it, whoever has the client by then."""

from __future__ import annotations

import pytest

from sim.client import Client
from sim.cluster import Cluster, ClusterSettings
from sim.faults import Faults
from sim.virtual_clock import SECOND_NS


class IdleClient(Client):
    """Answers, and sends nothing of its own but at first."""

    def send_data(self, serial: int) -> None:
        if self._clock.now_ns < 4 * SECOND_NS:
            super().send_data(serial)


def _run(seed: int, *, takers: int) -> Cluster:
    """g1 loses everybody, and its gossipsa dies; takers follow each other; then g1 starts anew."""
    settings = ClusterSettings(gateways=3, clients=1, peer_check_interval_ns=60 * SECOND_NS)
    cluster = Cluster(settings, seed=seed, make_client=IdleClient)
    faults = Faults(cluster)
    cluster.start()
    cluster.run_for(5 * SECOND_NS)
    cuts = faults.partition(["g1"], ["g2", "g3", "c1"])
    faults.kill_gossipsa("g1")
    cluster.run_for(10 * SECOND_NS)
    for _ in range(takers - 1):
        faults.crash_host(cluster.gateway_of(cluster.clients["c1"]).name)
        cluster.run_for(10 * SECOND_NS)
    faults.mend(cuts)
    faults.start_gossipsa("g1")
    cluster.run_for(12 * SECOND_NS)
    return cluster


@pytest.mark.parametrize("takers", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_restarted_gateway_lets_go_of_an_idle_client_that_was_taken_from_it(seed: int, takers: int) -> None:
    cluster = _run(seed, takers=takers)
    (client,) = cluster.clients.values()
    owner, former = cluster.gateway_of(client), cluster.hosts["g1"]
    assert owner is not former
    assert cluster.holders()["c1"][owner.name].role == "owner"
    assert client.virtual_address in owner.kernel.routes()
    assert former.ike_daemon is not None
    assert not list(former.ike_daemon)
    assert former.kernel.routes() == ()
