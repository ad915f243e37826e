"""Failing schedules become short, and go on failing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.schedule import Fault, Schedule
from sim.shrink import shrink


def _schedule(*kinds: str) -> Schedule:
    faults = tuple(Fault(100 * index, kind, ("g1",), 4_000) for index, kind in enumerate(kinds))
    return Schedule(5, 5, faults)


def _kinds(schedule: Schedule) -> list[str]:
    return [fault.kind for fault in schedule.faults]


@given(st.lists(st.sampled_from("abcd"), max_size=24), st.sets(st.sampled_from("abcd"), min_size=1))
def test_only_what_the_failure_needs_is_left(noise: list[str], needed: set[str]) -> None:
    short = shrink(
        _schedule(*noise, *needed), lambda schedule: needed <= set(_kinds(schedule)), runs_max=10_000
    )
    assert sorted(_kinds(short)) == sorted(needed)
    assert (short.gateways, short.clients) == (2, 1)
    assert all(fault.lasts_ms < 200 for fault in short.faults)


def test_durations_stay_as_long_as_the_failure_needs_them() -> None:
    short = shrink(
        _schedule("pause"), lambda schedule: any(fault.lasts_ms >= 900 for fault in schedule.faults)
    )
    assert 900 <= short.faults[0].lasts_ms < 1_800


def test_search_ends_when_its_runs_are_used_up() -> None:
    runs = 0

    def fails(_: Schedule) -> bool:
        nonlocal runs
        runs += 1
        return True

    shrink(_schedule(*"abcdefghijkl"), fails, runs_max=3)
    assert runs == 3
