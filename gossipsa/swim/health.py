"""Local health: a member that is itself slow or cut off should wait longer before it blames others.

Lifeguard (arXiv 1707.00788 section IV.A), the local health multiplier.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class LocalHealth:
    """0 is healthy. Late timers, refutations of our own death, and relays that stay silent worsen it."""

    score_max: int
    score: int = 0

    @property
    def multiplier(self) -> int:
        """Factor for the patience of our probes."""
        return 1 + self.score

    def worsen(self) -> None:
        self.score = min(self.score + 1, self.score_max)

    def improve(self) -> None:
        self.score = max(self.score - 1, 0)
