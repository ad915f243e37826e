"""Time that never goes back, out of a clock that should not and might.

Deadlines lie in the future by hours if a clock goes back by hours, and the core would do nothing until then.
"""

from __future__ import annotations


class SteadyTime:
    """Counts on from where it was when the clock goes back. A jump forward is believed."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._latest_ns: int | None = None

    def read(self, clock_ns: int) -> int:
        """Steady time at a reading of the clock, the newest one."""
        steady_ns = clock_ns + self._offset_ns
        if self._latest_ns is not None and steady_ns < self._latest_ns:
            self._offset_ns += self._latest_ns - steady_ns
            steady_ns = self._latest_ns
        self._latest_ns = steady_ns
        return steady_ns

    def on_clock(self, steady_ns: int) -> int:
        """What the clock shows at a moment of steady time."""
        return steady_ns - self._offset_ns
