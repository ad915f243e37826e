"""Records kept for other gateways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from gossipsa.identifiers import ClientId, Epoch, GatewayName, IpAddress
from gossipsa.replication.lane_ledger import KeyId, LaneLedger
from gossipsa.replication.messages import CounterUpdate, RecordCopy
from gossipsa.replication.record import ClientRecord
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
        self._records: dict[ClientId, ClientRecord] = {}
        self._parts: Counter[GatewayName] = Counter()
        """By owner."""
        self._of_owner: dict[GatewayName, dict[int, dict[ClientId, None]]] = {}
        """By owner and shard."""
        self._activity: dict[ClientId, int] = {}
        """By client, the number of its latest activity; these are counted through all clients."""
        self._activities = 0
        self._of_address: dict[IpAddress, dict[ClientId, None]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, client: object) -> bool:
        return client in self._records

    def get(self, client: ClientId) -> ClientRecord | None:
        return self._records.get(client)

    def records(self) -> Iterator[ClientRecord]:
        return iter(self._records.values())

    def owners(self) -> tuple[GatewayName, ...]:
        """Gateways whose records are here, in the order in which they came."""
        return tuple(self._of_owner)

    def of_owner(self, owner: GatewayName) -> tuple[ClientRecord, ...]:
        shards = self._of_owner.get(owner, {}).values()
        return tuple(self._records[client] for shard in shards for client in shard)

    def of_shard(self, owner: GatewayName, shard: int) -> tuple[ClientRecord, ...]:
        """Records of one shard of an owner."""
        return tuple(self._records[client] for client in self._of_owner.get(owner, {}).get(shard, ()))

    def predecessors(self, record: ClientRecord) -> tuple[ClientRecord, ...]:
        """Other records of the same client: it connected anew, with the same identity and virtual address."""
        found: dict[ClientId, None] = {}
        for address in record.virtual_addresses:
            found.update(self._of_address.get(address, {}))
        others = (self._records[client] for client in found if client != record.client)
        return tuple(other for other in others if other.is_same_peer(record))

    def of_address(self, address: IpAddress) -> tuple[ClientRecord, ...]:
        """Records of clients that have a virtual address."""
        return tuple(self._records[client] for client in self._of_address.get(address, ()))

    def has_room(self, record: ClientRecord) -> bool:
        """True if a record, in place of the one known here, stays within PARTS_MAX and OWNER_PARTS_MAX."""
        known = self._records.get(record.client)
        more = record.parts - (known.parts if known is not None else 0)
        of_owner = more if known is not None and known.owner == record.owner else record.parts
        return (
            self._parts[record.owner] + of_owner <= OWNER_PARTS_MAX
            and self._parts.total() + more <= PARTS_MAX
        )

    def activity(self, client: ClientId) -> int:
        """Higher for a client whose owner told later of something that it had sent; 0 for one not known."""
        return self._activity.get(client, 0)

    def put(self, copy: RecordCopy) -> ClientRecord | None:
        """Keeps a copy if it is newer.

        Returns:
            None if it is kept (or was already), else the newer record known here.
        """
        record = copy.record
        known = self._records.get(record.client)
        if known is not None and known.version > record.version:
            return known
        if known is not None:
            if known.version == record.version:
                return None
            self._unlink(known)
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
        self._link(record)
        self._note_activity(known, record)
        return None

    def take(self, client: ClientId) -> ClientRecord | None:
        """Removes a record and leaves its lanes: its new owner is this gateway."""
        record = self._records.get(client)
        if record is not None:
            self._unlink(record)
            del self._activity[client]
        return record

    def drop(self, client: ClientId, epoch: Epoch) -> bool:
        """Removes a record of that epoch or an earlier one, and burns its lanes."""
        record = self._records.get(client)
        if record is None or record.epoch > epoch:
            return False
        self._unlink(record)
        del self._activity[client]
        for key in key_ids(record):
            self._ledger.burn(key)
        return True

    def update_counters(self, update: CounterUpdate) -> ClientRecord | None:
        """Counters of another epoch, or of an unknown client, are ignored.

        Returns:
            The record known here, if its epoch is higher.
        """
        record = self._records.get(update.client)
        if record is not None and record.epoch == update.epoch:
            self._records[update.client] = newer = record.with_counters(update.counters)
            self._note_activity(record, newer)
        return record if record is not None and record.epoch > update.epoch else None

    def raise_ceilings(self, client: ClientId, ceilings: Mapping[int, int]) -> None:
        """Remembers up to which numbers, by outbound SPI, a claimer may send."""
        record = self._records.get(client)
        if record is not None:
            self._records[client] = record.with_ceilings(ceilings)

    def _note_activity(self, before: ClientRecord | None, after: ClientRecord) -> None:
        """The client sent something: its state changed, or more of it was received."""
        if before is None or before.state != after.state or _received(before) < _received(after):
            self._activities += 1
            self._activity[after.client] = self._activities
        else:
            self._activity.setdefault(after.client, 0)

    def _link(self, record: ClientRecord) -> None:
        self._records[record.client] = record
        self._parts[record.owner] += record.parts
        shard = shard_of(record.client, owner=record.owner)
        self._of_owner.setdefault(record.owner, {}).setdefault(shard, {})[record.client] = None
        for address in record.virtual_addresses:
            self._of_address.setdefault(address, {})[record.client] = None

    def _unlink(self, record: ClientRecord) -> None:
        del self._records[record.client]
        self._parts[record.owner] -= record.parts
        if not self._parts[record.owner]:
            del self._parts[record.owner]
        shards = self._of_owner[record.owner]
        number = shard_of(record.client, owner=record.owner)
        del shards[number][record.client]
        if not shards[number]:
            del shards[number]
        if not shards:
            del self._of_owner[record.owner]
        for address in record.virtual_addresses:
            sharing = self._of_address[address]
            sharing.pop(record.client, None)
            if not sharing:
                del self._of_address[address]


def _received(record: ClientRecord) -> int:
    return sum(entry.received for entry in record.counters)
