"""Round robin in random order: bounded time until everybody had a turn (SWIM, DSN 2002, section 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gossipsa.identifiers import GatewayName


class RandomSource(Protocol):
    """Randomness for choices, not for secrets. `random.Random` is one."""

    def random(self) -> float:
        """A number from 0 up to, but not including, 1."""
        ...

    def randrange(self, stop: int, /) -> int:
        """An integer from 0 up to, but not including, `stop`."""
        ...


class ShuffledRing:
    """Names in random order; each pass visits all of them once, and each pass has a new order."""

    def __init__(self, random: RandomSource) -> None:
        self._random = random
        self._names: list[GatewayName] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: GatewayName) -> None:
        """Put a name at a random place, which may lie behind: it then waits for the next pass."""
        if name in self._names:
            return
        index = self._random.randrange(len(self._names) + 1)
        self._names.insert(index, name)
        if index < self._next:
            self._next += 1

    def discard(self, name: GatewayName) -> None:
        if name not in self._names:
            return
        index = self._names.index(name)
        del self._names[index]
        if index < self._next:
            self._next -= 1

    def take(self, count: int, wanted: Callable[[GatewayName], bool]) -> list[GatewayName]:
        """The next `count` different names that are wanted; fewer if there are no more."""
        taken: list[GatewayName] = []
        # Two passes: the first may end, and be shuffled, in the middle.
        for _ in range(2 * len(self._names)):
            if len(taken) == count:
                break
            if self._next >= len(self._names):
                self._shuffle()
            name = self._names[self._next]
            self._next += 1
            if name not in taken and wanted(name):
                taken.append(name)
        return taken

    def _shuffle(self) -> None:
        for index in range(len(self._names) - 1, 0, -1):
            other = self._random.randrange(index + 1)
            self._names[index], self._names[other] = self._names[other], self._names[index]
        self._next = 0


class MemberRings:
    """Who is probed, asked to relay, and told the news next: three independent orders of the live members."""

    def __init__(self, random: RandomSource) -> None:
        self.probed = ShuffledRing(random)
        self.relays = ShuffledRing(random)
        self.told = ShuffledRing(random)

    def add(self, name: GatewayName) -> None:
        for ring in (self.probed, self.relays, self.told):
            ring.add(name)

    def discard(self, name: GatewayName) -> None:
        for ring in (self.probed, self.relays, self.told):
            ring.discard(name)
