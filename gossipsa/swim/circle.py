"""The live members in one order, the same at all of them: everybody looks after those who follow it.

A round robin in random order leaves a dead member unprobed for a time that has an expectation, but no bound
that is of use. In a fixed order every member has its few predecessors, who ask it in every interval; and a
member that fails hands those whom it looked after to its own predecessors.

The order is by site first: nearly all look after members near them, and each site's last ones after the first
ones of the next site. Within a site it is by a hash of the names, so that racks and numbers lie apart.
"""

from __future__ import annotations

from bisect import bisect, insort
from hashlib import blake2b

from gossipsa.identifiers import GatewayName

_Place = tuple[str, bytes, GatewayName]


class Circle:
    """Where we are among the live members.

    Attributes:
        changed: whether anybody came, went or moved since it was last set to False.
    """

    def __init__(self, own: GatewayName, own_site: str) -> None:
        self._own = _place(own, own_site)
        self._places: dict[GatewayName, _Place] = {}
        self._order: list[_Place] = []
        self.changed = False

    def add(self, name: GatewayName, site: str) -> None:
        """A member is live, or at another site than before."""
        known = self._places.get(name)
        if known is not None:
            if known[0] == site:
                return
            self.discard(name)
        place = self._places[name] = _place(name, site)
        insort(self._order, place)
        self.changed = True

    def discard(self, name: GatewayName) -> None:
        place = self._places.pop(name, None)
        if place is not None:
            del self._order[bisect(self._order, place) - 1]
            self.changed = True

    def following(self, count: int) -> list[GatewayName]:
        """The next ones after us, the nearest first; fewer if there are no more."""
        start = bisect(self._order, self._own)
        count = min(count, len(self._order))
        return [self._order[(start + step) % len(self._order)][2] for step in range(count)]


def _place(name: GatewayName, site: str) -> _Place:
    return site, blake2b(name.encode(), digest_size=8).digest(), name
