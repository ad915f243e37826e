from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.dissemination import PiggybackQueue, encoded_bytes
from gossipsa.swim.messages import MemberState, Update
from gossipsa.swim.settings import LAN
from tests.swim.claims import OTHERS, THEM, US, claim, updates

ROOM = 1_000


def drain(queue: PiggybackQueue, peers: int) -> int:
    """Offer everything to every peer in turn; returns how many updates were sent."""
    sent = 0
    for _ in range(1_000):
        taken = [queue.take(GatewayName(f"peer{i}"), bytes_max=ROOM, peers=peers) for i in range(peers)]
        if not any(taken):
            break
        sent += sum(map(len, taken))
    return sent


@given(st.integers(1, 200))
def test_each_update_is_sent_so_many_times_the_logarithm_of_the_mesh(peers: int) -> None:
    queue = PiggybackQueue(LAN)
    queue.push(claim())
    assert drain(queue, peers) == LAN.retransmissions * (peers + 1).bit_length()
    assert len(queue) == 0


@given(st.lists(updates, max_size=20), st.integers(0, 2_000))
def test_updates_fit_the_room_given(pushed: list[Update], bytes_max: int) -> None:
    queue = PiggybackQueue(LAN)
    for update in pushed:
        queue.push(update)
    taken = queue.take(US, bytes_max=bytes_max, peers=8)
    assert sum(map(encoded_bytes, taken)) <= bytes_max
    assert all(update.member != US for update in taken)


@given(st.lists(updates, max_size=20))
def test_length_counts_what_is_queued(pushed: list[Update]) -> None:
    queue = PiggybackQueue(LAN)
    for update in pushed:
        queue.push(update)
    assert len(queue.take(GatewayName("peer"), bytes_max=1 << 20, peers=100)) == len(queue)
    for _ in range(100):
        queue.end_round(peers=100)
    assert len(queue) == 0


def test_news_replaces_what_was_said_of_the_member() -> None:
    queue = PiggybackQueue(LAN)
    queue.push(claim(MemberState.SUSPECT, witness=OTHERS[0]))
    queue.push(claim(MemberState.SUSPECT, witness=OTHERS[1]))
    assert len(queue) == 2
    queue.push(claim(incarnation=1))
    assert queue.take(US, bytes_max=ROOM, peers=8) == (claim(incarnation=1),)


def test_fewest_repetitions_go_first_and_of_those_the_newest() -> None:
    queue = PiggybackQueue(LAN)
    old, new, newest = (claim(member=name) for name in OTHERS[:3])
    queue.push(old)
    queue.take(US, bytes_max=ROOM, peers=8)
    queue.push(new)
    queue.push(newest)
    assert queue.take(THEM, bytes_max=ROOM, peers=8) == (newest, new, old)


def test_nobody_is_told_again_in_a_large_mesh_nor_about_itself() -> None:
    queue = PiggybackQueue(LAN)
    queue.push(claim())
    assert queue.take(US, bytes_max=ROOM, peers=100) == (claim(),)
    assert queue.take(US, bytes_max=ROOM, peers=100) == ()
    assert queue.take(THEM, bytes_max=ROOM, peers=100) == ()


def test_update_that_nobody_is_left_to_hear_ends_with_its_rounds() -> None:
    queue = PiggybackQueue(LAN)
    queue.push(claim())
    for _ in range(LAN.retransmissions * 2):
        assert len(queue) == 1
        queue.end_round(peers=1)
    assert len(queue) == 0


def test_queue_is_bounded_and_drops_the_oldest() -> None:
    queue = PiggybackQueue(replace(LAN, queued_updates_max=2))
    for name in OTHERS[:3]:
        queue.push(claim(member=name))
    assert queue.take(US, bytes_max=ROOM, peers=8) == (claim(member=OTHERS[2]), claim(member=OTHERS[1]))
