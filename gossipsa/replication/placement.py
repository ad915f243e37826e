"""Which gateways keep the records of an owner, shard by shard, and in which order they take over.

Candidates are the nearest few gateways outside the owner's zone. Each shard goes to the k of them that win it
by weighted rendezvous hashing, one in each zone as long as there are zones; the weight is capacity, damped by
distance. So the load of a dead gateway spreads over its neighbours, a change of membership moves the shards
that it must move and no others, and of the k the nearest takes over.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from math import exp

import msgspec

from gossipsa.identifiers import GatewayName, Holder
from gossipsa.replication.distance import Distances
from gossipsa.replication.rendezvous import Draws
from gossipsa.replication.shards import NOWHERE, SHARD_COUNT, ShardMap
from gossipsa.settings import ReplicationSettings

_RECORDS_SLACK = 64
"""So few records more than a fair share overload nobody."""
_EXPONENT_MAX = 500.0
"""Keeps the weights of very far gateways above 0."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A live gateway that may keep records."""

    holder: Holder
    round_trip_ns: int
    site: str
    zone: str
    capacity: int
    """0 keeps nothing."""
    records: int = 0
    """How many it says it holds, of its own clients and of others'."""
    draining: bool = False
    """True for one that is being emptied: it keeps nothing, unless there is nobody else."""
    suspected: bool = False
    """True for one that may be dead: it takes nothing new, and keeps what it has."""


class _Suitor(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate as placement weighs it. Two equal sets of suitors lead to the same choice."""

    holder: Holder
    site: str
    zone: str
    distance_ns: int
    capacity: int
    suspected: bool
    """True: only what it has already."""
    overloaded: bool
    """True: only what it has already, or what nobody else can take."""

    @property
    def name(self) -> GatewayName:
        return self.holder.gateway


class Placement:
    """Chooses for all shards of one owner, and remembers the choice."""

    def __init__(self, *, owner: GatewayName, site: str, zone: str, settings: ReplicationSettings) -> None:
        self._site = site
        self._zone = zone
        self._settings = settings
        self._draws = Draws(owner)
        self._distances = Distances(hysteresis_percent=settings.hysteresis_percent)
        self._suitors: tuple[_Suitor, ...] = ()
        self._shards: ShardMap = NOWHERE

    def choose(self, candidates: Collection[Candidate]) -> ShardMap:
        """For each shard at most k holders, the nearest first; fewer if there are fewer candidates."""
        suitors = self._weigh(candidates)
        if suitors != self._suitors:
            self._suitors = suitors
            self._draws.keep(
                {suitor.name for suitor in suitors},
                firsts={candidate.holder.gateway for candidate in candidates},
            )
            weights = [self._weight(suitor) for suitor in suitors]
            self._shards = tuple(
                self._choose_for(shard, suitors, weights, self._shards[shard]) for shard in range(SHARD_COUNT)
            )
        return self._shards

    def _weigh(self, candidates: Collection[Candidate]) -> tuple[_Suitor, ...]:
        """The nearest suitable candidates, the nearest first."""
        able = [candidate for candidate in candidates if candidate.capacity > 0]
        # Where all the others are being emptied, a copy at one of them is better than none.
        fit = [candidate for candidate in able if not candidate.draining] or able
        full = _overloaded(fit, load_percent_max=self._settings.load_percent_max)
        distances_ns = {
            candidate.holder.gateway: self._distances.distance_ns(
                candidate.holder.gateway, candidate.round_trip_ns
            )
            for candidate in fit
        }
        self._distances.keep(distances_ns)
        # Gateways at equal distances would be chosen by their names all over the mesh: each owner draws.
        fit.sort(
            key=lambda candidate: (
                distances_ns[candidate.holder.gateway],
                -self._draws.first(candidate.holder.gateway),
            )
        )
        return tuple(
            _Suitor(
                holder=candidate.holder,
                site=candidate.site,
                zone=candidate.zone,
                distance_ns=distances_ns[candidate.holder.gateway],
                capacity=candidate.capacity,
                suspected=candidate.suspected,
                overloaded=candidate.holder in full,
            )
            for candidate in self._nearest(fit)
        )

    def _nearest(self, candidates: list[Candidate]) -> list[Candidate]:
        """As many as the settings say of other zones than ours; of our zone only if those are too few.

        More than that, if the nearest lie in fewer zones than there are copies.
        """
        wanted, copies = self._settings.candidates, self._settings.replicas
        found: list[Candidate] = []
        for is_apart in (self._is_in_other_zone, self._is_at_other_site_here, self._is_at_our_site):
            if len(found) >= copies:
                break
            found += islice(filter(is_apart, candidates), wanted - len(found))
        zones = {candidate.zone for candidate in found if candidate.zone}
        for candidate in candidates:
            if not 0 < len(zones) < copies:
                break
            if self._is_in_other_zone(candidate) and candidate.zone and candidate.zone not in zones:
                found.append(candidate)
                zones.add(candidate.zone)
        return found

    def _is_in_other_zone(self, candidate: Candidate) -> bool:
        return not self._zone or candidate.zone != self._zone

    def _is_at_other_site_here(self, candidate: Candidate) -> bool:
        return not self._is_in_other_zone(candidate) and (not self._site or candidate.site != self._site)

    def _is_at_our_site(self, candidate: Candidate) -> bool:
        return not self._is_in_other_zone(candidate) and not self._is_at_other_site_here(candidate)

    def _choose_for(
        self, shard: int, suitors: tuple[_Suitor, ...], weights: list[float], current: tuple[Holder, ...]
    ) -> tuple[Holder, ...]:
        scores = {
            index: self._draws.score(suitor.name, shard, weight=weights[index])
            for index, suitor in enumerate(suitors)
            if not suitor.suspected or suitor.holder in current
        }
        zones, sites = [self._zone], [self._site]
        chosen: list[tuple[int, float, Holder]] = []
        while scores and len(chosen) < self._settings.replicas:
            best, best_rank = -1, (False, False, False, 0.0)
            for index, score in scores.items():
                suitor = suitors[index]
                rank = (
                    # Two copies in one zone die together: a load above its share harms less.
                    not suitor.zone or suitor.zone not in zones,
                    not suitor.overloaded or suitor.holder in current,
                    not suitor.site or suitor.site not in sites,
                    score,
                )
                if best < 0 or rank > best_rank:
                    best, best_rank = index, rank
            suitor = suitors[best]
            chosen.append((suitor.distance_ns, -scores.pop(best), suitor.holder))
            zones.append(suitor.zone)
            sites.append(suitor.site)
        chosen.sort()
        return tuple(holder for _, _, holder in chosen)

    def _weight(self, suitor: _Suitor) -> float:
        damping = min(suitor.distance_ns / self._settings.distance_scale_ns, _EXPONENT_MAX)
        return suitor.capacity * exp(-damping)


def _overloaded(candidates: list[Candidate], *, load_percent_max: int) -> frozenset[Holder]:
    """Those that hold more than `load_percent_max` of their fair share of all records."""
    records = sum(candidate.records for candidate in candidates)
    capacity = sum(candidate.capacity for candidate in candidates)
    return frozenset(
        candidate.holder
        for candidate in candidates
        if (candidate.records - _RECORDS_SLACK) * capacity * 100
        > records * candidate.capacity * load_percent_max
    )
