"""The owner's side of replication: every change to every replica, until acknowledged.

A record travels whole, unless nothing but its replicas has changed. Only its latest version is ever under way
to a replica, so that the work waiting is bounded by the number of records. Lanes are granted with the first
copy of a key that a replica gets, and repeated with every later one, always the same: the receiver accepts
them once. Which replicas a record has is its shard's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from types import MappingProxyType

import msgspec

from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder
from gossipsa.ipsec.lanes import SHARED_FIRST, NumberRange
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import (
    CLIENTS_A_MESSAGE_MAX,
    AcknowledgeRecords,
    CounterUpdate,
    DropRecords,
    LaneGrant,
    MovedRecord,
    MoveReplicas,
    PutRecords,
    RecordCopy,
    RecordVersion,
    UpdateCounters,
)
from gossipsa.replication.owned_index import OwnedIndex
from gossipsa.replication.record import ClientRecord, KeyNumbers
from gossipsa.replication.shards import NOWHERE, SHARD_COUNT, ShardMap, shard_of
from gossipsa.replication.store import key_ids
from gossipsa.settings import ReplicationSettings
from gossipsa.timers import earliest

CREATOR_CEILING = SHARED_FIRST - 1
"""Highest number of a key's creator (rule R1)."""

_RECORDS_A_FRAME_MAX = 64
_GATHER_NS = 5_000_000
"""Between two frames to one replica, unless the second is full: what many clients change goes together."""
_GATHER_BUSY_NS = 20_000_000
"""The same while the replica has not answered the first: the busier it is, the fuller its frames (as small
packets wait in RFC 896)."""
_PLACED_AT_ONCE = 1_000
"""Some 10 ms of work."""
_DROPS_MAX = 100_000
_NONE_IN_USE: Mapping[int, NumberRange] = MappingProxyType({})
_HAND_OVER_NS = 1_000_000_000
"""Within this time a new owner has copies of its own, or is found dead."""

ReplicationMessage = PutRecords | MoveReplicas | DropRecords | UpdateCounters
Outbox = list[tuple[GatewayName, ReplicationMessage]]


class _Copy(msgspec.Struct, gc=False):
    """What one replica has of one record."""

    acknowledged: int = 0
    sent: int = 0
    grants: tuple[LaneGrant, ...] = ()
    """One for each key, those of no lanes too."""


class _Answered(msgspec.Struct):
    """How far a replica has come."""

    sent_ns: int = 0
    """When the latest was sent that it has acknowledged."""
    heard_ns: int | None = 0
    """When it last acknowledged anything under way; None for since the last flush."""


class OwnedRecord(msgspec.Struct, gc=False):
    """A record that this gateway owns, and where its copies are.

    There may be very many: nothing in it can be part of a cycle.
    """

    record: ClientRecord
    since: int
    """The sequence number since which nothing but the replicas has changed."""
    copies: dict[Holder, _Copy]
    former: tuple[GatewayName, ...] = ()
    """Gateways that owned or kept it before, and may not know who owns it now."""
    in_use: Mapping[int, NumberRange] = _NONE_IN_USE
    """By outbound SPI, numbers in the shared region that we may have sent."""
    taken: ClientRecord | None = None
    """The record as it was taken from its former owner, who may have SAs of it still."""

    @property
    def is_copied(self) -> bool:
        """True if every replica has acknowledged it under its present epoch, in whatever version."""
        return bool(self.copies) and all(copy.acknowledged for copy in self.copies.values())

    def acknowledged_by(self) -> tuple[Holder, ...]:
        return tuple(
            holder for holder, copy in self.copies.items() if copy.acknowledged == self.record.sequence
        )


