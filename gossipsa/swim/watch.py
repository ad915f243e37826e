"""Beats to gateways that we look after: silence of an interval starts a probe.

The interval is short for the gateways whose clients' state we hold, and that of the round robin for those who
follow us in the circle of members. Any packet counts as a beat, so that two that watch each other need one
exchange only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings


class _Beat(msgspec.Struct, kw_only=True):
    last_ns: int
    base_ns: int = 0
    interval_ns: int = 0
    """With jitter."""


class WatchList:
    """The gateways watched, and when each is due.

    Attributes:
        close: those that are watched at the short interval.
    """

    def __init__(self, settings: SwimSettings, random: RandomSource) -> None:
        self._settings = settings
        self._random = random
        self._beats: dict[GatewayName, _Beat] = {}
        self._neighbours: tuple[GatewayName, ...] = ()
        self.close: tuple[GatewayName, ...] = ()

    def __iter__(self) -> Iterator[GatewayName]:
        return iter(tuple(self._beats))

    def __contains__(self, name: GatewayName) -> bool:
        return name in self._beats

    def replace(self, names: Collection[GatewayName], *, now_ns: int) -> None:
        """Watch these closely, at most `watched_max` of them, and no others."""
        self.close = tuple(dict.fromkeys(names))[: self._settings.watched_max]
        self._watch(now_ns)

    def surround(self, neighbours: Collection[GatewayName], *, now_ns: int) -> None:
        """Watch these, too, at the interval of the round robin."""
        self._neighbours = tuple(neighbours)
        self._watch(now_ns)

    def _watch(self, now_ns: int) -> None:
        known, self._beats = self._beats, {}
        for names, interval_ns in (
            (self.close, self._settings.watch_interval_ns),
            (self._neighbours, self._settings.probe_interval_ns),
        ):
            for name in names:
                if name in self._beats:
                    continue
                beat = known.get(name) or _Beat(last_ns=now_ns)
                if beat.base_ns != interval_ns:
                    beat.base_ns, beat.interval_ns = interval_ns, self._jittered(interval_ns)
                self._beats[name] = beat

    def due_ns(self, name: GatewayName, *, heard_ns: int, multiplier: int = 1) -> int:
        """When to probe it, if it was heard last at `heard_ns`.

        Args:
            multiplier: local health; stretches the interval of neighbours. Where all hosts have too little
                CPU, more probes make more suspicions, and these more probes.
        """
        beat = self._beats[name]
        stretch = 1 if name in self.close else multiplier
        return max(beat.last_ns, heard_ns) + beat.interval_ns * stretch

    def beaten(self, name: GatewayName, *, now_ns: int) -> None:
        """It was probed, or somebody else's probe of it succeeded."""
        beat = self._beats.get(name)
        if beat is not None:
            beat.last_ns = now_ns
            beat.interval_ns = self._jittered(beat.base_ns)

    def _jittered(self, interval_ns: int) -> int:
        # Jitter of a tenth either way lets one of two that watch each other be first, and stay first.
        return int(interval_ns * (0.9 + 0.2 * self._random.random()))
