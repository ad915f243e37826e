"""Records kept for other gateways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder, IpAddress
from gossipsa.replication.lane_ledger import KeyId, LaneLedger
from gossipsa.replication.messages import CounterUpdate, MovedRecord, RecordCopy, RecordVersion
from gossipsa.replication.packed_record import PackedRecord, Packer
from gossipsa.replication.record import ClientRecord, Version
from gossipsa.replication.shards import shard_of

PARTS_MAX = 4_000_000
"""Parts of all records (see `ClientRecord.parts`): 200,000 clients with one CHILD_SA each; 4 GB at worst."""
OWNER_PARTS_MAX = PARTS_MAX // 4
"""Of one owner, so that nobody takes the room of everybody else."""


def key_ids(record: ClientRecord) -> tuple[KeyId, ...]:
    """The keys of a record, as the ledger knows them."""
    return tuple((record.client, key.outbound_spi, key.creator) for key in record.keys)


class RecordStore:
    """Copies of other gateways' records. The higher (epoch, sequence) wins; grants are accepted once."""

    def __init__(self, ledger: LaneLedger) -> None:
        self._ledger = ledger
        self._packer = Packer()
        self._records: dict[ClientId, PackedRecord] = {}
        self._parts: Counter[GatewayName] = Counter()
        """By owner."""
        self._of_owner: dict[GatewayName, dict[int, dict[ClientId, None]]] = {}
        """By owner and shard."""
        self._activities = 0
        """Counted through all clients."""
        self._of_address: dict[bytes, tuple[ClientId, ...]] = {}
        """By virtual address, packed."""

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, client: object) -> bool:
        return client in self._records

    def get(self, client: ClientId) -> ClientRecord | None:
        kept = self._records.get(client)
        return kept.unpack() if kept is not None else None

    def peek(self, client: ClientId) -> PackedRecord | None:
        """What is known of a record without looking into it. Not to be changed."""
        return self._records.get(client)

    def clients(self) -> tuple[ClientId, ...]:
        return tuple(self._records)

    def records(self) -> Iterator[ClientRecord]:
        return (kept.unpack() for kept in self._records.values())

    def owners(self) -> tuple[GatewayName, ...]:
        """Gateways whose records are here, in the order in which they came."""
        return tuple(self._of_owner)

    def has_any_of(self, owner: GatewayName) -> bool:
        return owner in self._of_owner

    def clients_of(self, owner: GatewayName) -> tuple[ClientId, ...]:
        return tuple(client for shard in self._of_owner.get(owner, {}).values() for client in shard)

    def clients_of_shard(self, owner: GatewayName, shard: int) -> tuple[ClientId, ...]:
        return tuple(self._of_owner.get(owner, {}).get(shard, ()))

    def versions_of_shard(self, owner: GatewayName, shard: int) -> Iterator[RecordVersion]:
        """What is here of one shard of an owner."""
        for client in self._of_owner.get(owner, {}).get(shard, ()):
            kept = self._records[client]
            yield RecordVersion(client=client, epoch=kept.epoch, sequence=kept.sequence)

    def predecessors(self, record: ClientRecord) -> tuple[ClientRecord, ...]:
        """Other records of the same client: it connected anew, with the same identity and virtual address."""
        found: dict[ClientId, None] = {}
        for address in record.virtual_addresses:
            found.update(dict.fromkeys(self._of_address.get(address.packed, ())))
        others = (self._records[client].unpack() for client in found if client != record.client)
        return tuple(other for other in others if other.is_same_peer(record))

    def of_address(self, address: IpAddress) -> tuple[ClientRecord, ...]:
        """Records of clients that have a virtual address."""
        return tuple(self._records[client].unpack() for client in self._of_address.get(address.packed, ()))

    def has_room(self, record: ClientRecord) -> bool:
        """True if a record, in place of the one known here, stays within PARTS_MAX and OWNER_PARTS_MAX."""
        known = self._records.get(record.client)
        parts = record.parts
        more = parts - (known.parts if known is not None else 0)
        of_owner = more if known is not None and known.owner == record.owner else parts
        return self._fits(record.owner, of_owner, more)

    def activity(self, client: ClientId) -> int:
        """Higher for a client whose owner told later of something that it had sent; 0 for one not known."""
        kept = self._records.get(client)
        return kept.activity if kept is not None else 0

    def put(self, copy: RecordCopy) -> ClientRecord | None:
        """Keeps a copy if it is newer.

        Returns:
            None if it is kept (or was already), else the newer record known here.
        """
        record = copy.record
        kept = self._records.get(record.client)
        if kept is not None and kept.version == record.version:
            return None
        known = kept.unpack() if kept is not None else None
        if known is not None and known.version > record.version:
            return known
        if known is not None:
            gone = set(key_ids(known)) - set(key_ids(record))
            for key in sorted(gone):
                self._ledger.burn(key)
            creators = {key.outbound_spi: key.creator for key in record.keys}
            record = record.with_ceilings(
                {k.outbound_spi: k.ceiling for k in known.keys if creators.get(k.outbound_spi) == k.creator}
            )
            if known.epoch == record.epoch:
                record = record.with_counters(known.counters)
        creators = {key.outbound_spi: key.creator for key in record.keys}
        for grant in copy.grants:
            if grant.outbound_spi in creators:
                self._ledger.accept(
                    (record.client, grant.outbound_spi, creators[grant.outbound_spi]), grant.lanes
                )
        packed = self._packer.pack(record)
        packed.activity = kept.activity if kept is not None else 0
        if known is None or known.state != record.state or _received(known) < _received(record):
            self._note_activity(packed)
        if known is not None and _index(known) == _index(record):
            self._parts[packed.owner] += packed.parts - self._records[record.client].parts
            self._records[record.client] = packed
            return None
        if known is not None:
            self._unlink(known)
        self._link(record, packed)
        return None

    def move(
        self, moved: MovedRecord, replicas: tuple[Holder, ...], *, owner: GatewayName
    ) -> ClientRecord | None:
        """Gives a record other replicas, if it is here and else the same.

        Returns:
            The record known here, if its epoch is higher.
        """
        kept = self._records.get(moved.client)
        if kept is None or kept.epoch < moved.epoch or kept.owner != owner:
            return kept.unpack() if kept is not None and kept.epoch > moved.epoch else None
        more = len(replicas) - len(kept.replicas)
        if kept.epoch == moved.epoch and moved.since <= kept.sequence < moved.sequence:
            if more > 0 and not self._fits(owner, more, more):
                return None
            kept.sequence = moved.sequence
            kept.replicas = self._packer.replicas(replicas)
            kept.parts += more
            self._parts[owner] += more
        return kept.unpack() if kept.epoch > moved.epoch else None

    def has(self, client: ClientId, version: Version) -> bool:
        """True if a record is here in a version, or in a newer one of the same epoch."""
        kept = self._records.get(client)
        return kept is not None and kept.epoch == version[0] and kept.sequence >= version[1]

    def take(self, client: ClientId) -> ClientRecord | None:
        """Removes a record and leaves its lanes: its new owner is this gateway."""
        record = self.get(client)
        if record is not None:
            self._unlink(record)
        return record

    def drop(self, client: ClientId, epoch: Epoch) -> bool:
        """Removes a record of that epoch or an earlier one, and burns its lanes."""
        record = self.get(client)
        if record is None or record.epoch > epoch:
            return False
        self._unlink(record)
        for key in key_ids(record):
            self._ledger.burn(key)
        return True

    def update_counters(self, update: CounterUpdate) -> ClientRecord | None:
        """Counters of another epoch, or of an unknown client, are ignored.

        Returns:
            The record known here, if its epoch is higher.
        """
        kept = self._records.get(update.client)
        if kept is None:
            return None
        if kept.epoch == update.epoch:
            before = kept.received
            kept.count(update.counters)
            if before < kept.received:
                self._note_activity(kept)
        return kept.unpack() if kept.epoch > update.epoch else None

    def raise_ceilings(self, client: ClientId, ceilings: Mapping[int, int]) -> None:
        """Remembers up to which numbers, by outbound SPI, a claimer may send."""
        record = self.get(client)
        if record is not None:
            kept = self._records[client]
            raised = self._packer.pack(record.with_ceilings(ceilings))
            kept.data = raised.data

    def _fits(self, owner: GatewayName, of_owner: int, more: int) -> bool:
        return self._parts[owner] + of_owner <= OWNER_PARTS_MAX and self._parts.total() + more <= PARTS_MAX

    def _note_activity(self, kept: PackedRecord) -> None:
        """The client sent something: its state changed, or more of it was received."""
        self._activities += 1
        kept.activity = self._activities

    def _link(self, record: ClientRecord, packed: PackedRecord) -> None:
        self._records[record.client] = packed
        self._parts[packed.owner] += packed.parts
        shard = shard_of(record.client, owner=packed.owner)
        self._of_owner.setdefault(packed.owner, {}).setdefault(shard, {})[record.client] = None
        for address in record.virtual_addresses:
            sharing = self._of_address.get(address.packed, ())
            if record.client not in sharing:
                self._of_address[address.packed] = (*sharing, record.client)

    def _unlink(self, record: ClientRecord) -> None:
        packed = self._records.pop(record.client)
        self._parts[packed.owner] -= packed.parts
        if not self._parts[packed.owner]:
            del self._parts[packed.owner]
        shards = self._of_owner[packed.owner]
        number = shard_of(record.client, owner=packed.owner)
        del shards[number][record.client]
        if not shards[number]:
            del shards[number]
        if not shards:
            del self._of_owner[packed.owner]
        for address in record.virtual_addresses:
            sharing = self._of_address.get(address.packed, ())
            others = tuple(client for client in sharing if client != record.client)
            if others:
                self._of_address[address.packed] = others
            else:
                self._of_address.pop(address.packed, None)


def _received(record: ClientRecord) -> int:
    return sum(entry.received for entry in record.counters)


def _index(record: ClientRecord) -> tuple[GatewayName, tuple[IpAddress, ...]]:
    """What a record is found by, besides its client."""
    return record.owner, record.virtual_addresses
