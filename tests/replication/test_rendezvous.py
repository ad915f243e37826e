"""Draws depend on nothing but names, and decide nothing for others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.replication.rendezvous import Draws
from gossipsa.replication.shards import SHARD_COUNT

names = st.text(min_size=1, max_size=64).map(GatewayName)


@given(names, names, st.integers(0, SHARD_COUNT - 1), st.floats(1e-200, 1e9))
def test_a_score_is_positive_and_always_the_same(
    owner: GatewayName, candidate: GatewayName, shard: int, weight: float
) -> None:
    draws = Draws(owner)
    score = draws.score(candidate, shard, weight=weight)
    assert score > 0
    draws.keep((), firsts=())
    assert draws.score(candidate, shard, weight=weight) == score
    assert draws.first(candidate) == draws.score(candidate, 0, weight=1.0)


@given(names, names, st.integers(0, SHARD_COUNT - 1), st.floats(0.001, 1e6))
def test_more_weight_scores_higher(
    owner: GatewayName, candidate: GatewayName, shard: int, weight: float
) -> None:
    draws = Draws(owner)
    assert draws.score(candidate, shard, weight=weight) < draws.score(candidate, shard, weight=2 * weight)
