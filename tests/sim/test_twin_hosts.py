"""Two hosts with one key and one identity, real cores and real sealed sessions: one keeps the name."""

from __future__ import annotations

import pytest

from gossipsa.gateway import Gateway
from sim.cluster import Cluster, ClusterSettings
from sim.virtual_clock import SECOND_NS
from tests.hostile.memory import containers_of

_OLDER, _NEWER = "g4", "g5"
_OTHERS = ("g1", "g2", "g3")


def twins(*, seed: int, apart_s: int, clients: int = 0) -> Cluster:
    """A mesh whose fourth gateway was copied: the copy starts later, at another address."""
    cluster = Cluster(ClusterSettings(gateways=5, clients=clients), seed=seed)
    newer = cluster.hosts[_NEWER]
    newer.enrolment = cluster.hosts[_OLDER].enrolment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newer, "power_on", lambda: None)
        cluster.start()
    cluster.run_for(apart_s * SECOND_NS)
    newer.power_on()
    return cluster


def core(cluster: Cluster, host: str) -> Gateway:
    process = cluster.hosts[host].process
    assert process is not None
    assert isinstance(process.core, Gateway)
    return process.core


def boots_known(cluster: Cluster) -> set[str]:
    """As which boots the others know the name."""
    statuses = cluster.statuses()
    return {
        member.boot
        for other in _OTHERS
        for member in statuses[other].members
        if member.name == _OLDER and member.state == "alive"
    }


def events(cluster: Cluster, host: str) -> dict[str, int]:
    return cluster.statuses()[host].counts


def membership_events(cluster: Cluster, host: str) -> dict[str, int]:
    counts = events(cluster, host)
    return {event: count for event, count in counts.items() if event.startswith(("gateway-", "name-"))}


@pytest.mark.parametrize("seed", [1, 2])
def test_older_host_falls_silent_and_both_are_told(seed: int) -> None:
    cluster = twins(seed=seed, apart_s=10)
    cluster.run_for(15 * SECOND_NS)
    older, newer = cluster.statuses()[_OLDER], cluster.statuses()[_NEWER]
    assert (older.name_lost, newer.name_lost) == (True, False)
    assert events(cluster, _OLDER)["name-lost"] == 1
    assert events(cluster, _OLDER)["name-clash"] >= 1
    assert events(cluster, _NEWER)["name-clash"] >= 1
    assert "name-lost" not in events(cluster, _NEWER)
    assert boots_known(cluster) == {newer.boot}


def test_silent_host_disturbs_nobody_for_longer_than_a_session_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = twins(seed=1, apart_s=10)
    cluster.run_for(15 * SECOND_NS)
    before = {host: membership_events(cluster, host) for host in cluster.hosts}
    said: list[bytes] = []
    silent = cluster.hosts[_OLDER]
    for way in ("send_mesh", "send_frame"):
        monkeypatch.setattr(silent, way, lambda destination, data: said.append(data))
    cluster.run_for(200 * SECOND_NS)
    assert said == []
    assert {host: membership_events(cluster, host) for host in cluster.hosts} == before
    assert boots_known(cluster) == {cluster.statuses()[_NEWER].boot}
    for name in _OTHERS:
        assert containers_of(core(cluster, name))["Sessions.by_index"] < 4 * len(cluster.hosts)


def test_silent_host_keeps_its_clients_and_goes_on_by_its_clock() -> None:
    cluster = twins(seed=1, apart_s=10, clients=5)
    cluster.run_for(15 * SECOND_NS)
    status = cluster.statuses()[_OLDER]
    assert status.name_lost
    assert {client.role for client in status.clients} <= {"owner"}
    process = cluster.hosts[_OLDER].process
    assert process is not None
    deadline_ns = process.core.next_deadline_ns()
    assert deadline_ns is not None
    cluster.run_for(SECOND_NS)
    later_ns = process.core.next_deadline_ns()
    assert later_ns is not None
    assert later_ns > deadline_ns, "it does not spin"
