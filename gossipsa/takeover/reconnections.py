"""A client that connected anew is a new client to everybody; what it was before has to go.

Its old record would be taken over when its old gateway dies, and would take its traffic away from it.
"""

from __future__ import annotations

from gossipsa.identifiers import Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.owned_index import OwnedIndex
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.takeover.conflict import Conflicts, Rival
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.peers import Peers


class Reconnections:
    """Finds the same peer under another client id, among owned clients and among records kept for others."""

    def __init__(
        self,
        *,
        me: Holder,
        peers: Peers,
        store: RecordStore,
        replicator: Replicator,
        owned_index: OwnedIndex,
        coordinator: Coordinator,
        conflicts: Conflicts,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._peers = peers
        self._store = store
        self._replicator = replicator
        self._owned_index = owned_index
        self._coordinator = coordinator
        self._conflicts = conflicts
        self._outbox = outbox

    def owned_successors(self, record: ClientRecord) -> tuple[OwnedRecord, ...]:
        """Owned clients that are the same peer under another id."""
        candidates = (
            self._replicator.get(client)
            for client in self._owned_index.with_any_address(record.virtual_addresses)
            if client != record.client
        )
        return tuple(owned for owned in candidates if owned and owned.record.is_same_peer(record))

    def forget_predecessors(self, record: ClientRecord, *, now_ns: int) -> None:
        """The client connected anew: what it was before is nobody's to take over."""
        if record.owner != self._me.gateway:
            for owned in self.owned_successors(record):
                self._conflicts.meet(owned, Rival(record.owner, record.epoch), now_ns=now_ns)
        for old in self._store.predecessors(record):
            if self._peers.holder(old.owner) == Holder(old.owner, old.epoch.boot) and self._peers.is_alive(
                old.owner
            ):
                # Its owner finds out by itself.
                continue
            self._outbox.report("client-replaced", client=old.client, gateway=old.owner)
            self._coordinator.superseded(old.client, None, now_ns=now_ns)
            self._store.drop(old.client, old.epoch)
