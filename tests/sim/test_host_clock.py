"""A host's clock never goes back, whatever is done to it, and deadlines come when it shows them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.host_clock import HostClock
from sim.virtual_clock import SECOND_NS, VirtualClock

_steps = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 100 * SECOND_NS)),
    st.tuples(st.just("jump"), st.integers(0, 100 * SECOND_NS)),
    st.tuples(st.just("drift"), st.integers(-20_000, 20_000)),
    st.tuples(st.just("stand"), st.just(0)),
    st.tuples(st.just("go_on"), st.just(0)),
)


@given(st.lists(_steps, max_size=20), st.integers(0, 10 * SECOND_NS))
def test_clock_never_goes_back_and_tells_when_a_deadline_comes(
    steps: list[tuple[str, int]], ahead_ns: int
) -> None:
    clock = VirtualClock()
    host_clock = HostClock(clock, uptime_ns=5)
    shown_ns = host_clock.now_ns
    for step, amount in steps:
        match step:
            case "pass":
                clock.run_until(clock.now_ns + amount)
            case "jump":
                host_clock.jump(amount)
            case "drift":
                host_clock.drift(amount)
            case "stand":
                host_clock.stand()
            case "go_on":
                host_clock.go_on()
        assert host_clock.now_ns >= shown_ns
        shown_ns = host_clock.now_ns
    host_clock.go_on()
    deadline_ns = host_clock.now_ns + ahead_ns
    clock.run_until(host_clock.at_ns(deadline_ns))
    assert deadline_ns <= host_clock.now_ns <= deadline_ns + 2


def test_clock_that_stands_shows_nothing_of_what_passed() -> None:
    clock = VirtualClock()
    host_clock = HostClock(clock, uptime_ns=0)
    host_clock.stand()
    clock.run_until(clock.now_ns + 7 * SECOND_NS)
    host_clock.go_on()
    assert host_clock.now_ns == 0


def test_drift_is_so_many_parts_of_a_million() -> None:
    clock = VirtualClock()
    host_clock = HostClock(clock, uptime_ns=0)
    host_clock.drift(500)
    clock.run_until(clock.now_ns + 1_000 * SECOND_NS)
    assert host_clock.now_ns == 1_000 * SECOND_NS + SECOND_NS // 2
