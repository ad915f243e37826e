"""Who is probed, asked to relay, told the news, and compared with next: near and far, in fixed shares.

Members of one site are near each other: asking them is fast and cheap, so they do most of it among
themselves. A share goes to other sites, so that a site that is cut off or dark is noticed, and so that news
crosses sites within few hops. However many sites and members there are, everybody is probed once each probe
interval on average: a member with neighbours by them for the most part, a member alone at its site by all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import RandomSource, ShuffledRing

FAR_EVERY = 4
"""Of so many probes one leaves the site."""

Wanted = Callable[[GatewayName], bool]


class SiteRings:
    """Independent round robins of the live members, by site."""

    def __init__(self, own_site: str, random: RandomSource) -> None:
        self._own_site = own_site
        self._random = random
        self._site_of: dict[GatewayName, str] = {}
        self._sites: dict[str, ShuffledRing] = {}
        """Members of every site, for relays."""
        self._near = ShuffledRing(random)
        self._far = ShuffledRing(random)
        self._probed_near = ShuffledRing(random)
        self._probed_far = ShuffledRing(random)
        """Members of other sites that have neighbours."""
        self._probed_lone = ShuffledRing(random)
        """Members alone at another site: nobody else probes them."""
        self._probes = 0
        self._lone_share = 0.0
        self._compared = 0

    def add(self, name: GatewayName, site: str) -> None:
        """A member is live, or at another site than before."""
        if self._site_of.get(name) == site:
            return
        self.discard(name)
        self._site_of[name] = site
        members = self._sites.setdefault(site, ShuffledRing(self._random))
        members.add(name)
        if site == self._own_site:
            self._near.add(name)
            self._probed_near.add(name)
            return
        self._far.add(name)
        if len(members) == 1:
            self._probed_lone.add(name)
            return
        self._probed_far.add(name)
        if len(members) == 2:
            for neighbour in members:
                self._probed_lone.discard(neighbour)
                self._probed_far.add(neighbour)

    def discard(self, name: GatewayName) -> None:
        site = self._site_of.pop(name, None)
        if site is None:
            return
        members = self._sites[site]
        members.discard(name)
        for ring in (self._near, self._far, self._probed_near, self._probed_far, self._probed_lone):
            ring.discard(name)
        if not members:
            del self._sites[site]
        elif len(members) == 1 and site != self._own_site:
            for neighbour in members:
                self._probed_far.discard(neighbour)
                self._probed_lone.add(neighbour)

    def probed(self, wanted: Wanted) -> list[GatewayName]:
        """Whom to probe next: one name, or none if nobody is wanted."""
        self._probes += 1
        far = self._probes % FAR_EVERY == 0 or not self._probed_near
        rings = [self._far_ring(), self._probed_far, self._probed_lone] if far else []
        # A member whose site has nobody to be probed probes elsewhere, and the other way round.
        for ring in (*rings, self._probed_near, self._probed_far, self._probed_lone):
            taken = ring.take(1, wanted)
            if taken:
                return taken
        return []

    def company(self, name: GatewayName) -> float:
        """How likely each member is to look at a neighbour of a failed one, if one is to do so in all.

        At another site, which may be dark, one is to do so for each of its live members.
        """
        site = self._site_of.get(name, self._own_site)
        if site == self._own_site:
            return 1 / max(1, len(self._near))
        return len(self._sites[site]) / len(self._site_of)

    def neighbour(self, name: GatewayName, wanted: Wanted) -> list[GatewayName]:
        """One live member of the site of this one."""
        return self._site_ring(name).take(1, lambda other: other != name and wanted(other))

    def relays(self, target: GatewayName, count: int, wanted: Wanted) -> list[GatewayName]:
        """Members to ask for an indirect probe: of the target's site, of ours, of others, in turn."""
        return _in_turn((self._site_ring(target), self._near, self._far), count, wanted)

    def told(self, count: int, wanted: Wanted) -> list[GatewayName]:
        """Members to tell the news: one of another site first, so that it gets there whatever the count."""
        return _in_turn((self._far, self._near, self._near), count, wanted)

    def compared(self, wanted: Wanted) -> list[GatewayName]:
        """Whom to compare all knowledge with next: one name, of our own site and of others in turn."""
        self._compared += 1
        rings = (self._near, self._far) if self._compared % 2 else (self._far, self._near)
        return _in_turn(rings, 1, wanted)

    def _site_ring(self, name: GatewayName) -> ShuffledRing:
        return self._sites.get(self._site_of.get(name, self._own_site), self._near)

    def _far_ring(self) -> ShuffledRing:
        """Lone members in every pass, those with neighbours once in FAR_EVERY passes."""
        lone = len(self._probed_lone) * FAR_EVERY
        self._lone_share += lone / max(1, lone + len(self._probed_far))
        if self._lone_share < 1.0:
            return self._probed_far
        self._lone_share -= 1.0
        return self._probed_lone


def _in_turn(rings: Sequence[ShuffledRing], count: int, wanted: Wanted) -> list[GatewayName]:
    """One name of each ring after the other, until there are enough or the rings have no more."""
    taken: list[GatewayName] = []

    def fresh(name: GatewayName) -> bool:
        return name not in taken and wanted(name)

    left = list(rings)
    while left and len(taken) < count:
        for ring in tuple(left):
            found = ring.take(1, fresh)
            if not found:
                left.remove(ring)
            elif len(taken) < count:
                taken += found
    return taken