class Replicator:
    """All records that this gateway owns. Pure: what must be sent is collected by `flush`.

    Attributes:
        index: finds them, by what others know them by.
    """

    def __init__(self, *, me: Holder, settings: ReplicationSettings, ledger: LaneLedger) -> None:
        self._me = me
        self._first_epoch = Epoch(1, me.boot)
        self._settings = settings
        self._ledger = ledger
        self._owned: dict[ClientId, OwnedRecord] = {}
        self.index = OwnedIndex()
        self._shards: ShardMap = NOWHERE
        self._away: dict[ClientId, None] = {}
        self._guests: dict[ClientId, Holder] = {}
        self._in_shard: tuple[dict[ClientId, None], ...] = tuple({} for _ in range(SHARD_COUNT))
        # Per replica: records whose latest version was not sent, in the order in which they changed, and
        # those of which a version was sent and is unacknowledged, in the order of sending, and when it was.
        self._dirty: dict[Holder, dict[ClientId, None]] = {}
        self._under_way: dict[Holder, dict[ClientId, int]] = {}
        # Clients with fewer copies than wanted, and since when: the oldest first.
        self._short: dict[ClientId, int] = {}
        self._touched: dict[ClientId, None] = {}
        self._framed_ns: dict[Holder, int] = {}
        """When records went last to a replica."""
        self._answered: dict[Holder, _Answered] = {}
        self._departed: dict[Holder, dict[ClientId, _Copy]] = {}
        """Copies at replicas that were taken for dead: one that lives has them still, and its lanes."""
        self._drops: dict[GatewayName, dict[ClientId, RecordVersion]] = {}
        self._drops_due_ns: int | None = None
        self._successors: dict[ClientId, tuple[GatewayName, int]] = {}
        """Of clients in `_drops`: who owns them now, and when drops may begin."""
        self._live: set[GatewayName] = set()
        self._live_holders: frozenset[Holder] = frozenset()
        self._to_place: dict[int, None] = {}
        """Shards whose clients are yet to be placed anew."""
        self._flushed_ns = 0
        self._counters: dict[ClientId, None] = {}

    def __contains__(self, client: object) -> bool:
        return client in self._owned

    def __len__(self) -> int:
        return len(self._owned)

    def get(self, client: ClientId) -> OwnedRecord | None:
        return self._owned.get(client)

    def owned(self) -> Iterator[OwnedRecord]:
        return iter(self._owned.values())

    def owned_in(self, shard: int) -> tuple[OwnedRecord, ...]:
        """Those of one of our shards."""
        return tuple(self._owned[client] for client in self._in_shard[shard])

    def away(self) -> Iterator[ClientRecord]:
        """Owned clients that connected to another gateway."""
        return (self._owned[client].record for client in self._away)

    @property
    def short(self) -> int:
        """How many clients have fewer acknowledged copies of their latest version than are wanted."""
        return len(self._short)

    @property
    def short_since_ns(self) -> int | None:
        """Since when the oldest of them has."""
        return next(iter(self._short.values()), None)

    def copies(self) -> Counter[int]:
        """How many clients have so many acknowledged copies; more than are wanted count as wanted."""
        counts = Counter(len(self._owned[client].acknowledged_by()) for client in self._short)
        counts[self._settings.replicas] += len(self._owned) - len(self._short)
        return +counts

    def replicas_of(self, client: ClientId) -> tuple[Holder, ...]:
        """Where copies of a client's record belong, in takers' order."""
        replicas = self._shards[self._shard_of(client)]
        guest = self._guests.get(client)
        return replicas if guest is None or guest in replicas else (*replicas, guest)

    def invite(self, client: ClientId, holder: Holder) -> None:
        """Keeps a copy of an owned client at a live gateway more than its shard says, as the last taker."""
        owned = self._owned.get(client)
        if owned is not None and self._guests.get(client) != holder:
            self._guests[client] = holder
            self._place_one(owned, {*owned.copies, *self.replicas_of(client)})

    def create(self, client: ClientId, state: ClientState) -> OwnedRecord:
        """A client that connected to our own IKE daemon: epoch 1, all lanes ours."""
        record = ClientRecord(
            client=client,
            owner=self._me.gateway,
            epoch=self._first_epoch,
            sequence=1,
            state=state,
            keys=(),
            replicas=self.replicas_of(client),
            home=self._me.gateway,
        )
        return self.own(self._with_keys(record, state))

    def own(self, record: ClientRecord, *, former: Iterable[GatewayName] = ()) -> OwnedRecord:
        """Starts to own a record as it stands: `owner` and `epoch` are ours already."""
        dropped = [drops[record.client].sequence for drops in self._drops.values() if record.client in drops]
        sequence = max([record.sequence, *(number + 1 for number in dropped)])
        replicas = self.replicas_of(record.client)
        owned = OwnedRecord(
            record=msgspec.structs.replace(record, replicas=replicas, sequence=sequence),
            since=sequence,
            copies={},
            former=tuple(dict.fromkeys(name for name in former if name != self._me.gateway)),
        )
        self._stop_waiting(record.client)
        self._successors.pop(record.client, None)
        before = self._owned.get(record.client)
        self.index.replace(record.client, before.record.state if before else None, record.state)
        self._owned[record.client] = owned
        self._in_shard[self._shard_of(record.client)][record.client] = None
        if record.home not in ("", self._me.gateway):
            self._away[record.client] = None
        for holder in replicas:
            owned.copies[holder] = _Copy()
            self._cancel_drop(holder.gateway, record.client)
        self._touch(owned)
        return owned

    def change(self, client: ClientId, state: ClientState) -> OwnedRecord | None:
        """New state of an owned client; None if it is not owned, or nothing changed."""
        owned = self._owned.get(client)
        if owned is None or owned.record.state == state:
            return None
        self.index.replace(client, owned.record.state, state)
        before = set(key_ids(owned.record))
        record = self._with_keys(msgspec.structs.replace(owned.record, state=state), state)
        for key in sorted(before - set(key_ids(record))):
            self._ledger.burn(key)
        spis = {child.outbound_spi for child in state.children}
        if owned.in_use:
            owned.in_use = {spi: numbers for spi, numbers in owned.in_use.items() if spi in spis}
        self._bump(owned, record.with_counters(()))
        return owned

    def raise_ceiling(self, client: ClientId, outbound_spi: int, numbers: NumberRange) -> None:
        """Announces that numbers up to `numbers.last` may be sent; usable once acknowledged (rule R3)."""
        owned = self._owned[client]
        owned.in_use = {**owned.in_use, outbound_spi: numbers}
        self._bump(owned, owned.record.with_ceilings({outbound_spi: numbers.last}))

    def disown(
        self, client: ClientId, *, successor: GatewayName | None = None, now_ns: int = 0
    ) -> ClientRecord | None:
        """Stops owning. Lanes are burnt, and our replicas drop their copies of our epoch.

        A new owner knows the replicas of the record that it took, and not those chosen since.

        Args:
            successor: the new owner, if there is one: it gets a moment to have copies of its own, and as
                long as it does not live the old ones are better than none.
        """
        owned = self._owned.pop(client, None)
        if owned is None:
            return None
        self.index.replace(client, owned.record.state, None)
        for key in key_ids(owned.record):
            self._ledger.burn(key)
        self._in_shard[self._shard_of(client)].pop(client, None)
        self._guests.pop(client, None)
        self._short.pop(client, None)
        self._touched.pop(client, None)
        self._away.pop(client, None)
        self._stop_waiting(client)
        self._counters.pop(client, None)
        for holder in owned.copies:
            self._drop_at(holder.gateway, owned.record)
        if successor is not None and owned.copies:
            self._successors[client] = (successor, now_ns + _HAND_OVER_NS)
        return owned.record

    def succeeded(self, client: ClientId, owner: GatewayName) -> None:
        """A client that was ours has yet another owner."""
        known = self._successors.get(client)
        if known is not None:
            self._successors[client] = (owner, known[1])

    def place(self, shards: ShardMap, *, alive: Iterable[Holder]) -> int:
        """Sets where copies belong. New replicas are added before old ones that live are removed (rule R6).

        Of very many clients most are placed by the next calls of `flush`: others have their turn in between.

        Returns:
            How many shards have other replicas than before.
        """
        self._live_holders = frozenset(alive)
        self._live = {holder.gateway for holder in self._live_holders}
        moved = [shard for shard in range(SHARD_COUNT) if shards[shard] != self._shards[shard]]
        self._shards = shards
        for client in [each for each, guest in self._guests.items() if guest not in self._live_holders]:
            del self._guests[client]
        # The dead may have copies, not yet superfluous, of any shard.
        self._to_place.update(dict.fromkeys(range(SHARD_COUNT) if self._dead() else moved))
        self._place_some()
        return len(moved)

    def update_counters(self, client: ClientId, counters: tuple[SaCounters, ...]) -> None:
        """New sequence numbers of an owned client: cheap, unacknowledged."""
        owned = self._owned.get(client)
        if owned is not None:
            record = owned.record.with_counters(counters)
            if record.counters != owned.record.counters:
                owned.record = record
                self._counters[client] = None

    def received(self, client: ClientId) -> int:
        """Sum of the highest numbers received on an owned client's SAs: grows while the client sends."""
        owned = self._owned.get(client)
        return sum(entry.received for entry in owned.record.counters) if owned is not None else 0

    def hear_acknowledgement(self, sender: Holder, message: AcknowledgeRecords) -> list[ClientId]:
        """Returns the clients of which `sender` has the latest version now."""
        complete = []
        for version in message.versions:
            owned = self._owned.get(version.client)
            if owned is None or owned.record.epoch != version.epoch:
                continue
            copy = owned.copies.get(sender)
            if copy is None:
                continue
            copy.acknowledged = max(copy.acknowledged, version.sequence)
            if copy.acknowledged >= copy.sent:
                sent_ns = self._under_way.get(sender, {}).pop(version.client, None)
                if sent_ns is not None:
                    answered = self._answered.setdefault(sender, _Answered())
                    answered.sent_ns = max(answered.sent_ns, sent_ns)
                    answered.heard_ns = None
            if copy.acknowledged == owned.record.sequence:
                self._dirty.get(sender, {}).pop(version.client, None)
                complete.append(version.client)
                self._remove_superfluous(owned)
                if len(owned.acknowledged_by()) >= self._settings.replicas:
                    self._short.pop(version.client, None)
        return complete

    def hear_drops_acknowledged(self, sender: GatewayName, versions: tuple[RecordVersion, ...]) -> None:
        for version in versions:
            self._cancel_drop(sender, version.client)
        if sender in self._drops:
            # There are more.
            self._drops_due_ns = None

    def has_copies_at(self, gateway: GatewayName) -> bool:
        """True if it has copies of our records, or is to get some."""
        return any(holder.gateway == gateway for holder in self._dirty)

    # For audits.

    def holders(self) -> tuple[Holder, ...]:
        """Live replicas of any of our records."""
        return tuple(holder for holder in self._dirty if holder.gateway in self._live)

    def settled_records(self, holder: Holder, shard: int) -> Iterator[ClientRecord]:
        """Records of a shard that a replica has acknowledged in their latest version."""
        for client in self._in_shard[shard]:
            owned = self._owned[client]
            copy = owned.copies.get(holder)
            if copy is not None and copy.acknowledged == owned.record.sequence:
                yield owned.record

    def send_again(self, holder: Holder, clients: Iterable[ClientId]) -> None:
        """A replica lacks these, or has them in other versions, whatever it acknowledged."""
        for client in clients:
            owned = self._owned.get(client)
            copy = owned.copies.get(holder) if owned is not None else None
            if copy is not None:
                copy.acknowledged = 0
                self._touched[client] = None
                self._dirty.setdefault(holder, {})[client] = None

    def drop_if_superfluous(self, holder: Holder, version: RecordVersion) -> bool:
        """Have a replica drop a record of an epoch of ours that it should hold no longer.

        Returns:
            True if it should; False for one that is on its way there in a newer version.
        """
        owned = self._owned.get(version.client)
        if version.epoch.boot != self._me.boot or (owned is not None and holder in owned.copies):
            return False
        drops = self._drops.setdefault(holder.gateway, {})
        if len(drops) < _DROPS_MAX:
            drops[version.client] = version
        self._drops_due_ns = None
        return True

    def flush(self, *, now_ns: int) -> Outbox:
        """Everything that is due to be sent."""
        out: Outbox = []
        self._flushed_ns = now_ns
        for answered in self._answered.values():
            if answered.heard_ns is None:
                answered.heard_ns = now_ns
        if self._to_place:
            self._place_some()
        for client in self._touched:
            if len(self._owned[client].acknowledged_by()) < self._settings.replicas:
                self._short.setdefault(client, now_ns)
        self._touched.clear()
        for holder, dirty in self._dirty.items():
            if dirty or self._under_way.get(holder):
                self._flush_records(holder, dirty, out, now_ns)
        if self._counters:
            self._flush_counters(out)
        if self._drops and (self._drops_due_ns is None or now_ns >= self._drops_due_ns):
            for name, drops in self._drops.items():
                if name not in self._live:
                    continue
                ripe = (version for version in drops.values() if self._is_ripe(version.client, now_ns))
                versions = tuple(islice(ripe, CLIENTS_A_MESSAGE_MAX))
                if versions:
                    out.append((name, DropRecords(versions=versions)))
                    self._forget_departed(name, versions)
            self._drops_due_ns = now_ns + 2 * self._settings.resend_interval_ns
        elif not self._drops:
            self._drops_due_ns = None
        return out

    def next_deadline_ns(self) -> int | None:
        """When something waits to be sent, or is unacknowledged and must be sent again."""
        due_ns = self._drops_due_ns
        for holder, under_way in self._under_way.items():
            if under_way:
                due_ns = earliest(due_ns, self._lost_ns(holder, next(iter(under_way.values()))))
        for holder, dirty in self._dirty.items():
            if dirty and self._room(holder) > 0:
                due_ns = earliest(due_ns, self._gathered_ns(holder))
        if self._to_place:
            due_ns = earliest(due_ns, self._flushed_ns)
        return due_ns

    def forget_drops(self, gateway: GatewayName) -> None:
        """A gateway restarted: what it kept is gone."""
        for client in self._drops.pop(gateway, {}):
            self._forget_successor(client)
        for holder in [holder for holder in self._departed if holder.gateway == gateway]:
            del self._departed[holder]

    def _shard_of(self, client: ClientId) -> int:
        return shard_of(client, owner=self._me.gateway)

    def _with_keys(self, record: ClientRecord, state: ClientState) -> ClientRecord:
        """Keys that the record did not have are ours: our IKE daemon negotiated them."""
        known = {key.outbound_spi: key for key in record.keys}
        keys = []
        for child in state.children:
            key = known.get(child.outbound_spi)
            if key is None:
                key = KeyNumbers(outbound_spi=child.outbound_spi, creator=self._me, ceiling=CREATOR_CEILING)
                self._ledger.create((record.client, child.outbound_spi, self._me))
            keys.append(key)
        return msgspec.structs.replace(record, keys=tuple(keys))

    def _stop_waiting(self, client: ClientId) -> None:
        for waiting in (self._dirty, self._under_way, self._departed):
            for clients in waiting.values():
                clients.pop(client, None)

    def _bump(self, owned: OwnedRecord, record: ClientRecord) -> None:
        owned.record = msgspec.structs.replace(record, sequence=owned.record.sequence + 1)
        owned.since = owned.record.sequence
        self._touch(owned)

    def _move(self, owned: OwnedRecord, replicas: tuple[Holder, ...]) -> None:
        record = owned.record
        owned.record = msgspec.structs.replace(record, sequence=record.sequence + 1, replicas=replicas)
        self._touch(owned)

    def _touch(self, owned: OwnedRecord) -> None:
        client = owned.record.client
        self._touched[client] = None
        for holder in owned.copies:
            self._dirty.setdefault(holder, {})[client] = None

    def _dead(self) -> list[Holder]:
        """Holders of copies that do not live."""
        return [holder for holder in self._dirty if holder not in self._live_holders]

    def _place_some(self) -> None:
        placed = 0
        while self._to_place and placed < _PLACED_AT_ONCE:
            shard = next(iter(self._to_place))
            del self._to_place[shard]
            for client in self._in_shard[shard]:
                self._place_one(self._owned[client], self._live_holders)
            placed += len(self._in_shard[shard])
        if not self._to_place:
            for holder in self._dead():
                self._dirty.pop(holder)
                self._under_way.pop(holder, None)
                self._framed_ns.pop(holder, None)
                self._answered.pop(holder, None)

    def _place_one(self, owned: OwnedRecord, live: Set[Holder]) -> None:
        self._touched[owned.record.client] = None
        for holder in [holder for holder in owned.copies if holder not in live]:
            departed = self._departed.setdefault(holder, {})
            copy = owned.copies.pop(holder)
            if len(departed) < _DROPS_MAX:
                departed[owned.record.client] = copy
            owned.former = tuple(dict.fromkeys((*owned.former, holder.gateway)))
            # It may be alive after all, with its copy.
            self._drop_at(holder.gateway, owned.record)
            for waiting in (self._dirty, self._under_way):
                waiting.get(holder, {}).pop(owned.record.client, None)
        wanted = self.replicas_of(owned.record.client)
        for holder in wanted:
            if holder not in owned.copies:
                # What one has that was taken for dead, it says itself: see MoveReplicas.
                known = self._departed.get(holder, {}).pop(owned.record.client, None)
                owned.copies[holder] = known or _Copy()
            self._cancel_drop(holder.gateway, owned.record.client)
        replicas = wanted + tuple(holder for holder in owned.copies if holder not in wanted)
        if owned.record.replicas != replicas:
            self._move(owned, replicas)
        else:
            for holder, copy in owned.copies.items():
                if max(copy.acknowledged, copy.sent) < owned.record.sequence:
                    self._dirty.setdefault(holder, {})[owned.record.client] = None
        self._remove_superfluous(owned)

    def _remove_superfluous(self, owned: OwnedRecord) -> None:
        sequence = owned.record.sequence
        wanted = self.replicas_of(owned.record.client)
        if len(owned.copies) <= len(wanted) or any(
            owned.copies[holder].acknowledged < sequence for holder in wanted if holder in owned.copies
        ):
            return
        for holder in [holder for holder in owned.copies if holder not in wanted]:
            del owned.copies[holder]
            for waiting in (self._dirty, self._under_way):
                waiting.get(holder, {}).pop(owned.record.client, None)
            self._drop_at(holder.gateway, owned.record)
        self._move(owned, wanted)

    def _drop_at(self, gateway: GatewayName, record: ClientRecord) -> None:
        drops = self._drops.setdefault(gateway, {})
        if len(drops) < _DROPS_MAX:
            drops[record.client] = RecordVersion(
                client=record.client, epoch=record.epoch, sequence=record.sequence
            )
        self._drops_due_ns = None

    def _cancel_drop(self, gateway: GatewayName, client: ClientId) -> None:
        drops = self._drops.get(gateway)
        if drops is not None and drops.pop(client, None) is not None:
            if not drops:
                del self._drops[gateway]
            self._forget_successor(client)

    def _is_ripe(self, client: ClientId, now_ns: int) -> bool:
        """False for a drop that waits for the new owner."""
        successor, due_ns = self._successors.get(client, (None, 0))
        return successor is None or (now_ns >= due_ns and successor in self._live)

    def _forget_successor(self, client: ClientId) -> None:
        """If nobody has to drop the client any more."""
        if client in self._successors and not any(client in drops for drops in self._drops.values()):
            del self._successors[client]

    def _flush_records(self, holder: Holder, dirty: dict[ClientId, None], out: Outbox, now_ns: int) -> None:
        under_way = self._under_way.setdefault(holder, {})
        clients = []
        for client, sent_ns in under_way.items():
            if now_ns < self._lost_ns(holder, sent_ns):
                break
            clients.append(client)
        gathers = now_ns < self._gathered_ns(holder)
        dirty_now: Iterable[ClientId] = () if gathers and len(dirty) < _RECORDS_A_FRAME_MAX else dirty
        room = self._room(holder)
        for client in dirty_now:
            if client not in under_way:
                if room <= 0:
                    break
                room -= 1
            elif now_ns >= self._lost_ns(holder, under_way[client]):
                # Among those that are sent again.
                continue
            clients.append(client)
        if not clients:
            return
        self._framed_ns[holder] = now_ns
        whole: list[RecordCopy] = []
        moved: dict[tuple[Holder, ...], list[MovedRecord]] = {}
        for client in clients:
            owned = self._owned[client]
            record, copy = owned.record, owned.copies[holder]
            if copy.acknowledged >= owned.since and copy.sent < record.sequence:
                moved.setdefault(record.replicas, []).append(
                    MovedRecord(
                        client=client, epoch=record.epoch, sequence=record.sequence, since=owned.since
                    )
                )
            else:
                whole.append(self._copy(owned, copy))
            copy.sent = record.sequence
            dirty.pop(client, None)
            under_way.pop(client, None)
            under_way[client] = now_ns
        for start in range(0, len(whole), _RECORDS_A_FRAME_MAX):
            part = tuple(whole[start : start + _RECORDS_A_FRAME_MAX])
            out.append((holder.gateway, PutRecords(copies=part)))
        for replicas, records in moved.items():
            for start in range(0, len(records), CLIENTS_A_MESSAGE_MAX):
                these = tuple(records[start : start + CLIENTS_A_MESSAGE_MAX])
                out.append((holder.gateway, MoveReplicas(replicas=replicas, records=these)))

    def _lost_ns(self, holder: Holder, sent_ns: int) -> int:
        """When what was sent at that time, and is not acknowledged, counts as lost.

        A replica that has yet to come to it, and is acknowledging what came before, is slow: to send it again
        would make it slower.
        """
        answered = self._answered.get(holder)
        if answered is not None and answered.sent_ns <= sent_ns:
            sent_ns = max(sent_ns, self._flushed_ns if answered.heard_ns is None else answered.heard_ns)
        return sent_ns + self._settings.resend_interval_ns

    def _gathered_ns(self, holder: Holder) -> int:
        """When what fills no frame has waited long enough."""
        framed_ns = self._framed_ns.get(holder)
        if framed_ns is None:
            return 0
        return framed_ns + (_GATHER_BUSY_NS if self._under_way.get(holder) else _GATHER_NS)

    def _forget_departed(self, gateway: GatewayName, versions: Iterable[RecordVersion]) -> None:
        """What is dropped there is burnt: nothing of it can be gone on with."""
        for holder, departed in self._departed.items():
            if holder.gateway == gateway:
                for version in versions:
                    departed.pop(version.client, None)

    def _room(self, holder: Holder) -> int:
        return self._settings.unacknowledged_records_max - len(self._under_way.get(holder, ()))

    def _copy(self, owned: OwnedRecord, copy: _Copy) -> RecordCopy:
        record = owned.record
        if [grant.outbound_spi for grant in copy.grants] != [key.outbound_spi for key in record.keys]:
            known = {grant.outbound_spi: grant for grant in copy.grants}
            copy.grants = tuple(known.get(key.outbound_spi) or self._grant(owned, key) for key in record.keys)
        return RecordCopy(record=record, grants=tuple(grant for grant in copy.grants if grant.lanes))

    def _grant(self, owned: OwnedRecord, key: KeyNumbers) -> LaneGrant:
        lanes = self._ledger.give(
            (owned.record.client, key.outbound_spi, key.creator), in_use=owned.in_use.get(key.outbound_spi)
        )
        return LaneGrant(outbound_spi=key.outbound_spi, lanes=lanes)

    def _flush_counters(self, out: Outbox) -> None:
        updates: dict[GatewayName, list[CounterUpdate]] = {}
        for client in self._counters:
            owned = self._owned[client]
            update = CounterUpdate(client=client, epoch=owned.record.epoch, counters=owned.record.counters)
            for holder, copy in owned.copies.items():
                if copy.acknowledged:
                    updates.setdefault(holder.gateway, []).append(update)
        self._counters.clear()
        for name, waiting in updates.items():
            for start in range(0, len(waiting), CLIENTS_A_MESSAGE_MAX):
                part = tuple(waiting[start : start + CLIENTS_A_MESSAGE_MAX])
                out.append((name, UpdateCounters(updates=part)))
