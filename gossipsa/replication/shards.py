"""Shards: the clients of one owner, cut into parts that are placed as a whole.

A shard is the owner and a number below SHARD_COUNT. The number follows from the client's id, salted with the
owner's name: a client whose id was chosen to be alone in its shard at one gateway is not so at the next.
"""

from __future__ import annotations

import hashlib

from gossipsa.identifiers import ClientId, GatewayName, Holder

SHARD_COUNT = 256

ShardMap = tuple[tuple[Holder, ...], ...]
"""For each shard of an owner who keeps its records, in the order in which they take over."""

NOWHERE: ShardMap = ((),) * SHARD_COUNT


def shard_of(client: ClientId, *, owner: GatewayName) -> int:
    """The shard of an owner's client: 0 to SHARD_COUNT - 1."""
    digest = hashlib.blake2b(
        client, digest_size=1, key=owner.encode()[:64], person=b"gossipsa shard"
    ).digest()
    return digest[0] % SHARD_COUNT
