"""Nothing grows without end: every container of the core, and every queue before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
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


class _Kind:
    """What there is to know of a type, found out once: this walk is the most frequent of all."""

    def __init__(self, kind: type) -> None:
        self.is_part = issubclass(kind, dict | list | set | deque) or (
            kind.__module__.startswith("gossipsa.") and not issubclass(kind, msgspec.Struct | bytes)
        )
        """True for what is looked into, wherever it is found: no values."""
        self.is_mapping = issubclass(kind, Mapping)
        self.is_container = self.is_mapping or issubclass(kind, Set | Sequence)
        self.slots = tuple(name for base in kind.__mro__ for name in getattr(base, "__slots__", ()))
        self.name = kind.__name__


class _Kinds(dict[type, _Kind]):
    def __missing__(self, kind: type) -> _Kind:
        known = self[kind] = _Kind(kind)
        return known


_KINDS = _Kinds()


def sizes(root: object) -> Iterator[tuple[str, int]]:
    """Class and attribute of every container that belongs to an object or to its parts, and its length.

    Of a container's items only some are looked at, and values (msgspec structs) are no parts.
    """
    waiting: deque[tuple[str, Any]] = deque([("", root)])
    seen = {id(root)}
    while waiting:
        name, part = waiting.popleft()
        kind = _KINDS[type(part)]
        if kind.is_container:
            yield name, len(part)
            for item in islice(part.values() if kind.is_mapping else part, _ITEMS_LOOKED_AT_MAX):
                if _KINDS[type(item)].is_part and id(item) not in seen:
                    seen.add(id(item))
                    waiting.append((name, item))
            continue
        for attribute, value in _attributes(part, kind):
            if _KINDS[type(value)].is_part and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{kind.name}.{attribute}", value))


def _attributes(part: object, kind: _Kind) -> Iterable[tuple[str, object]]:
    named: dict[str, object] = getattr(part, "__dict__", {})
    if not kind.slots:
        return named.items()
    return [*named.items(), *((name, getattr(part, name)) for name in kind.slots if hasattr(part, name))]


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
