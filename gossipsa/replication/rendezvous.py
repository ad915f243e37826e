"""Weighted rendezvous hashing: which of several candidates get a shard, in parts of their weights.

Each candidate draws a number that owner, shard and its own name decide, and scores -w / ln(u) with it: the
highest score wins in a share of the shards that is the candidate's share of all weights. A candidate that
comes, goes or changes its weight changes nobody else's score, so that only shards move which it wins or loses
(Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005; the form is that of J. Resch, 2015).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
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
        self._key = hashlib.blake2b(owner.encode(), digest_size=32, person=b"gossipsa owner").digest()
        self._logarithms: dict[GatewayName, tuple[float, ...]] = {}
        self._firsts: dict[GatewayName, float] = {}

    def score(self, candidate: GatewayName, shard: int, *, weight: float) -> float:
        """The higher, the better; `weight` is above 0."""
        drawn = self._logarithms.get(candidate)
        if drawn is None:
            drawn = self._logarithms[candidate] = self._draw(candidate)
        return -weight / drawn[shard]

    def first(self, candidate: GatewayName) -> float:
        """The score in shard 0 with weight 1: costs a digest once, not all of them."""
        score = self._firsts.get(candidate)
        if score is None:
            score = self._firsts[candidate] = -1.0 / _logarithm(self._digest(candidate, 0)[:_DRAW_BYTES])
        return score

    def keep(self, candidates: Collection[GatewayName], *, firsts: Collection[GatewayName]) -> None:
        """Forgets the scores of all others, and the first ones of all but `firsts`."""
        for name in [name for name in self._logarithms if name not in candidates]:
            del self._logarithms[name]
        if len(self._firsts) > len(firsts):
            for name in [name for name in self._firsts if name not in firsts]:
                del self._firsts[name]

    def _draw(self, candidate: GatewayName) -> tuple[float, ...]:
        digests = [self._digest(candidate, block) for block in range(SHARD_COUNT // _DRAWS_A_DIGEST)]
        return tuple(
            _logarithm(digest[start : start + _DRAW_BYTES])
            for digest in digests
            for start in range(0, len(digest), _DRAW_BYTES)
        )

    def _digest(self, candidate: GatewayName, block: int) -> bytes:
        return hashlib.blake2b(
            block.to_bytes(2, "big") + candidate.encode(),
            digest_size=_DRAWS_A_DIGEST * _DRAW_BYTES,
            key=self._key,
            person=b"gossipsa place",
        ).digest()


def _logarithm(drawn: bytes) -> float:
    """Of a number between 0 and 1, both left out."""
    return log((int.from_bytes(drawn, "big") + 0.5) / _RANGE)
