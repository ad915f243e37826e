"""Round robin in random order: bounded time until everybody had a turn (SWIM, DSN 2002, section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """Names in random order; each pass visits all of them once, and each pass has a new order.

    Adding and removing a name costs the same however many there are.
    """

    def __init__(self, random: RandomSource) -> None:
        self._random = random
        self._names: list[GatewayName] = []
        self._places: dict[GatewayName, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[GatewayName]:
        return iter(self._names)

    def __contains__(self, name: GatewayName) -> bool:
        return name in self._places

    def add(self, name: GatewayName) -> None:
        """Put a name at a random place, which may lie behind: it then waits for the next pass."""
        if name in self._places:
            return
        place = self._random.randrange(len(self._names) + 1)
        self._names.append(name)
        self._places[name] = len(self._names) - 1
        if place < self._next:
            place = self._next
            self._next += 1
        self._swap(place, len(self._names) - 1)

    def discard(self, name: GatewayName) -> None:
        place = self._places.get(name)
        if place is None:
            return
        if place < self._next:
            self._next -= 1
            self._swap(place, self._next)
            place = self._next
        self._swap(place, len(self._names) - 1)
        del self._places[self._names.pop()]

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
        for place in range(len(self._names) - 1, 0, -1):
            self._swap(place, self._random.randrange(place + 1))
        self._next = 0

    def _swap(self, place: int, other: int) -> None:
        here, there = self._names[place], self._names[other]
        self._names[place], self._names[other] = there, here
        self._places[there], self._places[here] = place, other
