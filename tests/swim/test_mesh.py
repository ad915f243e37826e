"""Whole meshes on a virtual clock."""

from __future__ import annotations

import pytest

from gossipsa.swim.outputs import MemberFailed
from gossipsa.swim.settings import SECOND_NS
from tests.swim.network import Network


@pytest.mark.parametrize("count", [3, 8, 32])
def test_members_started_together_find_each_other(count: int) -> None:
    network = Network(count, seed=count)
    for name in network.names:
        network.start(name)
    assert network.run(5 * SECOND_NS, until=network.agreed) < SECOND_NS


@pytest.mark.parametrize("seed", range(5))
def test_death_of_a_watched_gateway_is_known_to_all_within_half_a_second(seed: int) -> None:
    network = Network(8, seed=seed, watched=6)
    network.start_all()
    network.kill(network.names[0])
    assert network.run(5 * SECOND_NS, until=network.agreed) < SECOND_NS // 2
    assert network.count(MemberFailed) == 7
