"""Beats to the gateways whose clients' state we hold: silence of a short interval starts a probe.

Any packet of a watched gateway counts as a beat, so that two that watch each other need one exchange only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings


@dataclass(slots=True, kw_only=True)
class _Beat:
    last_ns: int
    interval_ns: int


class WatchList:
    """The gateways watched, and when each is due."""

    def __init__(self, settings: SwimSettings, random: RandomSource) -> None:
        self._settings = settings
        self._random = random
        self._beats: dict[GatewayName, _Beat] = {}

    def __iter__(self) -> Iterator[GatewayName]:
        return iter(tuple(self._beats))

    def __contains__(self, name: GatewayName) -> bool:
        return name in self._beats

    def replace(self, names: Collection[GatewayName], *, now_ns: int) -> None:
        """Watch these, at most `watched_max` of them, and no others."""
        kept = list(dict.fromkeys(names))[: self._settings.watched_max]
        self._beats = {
            name: self._beats.get(name) or _Beat(last_ns=now_ns, interval_ns=self._interval_ns())
            for name in kept
        }

    def due_ns(self, name: GatewayName, *, heard_ns: int) -> int:
        """When to probe it, if it was heard last at `heard_ns`."""
        beat = self._beats[name]
        return max(beat.last_ns, heard_ns) + beat.interval_ns

    def beaten(self, name: GatewayName, *, now_ns: int) -> None:
        """It was probed, or somebody else's probe of it succeeded."""
        beat = self._beats.get(name)
        if beat is not None:
            beat.last_ns = now_ns
            beat.interval_ns = self._interval_ns()

    def _interval_ns(self) -> int:
        # Jitter of a tenth either way lets one of two that watch each other be first, and stay first.
        return int(self._settings.watch_interval_ns * (0.9 + 0.2 * self._random.random()))
