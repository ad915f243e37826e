"""The circle: one order for all, in which everybody has its predecessors, whoever comes and goes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.circle import Circle
from sim.mesh.network import names

sites_of_all = st.dictionaries(st.sampled_from(names(12)), st.sampled_from("ABC"), min_size=1)


def circle_of(own: GatewayName, sites: dict[GatewayName, str]) -> Circle:
    circle = Circle(own, sites[own])
    for name, site in sites.items():
        if name != own:
            circle.add(name, site)
    return circle


@given(sites_of_all, st.integers(0, 4))
def test_everybody_follows_as_many_as_follow_it(sites: dict[GatewayName, str], count: int) -> None:
    followed = Counter(name for own in sites for name in circle_of(own, sites).following(count))
    expected = min(count, len(sites) - 1)
    assert followed == (dict.fromkeys(sites, expected) if expected else {})


@given(sites_of_all)
def test_at_most_one_of_each_site_follows_one_of_another_site(sites: dict[GatewayName, str]) -> None:
    leaving = Counter(
        sites[own]
        for own in sites
        for name in circle_of(own, sites).following(1)
        if sites[own] != sites[name]
    )
    assert all(count == 1 for count in leaving.values())


@given(
    st.lists(st.tuples(st.sampled_from(names(8)[1:]), st.sampled_from(["A", "B", None])), max_size=40),
)
def test_order_depends_on_who_is_there_and_not_on_who_came_when(
    steps: list[tuple[GatewayName, str | None]],
) -> None:
    own = names(8)[0]
    circle, present = Circle(own, "A"), {own: "A"}
    for name, site in steps:
        circle.changed = False
        before = dict(present)
        if site is None:
            circle.discard(name)
            present.pop(name, None)
        else:
            circle.add(name, site)
            present[name] = site
        assert circle.changed == (before != present)
        assert circle.following(8) == circle_of(own, present).following(8)
        assert set(circle.following(8)) == present.keys() - {own}


def test_the_next_one_takes_over_whom_a_failed_member_followed() -> None:
    everybody = dict.fromkeys(names(6), "A")
    for own in everybody:
        circle = circle_of(own, everybody)
        first, second = circle.following(2)
        circle.discard(first)
        assert circle.following(1) == [second]


@pytest.mark.parametrize("count", [1, 3])
def test_alone_there_is_nobody_to_follow(count: int) -> None:
    assert Circle(names(1)[0], "A").following(count) == []
