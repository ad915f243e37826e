"""Finding each other: seeds at the start, failed members for as long as they are remembered.

A partition heals by itself because both sides keep calling those they lost, one at a time; nobody who is
remembered is ever given up. The cost grows neither with the number of the lost nor with the number of those
who call: of many, each calls more rarely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings

CALLERS = 16
"""Members that call each failed one in every interval, on average; in a smaller mesh all of them do."""


class _Call(msgspec.Struct, kw_only=True):
    due_ns: int
    wait_ns: int
    tries: int = 0
    parts: dict[int, None] = msgspec.field(default_factory=dict)
    """Parts of its state that have arrived."""
    parts_count: int = 0


class SeedCalls:
    """Seeds to be called, each again and again at growing intervals, until it answered or is known.

    The first answer must be complete; the other seeds may then be known from it.
    """

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._calls: dict[GatewayName, _Call] = {}
        self.joined = False
        """True once the full state of somebody has arrived."""

    def add(self, seeds: Sequence[GatewayName], *, now_ns: int) -> None:
        """Call these, now. Those that were called in vain most often make room for them.

        Raises:
            ConfigurationError: more than `seeds_max`.
        """
        if len(seeds) > self._settings.seeds_max:
            raise ConfigurationError(f"swim: {len(seeds)} seeds, at most {self._settings.seeds_max} possible")
        for seed in seeds:
            self._calls.pop(seed, None)
        while len(self._calls) + len(seeds) > self._settings.seeds_max:
            del self._calls[max(self._calls, key=lambda name: self._calls[name].wait_ns)]
        for index, seed in enumerate(seeds):
            # The first few are called at once; the others wait, and are mostly known by their turn.
            batch = (index // self._settings.join_parallel + 1).bit_length() - 1
            self._calls[seed] = _Call(
                due_ns=now_ns + batch * self._settings.join_retry_ns, wait_ns=self._settings.join_retry_ns
            )

    def answered(self, seed: GatewayName, *, part: int, parts: int) -> None:
        """A part of a seed's state arrived."""
        call = self._calls.get(seed)
        if call is None:
            return
        if call.parts_count != parts:
            call.parts, call.parts_count = {}, parts
        call.parts[part] = None
        if len(call.parts) == parts:
            del self._calls[seed]
            self.joined = True

    def next_deadline_ns(self) -> int | None:
        return min(call.due_ns for call in self._calls.values()) if self._calls else None

    def due(self, *, known: Callable[[GatewayName], bool], now_ns: int) -> list[GatewayName]:
        """Seeds to call now. One that others told us of needs no call: it is in the table, dead or alive."""
        for seed, call in tuple(self._calls.items()):
            if self.joined and not call.parts and known(seed):
                del self._calls[seed]
        called = [name for name, call in self._calls.items() if now_ns >= call.due_ns]
        for name in called:
            call = self._calls[name]
            call.tries += 1
            call.due_ns = now_ns + call.wait_ns
            call.wait_ns = min(2 * call.wait_ns, self._settings.reunion_interval_ns)
        return called

    def is_unanswered(self, seed: GatewayName) -> bool:
        """True for a seed that was called before, in vain: datagrams may not pass."""
        call = self._calls.get(seed)
        return call is not None and call.tries > 1


class ReunionBeat:
    """Calls one failed member after the other."""

    def __init__(self, settings: SwimSettings, random: RandomSource) -> None:
        self._settings = settings
        self._random = random
        self._called: GatewayName | None = None
        self._due_ns = 0

    def next_deadline_ns(self) -> int:
        """Applies only while there are failed members."""
        return self._due_ns

    def due(self, failed: Sequence[GatewayName], *, live: int, now_ns: int) -> GatewayName | None:
        """The failed member to call now, if it is time and our turn.

        Args:
            failed: keeps its order between calls.
            live: live members, who all call as we do.
        """
        if now_ns < self._due_ns or not failed:
            return None
        # Jitter spreads the calls of many members over the interval.
        self._due_ns = now_ns + int(self._settings.reunion_interval_ns * (0.75 + 0.5 * self._random.random()))
        if self._random.random() * live >= CALLERS * len(failed):
            return None
        index = (
            failed.index(self._called) + 1 if self._called in failed else self._random.randrange(len(failed))
        )
        self._called = failed[index % len(failed)]
        return self._called
