"""Shards go to near gateways in other zones, in parts of their weights, and only those move that must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, GatewayName, Holder
from gossipsa.replication.placement import Candidate, Placement
from gossipsa.replication.shards import SHARD_COUNT, ShardMap
from gossipsa.settings import ReplicationSettings

MS = 1_000_000


def make(
    name: str, ms: float = 1, *, site: str = "", zone: str = "", capacity: int = 100, records: int = 0
) -> Candidate:
    holder = Holder(GatewayName(name), BootId(name.encode().ljust(16, b".")[:16]))
    return Candidate(
        holder=holder,
        round_trip_ns=int(ms * MS),
        site=site,
        zone=zone,
        capacity=capacity,
        records=records,
    )


def placement(*, owner: str = "me", site: str = "s0", zone: str = "z0", **changes: int) -> Placement:
    replication = msgspec.structs.replace(ReplicationSettings(), **changes)
    return Placement(owner=GatewayName(owner), site=site, zone=zone, settings=replication)


def names(shards: ShardMap) -> set[str]:
    return {holder.gateway for replicas in shards for holder in replicas}


def shares(shards: ShardMap) -> Counter[str]:
    return Counter(holder.gateway for replicas in shards for holder in replicas)


candidates = st.lists(
    st.builds(
        make,
        st.integers(0, 30).map(lambda n: f"g{n}"),
        st.floats(0.1, 300),
        site=st.sampled_from(("", "s0", "s1", "s2")),
        zone=st.sampled_from(("", "z0", "z1", "z2")),
        capacity=st.sampled_from((0, 1, 50, 100)),
        records=st.integers(0, 1000),
    ),
    unique_by=lambda candidate: candidate.holder,
    max_size=12,
)
in_zones_of_their_own = st.lists(
    st.builds(
        lambda n, ms, capacity: make(f"g{n}", ms, site=f"s{n}", zone=f"z{n}", capacity=capacity),
        st.integers(1, 30),
        st.floats(0.1, 60),
        st.sampled_from((50, 100, 200)),
    ),
    unique_by=lambda candidate: candidate.holder,
    min_size=3,
    max_size=6,
)
"""As many as are candidates at once, so that none pushes another out."""


@settings(max_examples=40, deadline=None)
@given(candidates, st.integers(1, 4))
def test_every_shard_has_as_many_replicas_as_wanted_or_as_there_are(
    found: list[Candidate], replicas: int
) -> None:
    shards = placement(replicas=replicas, candidates=12, load_percent_max=10_000).choose(found)
    fit = {candidate.holder for candidate in found if candidate.capacity}
    for chosen in shards:
        assert len(set(chosen)) == len(chosen) == min(replicas, len(fit))
        assert set(chosen) <= fit


@settings(max_examples=30, deadline=None)
@given(candidates)
def test_order_of_arrival_does_not_matter(found: list[Candidate]) -> None:
    assert placement().choose(found) == placement().choose(list(reversed(found)))


@settings(max_examples=30, deadline=None)
@given(candidates, st.lists(st.floats(0.9, 1.1), min_size=12, max_size=12))
def test_jitter_moves_nothing(found: list[Candidate], factors: list[float]) -> None:
    chosen = placement()
    before = chosen.choose(found)
    shaken = [
        msgspec.structs.replace(candidate, round_trip_ns=int(candidate.round_trip_ns * factor))
        for candidate, factor in zip(found, factors, strict=False)
    ]
    assert chosen.choose(shaken) == before


def check_movement(before: ShardMap, after: ShardMap, name: str) -> None:
    """Only shards that gain or lose `name` change, and by one replica each."""
    for old, new in zip(before, after, strict=True):
        one, two = ({holder.gateway for holder in replicas} for replicas in (old, new))
        if (name in one) == (name in two):
            assert one == two
        else:
            assert len(one ^ two) == 2


Change = Callable[[Candidate], Candidate | None]
changes: list[Change] = [
    lambda _: None,
    lambda candidate: msgspec.structs.replace(candidate, draining=True),
    lambda candidate: msgspec.structs.replace(candidate, capacity=0),
    lambda candidate: msgspec.structs.replace(candidate, capacity=2 * candidate.capacity),
    lambda candidate: msgspec.structs.replace(candidate, capacity=1),
    lambda candidate: msgspec.structs.replace(candidate, round_trip_ns=4 * candidate.round_trip_ns),
]


@settings(max_examples=60, deadline=None)
@given(in_zones_of_their_own, st.data(), st.sampled_from(changes))
def test_a_change_of_one_candidate_moves_only_what_it_wins_or_loses(
    found: list[Candidate], data: st.DataObject, change: Change
) -> None:
    index = data.draw(st.integers(0, len(found) - 1))
    changed = [
        each
        for number, candidate in enumerate(found)
        if (each := change(candidate) if number == index else candidate) is not None
    ]
    # Less than one a zone is left: then every choice depends on every other.
    fit = [candidate for candidate in changed if candidate.capacity and not candidate.draining]
    if len(fit) < 2:
        return
    chosen = placement()
    before = chosen.choose(found)
    after = chosen.choose(changed)
    check_movement(before, after, found[index].holder.gateway)
    # And back: it is as if nothing had been.
    assert chosen.choose(found) == before


@settings(max_examples=30, deadline=None)
@given(in_zones_of_their_own)
def test_a_restarted_replica_keeps_its_shards(found: list[Candidate]) -> None:
    chosen = placement()
    before = chosen.choose(found)
    holder = found[0].holder
    restarted = msgspec.structs.replace(
        found[0], holder=msgspec.structs.replace(holder, boot=BootId(bytes(16)))
    )
    after = chosen.choose([restarted, *found[1:]])
    assert [{each.gateway for each in replicas} for replicas in before] == [
        {each.gateway for each in replicas} for replicas in after
    ]


@settings(max_examples=40, deadline=None)
@given(in_zones_of_their_own, st.text("abcdefgh", min_size=1, max_size=8))
def test_shares_follow_weights(found: list[Candidate], owner: str) -> None:
    """One replica each: then the shares are those of the weights, but for the luck of 256 draws."""
    even = [msgspec.structs.replace(candidate, round_trip_ns=MS) for candidate in found]
    counts = shares(placement(owner=owner, replicas=1).choose(even))
    capacity = sum(candidate.capacity for candidate in even)
    for candidate in even:
        expected = SHARD_COUNT * candidate.capacity / capacity
        # Five standard deviations of a binomial distribution.
        deviation = (expected * (1 - candidate.capacity / capacity)) ** 0.5
        assert abs(counts[candidate.holder.gateway] - expected) <= 5 * deviation


def test_load_of_many_owners_is_even() -> None:
    """Each of 20 owners has 2 x 256 shares to give to six equals: over all, within a few percent."""
    found = [make(f"g{number}", zone=f"z{number}") for number in range(1, 7)]
    total: Counter[str] = Counter()
    for owner in range(20):
        counts = shares(placement(owner=f"o{owner}").choose(found))
        assert max(counts.values()) / (2 * SHARD_COUNT / 6) < 1.35
        total += counts
    assert max(total.values()) / (20 * 2 * SHARD_COUNT / 6) < 1.06


def test_a_dead_gateways_load_spreads_over_all_others_that_were_candidates() -> None:
    found = [make(f"g{number}", zone=f"z{number}") for number in range(1, 7)]
    chosen = placement()
    before = chosen.choose(found)
    after = chosen.choose(found[1:])
    gained = shares(after) - shares(before)
    assert set(gained) == {f"g{number}" for number in range(2, 7)}
    assert max(gained.values()) < 2 * sum(gained.values()) / 5


def test_the_nearest_of_the_replicas_takes_over_first() -> None:
    far, near, middle = make("far", 90), make("near", 5), make("middle", 30)
    rank = {"near": 0, "middle": 1, "far": 2}
    for replicas in placement().choose([far, near, middle]):
        order = [rank[holder.gateway] for holder in replicas]
        assert order == sorted(order)


def test_takers_at_one_distance_share_the_first_place() -> None:
    first = Counter(replicas[0].gateway for replicas in placement().choose([make(n) for n in "abcd"]))
    assert len(first) == 4


def test_near_gateways_get_more() -> None:
    counts = shares(placement(replicas=1).choose([make("near", 5), make("far", 60)]))
    # e^(-8/50) against e^(-64/50).
    assert 0.65 < counts["near"] / SHARD_COUNT < 0.85


def test_only_the_nearest_are_candidates() -> None:
    found = [make(f"g{number}", 2.0**number, zone=f"z{number}") for number in range(1, 9)]
    assert names(placement(candidates=3).choose(found)) == {"g1", "g2", "g3"}


def test_owners_at_equal_distances_choose_different_neighbours() -> None:
    found = [make(f"g{number}") for number in range(1, 40)]
    chosen = {frozenset(names(placement(owner=owner).choose(found))) for owner in "abcdef"}
    assert len(chosen) == 6


def test_another_zone_goes_before_nearness() -> None:
    same, other = make("same", 1, zone="z0", site="s9"), make("other", 200, zone="z1")
    assert names(placement(replicas=1).choose([same, other])) == {"other"}
    assert names(placement(replicas=2).choose([same, other])) == {"same", "other"}


def test_of_our_zone_another_site_goes_before_nearness() -> None:
    here, there = make("here", 1, zone="z0", site="s0"), make("there", 50, zone="z0", site="s1")
    assert names(placement(replicas=1).choose([here, there])) == {"there"}


def test_replicas_are_in_different_zones_though_one_zone_has_all_the_nearest() -> None:
    found = [make(f"near{number}", 1, zone="z1") for number in range(8)] + [make("far", 100, zone="z2")]
    for replicas in placement().choose(found):
        assert "far" in {holder.gateway for holder in replicas}


@settings(max_examples=40, deadline=None)
@given(candidates)
def test_two_replicas_share_a_zone_only_if_there_is_no_other(found: list[Candidate]) -> None:
    zones = {candidate.holder: candidate.zone for candidate in found}
    there = {candidate.zone for candidate in found if candidate.capacity and candidate.zone not in ("", "z0")}
    for chosen in placement(load_percent_max=10_000).choose(found):
        apart = [zones[holder] for holder in chosen if zones[holder]]
        if len(apart) == 2 and apart[0] == apart[1]:
            assert len(there) <= 1


def chosen_by(chosen: Placement, found: Collection[Candidate], name: str) -> set[int]:
    return {
        shard
        for shard, replicas in enumerate(chosen.choose(found))
        if name in {holder.gateway for holder in replicas}
    }


def test_a_suspected_gateway_keeps_what_it_has_and_gets_nothing_new() -> None:
    found = [make(name) for name in "abcd"]
    chosen = placement()
    before = chosen_by(chosen, found, "a")
    suspect = msgspec.structs.replace(found[0], suspected=True)
    assert chosen_by(chosen, [suspect, *found[1:]], "a") == before
    # One of the others dies: its shards go to those that are well, as long as there are any.
    assert chosen_by(chosen, [suspect, *found[2:]], "a") == before


def test_an_overloaded_gateway_keeps_what_it_has_and_gets_nothing_new() -> None:
    found = [make(name, records=1000) for name in "abcd"]
    chosen = placement()
    before = chosen_by(chosen, found, "a")
    full = msgspec.structs.replace(found[0], records=2000)
    assert chosen_by(chosen, [full, *found[1:]], "a") == before
    assert chosen_by(chosen, [full, *found[2:]], "a") == before
    assert chosen_by(chosen, [found[0], *found[2:]], "a") > before


def test_an_overloaded_gateway_is_better_than_a_copy_less() -> None:
    found = [make("a", records=2000), make("b", records=100)]
    assert all(len(replicas) == 2 for replicas in placement().choose(found))


def test_a_gateway_twice_as_large_may_hold_twice_as_much() -> None:
    found = [make("large", capacity=200, records=2000)] + [make(name, records=1000) for name in "abc"]
    assert "large" in names(placement().choose(found))


def test_a_draining_gateway_is_emptied() -> None:
    found = [make(name) for name in "abcd"]
    chosen = placement()
    assert "a" in names(chosen.choose(found))
    assert "a" not in names(chosen.choose([msgspec.structs.replace(found[0], draining=True), *found[1:]]))


def test_copies_stay_at_draining_gateways_if_there_are_no_others() -> None:
    """The owner would be the only one to have its records, though the others live."""
    found = [msgspec.structs.replace(make(name), draining=True) for name in "ab"]
    chosen = placement()
    assert names(chosen.choose(found)) == {"a", "b"}
    assert names(chosen.choose([*found, make("c")])) == {"c"}
