"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, what: str, interval_s: float = 0.1
) -> float:
    """Poll until a condition holds and return how long that took, in seconds.

    Raises:
        TimeoutError: it did not come to hold in time.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise TimeoutError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(interval_s)
    return time.monotonic() - started
