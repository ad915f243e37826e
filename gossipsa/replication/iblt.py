"""What two sets differ in, at the cost of the difference: a rateless invertible Bloom lookup table.

Yang, Gilad, Alizadeh: Practical Rateless Set Reconciliation, SIGCOMM 2024. Every symbol is added to an
endless sequence of cells, to cell i with probability 1 / (1 + i / 2). The cells of two sets, subtracted from
each other, are the cells of their difference; about 1.4 to 1.7 cells a differing symbol decode it. Whoever
needs more cells asks for the following ones: those that are there stay useful.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from math import ceil, sqrt

CELL = struct.Struct("!hQI")
"""A cell on the wire: count (modulo 2^16), sum of symbols, sum of checks."""

_MASK_64 = (1 << 64) - 1
_MULTIPLIER = 0xDA942042E4DD58B5
_INDEX_MAX = 1 << 40
_COUNTS = 1 << 16


def check_of(symbol: int) -> int:
    """32 bits by which a cell that holds one symbol alone is told from one that holds several."""
    return int.from_bytes(hashlib.blake2b(symbol.to_bytes(8, "big"), digest_size=4).digest(), "big")


def cell_indexes(symbol: int, *, end: int) -> Iterable[int]:
    """The cells below `end` that hold a symbol, in ascending order: always cell 0, then ever fewer."""
    state = symbol
    index = 0
    while index < end:
        yield index
        state = state * _MULTIPLIER & _MASK_64
        # Inverse of the distribution of gaps (the paper, section 4.2), at a fraction in (0, 1].
        step = (index + 1.5) * ((1 << 32) / sqrt(state + 1) - 1)
        index += max(1, ceil(min(step, _INDEX_MAX)))


class Cells:
    """Cells `first` to `end` - 1 of a set of symbols.

    Args:
        symbols: 64-bit numbers above 0, all different: hashes, so that nobody can choose them.
    """

    __slots__ = ("_checks", "_counts", "_sums", "end", "first")

    def __init__(self, symbols: Iterable[int] = (), *, first: int = 0, end: int) -> None:
        self.first = first
        self.end = end
        size = end - first
        self._counts = [0] * size
        self._sums = [0] * size
        self._checks = [0] * size
        for symbol in symbols:
            self._add(symbol, 1)

    def __len__(self) -> int:
        return self.end - self.first

    def encode(self) -> bytes:
        """CELL.size bytes a cell."""
        return b"".join(
            CELL.pack((count + _COUNTS // 2) % _COUNTS - _COUNTS // 2, symbols, checks)
            for count, symbols, checks in zip(self._counts, self._sums, self._checks, strict=True)
        )

    @classmethod
    def decode(cls, data: bytes, *, first: int) -> Cells:
        """Reads `encode`. Raises ValueError for a length that is no number of cells."""
        if len(data) % CELL.size:
            raise ValueError(f"{len(data)} bytes are no number of cells")
        cells = cls(first=first, end=first + len(data) // CELL.size)
        for place, (count, symbols, checks) in enumerate(CELL.iter_unpack(data)):
            cells._counts[place], cells._sums[place], cells._checks[place] = count, symbols, checks
        return cells

    def followed_by(self, others: Cells) -> Cells:
        """These cells and the ones after them as one."""
        assert others.first == self.end
        joined = Cells(first=self.first, end=others.end)
        joined._counts = self._counts + others._counts
        joined._sums = self._sums + others._sums
        joined._checks = self._checks + others._checks
        return joined

    def minus(self, others: Cells) -> Cells:
        """The cells of the symbols that only one of the two sets has; those of `others` count negative."""
        assert (self.first, self.end) == (others.first, others.end)
        difference = Cells(first=self.first, end=self.end)
        difference._counts = _subtracted(self._counts, others._counts)
        difference._sums = [one ^ other for one, other in zip(self._sums, others._sums, strict=True)]
        difference._checks = [one ^ other for one, other in zip(self._checks, others._checks, strict=True)]
        return difference

    def peel(self, *, symbols_max: int) -> tuple[frozenset[int], frozenset[int]] | None:
        """The symbols that count positive, and those that count negative; None if there are too few cells.

        Args:
            symbols_max: gives up beyond so many: cells of a hostile peer may never come to an end.
        """
        assert self.first == 0
        found: dict[int, int] = {}
        waiting = list(range(len(self)))
        while waiting:
            place = waiting.pop()
            count, symbol = self._counts[place], self._sums[place]
            if count not in (1, -1) or self._checks[place] != check_of(symbol):
                continue
            if symbol in found or len(found) >= symbols_max:
                return None
            found[symbol] = count
            waiting.extend(self._add(symbol, -count))
        # Cell 0 holds every symbol: it is empty when, and only when, all are found.
        if not self._counts or self._counts[0] or self._sums[0] or self._checks[0]:
            return None
        mine = frozenset(symbol for symbol, count in found.items() if count > 0)
        return mine, frozenset(found) - mine

    def _add(self, symbol: int, count: int) -> list[int]:
        """Returns the places that changed."""
        check = check_of(symbol)
        places = [index - self.first for index in cell_indexes(symbol, end=self.end) if index >= self.first]
        for place in places:
            self._counts[place] += count
            self._sums[place] ^= symbol
            self._checks[place] ^= check
        return places


def _subtracted(ones: Sequence[int], others: Sequence[int]) -> list[int]:
    """Counts travel modulo 2^16; differences are far below that."""
    half = _COUNTS // 2
    return [(one - other + half) % _COUNTS - half for one, other in zip(ones, others, strict=True)]
