from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.ring import ShuffledRing
from sim.mesh.network import names


def ring_of(count: int, seed: int) -> ShuffledRing:
    ring = ShuffledRing(Random(seed))
    for name in names(count):
        ring.add(name)
    return ring


def anybody(name: GatewayName) -> bool:
    return True


@given(st.integers(1, 40), st.integers())
def test_nobody_waits_longer_than_two_passes(count: int, seed: int) -> None:
    ring = ring_of(count, seed)
    turns = [ring.take(1, anybody)[0] for _ in range(5 * count)]
    for start in range(3 * count):
        assert set(turns[start : start + 2 * count]) == set(names(count))


@given(st.integers(0, 10), st.integers(0, 12), st.integers())
def test_takes_different_names_and_all_there_are(count: int, wanted: int, seed: int) -> None:
    ring = ring_of(count, seed)
    for _ in range(5):
        taken = ring.take(wanted, anybody)
        assert len(taken) == len(set(taken)) == min(wanted, count)


@given(st.integers(), st.lists(st.tuples(st.sampled_from("adt"), st.integers(0, 7)), max_size=40))
def test_changes_lose_and_duplicate_nobody(seed: int, steps: list[tuple[str, int]]) -> None:
    ring, present = ShuffledRing(Random(seed)), set()
    for action, index in steps:
        name = names(8)[index]
        if action == "a":
            ring.add(name)
            present.add(name)
        elif action == "d":
            ring.discard(name)
            present.discard(name)
        else:
            ring.take(1, anybody)
        assert len(ring) == len(present)
    assert set(ring.take(8, anybody)) == present


def test_unwanted_names_are_passed_over() -> None:
    ring = ring_of(6, 1)
    unwanted = names(6)[:4]
    assert set(ring.take(5, lambda name: name not in unwanted)) == set(names(6)[4:])
