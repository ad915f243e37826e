"""Reconciling sets by the cells of their difference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.replication.iblt import CELL, Cells, cell_indexes

symbols = st.frozensets(st.integers(1, (1 << 64) - 1), max_size=30)


def cells_needed(ours: frozenset[int], theirs: frozenset[int]) -> int:
    """The fewest cells, in steps of a tenth, that tell the difference."""
    end = 1
    while Cells(ours, end=end).minus(Cells(theirs, end=end)).peel(symbols_max=10_000) is None:
        end += 1 + end // 10
    return end


@given(symbols, symbols, symbols)
def test_enough_cells_tell_who_has_what(
    both: frozenset[int], ours: frozenset[int], theirs: frozenset[int]
) -> None:
    one, other = both | ours, both | theirs
    end = cells_needed(one, other)
    found = Cells(one, end=end).minus(Cells(other, end=end)).peel(symbols_max=100)
    assert found == (one - other, other - one)


@given(symbols, st.integers(0, 40), st.integers(0, 40))
def test_later_cells_continue_earlier_ones(of: frozenset[int], first: int, more: int) -> None:
    whole = Cells(of, end=first + more)
    joined = Cells(of, end=first).followed_by(Cells(of, first=first, end=first + more))
    assert joined.encode() == whole.encode()
    assert Cells.decode(whole.encode(), first=0).encode() == whole.encode()


def test_cost_follows_the_difference_and_not_the_size_of_the_sets() -> None:
    random = Random(1)
    ours = frozenset(random.getrandbits(64) for _ in range(50))
    theirs = frozenset(random.getrandbits(64) for _ in range(50))
    for size in (0, 2_000):
        both = frozenset(random.getrandbits(64) for _ in range(size))
        difference = Cells(both | ours, end=200).minus(Cells(both | theirs, end=200))
        assert difference.peel(symbols_max=200) == (ours, theirs)


def test_no_cells_tell_nothing_unless_the_sets_are_equal() -> None:
    some = frozenset({3, 5})
    assert Cells(some, end=1).minus(Cells(some, end=1)).peel(symbols_max=10) == (frozenset(), frozenset())
    assert Cells(some, end=1).minus(Cells((), end=1)).peel(symbols_max=10) is None


@given(st.binary(max_size=CELL.size * 40))
def test_hostile_cells_end(data: bytes) -> None:
    try:
        cells = Cells.decode(data, first=0)
    except ValueError:
        assert len(data) % CELL.size
        return
    if len(cells):
        found = cells.peel(symbols_max=20)
        assert found is None or len(found[0]) + len(found[1]) <= 20


@pytest.mark.parametrize("symbol", [1, 2, (1 << 64) - 1])
def test_every_symbol_is_in_the_first_cell_and_in_few_others(symbol: int) -> None:
    indexes = list(cell_indexes(symbol, end=1_000))
    assert indexes[0] == 0
    assert indexes == sorted(set(indexes))
    assert len(indexes) < 40
