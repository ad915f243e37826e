from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from math import dist, hypot, inf, nan
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipsa.swim.coordinates import (
    COORDINATE_BYTES,
    DIMENSIONS,
    DISTANCE_MAX_MS,
    ERROR_MAX,
    ERROR_MIN,
    HEIGHT_MIN_MS,
    RTT_MAX_MS,
    Coordinate,
    CoordinateRefusedError,
    Vivaldi,
    decode_coordinate,
)
from tests.swim.topologies import JITTER, Distance, topology

component_ms = st.floats(-DISTANCE_MAX_MS / 4, DISTANCE_MAX_MS / 4)
coordinates = st.builds(
    Coordinate,
    position_ms=st.tuples(*[component_ms] * DIMENSIONS),
    height_ms=st.floats(HEIGHT_MIN_MS, DISTANCE_MAX_MS / 4),
    adjustment_ms=st.floats(-DISTANCE_MAX_MS, DISTANCE_MAX_MS),
    error=st.floats(ERROR_MIN, ERROR_MAX),
)
rtts_ms = st.floats(0, RTT_MAX_MS)


def at(x_ms: float, *, height_ms: float = 1.0, adjustment_ms: float = 0.0, error: float = 0.1) -> Coordinate:
    position_ms = (x_ms, *[0.0] * (DIMENSIONS - 1))
    return Coordinate(position_ms=position_ms, height_ms=height_ms, adjustment_ms=adjustment_ms, error=error)


def settled(*, at_ms: float = 0.0, error: float = 0.1) -> Vivaldi:
    vivaldi = Vivaldi(Random(1))
    vivaldi.coordinate = at(at_ms, error=error)
    return vivaldi


# Distances, and what travels.


def test_distance_is_that_of_the_points_with_both_heights_and_adjustments() -> None:
    assert at(3, height_ms=1).raw_distance_ms(at(-4, height_ms=2)) == 10
    assert at(3, height_ms=1, adjustment_ms=-2).distance_ms(at(-4, height_ms=2, adjustment_ms=0.5)) == 8.5
    # What would be negative is no distance.
    assert at(3, height_ms=1, adjustment_ms=-9).distance_ms(at(-4, height_ms=2, adjustment_ms=-1)) == 10


@given(coordinates)
def test_coordinate_survives_the_wire_to_the_microsecond(coordinate: Coordinate) -> None:
    encoded = coordinate.encode()
    assert len(encoded) == COORDINATE_BYTES
    decoded = decode_coordinate(encoded)
    assert dist(decoded.position_ms, coordinate.position_ms) <= 0.0005 * DIMENSIONS**0.5 + 1e-9
    assert decoded.height_ms == pytest.approx(coordinate.height_ms, abs=0.00051)
    assert decoded.adjustment_ms == pytest.approx(coordinate.adjustment_ms, abs=0.00051)
    assert decoded.error == pytest.approx(coordinate.error, abs=0.000051)
    assert decode_coordinate(decoded.encode()) == decoded


@given(st.binary(max_size=64) | st.binary(min_size=COORDINATE_BYTES, max_size=COORDINATE_BYTES))
def test_garbage_is_refused_or_a_possible_coordinate(data: bytes) -> None:
    with contextlib.suppress(CoordinateRefusedError):
        decoded = decode_coordinate(data)
        assert hypot(*decoded.position_ms) + decoded.height_ms <= DISTANCE_MAX_MS
        assert decoded.height_ms >= HEIGHT_MIN_MS
        assert ERROR_MIN <= decoded.error <= ERROR_MAX


