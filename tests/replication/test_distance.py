"""Distances are powers of two, and stay what they are while round-trip times jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.replication.distance import NEAREST_NS, Distances

NAME = GatewayName("g")
MS = 1_000_000


@given(st.integers(0, 2_000 * MS))
def test_a_distance_is_the_next_power_of_two(round_trip_ns: int) -> None:
    distance_ns = Distances(hysteresis_percent=25).distance_ns(NAME, round_trip_ns)
    assert distance_ns >= max(round_trip_ns, NEAREST_NS)
    assert distance_ns == NEAREST_NS or distance_ns < 2 * round_trip_ns
    assert (distance_ns // NEAREST_NS).bit_count() == 1


@given(st.integers(NEAREST_NS, 1_000 * MS), st.lists(st.floats(0.9, 1.1), max_size=20))
def test_jitter_changes_it_once_at_most(round_trip_ns: int, jitter: list[float]) -> None:
    distances = Distances(hysteresis_percent=25)
    seen = [distances.distance_ns(NAME, int(round_trip_ns * factor)) for factor in jitter]
    assert len(set(seen)) <= 1


def test_a_clear_change_is_followed() -> None:
    distances = Distances(hysteresis_percent=25)
    assert distances.distance_ns(NAME, 10 * MS) == 16 * MS
    assert distances.distance_ns(NAME, 19 * MS) == 16 * MS
    assert distances.distance_ns(NAME, 21 * MS) == 32 * MS
    assert distances.distance_ns(NAME, 13 * MS) == 32 * MS
    assert distances.distance_ns(NAME, 11 * MS) == 16 * MS


def test_what_is_not_kept_is_forgotten() -> None:
    distances = Distances(hysteresis_percent=25)
    assert distances.distance_ns(NAME, 16 * MS) == 16 * MS
    distances.keep(())
    assert distances.distance_ns(NAME, 17 * MS) == 32 * MS
