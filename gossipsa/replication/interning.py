"""One object for equal values: a hundred thousand records name the same few gateways, epochs and lanes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)


class Interned(Generic[V]):
    """Remembers values, which must never change.

    Args:
        values_max: all are forgotten when there is one more; those in use stay as they are.
    """

    def __init__(self, values_max: int) -> None:
        self._values: dict[V, V] = {}
        self._values_max = values_max

    def one(self, value: V) -> V:
        """The value equal to this one that came first."""
        known = self._values.get(value)
        if known is None:
            if len(self._values) >= self._values_max:
                self._values.clear()
            known = self._values[value] = value
        return known

    def __len__(self) -> int:
        return len(self._values)
