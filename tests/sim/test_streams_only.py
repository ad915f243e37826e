"""A gateway whose datagrams are filtered from the start, both ways: its streams are enough to be a member."""

from __future__ import annotations

from ipaddress import IPv4Address

from gossipsa.identifiers import Endpoint
from sim.cluster import MESH_PORT, Cluster, ClusterSettings
from sim.network import DATAGRAM_TRAFFIC
from sim.virtual_clock import SECOND_NS


def filtered(cluster: Cluster, name: str) -> None:
    others = frozenset(cluster.hosts) - {name}
    cluster.network.cut([name], others, DATAGRAM_TRAFFIC)
    cluster.network.cut(others, [name], DATAGRAM_TRAFFIC)


def live_members(cluster: Cluster, name: str) -> set[str]:
    return {member.name for member in cluster.statuses()[name].members if member.state == "alive"} - {name}


def everybody_is_live(cluster: Cluster) -> bool:
    names = set(cluster.hosts)
    return all(live_members(cluster, name) == names - {name} for name in names)


def test_gateway_reached_by_streams_only_joins_and_stays_for_ten_minutes() -> None:
    """Longer than any session lasts."""
    cluster = Cluster(ClusterSettings(gateways=4, clients=0), seed=1)
    filtered(cluster, "g1")
    cluster.start()
    cluster.run_for(5 * SECOND_NS)
    assert everybody_is_live(cluster)
    cluster.run_for(600 * SECOND_NS)
    assert everybody_is_live(cluster)
    failed = [note for note in cluster.trace.notes if note.text.startswith("gateway-failed")]
    assert failed == []


def test_gateway_reached_by_streams_only_rejoins_after_a_restart() -> None:
    cluster = Cluster(ClusterSettings(gateways=5, clients=0), seed=2)
    filtered(cluster, "g5")
    cluster.start()
    cluster.run_for(5 * SECOND_NS)
    cluster.hosts["g5"].kill_process()
    cluster.run_for(10 * SECOND_NS)
    assert not any("g5" in live_members(cluster, name) for name in ("g1", "g2", "g3", "g4"))
    cluster.hosts["g5"].start_process()
    cluster.run_for(5 * SECOND_NS)
    assert everybody_is_live(cluster)


def test_gateway_reached_by_streams_only_rejoins_at_another_address() -> None:
    cluster = Cluster(ClusterSettings(gateways=5, clients=0), seed=3)
    filtered(cluster, "g5")
    cluster.start()
    cluster.run_for(5 * SECOND_NS)
    host = cluster.hosts["g5"]
    host.kill_process()
    cluster.run_for(3 * SECOND_NS)
    del cluster._by_mesh[host.mesh]
    host.mesh = Endpoint(IPv4Address("10.255.7.7"), MESH_PORT)
    cluster._by_mesh[host.mesh] = host
    host.start_process()
    cluster.run_for(5 * SECOND_NS)
    assert everybody_is_live(cluster)
