"""A host's monotonic clock: a function of virtual time that is each host's own.

It begins anywhere, runs a little too fast or too slow, jumps forward, and stands still while the host is
suspended. It never goes back.
"""

from __future__ import annotations

from sim.virtual_clock import VirtualClock

_MILLION = 1_000_000


class HostClock:
    """What one boot of a host takes for time.

    Args:
        uptime_ns: what it shows now.
    """

    def __init__(self, clock: VirtualClock, *, uptime_ns: int) -> None:
        self._clock = clock
        self._since_ns = clock.now_ns
        self._shown_ns = uptime_ns
        self._drift_ppm = 0
        self._stands = False

    @property
    def now_ns(self) -> int:
        return self._shown_ns + self._passed_ns(self._clock.now_ns - self._since_ns)

    def at_ns(self, shown_ns: int) -> int:
        """When, in virtual time, it will show that much; now if it does already."""
        missing_ns = max(0, shown_ns - self._shown_ns)
        at_ns = self._since_ns - -missing_ns * _MILLION // (_MILLION + self._drift_ppm)
        return max(at_ns, self._clock.now_ns)

    def drift(self, ppm: int) -> None:
        """From now on it runs that much too fast; too slow if negative."""
        self._settle()
        self._drift_ppm = ppm

    def jump(self, forward_ns: int) -> None:
        """As after a snapshot, or when time was stolen."""
        self._settle()
        self._shown_ns += forward_ns

    def stand(self) -> None:
        """Time does not pass, as in a suspended machine."""
        self._settle()
        self._stands = True

    def go_on(self) -> None:
        self._settle()
        self._stands = False

    def _settle(self) -> None:
        self._shown_ns = self.now_ns
        self._since_ns = self._clock.now_ns

    def _passed_ns(self, virtual_ns: int) -> int:
        return 0 if self._stands else virtual_ns + virtual_ns * self._drift_ppm // _MILLION
