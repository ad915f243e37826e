"""The whole core when one transport of the mesh is filtered at a gateway: it is said, nobody is failed."""

from __future__ import annotations

import pytest

from sim.network import DATAGRAM_TRAFFIC, STREAM_TRAFFIC, Traffic
from sim.scenarios.scenario import Outcome, Scenario, Stage, run


def filtered(traffic: frozenset[Traffic], duration_s: float) -> tuple[str, Outcome]:
    """A transport of one gateway's mesh port is filtered one second after the warm-up, for good."""
    victims: list[str] = []

    def script(stage: Stage) -> None:
        victims.append(stage.gateways()[0])
        stage.after(1, lambda: stage.faults.filter_mesh(victims[0], traffic))

    scenario = Scenario(
        name="half_dead", summary="a transport is filtered", script=script, duration_s=duration_s
    )
    outcome = run(scenario, 1, clients=6)
    return victims[0], outcome


def said(outcome: Outcome, event: str) -> set[tuple[str, str]]:
    """Who said this, of whom and how."""
    notes = [note for note in outcome.cluster.trace.notes if note.text.split(" ", 1)[0] == event]
    return {(note.node, note.text.split(" ", 1)[1]) for note in notes}


@pytest.mark.parametrize(
    ("traffic", "duration_s", "closed"),
    [
        (DATAGRAM_TRAFFIC, 15, "datagrams to it, datagrams from it"),
        (STREAM_TRAFFIC, 30, "stream"),
    ],
    ids=["datagrams", "streams"],
)
def test_filtered_transport_is_said_by_both_sides_and_fails_nobody(
    traffic: frozenset[Traffic], duration_s: float, closed: str
) -> None:
    victim, outcome = filtered(traffic, duration_s)
    others = set(outcome.cluster.hosts) - {victim}
    told = said(outcome, "gateway-half-dead")
    # Those that share state with it know for certain; the others try each stream by chance.
    assert any((other, f"{victim} closed: {closed}") in told for other in others)
    assert any(node == victim for node, _ in told)
    assert all(victim in (node, text.split(" ", 1)[0]) for node, text in told)
    assert said(outcome, "gateway-failed") == set()
