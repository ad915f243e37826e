"""Which gateways keep the records of an owner, and in which order they take over."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from gossipsa.identifiers import Holder


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A live gateway that may keep records."""

    holder: Holder
    round_trip_ns: int
    site: str
    zone: str
    capacity: int


def choose_replicas(
    candidates: Collection[Candidate],
    *,
    current: Sequence[Holder],
    own_site: str,
    own_zone: str,
    replicas: int,
    hysteresis_percent: int,
) -> tuple[Holder, ...]:
    """The nearest gateways, the nearest first: that one takes over.

    Failure domains go before nearness: gateways of other zones than ours, then of other sites, and of each
    other, are chosen as long as there are any. A gateway that is a replica now counts as nearer by
    `hysteresis_percent`, so that a jittering round-trip time moves nothing.

    Returns:
        At most `replicas` holders; fewer if there are fewer candidates.
    """

    def distance(candidate: Candidate) -> float:
        bonus = 1 - hysteresis_percent / 100 if candidate.holder in current else 1.0
        return candidate.round_trip_ns * bonus

    left = [candidate for candidate in candidates if candidate.capacity > 0]
    zones = {own_zone} if own_zone else set()
    sites = {own_site} if own_site else set()
    chosen: list[Candidate] = []
    while left and len(chosen) < replicas:
        best = min(
            left,
            key=lambda candidate: (
                candidate.zone in zones,
                candidate.site in sites,
                distance(candidate),
                candidate.holder,
            ),
        )
        left.remove(best)
        chosen.append(best)
        zones |= {best.zone} if best.zone else set()
        sites |= {best.site} if best.site else set()
    return tuple(
        candidate.holder
        for candidate in _in_order(chosen, current=current, hysteresis_percent=hysteresis_percent)
    )


def _in_order(
    chosen: list[Candidate], *, current: Sequence[Holder], hysteresis_percent: int
) -> list[Candidate]:
    """Nearest first, but two that stand in an order now change places only for a clear difference."""
    rank = {holder: place for place, holder in enumerate(current)}
    ordered = sorted(
        chosen,
        key=lambda candidate: (
            rank.get(candidate.holder, len(rank)),
            candidate.round_trip_ns,
            candidate.holder,
        ),
    )
    for _ in ordered:
        for place in range(len(ordered) - 1):
            first, second = ordered[place : place + 2]
            settled = first.holder in rank and second.holder in rank
            margin_percent = hysteresis_percent if settled else 0
            if second.round_trip_ns * 100 < first.round_trip_ns * (100 - margin_percent):
                ordered[place : place + 2] = second, first
    return ordered
