from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.steady_time import SteadyTime

readings = st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=30)


@given(readings)
def test_time_never_goes_back_whatever_the_clock_does(clock: list[int]) -> None:
    time = SteadyTime()
    steady = [time.read(reading) for reading in clock]
    assert steady == sorted(steady)


@given(st.integers(0, 10**18), st.integers(1, 10**15), st.integers(0, 10**12))
def test_after_a_step_back_time_goes_on_at_once_and_deadlines_are_on_the_new_clock(
    start_ns: int, back_ns: int, later_ns: int
) -> None:
    time = SteadyTime()
    before = time.read(start_ns)
    assert time.read(start_ns - back_ns) == before
    assert time.read(start_ns - back_ns + later_ns) == before + later_ns
    assert time.on_clock(before + later_ns) == start_ns - back_ns + later_ns


def test_jump_forward_is_believed() -> None:
    time = SteadyTime()
    assert time.read(5) == 5
    assert time.read(5 + 10**13) == 5 + 10**13
