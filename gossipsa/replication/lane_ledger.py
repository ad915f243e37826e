"""All lanes that this boot holds, by key."""

from __future__ import annotations

from collections import OrderedDict

from gossipsa.identifiers import ClientId, Holder
from gossipsa.ipsec.lanes import LaneBook, NumberRange, lanes_of
from gossipsa.replication.interning import Interned

KeyId = tuple[ClientId, int, Holder]
"""Client, outbound SPI and creator: SPIs are chosen by clients and may repeat."""

_BURNT_KEYS_MAX = 100_000
_SHARED_MAX = 8_192


class LaneLedger:
    """Lane books of the keys of all records here, and of those that were here: what was given up stays so."""

    def __init__(self) -> None:
        self._books: dict[KeyId, LaneBook] = {}
        self._burnt: OrderedDict[KeyId, LaneBook] = OrderedDict()
        # Most keys have one of a few creators, and lanes like all the others.
        self._creators: Interned[Holder] = Interned(_SHARED_MAX)
        self._alike: Interned[LaneBook] = Interned(_SHARED_MAX)

    def book(self, key: KeyId) -> LaneBook:
        return self._books.get(key) or self._burnt.get(key) or LaneBook()

    def create(self, key: KeyId) -> None:
        """A key that our IKE daemon negotiated: all lanes are ours (R1). Nothing happens for a known key."""
        if key not in self._books and key not in self._burnt:
            self._keep(key, LaneBook.of_creator())

    def accept(self, key: KeyId, lanes: int) -> None:
        self._keep(key, self.book(key).accept(lanes))
        self._burnt.pop(key, None)

    def give(self, key: KeyId, *, in_use: NumberRange | None) -> int:
        """Gives lanes of a key away; 0 if too few are left. Lanes of `in_use` stay."""
        book, lanes = self.book(key).give(keep=lanes_of(in_use) if in_use else 0)
        if lanes:
            self._keep(key, book)
        return lanes

    def burn(self, key: KeyId) -> None:
        """The record left this gateway, or a higher epoch took it."""
        book = self._books.pop(key, None)
        if book is not None:
            self._burnt[key] = self._alike.one(book.burn())
            while len(self._burnt) > _BURNT_KEYS_MAX:
                self._burnt.popitem(last=False)

    def _keep(self, key: KeyId, book: LaneBook) -> None:
        client, spi, creator = key
        self._books[(client, spi, self._creators.one(creator))] = self._alike.one(book)
