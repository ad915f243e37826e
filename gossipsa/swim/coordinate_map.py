"""Where the gateways are: our own coordinate, and the last that each other one said of itself.

A coordinate is taken only from the gateway it belongs to, with an answer that measured the way there. One
that was never measured is asked out of turn, a few each round, until it has answered: so everybody comes to
know everybody's, whoever is probed in a mesh of many sites. From then on the probes of the round robin, which
ask for coordinates too, keep them fresh: in a mesh of any size a gateway asks as many each second, and the
larger the mesh the older they get, half an hour at 1,000 gateways.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median_low

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.coordinates import Coordinate, Vivaldi, decode_coordinate
from gossipsa.swim.ring import RandomSource

_FILTERED_SAMPLES = 3
_NS_PER_MS = 1_000_000


class _Place(msgspec.Struct):
    coordinate: Coordinate
    rtts_ms: tuple[float, ...]
    """The last measured."""


class CoordinateMap:
    """The coordinates of at most `members_max` others; the one heard longest ago makes room for one more."""

    def __init__(self, random: RandomSource, *, members_max: int) -> None:
        self._members_max = members_max
        self._vivaldi = Vivaldi(random)
        self._places: dict[GatewayName, _Place] = {}
        """The one heard longest ago first."""
        self._wanted: dict[GatewayName, None] = {}

    @property
    def own(self) -> Coordinate:
        return self._vivaldi.coordinate

    def get(self, name: GatewayName) -> Coordinate | None:
        """What this gateway last said of itself."""
        place = self._places.get(name)
        return None if place is None else place.coordinate

    def hear(self, name: GatewayName, encoded: bytes, *, rtt_ns: int) -> None:
        """An answer that took `rtt_ns` says where its sender is.

        Raises:
            CoordinateRefusedError: that cannot be. Nothing changed.
        """
        coordinate = decode_coordinate(encoded)
        known = self._places.get(name)
        rtts_ms = (*(known.rtts_ms if known else ()), rtt_ns / _NS_PER_MS)[-_FILTERED_SAMPLES:]
        # Ledlie et al., NSDI 2007: one packet that was late for once is no measurement of the way.
        self._vivaldi.observe(coordinate, median_low(rtts_ms))
        self._places.pop(name, None)
        self._places[name] = _Place(coordinate, rtts_ms)
        self._wanted.pop(name, None)
        if len(self._places) > self._members_max:
            del self._places[next(iter(self._places))]

    def want(self, name: GatewayName) -> None:
        """A member came: find out where it is, unless that is known."""
        if name not in self._places:
            self._wanted[name] = None

    def take_wanted(self, count: int, useful: Callable[[GatewayName], bool]) -> list[GatewayName]:
        """Whom to ask now: those never heard, in turn."""
        taken: list[GatewayName] = []
        for name in tuple(self._wanted):
            if len(taken) == count:
                break
            del self._wanted[name]
            if useful(name):
                # Until it answers.
                self._wanted[name] = None
                taken.append(name)
        return taken