@pytest.mark.parametrize(
    "absurd",
    [
        b"",
        bytes(COORDINATE_BYTES - 1),
        bytes(COORDINATE_BYTES + 1),
        at(0, error=0).encode(),
        at(0, error=2).encode(),
        at(0, height_ms=0).encode(),
        at(0, height_ms=-1).encode(),
        at(0, adjustment_ms=DISTANCE_MAX_MS + 1).encode(),
        at(DISTANCE_MAX_MS).encode(),
    ],
    ids=["empty", "short", "long", "certain", "unsure", "flat", "below", "adjusted", "far"],
)
def test_absurd_coordinates_are_refused(absurd: bytes) -> None:
    with pytest.raises(CoordinateRefusedError):
        decode_coordinate(absurd)


@pytest.mark.parametrize("rtt_ms", [-1.0, nan, inf, -inf, RTT_MAX_MS + 1])
def test_absurd_round_trips_are_refused_and_change_nothing(rtt_ms: float) -> None:
    vivaldi = settled()
    before = vivaldi.coordinate
    with pytest.raises(CoordinateRefusedError):
        vivaldi.observe(at(5), rtt_ms)
    assert vivaldi.coordinate == before


# One measurement.


def test_gateway_that_is_nearer_than_believed_pulls_and_one_that_is_farther_pushes() -> None:
    for rtt_ms, nearer in ((20.0, True), (80.0, False)):
        vivaldi = settled()
        before_ms = vivaldi.coordinate.raw_distance_ms(at(50))
        vivaldi.observe(at(50), rtt_ms)
        assert (vivaldi.coordinate.raw_distance_ms(at(50)) < before_ms) is nearer


def test_the_surer_of_two_moves_less() -> None:
    moved_ms = []
    for error in (0.05, 1.5):
        vivaldi = settled(error=error)
        vivaldi.observe(at(50, error=0.3), 100)
        moved_ms.append(hypot(*vivaldi.coordinate.position_ms))
    assert moved_ms[0] < moved_ms[1] / 2


def test_two_that_start_at_one_point_part() -> None:
    vivaldi = Vivaldi(Random(1))
    vivaldi.observe(vivaldi.coordinate, 40)
    assert hypot(*vivaldi.coordinate.position_ms) == pytest.approx(5, rel=0.1)


@given(coordinates, coordinates, rtts_ms)
def test_whatever_another_says_the_step_is_bounded_by_what_was_measured(
    own: Coordinate, lie: Coordinate, rtt_ms: float
) -> None:
    vivaldi = Vivaldi(Random(1))
    vivaldi.coordinate = own
    vivaldi.observe(lie, rtt_ms)
    now = vivaldi.coordinate
    if hypot(*now.position_ms) > 0:
        gravity_ms = (DISTANCE_MAX_MS / 500) ** 2
        step_ms = 0.25 * max(rtt_ms, HEIGHT_MIN_MS, 50 * own.error) + 1e-6
        assert dist(now.position_ms, own.position_ms) <= step_ms + gravity_ms
        assert abs(now.height_ms - own.height_ms) <= step_ms
    assert abs(now.error - own.error) <= 0.25 * ERROR_MAX
    assert abs(now.adjustment_ms) <= rtt_ms / 40 + HEIGHT_MIN_MS


@given(st.lists(st.tuples(coordinates, rtts_ms), max_size=60))
def test_own_coordinate_can_always_be_said_and_is_never_refused(
    heard: list[tuple[Coordinate, float]],
) -> None:
    vivaldi = Vivaldi(Random(1))
    for other, rtt_ms in heard:
        vivaldi.observe(other, rtt_ms)
        decode_coordinate(vivaldi.coordinate.encode())


# Many measurements.


