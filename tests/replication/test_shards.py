"""Clients fall evenly into shards, and into others at another owner."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.replication.shards import SHARD_COUNT, shard_of


@given(st.binary(min_size=16, max_size=16), st.text(min_size=1, max_size=64))
def test_a_client_has_one_shard_at_an_owner(client: bytes, owner: str) -> None:
    shard = shard_of(ClientId(client), owner=GatewayName(owner))
    assert 0 <= shard < SHARD_COUNT
    assert shard == shard_of(ClientId(client), owner=GatewayName(owner))


def test_shards_are_even() -> None:
    random = Random(1)
    counts = Counter(
        shard_of(ClientId(random.randbytes(16)), owner=GatewayName("a")) for _ in range(100 * SHARD_COUNT)
    )
    assert len(counts) == SHARD_COUNT
    assert max(counts.values()) < 150


def test_clients_that_share_a_shard_part_at_another_owner() -> None:
    random = Random(2)
    clients = [ClientId(random.randbytes(16)) for _ in range(20_000)]
    together = [client for client in clients if shard_of(client, owner=GatewayName("a")) == 7]
    assert len({shard_of(client, owner=GatewayName("b")) for client in together}) > 50
