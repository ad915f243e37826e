"""Makes a failing schedule short: fewer faults, fewer nodes, shorter durations, as long as it fails alike.

Delta debugging (Zeller and Hildebrandt 2002) on the list of faults, then on sizes and durations. Runs are
deterministic, so that every answer is final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from sim.schedule import Fault, Schedule

_GATEWAYS_MIN = 2


@dataclass(slots=True)
class _Budget:
    """How many runs are left."""

    runs: int


def shrink(schedule: Schedule, fails: Callable[[Schedule], bool], *, runs_max: int = 150) -> Schedule:
    """The shortest schedule found that fails.

    Args:
        fails: runs a schedule; True if the failure is still there. `schedule` itself does fail.
        runs_max: gives up the search after so many runs.
    """
    budget = _Budget(runs_max)

    def tried(candidate: Schedule) -> bool:
        budget.runs -= 1
        return budget.runs >= 0 and fails(candidate)

    before = None
    while schedule != before and budget.runs > 0:
        before = schedule
        schedule = _without_faults(schedule, tried)
        for candidates in (_smaller, _shorter):
            schedule = _descend(schedule, candidates, tried)
    return schedule


def _without_faults(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """Drops as many faults at once as possible; in the end none can be dropped alone."""
    chunk = max(1, len(schedule.faults) // 2)
    while True:
        start, dropped = 0, False
        while start < len(schedule.faults):
            faults = schedule.faults[:start] + schedule.faults[start + chunk :]
            candidate = msgspec.structs.replace(schedule, faults=faults)
            if fails(candidate):
                schedule, dropped = candidate, True
            else:
                start += chunk
        if chunk == 1 and not dropped:
            return schedule
        chunk = max(1, chunk // 2)


def _descend(
    schedule: Schedule,
    candidates: Callable[[Schedule], Iterator[Schedule]],
    fails: Callable[[Schedule], bool],
) -> Schedule:
    """Takes one failing candidate after the other until there is none."""
    while True:
        better = next((candidate for candidate in candidates(schedule) if fails(candidate)), None)
        if better is None:
            return schedule
        schedule = better


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    if schedule.clients > 1:
        yield msgspec.structs.replace(schedule, clients=schedule.clients - 1)
    if schedule.gateways > _GATEWAYS_MIN:
        yield msgspec.structs.replace(schedule, gateways=schedule.gateways - 1)


def _shorter(schedule: Schedule) -> Iterator[Schedule]:
    for index, fault in enumerate(schedule.faults):
        for lasts_ms in (fault.lasts_ms // 4, fault.lasts_ms // 2):
            if lasts_ms >= 50:
                yield _with(schedule, index, msgspec.structs.replace(fault, lasts_ms=_rounded(lasts_ms)))


def _with(schedule: Schedule, index: int, fault: Fault) -> Schedule:
    faults = (*schedule.faults[:index], fault, *schedule.faults[index + 1 :])
    return msgspec.structs.replace(schedule, faults=faults)


def _rounded(duration_ms: int) -> int:
    step = 10 if duration_ms < 1_000 else 100
    return max(step, duration_ms // step * step)
