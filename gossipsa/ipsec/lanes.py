"""Lanes: the parts of a key's sequence-number space that single boots hold: no number is used twice.

Numbers below 2^30 belong to the creator of the key. From 2^30 up to 2^31 they are cut into blocks of 2^20;
block b belongs to lane b mod 64. Whoever holds a lane holds all its blocks. A lane changes hands only away
from its holder, once, and never comes back: uniqueness needs no clock, no quorum and no consensus.

Receivers accept a jump forward of up to 2^31 with ESN and without (Linux, xfrm_replay_advance_esn), and the
high half of an ESN is never used here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

LANE_COUNT = 64
LANE_PACKETS = 1 << 20
SHARED_FIRST = 1 << 30
"""First number that is not the creator's alone."""
SHARED_END = 1 << 31
CREATOR_REKEY = 1 << 29
"""The creator asks for a rekey here."""
ALL_LANES = (1 << LANE_COUNT) - 1
GRANT_LANES_MAX = 8

ROUND_PACKETS = LANE_PACKETS * LANE_COUNT
"""After so many numbers it is the same lanes' turn again."""
_ROUNDS = (SHARED_END - SHARED_FIRST) // ROUND_PACKETS


class NumberRange(msgspec.Struct, frozen=True, gc=False):
    """Numbers `first` to `last`, both included."""

    first: int
    last: int


class LaneBook(msgspec.Struct, frozen=True, gc=False):
    """What one boot may still use of one key, as two sets of lanes (bit i stands for lane i).

    A value: every operation returns the next one.
    """

    held: int = 0
    seen: int = 0
    """Every lane that this boot was ever granted: none of them is accepted a second time."""

    @classmethod
    def of_creator(cls) -> LaneBook:
        return cls(held=ALL_LANES, seen=ALL_LANES)

    def accept(self, lanes: int) -> LaneBook:
        """Takes a grant; lanes that were granted before stay burnt."""
        fresh = lanes & ALL_LANES & ~self.seen
        return LaneBook(held=self.held | fresh, seen=self.seen | fresh)

    def give(self, *, keep: int = 0) -> tuple[LaneBook, int]:
        """Gives some lanes away for good: at most eight, at most a quarter, adjacent ones if possible.

        Args:
            keep: lanes that cannot be given, because numbers of them may have been used.

        Returns:
            The book without them, and the lanes given; 0 if there are too few to give any.
        """
        available = self.held & ~keep
        given = 0
        # The highest ones: a taker works upward from its lowest.
        for _ in range(min(GRANT_LANES_MAX, self.held.bit_count() // 4, available.bit_count())):
            highest = 1 << available.bit_length() - 1
            given |= highest
            available ^= highest
        return LaneBook(held=self.held & ~given, seen=self.seen), given

    def burn(self) -> LaneBook:
        """Gives everything up: the record was dropped, or a higher epoch took it."""
        return LaneBook(held=0, seen=self.seen)

    def first_range(self, above: int) -> NumberRange | None:
        """The lowest run of numbers that this boot may use, all above `above`; None if there is none.

        It starts at the start of a block and runs without a gap through at most half of the lanes held, so
        that the others can be passed on to replicas.
        """
        blocks_max = max(1, self.held.bit_count() // 2)
        for block in self._blocks(above):
            end = block
            while (
                end + 1 - block < blocks_max
                and (end + 1) % LANE_COUNT
                and self.held >> ((end + 1) % LANE_COUNT) & 1
            ):
                end += 1
            return NumberRange(
                SHARED_FIRST + block * LANE_PACKETS, SHARED_FIRST + (end + 1) * LANE_PACKETS - 1
            )
        return None

    def _blocks(self, above: int) -> Iterator[int]:
        lowest = max(0, -(-(above + 1 - SHARED_FIRST) // LANE_PACKETS))
        for block in range(lowest, _ROUNDS * LANE_COUNT):
            if self.held >> (block % LANE_COUNT) & 1:
                yield block


def lane_of(number: int) -> int | None:
    """The lane a number lies in; None outside the shared region."""
    if not SHARED_FIRST <= number < SHARED_END:
        return None
    return (number - SHARED_FIRST) // LANE_PACKETS % LANE_COUNT


def lanes_of(numbers: NumberRange) -> int:
    """The set of lanes that a range touches."""
    first = (numbers.first - SHARED_FIRST) // LANE_PACKETS
    last = (numbers.last - SHARED_FIRST) // LANE_PACKETS
    lanes = 0
    for block in range(first, last + 1):
        lanes |= 1 << block % LANE_COUNT
    return lanes
