from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gossipsa.swim.settings import LAN, SwimSettings
from gossipsa.swim.watch import WatchList
from sim.mesh.network import names
from tests.swim.claims import OTHERS


def test_silence_of_one_interval_makes_a_watched_gateway_due() -> None:
    watch = WatchList(LAN, Random(1))
    watch.replace([OTHERS[0]], now_ns=0)
    for heard_ns in (0, 10**9):
        silence_ns = watch.due_ns(OTHERS[0], heard_ns=heard_ns) - heard_ns
        assert 0.9 * LAN.watch_interval_ns <= silence_ns <= 1.1 * LAN.watch_interval_ns
    watch.beaten(OTHERS[0], now_ns=2 * 10**9)
    assert watch.due_ns(OTHERS[0], heard_ns=10**9) > 2 * 10**9


def test_watches_the_first_ones_named_and_no_more_than_allowed() -> None:
    watch = WatchList(LAN, Random(1))
    watch.replace(names(20), now_ns=0)
    assert list(watch) == names(20)[: LAN.watched_max]


def test_renaming_the_watched_keeps_the_beat_of_those_that_stay() -> None:
    watch = WatchList(LAN, Random(1))
    watch.replace(OTHERS[:2], now_ns=0)
    due_ns = watch.due_ns(OTHERS[1], heard_ns=0)
    watch.replace(OTHERS[1:3], now_ns=10**9)
    assert list(watch) == list(OTHERS[1:3])
    assert watch.due_ns(OTHERS[1], heard_ns=0) == due_ns


def test_neighbours_are_watched_at_the_interval_of_the_round_robin_and_the_close_ones_closer() -> None:
    watch = WatchList(LAN, Random(1))
    watch.replace(OTHERS[:2], now_ns=0)
    watch.surround(OTHERS[1:3], now_ns=0)
    assert list(watch) == list(OTHERS[:3])
    assert watch.close == tuple(OTHERS[:2])
    for name, interval_ns in zip(
        OTHERS[:3], (LAN.watch_interval_ns, LAN.watch_interval_ns, LAN.probe_interval_ns), strict=True
    ):
        assert 0.9 * interval_ns <= watch.due_ns(name, heard_ns=0) <= 1.1 * interval_ns


def test_neighbour_that_becomes_an_owner_is_due_at_once_if_it_was_silent_for_the_short_interval() -> None:
    watch = WatchList(LAN, Random(1))
    watch.surround(OTHERS[:1], now_ns=0)
    watch.replace(OTHERS[:1], now_ns=2 * LAN.watch_interval_ns)
    assert watch.due_ns(OTHERS[0], heard_ns=0) < 2 * LAN.watch_interval_ns
    watch.replace([], now_ns=2 * LAN.watch_interval_ns)
    assert watch.due_ns(OTHERS[0], heard_ns=0) > 0.9 * LAN.probe_interval_ns


@pytest.mark.parametrize("settings", [LAN, replace(LAN, watch_interval_ns=LAN.probe_interval_ns)])
def test_neighbours_are_watched_less_often_and_owners_as_often_while_we_are_not_well(
    settings: SwimSettings,
) -> None:
    watch = WatchList(settings, Random(1))
    watch.replace(OTHERS[:1], now_ns=0)
    watch.surround(OTHERS[1:2], now_ns=0)
    owner, neighbour = OTHERS[:2]
    assert watch.due_ns(owner, heard_ns=0, multiplier=4) == watch.due_ns(owner, heard_ns=0)
    assert watch.due_ns(neighbour, heard_ns=0, multiplier=4) == 4 * watch.due_ns(neighbour, heard_ns=0)
