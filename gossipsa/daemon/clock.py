"""The one clock of the daemon."""

from __future__ import annotations

import time

NS_PER_S = 1_000_000_000


def monotonic_ns() -> int:
    """Nanoseconds that never go back: what the core knows as `now_ns`."""
    return time.monotonic_ns()
