"""News travels with every packet, fewest repetitions first, each update a bounded number of times.

SWIM (DSN 2002) section 4.1: infection-style dissemination.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import MemberState, Update
from gossipsa.swim.settings import SwimSettings


@dataclass(slots=True, kw_only=True)
class _Item:
    update: Update
    encoded_bytes: int
    order: int
    """Counts up: of two items sent equally often the newer one goes first."""
    rounds: int = 0
    transmissions: int = 0
    told: dict[GatewayName, int] = field(default_factory=dict)


class PiggybackQueue:
    """Updates that others may not know yet."""

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._items: dict[GatewayName, dict[GatewayName, _Item]] = {}
        """By member, then by witness: suspicions of several witnesses travel side by side."""
        self._count = 0
        self._order = 0

    def __len__(self) -> int:
        return self._count

    def push(self, update: Update) -> None:
        """Queue news; whatever else was queued about the member is out of date, but for other witnesses."""
        claim = (update.boot, update.incarnation, update.state)
        about = self._items.setdefault(update.member, {})
        for witness, item in tuple(about.items()):
            if (item.update.boot, item.update.incarnation, item.update.state) != claim:
                del about[witness]
                self._count -= 1
        key = update.witness if update.state is MemberState.SUSPECT else GatewayName("")
        self._count -= key in about
        self._order += 1
        about[key] = _Item(update=update, encoded_bytes=encoded_bytes(update), order=self._order)
        self._count += 1
        if self._count > self._settings.queued_updates_max:
            self._drop_oldest()

    def take(self, to: GatewayName, *, bytes_max: int, peers: int) -> tuple[Update, ...]:
        """The updates to send to `to` now, within `bytes_max`, counted as sent.

        Args:
            peers: live members other than ourselves.
        """
        if not self._count:
            return ()
        limit = self._transmissions_max(peers)
        # In a small mesh everybody is told several times, in a large one nobody twice by the same member.
        told_max = -(-limit // max(1, peers))
        due = [
            item
            for about in self._items.values()
            for item in about.values()
            if item.update.member != to and item.told.get(to, 0) < told_max
        ]
        due.sort(key=lambda item: (item.transmissions, -item.order))
        taken: list[Update] = []
        for item in due:
            if item.encoded_bytes > bytes_max:
                continue
            bytes_max -= item.encoded_bytes
            taken.append(item.update)
            item.transmissions += 1
            item.told[to] = item.told.get(to, 0) + 1
            if item.transmissions >= limit:
                self._remove(item)
        return tuple(taken)

    def end_round(self, *, peers: int) -> None:
        """Count a round of gossip: an update that nobody is left to be told ends with its rounds."""
        limit = self._transmissions_max(peers)
        for item in [item for about in self._items.values() for item in about.values()]:
            item.rounds += 1
            if item.rounds >= limit:
                self._remove(item)

    def _transmissions_max(self, peers: int) -> int:
        # (peers + 1).bit_length() is log2 of the number of members, rounded up (and one more at powers of 2).
        return self._settings.retransmissions * (peers + 1).bit_length()

    def _remove(self, item: _Item) -> None:
        about = self._items[item.update.member]
        for witness, other in tuple(about.items()):
            if other is item:
                del about[witness]
                self._count -= 1
        if not about:
            del self._items[item.update.member]

    def _drop_oldest(self) -> None:
        items = [item for about in self._items.values() for item in about.values()]
        self._remove(min(items, key=lambda item: item.order))


def encoded_bytes(update: Update) -> int:
    """Size of an update within a packet."""
    return len(msgspec.msgpack.encode(update))
