"""News travels with every packet, fewest repetitions first, each update a bounded number of times.

SWIM (DSN 2002) section 4.1: infection-style dissemination.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import MemberState, Update
from gossipsa.swim.settings import SwimSettings

SMALLEST_BYTES = 24
"""No update is smaller."""
EXAMINED_MAX = 256
"""Updates looked at for one packet: those that come after wait for another one."""
MISFITS_MAX = 8
"""Updates that may be found too long for what is left of a packet before it counts as full."""
NO_WITNESS = GatewayName("")


class _Item(msgspec.Struct, kw_only=True):
    update: Update
    encoded_bytes: int
    witness: GatewayName
    order: int
    """Counts up: of two items sent equally often the newer one goes first."""
    born_round: int
    transmissions: int = 0
    told: dict[GatewayName, int] = msgspec.field(default_factory=dict)


class PiggybackQueue:
    """Updates that others may not know yet.

    A packet is filled at the same cost however many wait: the queue is kept in the order of sending.
    """

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._items: dict[GatewayName, dict[GatewayName, _Item]] = {}
        """By member, then by witness: suspicions of several witnesses travel side by side, and beside the
        words that they are about (under no witness), which are of use to those who have not heard them."""
        self._by_transmissions: list[dict[int, _Item]] = [{}]
        """Those sent so many times already."""
        self._by_age: dict[int, _Item] = {}
        """Oldest first."""
        self._order = 0
        self._round = 0

    def __len__(self) -> int:
        return len(self._by_age)

    def push(self, update: Update, *, coalesce: bool = False) -> None:
        """Queue news; whatever it makes out of date is dropped.

        Args:
            coalesce: other suspicions of the member give way to this one, and it counts as sent as often as
                they were: news of one suspicion then costs the same however many hold it.
        """
        witness = update.evidence[0].witness if update.evidence else NO_WITNESS
        transmissions = 0
        for item in tuple(self._items.get(update.member, {}).values()):
            if coalesce and item.update.state is MemberState.SUSPECT and not _outdated(item.update, update):
                transmissions = max(transmissions, item.transmissions)
                self._remove(item)
            elif item.witness == witness or _outdated(item.update, update):
                self._remove(item)
        self._order += 1
        item = _Item(
            update=update,
            encoded_bytes=encoded_bytes(update),
            witness=witness,
            order=self._order,
            born_round=self._round,
            transmissions=transmissions,
        )
        self._items.setdefault(update.member, {})[witness] = item
        self._by_transmissions[transmissions][item.order] = item
        self._by_age[item.order] = item
        if len(self) > self._settings.queued_updates_max:
            self._remove(self._oldest())

    def drop(self, member: GatewayName) -> None:
        """Nothing is to be said of it any more."""
        for item in tuple(self._items.get(member, {}).values()):
            self._remove(item)

    def clear(self) -> None:
        """Nothing is to be said any more."""
        self._items.clear()
        self._by_transmissions = [{}]
        self._by_age.clear()

    def take(self, to: GatewayName, *, bytes_max: int, peers: int) -> tuple[Update, ...]:
        """The updates to send to `to` now, within `bytes_max`, counted as sent.

        Args:
            peers: live members other than ourselves.
        """
        if not self._by_age:
            return ()
        limit = self._transmissions_max(peers)
        # In a small mesh everybody is told several times, in a large one nobody twice by the same member.
        told_max = -(-limit // max(1, peers))
        taken: list[_Item] = []
        misfits = 0
        for item in islice(self._in_order(), EXAMINED_MAX):
            if bytes_max < SMALLEST_BYTES or misfits == MISFITS_MAX:
                break
            # A suspect hears of it by the buddy system, everybody of what it said itself.
            known = item.update.member == to and (self._settings.buddy or not item.update.accuses)
            if known or item.told.get(to, 0) >= told_max:
                continue
            if item.encoded_bytes > bytes_max:
                misfits += 1
                continue
            bytes_max -= item.encoded_bytes
            taken.append(item)
        for item in taken:
            item.told[to] = item.told.get(to, 0) + 1
            self._count_transmission(item, limit)
        return tuple(item.update for item in taken)

    def end_round(self, *, peers: int) -> None:
        """Count a round of gossip: an update that nobody is left to be told ends with its rounds."""
        self._round += 1
        limit = self._transmissions_max(peers)
        while self._by_age and self._round - self._oldest().born_round >= limit:
            self._remove(self._oldest())

    def _transmissions_max(self, peers: int) -> int:
        # (peers + 1).bit_length() is log2 of the number of members, rounded up (and one more at powers of 2).
        return self._settings.retransmissions * (peers + 1).bit_length()

    def _in_order(self) -> Iterator[_Item]:
        return chain.from_iterable(reversed(items.values()) for items in self._by_transmissions)

    def _oldest(self) -> _Item:
        return next(iter(self._by_age.values()))

    def _count_transmission(self, item: _Item, limit: int) -> None:
        if item.transmissions + 1 >= limit:
            self._remove(item)
            return
        del self._by_transmissions[item.transmissions][item.order]
        item.transmissions += 1
        if item.transmissions == len(self._by_transmissions):
            self._by_transmissions.append({})
        self._by_transmissions[item.transmissions][item.order] = item

    def _remove(self, item: _Item) -> None:
        del self._by_age[item.order]
        del self._by_transmissions[item.transmissions][item.order]
        about = self._items[item.update.member]
        del about[item.witness]
        if not about:
            del self._items[item.update.member]


def _outdated(queued: Update, update: Update) -> bool:
    """True if nobody needs the queued one beside the new one."""
    if (queued.boot, queued.incarnation) != (update.boot, update.incarnation):
        return True
    if queued.state is MemberState.ALIVE and not update.complete:
        return False
    return queued.state is not update.state


def encoded_bytes(update: Update) -> int:
    """Size of an update within a packet."""
    return len(msgspec.msgpack.encode(update))
