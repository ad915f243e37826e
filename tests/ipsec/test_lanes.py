"""Lanes: however grants, takeovers and crashes fall, no two boots may use one number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ipsec.lanes import (
    ALL_LANES,
    GRANT_LANES_MAX,
    SHARED_END,
    SHARED_FIRST,
    LaneBook,
    lane_of,
    lanes_of,
)

lane_sets = st.integers(min_value=0, max_value=ALL_LANES)
numbers = st.integers(min_value=0, max_value=SHARED_END + 5)


@given(held=lane_sets, above=numbers)
def test_first_range_lies_above_the_ceiling_and_in_own_lanes(held: int, above: int) -> None:
    found = LaneBook(held=held, seen=held).first_range(above)
    if found is None:
        if held:
            assert above >= SHARED_END - 64 * (1 << 20)
        return
    assert max(above + 1, SHARED_FIRST) <= found.first <= found.last < SHARED_END
    assert lanes_of(found) & ~held == 0
    assert lane_of(found.first) != lane_of(found.first - 1)


@given(held=lane_sets, keep=lane_sets)
def test_given_lanes_leave_the_giver(held: int, keep: int) -> None:
    book, given_lanes = LaneBook(held=held, seen=held).give(keep=keep)
    assert given_lanes & book.held == 0
    assert given_lanes | book.held == held
    assert given_lanes & keep == 0
    assert given_lanes.bit_count() <= min(GRANT_LANES_MAX, held.bit_count() // 4)


@given(first=lane_sets, second=lane_sets)
def test_a_lane_is_accepted_once(first: int, second: int) -> None:
    book = LaneBook().accept(first)
    burnt = book.burn().accept(first | second)
    assert burnt.held == second & ~first


@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=60))
def test_no_lane_is_ever_held_twice(steps: list[tuple[int, int, bool]]) -> None:
    """Six boots pass lanes on; messages may be delivered again at any time."""
    books = [LaneBook.of_creator()] + [LaneBook() for _ in range(5)]
    sent: list[tuple[int, int]] = []
    for giver, taker, again in steps:
        if again and sent:
            to, lanes = sent[giver % len(sent)]
            books[to] = books[to].accept(lanes)
        elif giver != taker:
            books[giver], lanes = books[giver].give()
            sent.append((taker, lanes))
            books[taker] = books[taker].accept(lanes)
        union = 0
        for book in books:
            assert union & book.held == 0
            union |= book.held


def test_creator_can_serve_several_generations_of_takers() -> None:
    book, first = LaneBook.of_creator().give()
    assert first.bit_count() == 8
    taker, second = LaneBook().accept(first).give()
    assert (taker.held.bit_count(), second.bit_count()) == (6, 2)
    assert LaneBook().accept(second).give()[1] == 0
    assert book.held.bit_count() == 56
