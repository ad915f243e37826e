"""The records that this gateway keeps for others, and what others say of who owns a client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gossipsa.identifiers import ClientId, Endpoint, Epoch, GatewayName, Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.messages import (
    AcknowledgeDrops,
    AcknowledgeRecords,
    DropRecords,
    MoveReplicas,
    PutRecords,
    RecordCopy,
    RecordVersion,
    ReturnRecords,
    UpdateCounters,
)
from gossipsa.replication.recall import RETURNED_UNASKED_MIN
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.replication.store import RecordStore
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.conflict import Conflicts, Rival
from gossipsa.takeover.coordinator import Coordinator, with_local
from gossipsa.takeover.handover import Handovers
from gossipsa.takeover.messages import AcknowledgeOwnership, AnnounceOwnership, OfferClients, Ownership
from gossipsa.takeover.peers import Peers
from gossipsa.takeover.reconnections import Reconnections
from gossipsa.takeover.states import State

_RETURN_RECORDS_MAX = 64
_RETURNED_AT_ONCE = 1_024
"""Some 20 ms of work, and 600 kB for the stream to the gateway that asks."""
_LOOKED_AT_AT_ONCE = 16_384
_RETURNED_STATES = frozenset({State.WAITING, State.CLAIMING, State.YIELDED, State.HELD})
"""Of a takeover that has not touched the client: its owner may have it back."""


class KeptRecords:
    """Stores, drops and returns records; the highest epoch wins, and whoever believes otherwise is told."""

    def __init__(
        self,
        *,
        me: Holder,
        peers: Peers,
        store: RecordStore,
        replicator: Replicator,
        coordinator: Coordinator,
        announcer: Announcer,
        conflicts: Conflicts,
        handovers: Handovers,
        reconnections: Reconnections,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._peers = peers
        self._store = store
        self._replicator = replicator
        self._coordinator = coordinator
        self._announcer = announcer
        self._conflicts = conflicts
        self._handovers = handovers
        self._reconnections = reconnections
        self._outbox = outbox

    def hear_put(self, sender: Holder, message: PutRecords, *, now_ns: int) -> None:
        """Keeps what an owner puts here, and acknowledges it."""
        kept, stale = [], []
        refused = 0
        for copy in message.copies:
            record = copy.record
            is_theirs = record.owner == sender.gateway and record.epoch.boot == sender.boot
            if not is_theirs or not record.is_sound or not self._store.has_room(record):
                refused += 1
                continue
            owned = self._replicator.get(record.client)
            if owned is not None:
                if record.epoch < owned.record.epoch:
                    self._announcer.tell(sender.gateway, record.client)
                    continue
                if not self._meet(owned, Rival(sender.gateway, record.epoch), now_ns):
                    continue
            newer = self._keep(sender, copy, now_ns)
            if newer is not None:
                stale.append(newer)
                continue
            kept.append(RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence))
        if refused:
            # One line, however many: what others send must not fill a disk.
            self._outbox.report("record-refused", gateway=sender.gateway, count=refused)
        if kept:
            self._outbox.send(sender.gateway, AcknowledgeRecords(versions=tuple(kept)))
        if stale:
            self._outbox.send(sender.gateway, AnnounceOwnership(ownerships=tuple(stale)))

    def hear_move(self, sender: Holder, message: MoveReplicas) -> None:
        """Other replicas for records that are here. Those that are not, or not so new, come again whole."""
        moved, stale = [], []
        for record in message.records:
            if record.epoch.boot != sender.boot:
                continue
            newer = self._store.move(record, message.replicas, owner=sender.gateway)
            if newer is not None:
                stale.append(_ownership(newer))
            elif self._store.has(record.client, (record.epoch, record.sequence)):
                moved.append(
                    RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)
                )
        if moved:
            self._outbox.send(sender.gateway, AcknowledgeRecords(versions=tuple(moved)))
        if stale:
            self._outbox.send(sender.gateway, AnnounceOwnership(ownerships=tuple(stale)))

    def hear_counters(self, sender: Holder, message: UpdateCounters) -> None:
        """Sequence numbers of clients whose records are here."""
        stale = [
            _ownership(newer)
            for update in message.updates
            if update.epoch.boot == sender.boot and (newer := self._store.update_counters(update)) is not None
        ]
        if stale:
            self._outbox.send(sender.gateway, AnnounceOwnership(ownerships=tuple(stale)))

    def hear_drop(self, sender: Holder, message: DropRecords, *, now_ns: int) -> None:
        """The owner has the record elsewhere, or the client is gone."""
        for version in message.versions:
            record = self._store.peek(version.client)
            if record is None or record.owner != sender.gateway:
                continue
            # A newer version was put here since, and the drop was late.
            if record.version <= (version.epoch, version.sequence):
                self._coordinator.superseded(version.client, None, now_ns=now_ns)
                self._store.drop(version.client, version.epoch)
        self._outbox.send(sender.gateway, AcknowledgeDrops(versions=message.versions))

    def drop_all(self, *, now_ns: int) -> None:
        """Others' clients are not ours to take any more."""
        for client in self._store.clients():
            kept = self._store.peek(client)
            assert kept is not None
            self._coordinator.superseded(client, None, now_ns=now_ns)
            self._store.drop(client, kept.epoch)

    def hear_announcement(self, sender: Holder, message: AnnounceOwnership, *, now_ns: int) -> None:
        """Somebody owns a client, by its own word or by a replica's."""
        obeyed = [ownership for ownership in message.ownerships if self._obey(sender, ownership, now_ns)]
        if obeyed:
            self._outbox.send(sender.gateway, AcknowledgeOwnership(ownerships=tuple(obeyed)))

    def hear_offers(self, sender: Holder, message: OfferClients, *, willing: bool, now_ns: int) -> None:
        """A living owner wants clients moved to us, if we are willing."""
        fresh = []
        for offer in message.offers:
            if offer.client in self._replicator:
                # It answered us, and the owner did not hear of it.
                self._announcer.tell(sender.gateway, offer.client)
            else:
                fresh.append(offer)
        self._coordinator.hear_offers(
            sender, OfferClients(offers=tuple(fresh)), willing=willing, now_ns=now_ns
        )

    def gateway_started(self, name: GatewayName, *, live: int) -> None:
        """A gateway is there that was not, or not in this boot: one of so many live ones.

        It is given the first part of what there is, and asks for the others.
        """
        owner = self._peers.holder(name)
        if owner is None or live < RETURNED_UNASKED_MIN:
            return
        records: list[ClientRecord] = []
        shard = 0
        while not records and shard < SHARD_COUNT:
            # Most have nothing of it, and say so to nobody.
            records, shard = self._part_for(owner, shard)
        if records:
            self._return(name, records, following=shard)

    def taken_over(self, client: ClientId) -> None:
        """A client is ours now. Its former owner may have begun anew, and asked us, while we were taking it:
        it did not hear of the client then, and may have its SAs.
        """
        owned = self._replicator.get(client)
        if owned is None or owned.taken is None:
            return
        former = self._peers.holder(owned.taken.owner)
        if (
            former is not None
            and former.boot != owned.taken.epoch.boot
            and self._peers.is_live(former.gateway)
        ):
            self._return(former.gateway, [self._as_served_by(former.gateway, owned.taken)])

    def hear_recall(self, sender: Holder, shard: int) -> None:
        """An owner that started anew asks for its records, from a shard on."""
        records, following = self._part_for(sender, shard)
        self._return(sender.gateway, records, following=following)

    def _part_for(self, owner: Holder, shard: int) -> tuple[list[ClientRecord], int]:
        """What is here, from a shard on, of clients that a gateway may serve: they are its own, or were.

        Returns:
            Not much more than are returned at once, and the shard to go on with: SHARD_COUNT for none.
        """
        records: list[ClientRecord] = []
        looked_at = 0
        while shard < SHARD_COUNT and len(records) < _RETURNED_AT_ONCE and looked_at < _LOOKED_AT_AT_ONCE:
            kept = self._store.clients_of_shard(owner.gateway, shard)
            owned = self._replicator.owned_in(shard)
            looked_at += len(kept) + len(owned)
            records += self._kept_for(owner, kept)
            records += self._taken_from(owner.gateway, owned)
            shard += 1
        return records, shard

    def _return(self, name: GatewayName, records: list[ClientRecord], *, following: int = 0) -> None:
        parts = [
            tuple(records[start : start + _RETURN_RECORDS_MAX])
            for start in range(0, len(records), _RETURN_RECORDS_MAX)
        ] or [()]
        for part in parts:
            self._outbox.send(name, ReturnRecords(records=part, last=part is parts[-1], following=following))

    def _kept_for(self, owner: Holder, clients: Iterable[ClientId]) -> Iterator[ClientRecord]:
        """Its records here, but for those of its present boot: those it has itself."""
        for client in clients:
            kept = self._store.peek(client)
            state = self._coordinator.state_of(client)
            if (
                kept is not None
                and kept.epoch.boot != owner.boot
                and (state is None or state in _RETURNED_STATES)
            ):
                yield kept.unpack()

    def _taken_from(self, name: GatewayName, clients: Iterable[OwnedRecord]) -> Iterator[ClientRecord]:
        """What was taken from it, by us or by one before us: its kernel and IKE daemon may have the client
        still, and nobody else tells it. It adopts the client or releases it; our epoch, or the client's word,
        ends what it adopts."""
        for owned in clients:
            if name in owned.record.former_owners:
                yield self._as_served_by(name, owned.taken or owned.record)

    def _as_served_by(self, name: GatewayName, record: ClientRecord) -> ClientRecord:
        """What a gateway that owned a client before others did may have of it still.

        The epoch is the lowest: adopted above that of the record, an idle client could be won back, by a tie
        of the counters, by the gateway that it left.
        """
        known = record.state.ike_sa.local
        own = (each for each in self._peers.ike_addresses(name) if each.version == known.address.version)
        local = Endpoint(next(own, known.address), known.port)
        return msgspec.structs.replace(
            record, owner=name, epoch=Epoch(0, record.epoch.boot), state=with_local(record.state, local)
        )

    def _keep(self, sender: Holder, copy: RecordCopy, now_ns: int) -> Ownership | None:
        """Returns who owns the client if that is somebody else under a higher epoch."""
        record = copy.record
        known = self._store.peek(record.client)
        known_owner = known.owner if known is not None else sender.gateway
        newer = self._store.put(copy)
        if newer is not None and newer.epoch > record.epoch:
            self._outbox.report("record-stale", gateway=sender.gateway, client=record.client)
            return _ownership(newer)
        self._replicator.succeeded(record.client, record.owner)
        self._coordinator.superseded(record.client, record.epoch, now_ns=now_ns)
        self._reconnections.forget_predecessors(record, now_ns=now_ns)
        if known_owner != sender.gateway and self._peers.is_live(known_owner):
            # It may not be among those whom the new owner knows to tell.
            self._outbox.send(known_owner, AnnounceOwnership(ownerships=(_ownership(record),)))
        return None

    def _obey(self, sender: Holder, ownership: Ownership, now_ns: int) -> bool:
        """True if the sender owns the client, for all that we know now."""
        if ownership.owner != self._me.gateway and self._peers.holder(ownership.owner) is None:
            # Nobody whom we could tell, or yield to.
            return False
        owned = self._replicator.get(ownership.client)
        rival = Rival(ownership.owner, ownership.epoch)
        if ownership.owner == self._me.gateway:
            # A replica knows what an earlier boot of ours owned.
            if owned is not None and owned.record.epoch < ownership.epoch:
                self._conflicts.overtake(owned, rival, now_ns=now_ns)
            return False
        if owned is not None:
            # A replica may tell of it before the owner does.
            if owned.record.epoch > ownership.epoch:
                self._announcer.tell(ownership.owner, ownership.client)
                return False
            if not self._meet(owned, rival, now_ns):
                return False
        if ownership.owner != sender.gateway:
            return False
        self._replicator.succeeded(ownership.client, ownership.owner)
        record = self._store.peek(ownership.client)
        if record is not None and record.epoch < ownership.epoch:
            self._coordinator.superseded(ownership.client, ownership.epoch, now_ns=now_ns)
            self._store.drop(ownership.client, ownership.epoch)
        return True

    def _meet(self, owned: OwnedRecord, rival: Rival, now_ns: int) -> bool:
        """True if a client of ours was given up to somebody with a higher epoch."""
        return self._handovers.taken(owned, rival, now_ns=now_ns) or self._conflicts.meet(
            owned, rival, now_ns=now_ns
        )


def _ownership(record: ClientRecord) -> Ownership:
    return Ownership(client=record.client, owner=record.owner, epoch=record.epoch)
