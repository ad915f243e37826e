"""When to look at which suspect: a verdict costs the same however many are suspected.

Every suspect has a time at which it is looked at, no later than its verdict can fall. What brings a verdict
forward has to be told here; what puts it off is found out when the time has come.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from gossipsa.identifiers import GatewayName

OUTDATED_MAX = 64
"""Times that hold no more and are still in the heap, beyond as many as there are suspects."""


class VerdictQueue:
    """Suspects by the time at which they are looked at next."""

    def __init__(self) -> None:
        self._looks: dict[GatewayName, int] = {}
        self._heap: list[tuple[int, GatewayName]] = []

    def __len__(self) -> int:
        return len(self._looks)

    def look(self, name: GatewayName, *, at_ns: int) -> None:
        """Look at this one then, and not when it was to be looked at before."""
        if self._looks.get(name) == at_ns:
            return
        self._looks[name] = at_ns
        heappush(self._heap, (at_ns, name))
        if len(self._heap) > 2 * len(self._looks) + OUTDATED_MAX:
            self._heap = [(look_ns, other) for other, look_ns in self._looks.items()]
            heapify(self._heap)

    def discard(self, name: GatewayName) -> None:
        """It is suspected no more."""
        self._looks.pop(name, None)

    def next_deadline_ns(self) -> int | None:
        """None if nobody is suspected."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, *, now_ns: int) -> list[GatewayName]:
        """Those to be looked at now, the one whose time came first at first; each has to get another time."""
        names = []
        while self._heap and self._heap[0][0] <= now_ns:
            look = heappop(self._heap)
            if self._holds(look):
                del self._looks[look[1]]
                names.append(look[1])
        return names

    def _holds(self, look: tuple[int, GatewayName]) -> bool:
        return self._looks.get(look[1]) == look[0]
