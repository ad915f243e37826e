"""Who is probed, asked and told: near and far, in fixed shares, and nobody left out."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.sites import FAR_EVERY, SiteRings
from sim.mesh.network import names

HERE = "here"


def anybody(name: GatewayName) -> bool:
    return True


def rings_of(*sizes: int, seed: int = 1) -> tuple[SiteRings, dict[GatewayName, str]]:
    """Sites of these sizes; the first one is ours, and we are one of its members."""
    rings, sites = SiteRings(HERE, Random(seed)), {}
    for number, size in enumerate(sizes):
        for index in range(size - (number == 0)):
            name = GatewayName(f"{number}.{index}")
            sites[name] = HERE if number == 0 else f"site {number}"
            rings.add(name, sites[name])
    return rings, sites


layouts = st.lists(st.integers(1, 6), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 1)


@given(layouts, st.integers(0, 9))
def test_everybody_is_probed_within_bounded_time_whatever_the_sites(sizes: list[int], seed: int) -> None:
    rings, sites = rings_of(*sizes, seed=seed)
    within = 2 * FAR_EVERY * FAR_EVERY * len(sites) + 2 * FAR_EVERY
    turns = [name for _ in range(2 * within) for name in rings.probed(anybody)]
    assert len(turns) == 2 * within
    assert set(turns[:within]) == set(turns[within:]) == set(sites)


@pytest.mark.parametrize("sizes", [(8,) * 20, (16,), (1,) * 16, (2, 2, 2), (20, 20, 1, 1, 3)])
def test_everybody_is_probed_once_an_interval_by_all_together(sizes: tuple[int, ...]) -> None:
    everybody = [(number, index) for number, size in enumerate(sizes) for index in range(size)]
    probes: Counter[GatewayName] = Counter()
    intervals = 200 if len(everybody) < 100 else 40
    for number, index in everybody:
        rings = SiteRings(f"site {number}", Random(f"{number} {index}"))
        for other, place in everybody:
            if (other, place) != (number, index):
                rings.add(GatewayName(f"{other}.{place}"), f"site {other}")
        for _ in range(intervals):
            probes.update(rings.probed(anybody))
    mean = sum(probes.values()) / len(everybody)
    assert mean == intervals
    assert len(probes) == len(everybody)
    assert min(probes.values()) > 0.5 * intervals
    assert max(probes.values()) < 1.6 * intervals


def test_one_probe_in_four_leaves_the_site() -> None:
    rings, sites = rings_of(5, 5, 5)
    probed = [sites[name] for _ in range(400) for name in rings.probed(anybody)]
    assert probed.count(HERE) == 300


def test_relays_are_of_the_targets_site_of_ours_and_of_others() -> None:
    rings, sites = rings_of(4, 4, 4, 4)
    target = GatewayName("2.0")
    for _ in range(20):
        relays = rings.relays(target, 3, lambda name: name != target)
        assert [sites[name] for name in relays[:2]] == ["site 2", HERE]
        assert sites[relays[2]] != HERE
    assert len(rings.relays(target, 100, lambda name: name != target)) == len(sites) - 1


@given(layouts, st.integers(1, 5))
def test_news_goes_to_other_sites_and_to_as_many_as_there_are(sizes: list[int], count: int) -> None:
    rings, sites = rings_of(*sizes)
    for _ in range(10):
        told = rings.told(count, anybody)
        assert len(told) == len(set(told)) == min(count, len(sites))
        if len(sizes) > 1:
            assert any(sites[name] != HERE for name in told)


def test_comparisons_go_near_and_far_in_turn() -> None:
    rings, sites = rings_of(5, 5)
    compared = [sites[name] == HERE for _ in range(20) for name in rings.compared(anybody)]
    assert compared.count(True) == 10


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 3)), max_size=40),
    st.integers(0, 9),
)
def test_moves_between_sites_lose_and_duplicate_nobody(steps: list[tuple[bool, int, int]], seed: int) -> None:
    rings = SiteRings("site 0", Random(seed))
    present: dict[GatewayName, str] = {}
    for coming, index, site in steps:
        name = names(8)[index]
        if coming:
            rings.add(name, f"site {site}")
            present[name] = f"site {site}"
        else:
            rings.discard(name)
            present.pop(name, None)
        assert sorted(rings.told(8, anybody)) == sorted(present)
        sizes = Counter(present.values())
        for known, its_site in present.items():
            lookers = 1 / max(1, sizes["site 0"]) if its_site == "site 0" else sizes[its_site] / len(present)
            assert rings.company(known) == pytest.approx(lookers)
        assert {name for _ in range(300) for name in rings.probed(anybody)} == set(present)
        if len(present) == 0:
            assert rings.probed(anybody) == []
