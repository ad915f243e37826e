"""The date, asked for once: validity needs it, and nothing else may depend on a clock that jumps."""

from __future__ import annotations

from gossipsa.wire.trust import CLOCK_TOLERANCE_S

_NS_PER_S = 1_000_000_000


class Calendar:
    """Unix seconds at the start, counted on by the monotonic clock.

    A clock outside of our own identity's validity is wrong, or we are: it is moved into it, so that a host
    without battery that believes in 1970 still judges others sensibly.

    Args:
        unix_s: what the host's clock says.
        earliest_s, latest_s: the validity of our own identity.
    """

    def __init__(self, unix_s: int, *, earliest_s: int, latest_s: int) -> None:
        self._start_s = min(max(unix_s, earliest_s), latest_s)
        self.is_implausible = not earliest_s - CLOCK_TOLERANCE_S <= unix_s <= latest_s
        """True if the host's clock contradicts our identity."""
        self._started_ns: int | None = None
        self._now_ns = 0

    def advance(self, now_ns: int) -> None:
        """The monotonic clock goes on; it begins with the first call."""
        if self._started_ns is None:
            self._started_ns = now_ns
        self._now_ns = max(now_ns, self._started_ns)

    @property
    def now_s(self) -> int:
        """Unix seconds."""
        return self._start_s + (self._now_ns - (self._started_ns or 0)) // _NS_PER_S
