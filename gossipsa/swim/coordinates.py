"""Network coordinates: how far two gateways are from each other, also if they never spoke.

Vivaldi (Dabek et al., SIGCOMM 2004) with heights: a gateway is a point of a Euclidean space and stands at a
height above it, that of its access link; the distance of two is that of their points plus both heights. Each
measured round trip pulls or pushes our own point a little. On top of it, as Serf does: an adjustment for what
no Euclidean space can express (Lee et al., IEEE/ACM ToN 2010) and gravity towards the origin, against drift
of the whole mesh (Ledlie et al., NSDI 2007).

What others say of their own coordinate may be a lie: whatever they say, one measurement moves ours by a
bounded step.
"""

from __future__ import annotations

from collections import deque
from math import hypot
from typing import Self

import msgspec

from gossipsa.errors import PeerError
from gossipsa.swim.ring import RandomSource

DIMENSIONS = 8
COORDINATE_BYTES = 3 * (DIMENSIONS + 2) + 2
"""Size of a coordinate on the wire."""
DISTANCE_MAX_MS = 4_000.0
"""Farthest from the origin that a point, with its height, may be."""
RTT_MAX_MS = 10_000.0
"""Longest round trip taken in."""
ERROR_MAX = 1.5
"""Relative error of a gateway that knows nothing yet, and the worst there is."""
ERROR_MIN = 0.01
"""Nobody is surer than this, whatever it says."""
HEIGHT_MIN_MS = 0.01

_ERROR_GAIN = 0.25
_FORCE_GAIN = 0.25
"""The paper's c_e and c_c."""
_SURPRISE_MS = 50.0
"""Times our own error: a measurement may differ by as much from what was expected, or by itself if that is
more; the rest of a difference is ignored. So a lie about a coordinate causes a bounded step, and the smaller
one the surer we are."""
_GRAVITY_MS = 500.0
"""Distance from the origin at which gravity pulls by one millisecond a measurement."""
_ADJUSTMENT_SAMPLES = 20
_UNITS_PER_MS = 1_000
_ERROR_UNITS = 10_000


class CoordinateRefusedError(PeerError):
    """A coordinate, or the round trip to it, that cannot be. Nothing changed."""


