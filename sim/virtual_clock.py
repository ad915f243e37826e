"""Virtual time: events in the order of (time, sequence), and nothing else decides the order."""

from __future__ import annotations

import heapq
from collections.abc import Callable

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

Action = Callable[[], None]


class Scheduled:
    """An event to come, that can be called off."""

    __slots__ = ("_action", "at_ns")

    def __init__(self, at_ns: int, action: Action) -> None:
        self.at_ns = at_ns
        self._action: Action | None = action

    def cancel(self) -> None:
        """The action never runs; nothing happens if it ran already."""
        self._action = None

    def run(self) -> bool:
        """Runs the action, once. False if it was called off."""
        action, self._action = self._action, None
        if action is None:
            return False
        action()
        return True


class VirtualClock:
    """Time, and the queue of what happens in it. It starts at one second: zero is easily taken for never."""

    def __init__(self) -> None:
        self.now_ns = SECOND_NS
        self.steps = 0
        self._sequence = 0
        self._queue: list[tuple[int, int, Scheduled]] = []

    def at(self, at_ns: int, action: Action) -> Scheduled:
        """Schedules `action`; a time in the past means now, after what is already due now."""
        scheduled = Scheduled(max(at_ns, self.now_ns), action)
        heapq.heappush(self._queue, (scheduled.at_ns, self._sequence, scheduled))
        self._sequence += 1
        return scheduled

    def after(self, delay_ns: int, action: Action) -> Scheduled:
        """Schedules `action` that much later."""
        return self.at(self.now_ns + delay_ns, action)

    def every(self, interval_ns: int, action: Action, *, first_ns: int | None = None) -> None:
        """Runs `action` at a fixed interval for ever, first after `first_ns` (one interval if None)."""

        def tick() -> None:
            action()
            self.after(interval_ns, tick)

        self.after(interval_ns if first_ns is None else first_ns, tick)

    def run_until(self, end_ns: int) -> None:
        """Runs all events up to and including `end_ns`, then stands there."""
        while self._queue and self._queue[0][0] <= end_ns:
            at_ns, _, scheduled = heapq.heappop(self._queue)
            self.now_ns = at_ns
            if scheduled.run():
                self.steps += 1
        self.now_ns = max(self.now_ns, end_ns)
