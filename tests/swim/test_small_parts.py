"""Round-trip times, local health, allowances."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.swim.allowance import Allowance, SenderAllowances
from gossipsa.swim.health import LocalHealth
from gossipsa.swim.round_trip import RoundTrip
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS
from tests.swim.claims import OTHERS, THEM, US

rtts_ns = st.integers(0, 2 * SECOND_NS)


@given(st.lists(rtts_ns, min_size=1, max_size=50))
def test_smoothed_round_trip_stays_within_the_samples(samples: list[int]) -> None:
    trip = RoundTrip()
    for sample in samples:
        trip.sample(sample)
    assert trip.smoothed_ns is not None
    assert min(samples) - 8 <= trip.smoothed_ns <= max(samples)
    assert LAN.ack_wait_min_ns <= trip.ack_wait_ns(LAN) <= LAN.ack_wait_max_ns


def test_steady_path_is_waited_for_a_little_longer_than_it_takes() -> None:
    trip = RoundTrip()
    assert trip.ack_wait_ns(LAN) == LAN.ack_wait_initial_ns
    for _ in range(50):
        trip.sample(80 * MILLISECOND_NS)
    assert 80 * MILLISECOND_NS < trip.ack_wait_ns(LAN) <= 105 * MILLISECOND_NS


def test_first_answer_of_a_path_grown_slow_widens_the_wait() -> None:
    trip = RoundTrip()
    for _ in range(50):
        trip.sample(MILLISECOND_NS)
    trip.sample(200 * MILLISECOND_NS)
    assert trip.ack_wait_ns(LAN) > 200 * MILLISECOND_NS


def test_health_is_bounded_both_ways() -> None:
    health = LocalHealth(score_max=2)
    for _ in range(5):
        health.worsen()
    assert (health.score, health.multiplier) == (2, 3)
    health.end_round()
    assert health.score == 2, "a round that made it worse does not make it better"
    for _ in range(5):
        health.end_round()
    assert (health.score, health.multiplier) == (0, 1)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, SECOND_NS)), max_size=50))
def test_allowance_grants_no_more_than_burst_and_rate(asks: list[tuple[int, int]]) -> None:
    allowance = Allowance(per_second=10, burst=5)
    now_ns = granted = 0
    for wanted, later_ns in asks:
        now_ns += later_ns
        granted += allowance.take(wanted, now_ns)
    assert granted <= 5 + 10 * now_ns / SECOND_NS


def test_allowance_refills() -> None:
    allowance = Allowance(per_second=10, burst=5)
    assert allowance.take(9, 0) == 5
    assert allowance.take(1, 0) == 0
    assert allowance.take(9, SECOND_NS // 5) == 2
    assert allowance.take(9, 100 * SECOND_NS) == 5


def test_senders_do_not_use_up_each_others_allowance_and_are_bounded() -> None:
    allowances = SenderAllowances(per_second=1, burst=5, senders_max=2)
    assert allowances.take(THEM, 9, 0) == 5
    assert allowances.take(US, 9, 0) == 5
    assert allowances.take(US, 9, 0) == 0
    assert allowances.take(OTHERS[0], 9, 0) == 5
    assert allowances.take(US, 9, 0) == 0
    assert allowances.take(THEM, 9, 0) == 5
