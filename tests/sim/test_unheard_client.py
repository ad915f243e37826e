"""A client hears its takers, obeys them, and is not heard by them for a while."""

from __future__ import annotations

from sim.schedule import parse_schedule
from sim.standard import run_schedule


def test_client_that_obeyed_both_takers_unheard_is_served_once_it_is_heard() -> None:
    """It took three requests of one taker; the next one begins again at the message ID of the record."""
    schedule = parse_schedule("g3 c1; 400 oneway c1 g2,g3 ike +17500; 500 crash g1 +30000")
    outcome = run_schedule(schedule, 0)
    assert outcome.violation is None, outcome.violation
    cluster = outcome.cluster
    (client,) = cluster.clients.values()
    owner = cluster.gateway_of(client)
    assert cluster.serves(owner, client)
    assert cluster.holders()[client.name][owner.name].role == "owner"
