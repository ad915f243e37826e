"""Clients whose claims are won, waiting to be installed: who was active last comes first.

Of a client that sends, somebody notices that nothing comes back; one that sleeps may sleep on.
"""

from __future__ import annotations

import heapq
from itertools import count

from gossipsa.identifiers import ClientId


class InstallQueue:
    """A priority queue; equals come in the order in which they were added."""

    def __init__(self) -> None:
        self._waiting: dict[ClientId, int] = {}
        """By client, which entry of the heap counts."""
        self._heap: list[tuple[int, int, ClientId]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, client: ClientId, *, activity: int) -> None:
        """The client waits, from now on with this activity: higher is more recent."""
        number = next(self._numbers)
        self._waiting[client] = number
        heapq.heappush(self._heap, (-activity, number, client))

    def discard(self, client: ClientId) -> None:
        """The client does not wait, or no longer."""
        self._waiting.pop(client, None)
        if len(self._heap) > 2 * len(self._waiting):
            # No more room for what is gone than for what waits.
            self._heap = [entry for entry in self._heap if self._waiting.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)

    def first(self) -> ClientId | None:
        """Who is next, and stays until it is discarded; None if nobody waits."""
        while self._heap:
            _, number, client = self._heap[0]
            if self._waiting.get(client) == number:
                return client
            heapq.heappop(self._heap)
        return None
