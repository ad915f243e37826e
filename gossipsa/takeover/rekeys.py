"""Rekeys of the CHILD_SAs of clients that were taken over, one after the other (rule R8).

A rekey gives a fresh number space with all lanes at the new owner, ends what an attacker could replay, and
makes IVs disjoint whatever the cipher's implementation does with them.
"""

from __future__ import annotations

from gossipsa.effects import RekeyChild
from gossipsa.identifiers import ClientId
from gossipsa.outbox import Outbox
from gossipsa.replication.replicator import Replicator
from gossipsa.settings import TakeoverSettings


class PacedRekeys:
    """Clients whose CHILD_SAs are due for a rekey, in the order in which they were taken over."""

    def __init__(self, *, settings: TakeoverSettings, replicator: Replicator, outbox: Outbox) -> None:
        self._settings = settings
        self._replicator = replicator
        self._outbox = outbox
        self._waiting: dict[ClientId, int] = {}
        """When each is due, the first one first."""
        self._next_ns = 0

    def schedule(self, client: ClientId, *, now_ns: int) -> None:
        if self._settings.rekey_after_takeover:
            self._waiting.setdefault(client, now_ns + self._settings.rekey_delay_ns)

    def tick(self, *, now_ns: int) -> None:
        """Asks for the rekeys of at most one client."""
        if not self._waiting:
            return
        client, due_ns = next(iter(self._waiting.items()))
        if now_ns < max(self._next_ns, due_ns):
            return
        del self._waiting[client]
        self._next_ns = now_ns + self._settings.rekey_interval_ns
        owned = self._replicator.get(client)
        if owned is None:
            return
        record = owned.record
        for key in record.keys:
            if key.creator.boot != record.epoch.boot:
                self._outbox.do(RekeyChild(client=client, state=record.state, outbound_spi=key.outbound_spi))

    def next_deadline_ns(self) -> int | None:
        return max(self._next_ns, next(iter(self._waiting.values()))) if self._waiting else None
