"""Turns valid input into input that is almost valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from tests.fuzz.target import Syntax, Target

_NUMBERS = (0, 1, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
_SIZES_BYTES = (1, 2, 4, 8)
_STEPS_MAX = 6
_DEPTHS = (2, 17, 400, 5_000)
_REPEATS = (2, 17, 300, 9_000)
_TEXTS = ("", "\0", "nan", "inf", "-1", "1e999", "0x10", '"', "\n", "[", "{", "é", "9" * 5_000, "[" * 3_000)


class Mutator:
    """Mutates the seeds of one target.

    Args:
        random: where choices come from; the same choices make the same input.
    """

    def __init__(self, target: Target, random: Random) -> None:
        self._target = target
        self._random = random
        self._steps: Sequence[Callable[[bytes], bytes]] = (
            self._flip,
            self._overwrite_number,
            self._truncate,
            self._remove,
            self._insert,
            self._repeat,
            self._splice,
        )
        if target.syntax is Syntax.MESSAGEPACK:
            # Most damage to bytes ends at the first one that is read; damage to values goes deeper.
            self._steps = (*self._steps, *(self._change_tree,) * 2 * len(self._steps))
        elif target.syntax is Syntax.TEXT:
            self._steps = (*self._steps, *(self._insert_text,) * len(self._steps))

    def make(self) -> bytes:
        """New input, out of a seed."""
        return self.mutate(self._random.choice(self._target.seeds))

    def mutate(self, data: bytes) -> bytes:
        for _ in range(self._random.randrange(_STEPS_MAX)):
            data = self._random.choice(self._steps)(data)[: self._target.input_bytes_max]
        return data

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        changed = bytearray(data)
        changed[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _overwrite_number(self, data: bytes) -> bytes:
        """Puts a number somewhere: at a bound, or near the length of what follows."""
        size = self._random.choice(_SIZES_BYTES)
        if len(data) < size:
            return data
        offset = self._random.randrange(len(data) - size + 1)
        number = self._random.choice((*_NUMBERS, len(data) - offset, len(data), len(data) + 1))
        order = self._random.choice(("big", "little"))
        number &= (1 << 8 * size) - 1
        encoded = number.to_bytes(size, "big" if order == "big" else "little")
        return data[:offset] + encoded + data[offset + size :]

    def _truncate(self, data: bytes) -> bytes:
        return data[: self._random.randrange(len(data) + 1)]

    def _remove(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _insert(self, data: bytes) -> bytes:
        offset = self._random.randrange(len(data) + 1)
        return data[:offset] + self._random.randbytes(1 + self._random.randrange(16)) + data[offset:]

    def _repeat(self, data: bytes) -> bytes:
        start, end = self._span(data)
        room = max(1, self._target.input_bytes_max // max(1, end - start))
        return data[:start] + data[start:end] * min(room, self._random.choice(_REPEATS)) + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._target.seeds)
        start, end = self._span(other)
        offset, after = self._span(data)
        return data[:offset] + other[start:end] + data[after:]

    def _insert_text(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + self._random.choice(_TEXTS).encode() + data[end:]

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._random.randrange(len(data) + 1)
        return start, start + self._random.randrange(min(len(data) - start, 64) + 1)

    # MessagePack

    def _change_tree(self, data: bytes) -> bytes:
        try:
            tree = msgspec.msgpack.decode(data)
            return msgspec.msgpack.encode(self._changed(tree))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError):
            return data

    def _changed(self, value: Any) -> Any:
        """Walks down to a random place, and changes what is there."""
        if isinstance(value, list) and value and self._random.randrange(5):
            index = self._random.randrange(len(value))
            return [*value[:index], self._changed(value[index]), *value[index + 1 :]]
        return self._other(value)

    def _other(self, value: Any) -> Any:
        kind = self._random.randrange(10)
        if kind == 0:
            return self._nested(value)
        if kind == 1:
            return self._random.choice((None, True, 0, -1, 1.5, "", b"", [], {}, "x" * 70, b"x" * 70))
        if kind == 2:
            return self._any_part()
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self._random.choice((value + 1, value - 1, -value, *_NUMBERS, -(1 << 63)))
        if isinstance(value, bytes):
            return self._random.choice((value[:-1], value + b"\0", b"", value * 2, self._flip(value)))
        if isinstance(value, str):
            return self._random.choice((value[:-1], value + "x", "", value * 100, "\0", value.upper()))
        if isinstance(value, list):
            return self._other_list(value)
        return value

    def _other_list(self, value: list[Any]) -> list[Any]:
        if not value:
            return [self._any_part()]
        index = self._random.randrange(len(value))
        room = 1 + self._target.input_bytes_max // _size_of(value)
        return self._random.choice(
            (
                [*value[:index], *value[index + 1 :]],
                [*value, value[index]],
                value * min(self._random.choice(_REPEATS), room),
                value[::-1],
                [],
            )
        )

    def _nested(self, value: Any) -> Any:
        for _ in range(self._random.choice(_DEPTHS)):
            value = [value]
        return value

    def _any_part(self) -> Any:
        part = msgspec.msgpack.decode(self._random.choice(self._target.seeds))
        while isinstance(part, list) and part and self._random.randrange(4):
            part = self._random.choice(part)
        return part


def _size_of(value: Any) -> int:
    return len(msgspec.msgpack.encode(value))
