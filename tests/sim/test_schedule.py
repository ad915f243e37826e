"""A schedule is one line of text, whatever it holds, and every kind of fault can be drawn and done."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fault_kinds import KINDS, draw_fault
from sim.schedule import Fault, Schedule, ScheduleError, parse_schedule
from sim.standard import draw_schedule, run_schedule

GATEWAYS = ["g1", "g2", "g3"]
CLIENTS = ["c1", "c2", "c3"]

_words = st.text("abcdefg0123456789,|=", min_size=1, max_size=12)
_faults = st.builds(
    Fault,
    st.integers(0, 3_600_000),
    _words,
    st.lists(_words, max_size=4).map(tuple),
    st.integers(0, 3_600_000),
)
_schedules = st.builds(
    Schedule, st.integers(1, 100), st.integers(0, 100), st.lists(_faults, max_size=6).map(tuple)
)


@given(_schedules)
def test_text_of_a_schedule_reads_back_as_the_same(schedule: Schedule) -> None:
    assert parse_schedule(str(schedule)) == schedule


@given(st.text(max_size=60))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    with suppress(ScheduleError):
        parse_schedule(text)


@pytest.mark.parametrize(
    "text", ["", "crash g1", "g0 c1", "g4 c5; crash g1", "g4 c5; 12", "g4 c5; 3600001 crash g1", "g101 c1"]
)
def test_malformed_schedule_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text)


@pytest.mark.parametrize("words", ["", "soon", "999", "3600001", "2000 3000"])
def test_return_that_names_no_time_is_refused(words: str) -> None:
    with pytest.raises(ScheduleError):
        run_schedule(parse_schedule(f"g2 c1; 0 return {words}"), 0)


@given(st.integers(0, 1 << 32))
@settings(max_examples=50)
def test_seed_draws_the_same_schedule_again_and_it_is_one_line(seed: int) -> None:
    schedule = draw_schedule(seed)
    assert schedule == draw_schedule(seed) == parse_schedule(str(schedule))
    assert "\n" not in str(schedule)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_can_be_drawn_and_done(kind: str) -> None:
    random = Random(kind)
    faults = tuple(draw_fault(random, kind, 500 * index, GATEWAYS, CLIENTS) for index in range(3))
    # Two gateways and two clients: whoever is named beyond these is not there.
    outcome = run_schedule(Schedule(2, 2, faults), 1)
    assert outcome.violation is None, outcome.violation
    assert outcome.cluster.disturbed_ns > 0


def test_unknown_fault_is_said_to_be_one() -> None:
    violation = run_schedule(parse_schedule("g2 c1; 10 earthquake g1"), 1).violation
    assert violation is not None
    assert "no fault earthquake" in str(violation)
