"""The nearest gateways keep the records, across failure domains, and do not change for a jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, GatewayName, Holder
from gossipsa.replication.placement import Candidate, choose_replicas

MS = 1_000_000

candidates = st.lists(
    st.builds(
        Candidate,
        holder=st.integers(0, 30).map(lambda n: Holder(GatewayName(f"g{n}"), BootId(bytes([n]) * 16))),
        round_trip_ns=st.integers(1, 300 * MS),
        site=st.sampled_from(("", "s1", "s2", "s3")),
        zone=st.sampled_from(("", "z1", "z2")),
        capacity=st.sampled_from((0, 1, 100)),
    ),
    unique_by=lambda candidate: candidate.holder,
    max_size=12,
)


def choose(
    found: list[Candidate], *, current: tuple[Holder, ...] = (), replicas: int = 2
) -> tuple[Holder, ...]:
    return choose_replicas(
        found, current=current, own_site="s1", own_zone="z1", replicas=replicas, hysteresis_percent=25
    )


def make(name: str, ms: float, *, site: str = "", zone: str = "") -> Candidate:
    holder = Holder(GatewayName(name), BootId(name.encode() * 16))
    return Candidate(holder=holder, round_trip_ns=int(ms * MS), site=site, zone=zone, capacity=100)


@given(candidates, st.integers(1, 4))
def test_as_many_as_wanted_or_as_there_are(found: list[Candidate], replicas: int) -> None:
    fit = {candidate.holder for candidate in found if candidate.capacity}
    chosen = choose(found, replicas=replicas)
    assert len(set(chosen)) == len(chosen) == min(replicas, len(fit))
    assert set(chosen) <= fit


@given(candidates, st.randoms())
def test_order_of_arrival_does_not_matter(found: list[Candidate], random: object) -> None:
    assert choose(found) == choose(list(reversed(found)))


@given(candidates)
def test_choice_is_stable_once_made(found: list[Candidate]) -> None:
    chosen = choose(found)
    assert set(choose(found, current=chosen)) == set(chosen)


def test_the_nearest_takes_over_first() -> None:
    far, near, middle = make("far", 90), make("near", 5), make("middle", 30)
    assert choose([far, near, middle]) == (near.holder, middle.holder)


def test_another_zone_goes_before_nearness() -> None:
    same, other = make("same", 1, zone="z1"), make("other", 50, zone="z2")
    assert choose([same, other], replicas=1) == (other.holder,)


def test_jitter_moves_nothing() -> None:
    first, second, third = make("first", 10), make("second", 10.4), make("third", 9.9)
    assert choose([first, second, third], current=(first.holder, second.holder)) == (
        first.holder,
        second.holder,
    )


def test_a_much_nearer_gateway_takes_the_place() -> None:
    first, second, third = make("first", 10), make("second", 20), make("third", 5)
    chosen = choose([first, second, third], current=(first.holder, second.holder))
    assert chosen == (third.holder, first.holder)
