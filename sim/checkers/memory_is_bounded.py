"""Nothing grows without end: every container of the core, and every queue before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

import msgspec

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.host import BACKLOG_MAX as ARRIVALS_MAX
from sim.process import BACKLOG_MAX as INPUTS_MAX
from sim.virtual_clock import SECOND_NS

_SAMPLES_APART_NS = 2 * SECOND_NS
_ITEMS_LOOKED_AT_MAX = 32
_BOUNDS: Mapping[str, int] = MappingProxyType(
    {
        # Burnt lanes are kept so that no grant is accepted twice: `replication.lane_ledger` bounds them.
        "LaneLedger._burnt": 100_000,
    }
)
"""By class and attribute, what has a bound of its own."""


def sizes(root: object) -> Iterator[tuple[str, int]]:
    """Class and attribute of every container that belongs to an object or to its parts, and its length.

    Of a container's items only some are looked at, and values (msgspec structs) are no parts.
    """
    waiting: deque[tuple[str, object]] = deque([("", root)])
    seen = {id(root)}
    while waiting:
        name, part = waiting.popleft()
        items: Sequence[tuple[str, object]]
        if isinstance(part, Mapping | Set | Sequence):
            yield name, len(part)
            items = [(name, item) for item in _some_items(part)]
        else:
            kind = type(part).__name__
            items = [(f"{kind}.{attribute}", value) for attribute, value in _attributes(part)]
        for item_name, item in items:
            if id(item) not in seen and _is_part(item):
                seen.add(id(item))
                waiting.append((item_name, item))


def _is_part(item: object) -> bool:
    if isinstance(item, dict | list | set | deque):
        return True
    return type(item).__module__.startswith("gossipsa.") and not isinstance(item, msgspec.Struct | bytes)


def _attributes(part: object) -> Iterator[tuple[str, object]]:
    yield from vars(part).items() if hasattr(part, "__dict__") else ()
    for base in type(part).__mro__:
        for name in getattr(base, "__slots__", ()):
            if hasattr(part, name):
                yield name, getattr(part, name)


def _some_items(container: Any) -> list[object]:
    values = container.values() if isinstance(container, Mapping) else container
    return [item for item, _ in zip(values, range(_ITEMS_LOOKED_AT_MAX), strict=False)]


class MemoryIsBounded(Checker):
    """No container of a gateway's core is longer than clients and gateways explain; no queue overflows."""

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        settings = cluster.settings
        self._entries_max = 64 + 16 * (settings.clients + 1) * settings.gateways
        self._sampled_ns = 0

    def sample(self) -> None:
        if self.now_ns - self._sampled_ns >= _SAMPLES_APART_NS:
            self._sampled_ns = self.now_ns
            self._check()

    def settle(self) -> None:
        self._check()

    def _check(self) -> None:
        for host in self.cluster.hosts.values():
            if host.backlog > ARRIVALS_MAX:
                raise self.violated(f"{host.backlog} arrivals wait at {host.name}")
            if host.process is None:
                continue
            if host.process.backlog > 2 * INPUTS_MAX:
                raise self.violated(f"{host.process.backlog} inputs wait at {host.name}")
            for name, entries in sizes(host.process.core):
                if entries > _BOUNDS.get(name, self._entries_max):
                    raise self.violated(f"{name} of {host.name} has {entries} entries")
