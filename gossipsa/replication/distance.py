"""How far gateways are, in powers of two, and slow to change: a jittering round-trip time moves no record."""

from __future__ import annotations

from collections.abc import Collection

from gossipsa.identifiers import GatewayName

NEAREST_NS = 1_000_000
"""Closer than this is all the same."""
_EXPONENT_MAX = 20


class Distances:
    """Round-trip times rounded up to NEAREST_NS times a power of two.

    A gateway leaves its power of two only when its time is beyond it by `hysteresis_percent`.
    """

    def __init__(self, *, hysteresis_percent: int) -> None:
        self._hysteresis_percent = hysteresis_percent
        self._exponents: dict[GatewayName, int] = {}

    def distance_ns(self, name: GatewayName, round_trip_ns: int) -> int:
        """The rounded distance, given the present round-trip time."""
        exponent = self._exponents.get(name)
        if exponent is None or not self._is_near(exponent, round_trip_ns):
            exponent = self._exponents[name] = _exponent_of(round_trip_ns)
        return NEAREST_NS << exponent

    def keep(self, names: Collection[GatewayName]) -> None:
        """Forgets all others."""
        for name in [name for name in self._exponents if name not in names]:
            del self._exponents[name]

    def _is_near(self, exponent: int, round_trip_ns: int) -> bool:
        top_ns = NEAREST_NS << exponent
        bottom_ns = top_ns // 2 if exponent else 0
        margin = self._hysteresis_percent
        is_above = round_trip_ns * 100 >= bottom_ns * (100 - margin)
        is_below = round_trip_ns * 100 <= top_ns * (100 + margin) or exponent == _EXPONENT_MAX
        return is_above and is_below


def _exponent_of(round_trip_ns: int) -> int:
    return min(((max(round_trip_ns, 1) - 1) // NEAREST_NS).bit_length(), _EXPONENT_MAX)
