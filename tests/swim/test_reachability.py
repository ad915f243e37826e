"""Half-dead members: found within bounded time, said, and not mistaken for dead ones or for bad luck."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import MemberState
from gossipsa.swim.outputs import MemberFailed, MemberHalfDead, MemberSuspected, MemberWhole
from gossipsa.swim.reachability import (
    ANSWERS_TO_OPEN,
    LAPSES_TO_CLOSE,
    RECENT_NS,
    TRANSITIONS,
    Reachability,
    Standing,
    Transport,
    Way,
)
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network
from tests.swim.claims import OTHERS, THEM

NOW_NS = 100 * SECOND_NS
DATAGRAMS = frozenset({Way.DATAGRAMS_OUT, Way.DATAGRAMS_IN})


def lapse(ways: Reachability, transport: Transport, count: int, name: GatewayName = THEM) -> None:
    for _ in range(count):
        ways.tried(name, transport, answered=False, now_ns=NOW_NS - RECENT_NS)


def answer(ways: Reachability, transport: Transport, count: int) -> None:
    for _ in range(count):
        ways.tried(THEM, transport, answered=True, now_ns=NOW_NS)


# The table.


def test_every_standing_knows_every_outcome() -> None:
    assert set(TRANSITIONS) == {(standing, answered) for standing in Standing for answered in (True, False)}


def test_one_trial_neither_closes_nor_opens() -> None:
    closing = (Standing.OPEN, Standing.DOUBTED)
    assert all(TRANSITIONS[(standing, False)][0] is Standing.DOUBTED for standing in closing)
    opening = (Standing.CLOSED, Standing.RETURNING)
    assert all(TRANSITIONS[(standing, True)][0] is Standing.RETURNING for standing in opening)


@pytest.mark.parametrize("transport", Transport)
def test_way_closes_after_lapses_in_a_row_and_opens_after_answers_in_a_row(transport: Transport) -> None:
    ways = Reachability()
    lapse(ways, transport, LAPSES_TO_CLOSE[transport] - 1)
    answer(ways, transport, 1)
    lapse(ways, transport, LAPSES_TO_CLOSE[transport] - 1)
    assert ways.take_changes(now_ns=NOW_NS) == []
    lapse(ways, transport, 1)
    closed = frozenset({Way.STREAM}) if transport is Transport.STREAM else DATAGRAMS
    assert ways.take_changes(now_ns=NOW_NS) == [(THEM, closed)]
    assert ways.closed(THEM) == closed
    answer(ways, transport, ANSWERS_TO_OPEN - 1)
    lapse(ways, transport, 1)
    answer(ways, transport, ANSWERS_TO_OPEN - 1)
    assert ways.take_changes(now_ns=NOW_NS) == []
    answer(ways, transport, 1)
    assert ways.take_changes(now_ns=NOW_NS) == [(THEM, frozenset())]
    assert ways.closed(THEM) == frozenset()


@given(st.lists(st.tuples(st.sampled_from(Transport), st.booleans())))
def test_what_is_told_never_repeats_itself(trials: list[tuple[Transport, bool]]) -> None:
    ways = Reachability()
    told: frozenset[Way] = frozenset()
    for transport, answered in trials:
        ways.tried(THEM, transport, answered=answered, now_ns=NOW_NS)
        for name, closed in ways.take_changes(now_ns=NOW_NS):
            assert name == THEM
            assert closed != told
            told = closed
        assert ways.closed(THEM) == told
        assert (Way.STREAM in told) is not ways.is_open(THEM, Transport.STREAM)


@pytest.mark.parametrize(
    ("heard", "heard_us", "closed"),
    [
        (False, False, DATAGRAMS),
        (True, False, frozenset({Way.DATAGRAMS_OUT})),
        (False, True, frozenset({Way.DATAGRAMS_IN})),
    ],
)
def test_direction_follows_from_what_was_heard(heard: bool, heard_us: bool, closed: frozenset[Way]) -> None:
    ways = Reachability()
    lapse(ways, Transport.DATAGRAM, LAPSES_TO_CLOSE[Transport.DATAGRAM])
    if heard:
        ways.heard(THEM, now_ns=NOW_NS - RECENT_NS)
    if heard_us:
        ways.heard_us(THEM, at_ns=NOW_NS - RECENT_NS)
    assert ways.take_changes(now_ns=NOW_NS) == [(THEM, closed)]
    assert (ways.silent_ns(THEM, now_ns=NOW_NS) == RECENT_NS) is heard
    # Old signs are none.
    lapse(ways, Transport.DATAGRAM, 1)
    assert ways.take_changes(now_ns=NOW_NS + 1) == ([] if closed == DATAGRAMS else [(THEM, DATAGRAMS)])


def test_ways_in_trouble_are_checked_in_turn() -> None:
    ways = Reachability()
    for name in OTHERS[:3]:
        lapse(ways, Transport.STREAM, 1, name)
    assert ways.take_checks(Transport.STREAM, 2) == [OTHERS[0], OTHERS[1]]
    assert ways.take_checks(Transport.STREAM, 2) == [OTHERS[2], OTHERS[0]]
    assert ways.take_checks(Transport.DATAGRAM, 2) == []
    ways.forget(OTHERS[0])
    assert ways.take_checks(Transport.STREAM, 9) == [OTHERS[1], OTHERS[2]]


def test_signs_from_before_the_lapses_are_none() -> None:
    ways = Reachability()
    ways.heard(THEM, now_ns=NOW_NS - RECENT_NS - 1)
    ways.heard_us(THEM, at_ns=NOW_NS - RECENT_NS - 1)
    lapse(ways, Transport.DATAGRAM, LAPSES_TO_CLOSE[Transport.DATAGRAM])
    assert ways.take_changes(now_ns=NOW_NS - RECENT_NS) == [(THEM, DATAGRAMS)]


def test_own_stall_is_no_evidence() -> None:
    ways = Reachability()
    lapse(ways, Transport.STREAM, LAPSES_TO_CLOSE[Transport.STREAM] - 1)
    ways.forgive()
    lapse(ways, Transport.STREAM, LAPSES_TO_CLOSE[Transport.STREAM] - 1)
    assert ways.take_changes(now_ns=NOW_NS) == []


# In a mesh.


def settled(count: int, *, watched: int, loss: float = 0.0) -> Network:
    network = Network(count, seed=1, watched=watched, loss=loss)
    network.start_all()
    assert network.agreed()
    network.run(10 * SECOND_NS)
    network.told.clear()
    return network


def half_dead(network: Network, observer: GatewayName, name: GatewayName) -> frozenset[Way]:
    view = network.swim(observer).member(name)
    assert view is not None
    assert view.state is MemberState.ALIVE
    return view.closed


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("watched", [0, 1])
def test_member_that_only_streams_reach_stays_alive_and_is_said_to_be_half_dead(
    count: int, watched: int
) -> None:
    network = settled(count, watched=watched)
    filtered = network.names[0]
    network.blocked_datagrams = lambda sender, receiver: filtered in (sender, receiver)
    network.run(30 * SECOND_NS)
    assert network.count(MemberFailed) == 0
    assert network.agreed()
    for other in network.names[1:]:
        assert half_dead(network, other, filtered) == DATAGRAMS
        assert half_dead(network, filtered, other) == DATAGRAMS
    # Found once, and said once.
    assert network.count(MemberHalfDead) == 2 * (count - 1)
    network.heal()
    network.run(10 * SECOND_NS)
    assert network.count(MemberWhole) == 2 * (count - 1)
    assert all(half_dead(network, other, filtered) == frozenset() for other in network.names[1:])


def test_half_dead_member_hears_news_and_is_heard_on_the_stream() -> None:
    network = settled(4, watched=0)
    filtered, dead = network.names[:2]
    network.blocked_datagrams = lambda sender, receiver: filtered in (sender, receiver)
    network.run(20 * SECOND_NS)
    network.kill(dead)
    assert network.run(10 * SECOND_NS, until=network.agreed) < 5 * SECOND_NS
    network.swim(filtered).set_metadata(b"load 7", now_ns=network.now_ns)
    network.run(3 * SECOND_NS)
    for other in network.names[2:]:
        view = network.swim(other).member(filtered)
        assert view is not None
        assert view.metadata == b"load 7"


def test_half_dead_member_that_dies_is_failed() -> None:
    network = settled(8, watched=1)
    filtered = network.names[0]
    network.blocked_datagrams = lambda sender, receiver: filtered in (sender, receiver)
    network.run(20 * SECOND_NS)
    network.kill(filtered)
    assert network.run(10 * SECOND_NS, until=network.agreed) < 2 * SECOND_NS


def test_member_that_datagrams_reach_and_streams_do_not_is_found_by_those_that_share_state_with_it() -> None:
    network = settled(4, watched=1)
    filtered = network.names[1]
    network.blocked_streams = lambda sender, receiver: filtered in (sender, receiver)
    network.swim(network.names[2]).check_streams([filtered])
    network.run(20 * SECOND_NS)
    for observer in (network.names[0], network.names[2]):
        assert half_dead(network, observer, filtered) == {Way.STREAM}
    assert network.count(MemberSuspected) == 0
    network.run(60 * SECOND_NS)
    # The others try it by chance.
    assert half_dead(network, network.names[3], filtered) == {Way.STREAM}
    network.heal()
    network.run(20 * SECOND_NS)
    assert all(
        half_dead(network, other, filtered) == frozenset() for other in network.names if other != filtered
    )


def test_closed_direction_is_known_at_both_ends() -> None:
    network = settled(3, watched=2)
    mute, other = network.names[:2]
    network.blocked_datagrams = lambda sender, receiver: (sender, receiver) == (mute, other)
    network.run(20 * SECOND_NS)
    assert half_dead(network, mute, other) == {Way.DATAGRAMS_OUT}
    assert half_dead(network, other, mute) == {Way.DATAGRAMS_IN}
    assert network.count(MemberSuspected) == 0


@pytest.mark.parametrize("watched", [0, 6])
def test_lost_packets_make_nobody_half_dead(watched: int) -> None:
    network = settled(16, watched=watched, loss=0.25)
    network.run((10 if watched else 60) * SECOND_NS)
    assert network.count(MemberHalfDead) == 0


def test_stalled_member_calls_nobody_half_dead() -> None:
    network = settled(4, watched=3)
    paused = network.names[0]
    for _ in range(5):
        network.pause(paused)
        network.run(3 * SECOND_NS)
        network.resume(paused)
        network.run(500 * MILLISECOND_NS)
    network.run(5 * SECOND_NS)
    assert network.count(MemberHalfDead) == 0
