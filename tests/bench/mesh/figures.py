"""What was measured, in seconds unless the name says otherwise; kept as JSON beside the table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import msgspec


class Spread(NamedTuple):
    """Median, least and greatest of some values."""

    median: float
    least: float
    greatest: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of no values."""
    return Spread(median(values), min(values), max(values)) if values else None


class Joined(msgspec.Struct, kw_only=True):
    """How long it took after agents were started."""

    running_s: float
    """Until the last one said that it takes part."""
    all_seen_s: float
    """Until all saw all."""


class Death(msgspec.Struct, kw_only=True):
    """One agent killed, or stopped; and brought back when all knew."""

    all_know_s: float
    all_told_s: float
    """Until every application was told."""
    back_s: float
    """Killed: from the start of its new process. Stopped: from its resumption. Until all see all."""
    back_from_running_s: float
    """Killed: from the first report of the new process. Stopped: as `back_s`."""


class Split(msgspec.Struct, kw_only=True):
    """The halves apart, and together again."""

    detected_s: float
    """Until everyone in either half holds everyone in the other for failed."""
    healed_s: float


class Stall(msgspec.Struct, kw_only=True):
    """One agent stopped for a while."""

    stalled_s: float
    suspicions: int
    verdicts: int
    """Agents held for failed by anybody, the stalled one's own verdicts included."""
    back_s: float
    """From the end of the stall until all see all; 0 if they did all the time."""


class Loss(msgspec.Struct, kw_only=True):
    """Nothing happens, but that packets are lost."""

    share: float
    lasted_s: float
    suspicions: int
    """Episodes: several members that suspect one at the same time count once."""
    verdicts: int
    suspicion_reports: int
    """Every agent's own."""
    verdict_reports: int
    octets_a_second: float
    """Each agent, as IP packets."""


class Idle(msgspec.Struct, kw_only=True):
    """What an agent costs when nothing happens: the mean of all."""

    lasted_s: float
    cpu_ms_a_second: float
    pss_bytes: float
    octets_a_second: float
    """Sent, as IP packets."""
    packets_a_second: float


class SystemFigures(msgspec.Struct, kw_only=True):
    """One system, with a number of agents."""

    system: str
    agents: int
    boots_in_turn: list[Joined] = msgspec.field(default_factory=list)
    """Each started when its predecessor runs: counted from the last start."""
    boots_at_once: list[Joined] = msgspec.field(default_factory=list)
    """The first one runs, and all others are started at once: counted from then."""
    kills: list[Death] = msgspec.field(default_factory=list)
    stops: list[Death] = msgspec.field(default_factory=list)
    splits: list[Split] = msgspec.field(default_factory=list)
    stalls: list[Stall] = msgspec.field(default_factory=list)
    loss: Loss | None = None
    idle: Idle | None = None
    unfinished: list[str] = msgspec.field(default_factory=list)
    """What did not happen in time."""
