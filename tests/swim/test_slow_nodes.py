"""Lifeguard's promise: nodes that are starved of CPU neither seem dead at once, nor make others seem dead."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from gossipsa.identifiers import GatewayName
from gossipsa.swim.outputs import MemberFailed, MemberSuspected
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network


def starved(
    *, seed: int, slow: int, pause_ms: int, gap_ms: int, duration_s: int, loss: float = 0.0
) -> tuple[Network, frozenset[GatewayName]]:
    """A mesh of 16 of which the first few stand still again and again, each at times of its own."""
    network = Network(16, seed=seed, watched=4, loss=loss)
    network.start_all()
    assert network.agreed()
    network.told.clear()
    random = Random(seed)

    def stall(name: GatewayName) -> None:
        network.pause(name)
        network.at(
            network.now_ns + int(pause_ms * random.uniform(0.2, 1) * MILLISECOND_NS), partial(go_on, name)
        )

    def go_on(name: GatewayName) -> None:
        network.resume(name)
        again_ns = network.now_ns + int(gap_ms * random.uniform(0.2, 1.8) * MILLISECOND_NS)
        network.at(again_ns, partial(stall, name))

    sluggish = network.names[:slow]
    for name in sluggish:
        network.at(network.now_ns + random.randrange(gap_ms * MILLISECOND_NS), partial(stall, name))
    network.run(duration_s * SECOND_NS)
    return network, frozenset(sluggish)


@pytest.mark.parametrize(("slow", "pause_ms"), [(4, 400), (8, 400), (8, 100)])
def test_nodes_that_stall_for_a_short_while_are_never_failed(slow: int, pause_ms: int) -> None:
    network, sluggish = starved(seed=1, slow=slow, pause_ms=pause_ms, gap_ms=500, duration_s=10)
    suspected = {told.event.name for told in network.told if isinstance(told.event, MemberSuspected)}
    assert suspected <= sluggish
    assert network.count(MemberFailed) == 0


@pytest.mark.parametrize(("slow", "pause_ms", "seed"), [(4, 3_000, 1), (8, 3_000, 2), (4, 1_000, 3)])
def test_nodes_that_stall_for_long_make_nobody_else_suspected(slow: int, pause_ms: int, seed: int) -> None:
    network, sluggish = starved(seed=seed, slow=slow, pause_ms=pause_ms, gap_ms=700, duration_s=12)
    blamed = {
        told.event.name for told in network.told if isinstance(told.event, MemberSuspected | MemberFailed)
    }
    assert blamed <= sluggish


def test_stalls_and_losses_together_fail_no_healthy_node() -> None:
    network, sluggish = starved(seed=1, slow=4, pause_ms=2_000, gap_ms=700, duration_s=10, loss=0.1)
    failed = {told.event.name for told in network.told if isinstance(told.event, MemberFailed)}
    assert failed <= sluggish
