"""Long batches that leave room for the rest of the daemon, whose heartbeats cannot wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import trio

T = TypeVar("T")

_ITEMS_AT_ONCE = 128
"""Encoding that many messages takes about 3 ms."""


async def paced(items: Iterable[T]) -> AsyncIterator[T]:
    """Go through items, and let other tasks run now and then."""
    for index, item in enumerate(items, start=1):
        yield item
        if index % _ITEMS_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