class Coordinate(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gateway is. Fixed-point on the wire: neither infinity nor NaN can be said."""

    position_ms: tuple[float, ...]
    """`DIMENSIONS` numbers."""
    height_ms: float
    """At least `HEIGHT_MIN_MS`."""
    adjustment_ms: float
    """Added to each distance, may be negative."""
    error: float
    """Relative error of the estimates made with it: `ERROR_MIN` to `ERROR_MAX`."""

    def raw_distance_ms(self, other: Self) -> float:
        """Round-trip time expected by the space alone."""
        return _length(_difference(self.position_ms, other.position_ms)) + self.height_ms + other.height_ms

    def distance_ms(self, other: Self) -> float:
        """Round-trip time expected, positive."""
        raw_ms = self.raw_distance_ms(other)
        adjusted_ms = raw_ms + self.adjustment_ms + other.adjustment_ms
        return adjusted_ms if adjusted_ms > 0 else raw_ms

    def encode(self) -> bytes:
        """`COORDINATE_BYTES`: components, height and adjustment as 24-bit microseconds, error in 1/10000."""
        numbers = (*self.position_ms, self.height_ms, self.adjustment_ms)
        return b"".join(
            round(number * _UNITS_PER_MS).to_bytes(3, "big", signed=True) for number in numbers
        ) + round(self.error * _ERROR_UNITS).to_bytes(2, "big")


def decode_coordinate(data: bytes) -> Coordinate:
    """What a gateway says of itself.

    Raises:
        CoordinateRefusedError: not a coordinate, or one that no gateway can have.
    """
    if len(data) != COORDINATE_BYTES:
        raise CoordinateRefusedError(f"a coordinate has {COORDINATE_BYTES} bytes, not {len(data)}")
    *position_ms, height_ms, adjustment_ms = (
        int.from_bytes(data[offset : offset + 3], "big", signed=True) / _UNITS_PER_MS
        for offset in range(0, COORDINATE_BYTES - 2, 3)
    )
    error = int.from_bytes(data[-2:], "big") / _ERROR_UNITS
    if not ERROR_MIN <= error <= ERROR_MAX:
        raise CoordinateRefusedError(f"the error is {error}")
    if height_ms < HEIGHT_MIN_MS or abs(adjustment_ms) > DISTANCE_MAX_MS:
        raise CoordinateRefusedError(f"the height is {height_ms} ms, the adjustment {adjustment_ms} ms")
    if _length(position_ms) + height_ms > DISTANCE_MAX_MS:
        raise CoordinateRefusedError("farther away than anything on earth")
    return Coordinate(
        position_ms=tuple(position_ms), height_ms=height_ms, adjustment_ms=adjustment_ms, error=error
    )


class Vivaldi:
    """Our own coordinate, found by measuring.

    Args:
        random: chooses the direction in which two that stand at one point part.
    """

    def __init__(self, random: RandomSource) -> None:
        self._random = random
        self._residuals_ms: deque[float] = deque(maxlen=_ADJUSTMENT_SAMPLES)
        self.coordinate = _origin()

    def observe(self, other: Coordinate, rtt_ms: float) -> None:
        """Take in a round trip to somebody who says where it is.

        Raises:
            CoordinateRefusedError: the round trip is negative, not finite, or longer than any.
        """
        if not 0 <= rtt_ms <= RTT_MAX_MS:
            raise CoordinateRefusedError(f"a round trip of {rtt_ms} ms")
        rtt_ms = max(rtt_ms, HEIGHT_MIN_MS)
        self._pull(other, rtt_ms)
        self._adjust(other, rtt_ms)

    def _pull(self, other: Coordinate, rtt_ms: float) -> None:
        own = self.coordinate
        surprise_ms = rtt_ms - own.distance_ms(other)
        bound_ms = max(rtt_ms, _SURPRISE_MS * own.error)
        surprise_ms = max(-bound_ms, min(surprise_ms, bound_ms))
        # The surer of the two moves less.
        weight = own.error / (own.error + other.error)
        gain = _ERROR_GAIN * weight
        error = own.error + gain * (min(abs(surprise_ms) / rtt_ms, ERROR_MAX) - own.error)
        position_ms, height_ms = self._moved(other, _FORCE_GAIN * weight * surprise_ms)
        self.coordinate = _kept_in_bounds(
            position_ms, height_ms, own.adjustment_ms, max(ERROR_MIN, min(error, ERROR_MAX))
        )

    def _moved(self, other: Coordinate, step_ms: float) -> tuple[tuple[float, ...], float]:
        """Our point and height after a step away from another (towards it, if negative)."""
        own = self.coordinate
        apart = _difference(own.position_ms, other.position_ms)
        apart_ms = _length(apart)
        if apart_ms < HEIGHT_MIN_MS:
            # Two at one point part in any direction; nothing is learnt about heights.
            apart = self._direction()
            apart_ms = heights_ms = 0.0
            whole_ms = _length(apart)
        else:
            heights_ms = own.height_ms + other.height_ms
            whole_ms = apart_ms + heights_ms
        # The paper's unit vector, section 5.4: point and height share the step, however high the other is.
        position_ms = tuple(
            at + step_ms * part / whole_ms for at, part in zip(own.position_ms, apart, strict=True)
        )
        distance_ms = _length(position_ms)
        if distance_ms > 0:
            gravity_ms = min(distance_ms, (distance_ms / _GRAVITY_MS) ** 2)
            position_ms = tuple(at * (1 - gravity_ms / distance_ms) for at in position_ms)
        return position_ms, max(HEIGHT_MIN_MS, own.height_ms + step_ms * heights_ms / whole_ms)

    def _adjust(self, other: Coordinate, rtt_ms: float) -> None:
        residual_ms = rtt_ms - self.coordinate.raw_distance_ms(other)
        self._residuals_ms.append(max(-rtt_ms, min(residual_ms, rtt_ms)))
        # Both ends adjust: each takes half of what is missing.
        adjustment_ms = sum(self._residuals_ms) / (2 * _ADJUSTMENT_SAMPLES)
        self.coordinate = msgspec.structs.replace(self.coordinate, adjustment_ms=adjustment_ms)

    def _direction(self) -> tuple[float, ...]:
        while True:
            direction = tuple(self._random.random() - 0.5 for _ in range(DIMENSIONS))
            if _length(direction) > 0.01:
                return direction


def _origin() -> Coordinate:
    return Coordinate(
        position_ms=(0.0,) * DIMENSIONS, height_ms=HEIGHT_MIN_MS, adjustment_ms=0.0, error=ERROR_MAX
    )


def _kept_in_bounds(
    position_ms: tuple[float, ...], height_ms: float, adjustment_ms: float, error: float
) -> Coordinate:
    """Somebody led us far away: begin anew, as unsure as at the start."""
    if _length(position_ms) + height_ms > DISTANCE_MAX_MS:
        return _origin()
    return Coordinate(position_ms=position_ms, height_ms=height_ms, adjustment_ms=adjustment_ms, error=error)


def _difference(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(here - there for here, there in zip(one, other, strict=True))


def _length(vector: tuple[float, ...] | list[float]) -> float:
    return hypot(*vector)
