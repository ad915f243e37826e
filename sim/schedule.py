"""A schedule of faults as data: one line of text, which can be read back, cut down, and run again.

    g4 c5; 1200 crash g1 +5000; 1900 rekey c2 ike; 2500 divide g2,c1|g1,g3,g4 +3000

Four gateways, five clients; then each fault: milliseconds after the warm-up, its kind, its arguments, and
how long it lasts if it ends by itself. When the last one has ended, everything is healed.
"""

from __future__ import annotations

import re

import msgspec

HEALING_MS = 500
"""From the end of the last fault to the healing of what is left."""
_AT_MAX_MS = 3_600_000
_NODES_MAX = 100


class ScheduleError(Exception):
    """A text that is no schedule."""


class Fault(msgspec.Struct, frozen=True):
    """One thing done to a cluster."""

    at_ms: int
    kind: str
    arguments: tuple[str, ...] = ()
    lasts_ms: int = 0
    """0 for what is done at once, and for what lasts until the healing."""

    def __str__(self) -> str:
        words = [str(self.at_ms), self.kind, *self.arguments]
        return " ".join(words + ([f"+{self.lasts_ms}"] if self.lasts_ms else []))


class Schedule(msgspec.Struct, frozen=True):
    """A cluster and what happens to it."""

    gateways: int
    clients: int
    faults: tuple[Fault, ...]
    """In any order."""

    def __str__(self) -> str:
        return "; ".join([f"g{self.gateways} c{self.clients}", *map(str, self.faults)])

    @property
    def healed_ms(self) -> int:
        """When everything is healed."""
        return max((fault.at_ms + fault.lasts_ms for fault in self.faults), default=0) + HEALING_MS

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all gateways and clients."""
        return frozenset(
            [f"g{number}" for number in range(1, self.gateways + 1)]
            + [f"c{number}" for number in range(1, self.clients + 1)]
        )


def parse_schedule(text: str) -> Schedule:
    """Reads what str() of a schedule wrote.

    Raises:
        ScheduleError: it is none.
    """
    first, *others = [part.strip() for part in text.split(";")]
    sizes = re.fullmatch(r"g(\d+) c(\d+)", first)
    if sizes is None:
        raise ScheduleError(f"a schedule begins with the numbers of gateways and clients, not with {first!r}")
    gateways, clients = map(int, sizes.groups())
    if not 1 <= gateways <= _NODES_MAX or clients > _NODES_MAX:
        raise ScheduleError(f"a schedule has 1 to {_NODES_MAX} gateways and at most as many clients")
    return Schedule(gateways, clients, tuple(_parse_fault(part) for part in others if part))


def _parse_fault(text: str) -> Fault:
    words = text.split()
    lasts = words.pop()[1:] if len(words) > 2 and words[-1].startswith("+") else "0"
    if len(words) < 2 or not words[0].isdecimal() or not lasts.isdecimal():
        raise ScheduleError(f"a fault is TIME KIND ARGUMENTS +DURATION, not {text!r}")
    at_ms, lasts_ms = int(words[0]), int(lasts)
    if max(at_ms, lasts_ms) > _AT_MAX_MS:
        raise ScheduleError(f"nothing lasts longer than an hour: {text!r}")
    return Fault(at_ms, words[1], tuple(words[2:]), lasts_ms)
