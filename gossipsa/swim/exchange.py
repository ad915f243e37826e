"""When we compare what we know with others: soon after a change, ever more rarely while nothing changes."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings

ASKED_MAX = 64
"""Comparisons whose answers are awaited."""


class ExchangeBeat:
    """The beat of comparisons, and whom we asked for one.

    Whoever learns of a change compares itself with others soon: so those whom the news missed are found by
    many, wherever they are. Each comparison doubles the time to the next, up to the interval.
    """

    def __init__(self, settings: SwimSettings, random: RandomSource) -> None:
        self._settings = settings
        self._random = random
        self._wait_ns = settings.exchange_soon_ns
        self._due_ns = 0
        self._asked: dict[int, GatewayName] = {}
        self._sequence = 0

    def begin(self, *, now_ns: int) -> None:
        """Start the beat."""
        self._schedule(now_ns)

    def next_deadline_ns(self) -> int:
        return self._due_ns

    def hurry(self, *, now_ns: int) -> None:
        """Something changed, or was found to differ."""
        self._wait_ns = self._settings.exchange_soon_ns
        self._due_ns = min(self._due_ns, now_ns + self._jittered(self._wait_ns))

    def due(self, *, now_ns: int) -> bool:
        """True if it is time to compare."""
        if now_ns < self._due_ns:
            return False
        self._wait_ns = min(2 * self._wait_ns, self._settings.exchange_interval_ns)
        self._schedule(now_ns)
        return True

    def ask(self, name: GatewayName) -> int:
        """The sequence of a new comparison with this member."""
        self._sequence = (self._sequence + 1) % (1 << 32)
        if len(self._asked) >= ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[self._sequence] = name
        return self._sequence

    def answered(self, name: GatewayName, sequence: int) -> bool:
        """True for the first answer to a comparison that we asked of this member."""
        if self._asked.get(sequence) != name:
            return False
        del self._asked[sequence]
        return True

    def _schedule(self, now_ns: int) -> None:
        self._due_ns = now_ns + self._jittered(self._wait_ns)

    def _jittered(self, wait_ns: int) -> int:
        return int(wait_ns * (0.5 + self._random.random()))
