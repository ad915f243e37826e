"""Of a dead gateway's clients, those that were active last are taken over first."""

from __future__ import annotations

from gossipsa.settings import TakeoverSettings
from sim.client import Client
from sim.cluster import Cluster, ClusterSettings
from sim.faults import Faults
from sim.virtual_clock import SECOND_NS

FALL_ASLEEP_NS = {"c1": 5 * SECOND_NS, "c3": 7 * SECOND_NS}


class SleepyClient(Client):
    """Sends nothing any more from some time on."""

    def send_data(self, serial: int) -> None:
        if self._clock.now_ns < FALL_ASLEEP_NS.get(self.name, 60 * SECOND_NS):
            super().send_data(serial)


def test_most_recently_active_clients_are_moved_first() -> None:
    settings = ClusterSettings(
        gateways=2,
        clients=6,
        peer_check_interval_ns=60 * SECOND_NS,
        takeover=TakeoverSettings(installs_at_once_max=1),
    )
    cluster = Cluster(settings, seed=1, make_client=SleepyClient)
    cluster.start()
    cluster.run_for(9 * SECOND_NS)
    Faults(cluster).crash_host("g1")
    cluster.run_for(6 * SECOND_NS)
    moved = [note.node for note in cluster.trace.notes if note.text.startswith("moved from g1")]
    assert moved == ["c5", "c3", "c1"]
