"""What happened, in order: a hash over all of it, and the part that people want to read."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import IO

from sim.virtual_clock import MILLISECOND_NS, SECOND_NS, VirtualClock

_NOTES_MAX = 20_000
_COLUMN_NS = 250 * MILLISECOND_NS
_COLUMNS_MAX = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One event worth a line."""

    at_ns: int
    node: str
    text: str


class Trace:
    """Hashes every event; keeps those that are worth reading.

    Args:
        copy_to: gets every hashed line as text, for comparing two runs by eye.
    """

    def __init__(self, clock: VirtualClock, *, copy_to: IO[str] | None = None) -> None:
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=16)
        self._copy_to = copy_to
        self.notes: list[Note] = []
        self.counts: Counter[str] = Counter()
        """By node and event: how often it happened."""
        self._rows: dict[str, list[tuple[int, str]]] = {}

    def record(self, node: str, event: str, data: bytes = b"") -> None:
        """Something that happened. `data` is what passed, hashed too."""
        self._hash.update(b"%d %s %s %d " % (self._clock.now_ns, node.encode(), event.encode(), len(data)))
        self._hash.update(data)
        if self._copy_to is not None:
            digest = hashlib.blake2b(data, digest_size=4).hexdigest()
            self._copy_to.write(f"{self._clock.now_ns} {node} {event} {len(data)} {digest}\n")

    def note(self, node: str, text: str) -> None:
        """Something that happened and that a reader wants to know."""
        self.record(node, text)
        self.counts[text.split(" ", 1)[0]] += 1
        if len(self.notes) < _NOTES_MAX:
            self.notes.append(Note(at_ns=self._clock.now_ns, node=node, text=text))

    def remark(self, node: str, text: str) -> None:
        """Something for readers that is no event of the run: the hash knows nothing of it."""
        if len(self.notes) < _NOTES_MAX:
            self.notes.append(Note(at_ns=self._clock.now_ns, node=node, text=text))

    def mark(self, row: str, symbol: str) -> None:
        """From now on, the row of the chart shows `symbol`."""
        marks = self._rows.setdefault(row, [])
        if not marks or marks[-1][1] != symbol:
            marks.append((self._clock.now_ns, symbol))

    def digest(self) -> str:
        """Hash of everything so far."""
        return self._hash.copy().hexdigest()

    def lines(self, *, lines_max: int = 200) -> list[str]:
        """The notes; equal ones within 100 ms are one line."""
        lines: list[str] = []
        counted: dict[tuple[int, str, str], int] = {}
        for note in self.notes:
            key = (note.at_ns // (100 * MILLISECOND_NS), note.node, note.text.split(" client=", 1)[0])
            if key in counted:
                counted[key] += 1
                continue
            counted[key] = 1
            lines.append(f"{self._seconds(note.at_ns):9.3f} s  {note.node:<4} {key[2]}\0{len(counted) - 1}")
        counts = list(counted.values())
        texts = []
        for line in lines:
            text, index = line.split("\0")
            count = counts[int(index)]
            texts.append(text + (f"  ({count} times)" if count > 1 else ""))
        if len(texts) > lines_max:
            texts = [
                *texts[: lines_max // 2],
                f"  ... {len(texts) - lines_max} more ...",
                *texts[-lines_max // 2 :],
            ]
        return texts

    def chart(self) -> list[str]:
        """One row a node, one column for a piece of time: what the node did then."""
        duration_ns = self._clock.now_ns - SECOND_NS
        column_ns = max(_COLUMN_NS, -(-duration_ns // _COLUMNS_MAX))
        columns = max(1, duration_ns // column_ns)
        seconds_a_mark = max(1, round(10 * column_ns / SECOND_NS))
        ruler = ""
        for second in range(0, duration_ns // SECOND_NS + 1, seconds_a_mark):
            ruler = ruler.ljust(second * SECOND_NS // column_ns) + f"|{second}s"
        rows = ["     " + ruler[: columns + 4]]
        for row in sorted(self._rows):
            rows.append(
                f"{row:<4} " + "".join(self._symbol(row, index, column_ns) for index in range(columns))
            )
        return rows

    def _symbol(self, row: str, column: int, column_ns: int) -> str:
        end_ns = SECOND_NS + (column + 1) * column_ns
        symbol = " "
        for at_ns, marked in self._rows[row]:
            if at_ns >= end_ns:
                break
            symbol = marked
        return symbol

    @staticmethod
    def _seconds(at_ns: int) -> float:
        return (at_ns - SECOND_NS) / SECOND_NS
