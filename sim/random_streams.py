"""Randomness: one stream for each node, boot and purpose, so that no event disturbs the luck of others."""

from __future__ import annotations

import hashlib
from random import Random


class RandomStreams:
    """Makes streams from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *names: object) -> Random:
        """The stream of that name: the same for the same seed and names, independent of all others."""
        label = "\0".join(str(name) for name in (self.seed, *names))
        digest = hashlib.blake2b(label.encode(), digest_size=16, person=b"gossipsa sim").digest()
        return Random(int.from_bytes(digest, "big"))
