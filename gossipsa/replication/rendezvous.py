"""Weighted rendezvous hashing: which of several candidates get a shard, in parts of their weights.

Each candidate draws a number that owner, shard and its own name decide, and scores -w / ln(u) with it: the
highest score wins in a share of the shards that is the candidate's share of all weights. A candidate that
comes, goes or changes its weight changes nobody else's score, so that only shards move which it wins or loses
(Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005; the form is that of J. Resch, 2015).
"""

from __future__ import annotations

import hashlib
from math import log

from gossipsa.identifiers import GatewayName
from gossipsa.replication.shards import SHARD_COUNT

_DRAW_BYTES = 6
"""Few enough for a float to tell the highest draw from 1."""
_DRAWS_A_DIGEST = 8
_RANGE = 1 << 8 * _DRAW_BYTES


class Draws:
    """What candidates draw for the shards of one owner. Remembers those that were asked for last."""

    def __init__(self, owner: GatewayName) -> None:
        self._owner = owner
        self._logarithms: dict[GatewayName, tuple[float, ...]] = {}

    def score(self, candidate: GatewayName, shard: int, *, weight: float) -> float:
        """The higher, the better; `weight` is above 0."""
        drawn = self._logarithms.get(candidate)
        if drawn is None:
            drawn = self._logarithms[candidate] = self._draw(candidate)
        return -weight / drawn[shard]

    def keep(self, candidates: frozenset[GatewayName]) -> None:
        """Forgets all others."""
        for name in [name for name in self._logarithms if name not in candidates]:
            del self._logarithms[name]

    def _draw(self, candidate: GatewayName) -> tuple[float, ...]:
        key = hashlib.blake2b(self._owner.encode(), digest_size=32, person=b"gossipsa owner").digest()
        logarithms: list[float] = []
        for block in range(SHARD_COUNT // _DRAWS_A_DIGEST):
            digest = hashlib.blake2b(
                block.to_bytes(2, "big") + candidate.encode(),
                digest_size=_DRAWS_A_DIGEST * _DRAW_BYTES,
                key=key,
                person=b"gossipsa place",
            ).digest()
            for start in range(0, len(digest), _DRAW_BYTES):
                drawn = int.from_bytes(digest[start : start + _DRAW_BYTES], "big")
                # Between 0 and 1, both left out.
                logarithms.append(log((drawn + 0.5) / _RANGE))
        return tuple(logarithms)
