"""Emptying a gateway costs its clients next to nothing; one that is back gets its own clients back."""

from __future__ import annotations

from typing import Any

from gossipsa.identifiers import IpAddress
from gossipsa.settings import TakeoverSettings
from sim.client import Client
from sim.cluster import Cluster
from sim.scenarios import SCENARIOS
from sim.scenarios.scenario import WARM_UP_NS, run
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS


class WatchfulClient(Client):
    """Remembers when it received anything."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.silence_ns = 0

    def receive_esp(self, packet: bytes, source: IpAddress) -> None:
        before_ns = self.received_ns
        super().receive_esp(packet, source)
        if before_ns > SECOND_NS + WARM_UP_NS:
            self.silence_ns = max(self.silence_ns, self.received_ns - before_ns)


def moves(cluster: Cluster) -> dict[str, str]:
    return {
        name: cluster.gateway_of(client).name
        for name, client in cluster.clients.items()
        if cluster.gateway_of(client).name != cluster.started_at[name]
    }


def events(cluster: Cluster, event: str) -> int:
    return sum(note.text.startswith(event) for note in cluster.trace.notes)


def test_a_drained_gateways_clients_move_within_the_interval_between_two_packets() -> None:
    outcome = run(SCENARIOS["drain"], 3, make_client=WatchfulClient)
    assert outcome.violation is None, outcome.violation
    cluster = outcome.cluster
    (drained,) = {note.node for note in cluster.trace.notes if note.text == "drained"}
    (empty_ns,) = [note.at_ns for note in cluster.trace.notes if note.text == "drained"]
    left_ns = max(note.at_ns for note in cluster.trace.notes if note.text.startswith("client-handed-over"))
    # The targets say that they serve; nobody waits in vain for that.
    assert 0 < empty_ns - left_ns < SECOND_NS
    assert set(moves(cluster)) == {name for name, at in cluster.started_at.items() if at == drained}
    assert events(cluster, "handover-failed") == 0
    assert events(cluster, "client-dismissed") == 0
    for client in cluster.clients.values():
        assert isinstance(client, WatchfulClient)
        # One packet each 100 ms: three in a row may be lost or late.
        assert client.silence_ns <= 400 * MILLISECOND_NS


def test_clients_of_an_emptied_gateway_stay_where_they_are_when_it_is_used_again() -> None:
    cluster = run(SCENARIOS["drain"], 4).cluster
    assert cluster.settings.takeover == TakeoverSettings(
        hold_retry_ns=4 * SECOND_NS, rekey_delay_ns=2 * SECOND_NS
    )
    assert moves(cluster)


def test_clients_return_to_a_gateway_that_is_well_again_and_only_its_own() -> None:
    outcome = run(SCENARIOS["return"], 2)
    assert outcome.violation is None, outcome.violation
    cluster = outcome.cluster
    assert moves(cluster) == {}
    (victim,) = {note.node for note in cluster.trace.notes if note.text == "host-crashed"}
    (back_ns,) = [
        note.at_ns
        for note in cluster.trace.notes
        if note.text == "gossipsa-started" and note.at_ns > 6 * SECOND_NS
    ]
    returned = [
        note
        for note in cluster.trace.notes
        if note.text.startswith("moved from") and note.text.endswith(victim)
    ]
    assert len(returned) == sum(at == victim for at in cluster.started_at.values())
    wait_ns = cluster.settings.takeover.return_after_ns
    assert min(note.at_ns for note in returned) - back_ns >= wait_ns
