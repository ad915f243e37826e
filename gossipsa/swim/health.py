"""Local health: a member that is itself slow or cut off should wait longer before it blames others.

Lifeguard (arXiv 1707.00788 section IV.A), the local health multiplier.
"""

from __future__ import annotations

import msgspec


class LocalHealth(msgspec.Struct, kw_only=True):
    """0 is healthy. Late timers, refutations of our own death, and relays that stay silent worsen it."""

    score_max: int
    score: int = 0
    worsened: bool = False
    """Since the round of probes began."""

    @property
    def multiplier(self) -> int:
        """Factor for the patience of our probes."""
        return 1 + self.score

    def worsen(self) -> None:
        self.score = min(self.score + 1, self.score_max)
        self.worsened = True

    def end_round(self) -> None:
        """A round in which nothing made it worse makes it better."""
        if not self.worsened:
            self.score = max(self.score - 1, 0)
        self.worsened = False
