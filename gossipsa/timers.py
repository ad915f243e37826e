"""Deadlines: the earliest of several, and those of keys in a heap whose stale entries are skipped."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_STALE_MIN = 64


def earliest(*deadlines_ns: int | None) -> int | None:
    """The first of these; None if none of them is set."""
    first_ns: int | None = None
    for deadline_ns in deadlines_ns:
        if deadline_ns is not None and (first_ns is None or deadline_ns < first_ns):
            first_ns = deadline_ns
    return first_ns


class Timers(Generic[K]):
    """At most one deadline a key. Keys that are due together come in the order in which they were set."""

    def __init__(self) -> None:
        self._deadlines: dict[K, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: K, deadline_ns: int) -> None:
        """Sets or replaces the deadline of a key."""
        self._count += 1
        self._deadlines[key] = (deadline_ns, self._count)
        heappush(self._heap, (deadline_ns, self._count, key))
        if len(self._heap) > _STALE_MIN + 4 * len(self._deadlines):
            self._heap = [(due, count, key) for key, (due, count) in self._deadlines.items()]
            heapify(self._heap)

    def cancel(self, key: K) -> None:
        self._deadlines.pop(key, None)

    def next_deadline_ns(self) -> int | None:
        self._skip_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ns: int) -> list[K]:
        """Removes and returns the keys whose deadline is reached, the earliest first."""
        due = []
        self._skip_stale()
        while self._heap and self._heap[0][0] <= now_ns:
            _, _, key = heappop(self._heap)
            del self._deadlines[key]
            due.append(key)
            self._skip_stale()
        return due

    def _skip_stale(self) -> None:
        heap = self._heap
        while heap and self._deadlines.get(heap[0][2]) != heap[0][:2]:
            heappop(heap)
