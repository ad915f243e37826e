"""Virtual time: what comes first is decided by time, then by who was first to ask."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from sim.virtual_clock import VirtualClock


@given(delays_ns=st.lists(st.integers(0, 5), max_size=30))
def test_events_come_by_time_and_simultaneous_ones_in_the_order_of_their_scheduling(
    delays_ns: list[int],
) -> None:
    clock = VirtualClock()
    happened: list[int] = []
    for index, delay_ns in enumerate(delays_ns):
        clock.after(delay_ns, partial(happened.append, index))
    clock.run_until(clock.now_ns + 10)
    assert happened == sorted(range(len(delays_ns)), key=lambda index: (delays_ns[index], index))


def test_cancelled_event_does_not_happen() -> None:
    clock, happened = VirtualClock(), []
    clock.after(1, lambda: happened.append("kept"))
    clock.after(1, lambda: happened.append("cancelled")).cancel()
    clock.run_until(clock.now_ns + 2)
    assert happened == ["kept"]


def test_events_after_the_end_wait_for_the_next_run() -> None:
    clock, happened = VirtualClock(), []
    start_ns = clock.now_ns
    clock.every(10, lambda: happened.append(clock.now_ns - start_ns))
    clock.run_until(start_ns + 25)
    assert (happened, clock.now_ns) == ([10, 20], start_ns + 25)
    clock.run_until(start_ns + 30)
    assert happened == [10, 20, 30]


def test_event_in_the_past_happens_now() -> None:
    clock, happened = VirtualClock(), []
    clock.at(0, lambda: happened.append(clock.now_ns))
    start_ns = clock.now_ns
    clock.run_until(start_ns)
    assert happened == [start_ns]
