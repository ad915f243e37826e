"""Where the members of a mesh are: sites on a map, and how long a packet takes from one to another."""

from __future__ import annotations

from math import hypot, sqrt
from random import Random

from gossipsa.identifiers import GatewayName

NEAR_MS = 0.15
"""One way within a site."""
FAR_MIN_MS, FAR_MAX_MS = 2.5, 40.0
"""One way between sites: round trips of 5 to 80 ms."""


class SiteMap:
    """Members spread evenly over sites, which lie anywhere in a square."""

    def __init__(self, members: list[GatewayName], *, sites: int, seed: int) -> None:
        random = Random(f"site map {seed}")
        self._positions = [(random.random(), random.random()) for _ in range(sites)]
        self._sites = {name: index * sites // len(members) for index, name in enumerate(members)}

    def site_of(self, name: GatewayName) -> str:
        return f"site{self._sites[name]:02}"

    def one_way_ms(self, sender: GatewayName, receiver: GatewayName) -> float:
        """Without jitter."""
        here, there = self._sites[sender], self._sites[receiver]
        if here == there:
            return NEAR_MS
        (x, y), (other_x, other_y) = self._positions[here], self._positions[there]
        return FAR_MIN_MS + (FAR_MAX_MS - FAR_MIN_MS) * hypot(x - other_x, y - other_y) / sqrt(2)