class Mesh:
    """Gateways that measure each other at random, and some that lie."""

    def __init__(
        self, distance: Distance, count: int, *, random: Random, liars: Collection[int] = ()
    ) -> None:
        self.distance = distance
        self.random = random
        self.liars = frozenset(liars)
        self.honest = [index for index in range(count) if index not in self.liars]
        self.count = count
        self.vivaldis = [Vivaldi(Random(random.random())) for _ in range(count)]

    def run(self, rounds: int, *, lie: Callable[[], Coordinate] | None = None, loss: float = 0.0) -> None:
        """Each gateway measures one other a round."""
        for _ in range(rounds):
            for index in self.honest:
                other = self.random.choice([peer for peer in range(self.count) if peer != index])
                if self.random.random() < loss:
                    continue
                said = self.vivaldis[other].coordinate
                if other in self.liars and lie is not None:
                    said = lie()
                rtt_ms = self.distance(index, other) * (1 + JITTER * self.random.random())
                self.vivaldis[index].observe(decode_coordinate(said.encode()), rtt_ms)

    def errors(self) -> list[float]:
        """Relative errors of all estimates between honest gateways, the smallest first."""
        found = []
        for index, one in enumerate(self.honest):
            for other in self.honest[:index]:
                true_ms = self.distance(one, other) * (1 + JITTER / 2)
                estimate_ms = self.vivaldis[one].coordinate.distance_ms(self.vivaldis[other].coordinate)
                found.append(abs(estimate_ms - true_ms) / true_ms)
        return sorted(found)

    def centre_ms(self) -> float:
        """Distance of the centre of all from the origin."""
        points = [self.vivaldis[index].coordinate.position_ms for index in self.honest]
        return hypot(*(sum(axis) / len(points) for axis in zip(*points, strict=True)))


@pytest.mark.parametrize("kind", ["grid", "line", "tree"])
@given(seed=st.integers(0, 1 << 32), loss=st.sampled_from([0, 0.25]))
@settings(max_examples=5, deadline=None)
def test_estimates_come_close_to_the_truth(kind: str, seed: int, loss: float) -> None:
    random = Random(seed)
    mesh = Mesh(topology(kind, sites=8, per_site=3, random=random), 24, random=random)
    mesh.run(60, loss=loss)
    assert median(mesh.errors()) < 0.25
    mesh.run(240, loss=loss)
    errors = mesh.errors()
    assert median(errors) < 0.1
    assert errors[len(errors) * 9 // 10] < 0.35


def test_estimates_stay_good_and_the_mesh_does_not_drift() -> None:
    random = Random(1)
    mesh = Mesh(topology("grid", sites=4, per_site=4, random=random), 16, random=random)
    mesh.run(400)
    settled_ms = mesh.centre_ms()
    mesh.run(2_000)
    assert median(mesh.errors()) < 0.05
    assert mesh.centre_ms() < settled_ms + 5


def test_heights_tell_slow_access_links() -> None:
    random = Random(1)
    plain = topology("grid", sites=8, per_site=2, random=random)

    def distance(one: int, other: int) -> float:
        return plain(one, other) + 30 * ((one == 0) + (other == 0))

    mesh = Mesh(distance, 16, random=random)
    mesh.run(600)
    heights_ms = [vivaldi.coordinate.height_ms for vivaldi in mesh.vivaldis]
    assert heights_ms[0] > 3 * max(heights_ms[1:])


@pytest.mark.parametrize("liars", [1, 3])
def test_liars_spoil_little_for_others(liars: int) -> None:
    random = Random(1)
    mesh = Mesh(topology("grid", sites=8, per_site=3, random=random), 24, random=random, liars=range(liars))
    mesh.run(300)

    def lie() -> Coordinate:
        position_ms = tuple(random.choice((-1_000.0, 1_000.0)) for _ in range(DIMENSIONS))
        return Coordinate(position_ms=position_ms, height_ms=500, adjustment_ms=-500, error=ERROR_MIN)

    mesh.run(600, lie=lie)
    assert median(mesh.errors()) < 0.2
    mesh.liars = frozenset()
    mesh.run(300)
    assert median(mesh.errors()) < 0.1


def test_same_randomness_same_coordinates() -> None:
    found = []
    for _ in range(2):
        random = Random(7)
        mesh = Mesh(topology("line", sites=4, per_site=2, random=random), 8, random=random)
        mesh.run(50)
        found.append([vivaldi.coordinate for vivaldi in mesh.vivaldis])
    assert found[0] == found[1]
