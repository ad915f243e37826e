"""An owner and its replicas over a lossy line: what is acknowledged is there, and lanes are disjoint."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName, Holder
from gossipsa.ipsec.lanes import ALL_LANES
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.mesh_message import MESSAGE_DECODER
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import (
    AcknowledgeRecords,
    DropRecords,
    MoveReplicas,
    PutRecords,
    RecordVersion,
    UpdateCounters,
)
from gossipsa.replication.replicator import CREATOR_CEILING, Replicator
from gossipsa.replication.shards import SHARD_COUNT, ShardMap, shard_of
from gossipsa.replication.store import RecordStore, key_ids
from gossipsa.settings import ReplicationSettings
from gossipsa.wire.codec import Decoder, encode
from tests.client_states import make_child, make_client_state

OWNER = Holder(GatewayName("a"), BootId(b"a" * 16))
B, C, D = (Holder(GatewayName(name), BootId(name.encode() * 16)) for name in "bcd")
GATHER_NS = 5_000_000
GATHER_BUSY_NS = 20_000_000
SETTINGS = ReplicationSettings()
SECOND = 10**9


def everywhere(*replicas: Holder) -> ShardMap:
    """The same replicas for all shards."""
    return (replicas,) * SHARD_COUNT


class Mesh:
    """One owner, three possible replicas, and messages that may be lost."""

    def __init__(self) -> None:
        self.random = Random(3)
        self.ledger = LaneLedger()
        self.owner = Replicator(me=OWNER, settings=SETTINGS, ledger=self.ledger)
        self.ledgers = {holder: LaneLedger() for holder in (B, C, D)}
        self.stores = {holder: RecordStore(self.ledgers[holder]) for holder in (B, C, D)}
        self.now_ns = 0

    def deliver(self, *, lost: frozenset[Holder] = frozenset(), answers_lost: bool = False) -> None:
        by_name = {holder.gateway: holder for holder in self.stores}
        for to, message in self.owner.flush(now_ns=self.now_ns):
            holder = by_name[to]
            if holder in lost:
                continue
            store = self.stores[holder]
            versions: list[RecordVersion] = []
            match message:
                case PutRecords(copies=copies):
                    # What travels is what was encoded.
                    assert Decoder[PutRecords](PutRecords).decode(encode(message)) == message
                    for copy in copies:
                        assert store.put(copy) is None
                        record = copy.record
                        versions.append(
                            RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)
                        )
                case MoveReplicas(replicas=replicas, records=records):
                    assert MESSAGE_DECODER.decode(encode(message)) == message
                    for moved in records:
                        assert store.move(moved, replicas, owner=OWNER.gateway) is None
                        if store.has(moved.client, (moved.epoch, moved.sequence)):
                            versions.append(
                                RecordVersion(client=moved.client, epoch=moved.epoch, sequence=moved.sequence)
                            )
                case DropRecords(versions=dropped):
                    for version in dropped:
                        store.drop(version.client, version.epoch)
                    if not answers_lost:
                        self.owner.hear_drops_acknowledged(to, dropped)
                case UpdateCounters(updates=updates):
                    for update in updates:
                        store.update_counters(update)
            if versions and not answers_lost:
                self.owner.hear_acknowledgement(holder, AcknowledgeRecords(versions=tuple(versions)))

    def settle(self) -> None:
        for _ in range(6):
            self.now_ns += SECOND
            self.deliver()

    def check_lanes(self, client: ClientId) -> None:
        owned = self.owner.get(client)
        if owned is None:
            return
        for key in key_ids(owned.record):
            union = 0
            for ledger in (self.ledger, *self.ledgers.values()):
                held = ledger.book(key).held
                assert union & held == 0
                union |= held
            assert union <= ALL_LANES


def client_id(number: int) -> ClientId:
    return ClientId(number.to_bytes(16, "big"))


steps = st.lists(
    st.tuples(
        st.sampled_from(("connect", "rekey", "delete", "count", "place", "deliver")),
        st.integers(0, 3),
        st.sets(st.sampled_from((B, C, D))),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_replicas_converge_to_the_owner_whatever_is_lost(
    history: list[tuple[str, int, set[Holder], bool]],
) -> None:
    mesh = Mesh()
    shards = everywhere(B, C)
    mesh.owner.place(shards, alive=(B, C, D))
    for what, number, holders, answers_lost in history:
        client = client_id(number)
        owned = mesh.owner.get(client)
        if what == "connect" and owned is None:
            mesh.owner.create(client, make_client_state(mesh.random))
        elif what == "rekey" and owned is not None:
            state = owned.record.state
            child = make_child(state.ike_sa.spis, mesh.random)
            mesh.owner.change(client, msgspec.structs.replace(state, children=(child,)))
        elif what == "delete":
            mesh.owner.disown(client)
        elif what == "count" and owned is not None:
            child = owned.record.state.children[0]
            counters = SaCounters(
                outbound_spi=child.outbound_spi, inbound_spi=child.inbound_spi, sent=number, received=number
            )
            mesh.owner.update_counters(client, (counters,))
        elif what == "place":
            chosen = tuple(sorted(holders))[:2]
            # Every other shard keeps what it has.
            shards = tuple(
                chosen if shard % 2 == number % 2 else replicas for shard, replicas in enumerate(shards)
            )
            mesh.owner.place(shards, alive=(B, C, D))
        mesh.now_ns += SECOND // 10
        mesh.deliver(lost=frozenset(holders) if what == "deliver" else frozenset(), answers_lost=answers_lost)
        for seen in range(4):
            mesh.check_lanes(client_id(seen))
    mesh.settle()
    for owned in mesh.owner.owned():
        replicas = mesh.owner.replicas_of(owned.record.client)
        assert set(owned.acknowledged_by()) == set(replicas)
        assert owned.record.replicas == replicas
    for holder, store in mesh.stores.items():
        expected = {
            owned.record.client
            for owned in mesh.owner.owned()
            if holder in mesh.owner.replicas_of(owned.record.client)
        }
        assert {record.client for record in store.records()} == expected
        for record in store.records():
            theirs = mesh.owner.get(record.client)
            assert theirs is not None
            assert record.with_counters(theirs.record.counters) == theirs.record


def test_new_clients_get_lanes_for_each_replica_and_the_creators_ceiling() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.settle()
    owned = mesh.owner.get(client_id(1))
    assert owned is not None
    (key,) = owned.record.keys
    assert (key.creator, key.ceiling) == (OWNER, CREATOR_CEILING)
    held = [mesh.ledgers[holder].book(key_ids(owned.record)[0]).held for holder in (B, C)]
    assert [lanes.bit_count() for lanes in held] == [8, 8]


def test_nothing_is_sent_twice_without_need() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    assert len(mesh.owner.flush(now_ns=0)) == 2
    assert mesh.owner.flush(now_ns=1) == []
    assert mesh.owner.next_deadline_ns() == SETTINGS.resend_interval_ns
    assert len(mesh.owner.flush(now_ns=SETTINGS.resend_interval_ns)) == 2


def test_old_replica_keeps_its_copy_until_the_new_one_has_it() -> None:
    """Rule R6: add before remove."""
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.settle()
    mesh.owner.place(everywhere(C, D), alive=(B, C, D))
    mesh.deliver(lost=frozenset({D}))
    assert client_id(1) in mesh.stores[B]
    mesh.settle()
    assert client_id(1) not in mesh.stores[B]
    assert client_id(1) in mesh.stores[D]


def test_grant_repeated_to_a_replica_that_gave_the_record_up_stays_burnt() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    ((_, message),) = mesh.owner.flush(now_ns=0)
    assert isinstance(message, PutRecords)
    store, ledger = mesh.stores[B], mesh.ledgers[B]
    (copy,) = message.copies
    store.put(copy)
    key = key_ids(copy.record)[0]
    assert ledger.book(key).held
    store.drop(copy.record.client, copy.record.epoch)
    store.put(copy)
    assert not ledger.book(key).held


def test_older_copy_is_refused_and_the_newer_record_named() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    ((_, message),) = mesh.owner.flush(now_ns=0)
    assert isinstance(message, PutRecords)
    (copy,) = message.copies
    taken = msgspec.structs.replace(copy.record, owner=C.gateway, epoch=Epoch(2, C.boot))
    store = mesh.stores[B]
    store.put(msgspec.structs.replace(copy, record=taken))
    assert store.put(copy) == taken
    assert store.get(client_id(1)) == taken
    assert store.owners() == (C.gateway,)


def test_only_clients_of_moved_shards_are_copied_anew() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    for number in range(200):
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
    mesh.settle()
    moved = {shard_of(client_id(number), owner=OWNER.gateway) for number in range(10)}
    shards = tuple((B, D) if shard in moved else (B, C) for shard in range(SHARD_COUNT))
    assert mesh.owner.place(shards, alive=(B, C, D)) == len(moved)
    mesh.now_ns += SECOND
    sent = {
        copy.record.client
        for _, message in mesh.owner.flush(now_ns=mesh.now_ns)
        if isinstance(message, PutRecords)
        for copy in message.copies
    }
    expected = {client_id(n) for n in range(200) if shard_of(client_id(n), owner=OWNER.gateway) in moved}
    assert sent == expected
    mesh.settle()
    assert {record.client for record in mesh.stores[D].records()} == expected


def test_replica_that_died_loses_its_copies_in_every_shard() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.settle()
    mesh.owner.place(everywhere(C, D), alive=(B, C, D))
    # The new replica has not acknowledged yet, and so the old one still counts when it dies.
    assert mesh.owner.place(everywhere(C, D), alive=(C, D)) == 0
    owned = mesh.owner.get(client_id(1))
    assert owned is not None
    assert owned.record.replicas == (C, D)


def test_lack_of_copies_is_told_with_its_age_until_all_wanted_ones_are_acknowledged() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    mesh.now_ns = 5 * SECOND
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.deliver(lost=frozenset({C}))
    assert (mesh.owner.short, mesh.owner.short_since_ns) == (1, 5 * SECOND)
    assert mesh.owner.copies() == {1: 1}
    mesh.settle()
    assert (mesh.owner.short, mesh.owner.short_since_ns) == (0, None)
    assert mesh.owner.copies() == {2: 1}

    mesh.owner.place(everywhere(B, D), alive=(B, D))
    mesh.deliver(lost=frozenset({D}))
    died_ns = mesh.now_ns
    mesh.now_ns += SECOND
    mesh.owner.create(client_id(2), make_client_state(mesh.random))
    mesh.owner.flush(now_ns=mesh.now_ns)
    assert (mesh.owner.short, mesh.owner.short_since_ns) == (2, died_ns)
    assert mesh.owner.copies() == {0: 1, 1: 1}
    mesh.owner.disown(client_id(1))
    assert mesh.owner.short_since_ns == mesh.now_ns


def test_newer_version_goes_out_while_the_older_one_is_under_way() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    owned = mesh.owner.create(client_id(1), make_client_state(mesh.random))
    assert len(mesh.owner.flush(now_ns=0)) == 1
    first = owned.record
    state = msgspec.structs.replace(first.state, children=(make_child(first.state.ike_sa.spis, mesh.random),))
    mesh.owner.change(client_id(1), state)
    assert mesh.owner.flush(now_ns=1) == []
    assert mesh.owner.next_deadline_ns() == GATHER_BUSY_NS
    assert len(mesh.owner.flush(now_ns=GATHER_BUSY_NS)) == 1
    # The answer to the older one does not end the wait for the newer one's.
    version = RecordVersion(client=first.client, epoch=first.epoch, sequence=first.sequence)
    mesh.owner.hear_acknowledgement(B, AcknowledgeRecords(versions=(version,)))
    assert mesh.owner.flush(now_ns=GATHER_BUSY_NS + 1) == []
    assert mesh.owner.next_deadline_ns() == GATHER_BUSY_NS + SETTINGS.resend_interval_ns
    assert len(mesh.owner.flush(now_ns=GATHER_BUSY_NS + SETTINGS.resend_interval_ns)) == 1


def test_changes_close_together_travel_in_one_frame() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    mesh.owner.create(client_id(0), make_client_state(mesh.random))
    # The first goes at once: one client alone never waits.
    assert len(mesh.owner.flush(now_ns=SECOND)) == 1
    for number in range(1, 40):
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
        assert mesh.owner.flush(now_ns=SECOND + number) == []
    ((_, message),) = mesh.owner.flush(now_ns=SECOND + GATHER_BUSY_NS)
    assert isinstance(message, PutRecords)
    assert len(message.copies) == 39


def test_what_gathers_goes_soon_when_the_replica_has_answered() -> None:
    """The busier a replica, the fuller its frames."""
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    first = mesh.owner.create(client_id(0), make_client_state(mesh.random)).record
    assert len(mesh.owner.flush(now_ns=SECOND)) == 1
    for number in range(1, 40):
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
    assert mesh.owner.flush(now_ns=SECOND + 1) == []
    version = RecordVersion(client=first.client, epoch=first.epoch, sequence=first.sequence)
    mesh.owner.hear_acknowledgement(B, AcknowledgeRecords(versions=(version,)))
    assert mesh.owner.next_deadline_ns() == SECOND + GATHER_NS
    assert mesh.owner.flush(now_ns=SECOND + 2) == []
    ((_, message),) = mesh.owner.flush(now_ns=SECOND + GATHER_NS)
    assert isinstance(message, PutRecords)
    assert len(message.copies) == 39


def test_full_frames_wait_for_nothing() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    mesh.owner.create(client_id(0), make_client_state(mesh.random))
    assert len(mesh.owner.flush(now_ns=SECOND)) == 1
    for number in range(1, 65):
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
    ((_, message),) = mesh.owner.flush(now_ns=SECOND + 1)
    assert isinstance(message, PutRecords)
    assert len(message.copies) == 64


def _drops(outbox: Sequence[tuple[GatewayName, object]]) -> list[GatewayName]:
    return [to for to, message in outbox if isinstance(message, DropRecords)]


def test_former_owner_drops_copies_when_the_new_owner_lives_and_had_time_for_its_own() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.settle()
    mesh.owner.disown(client_id(1), successor=D.gateway, now_ns=mesh.now_ns)
    assert _drops(mesh.owner.flush(now_ns=mesh.now_ns)) == []
    assert _drops(mesh.owner.flush(now_ns=mesh.now_ns + 2 * SECOND)) == [B.gateway, C.gateway]
    mesh.settle()
    assert client_id(1) not in mesh.stores[B]


def test_former_owner_leaves_copies_alone_while_the_new_owner_is_dead() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    mesh.settle()
    mesh.owner.disown(client_id(1), successor=D.gateway, now_ns=mesh.now_ns)
    mesh.owner.place(everywhere(B, C), alive=(B, C))
    mesh.settle()
    assert client_id(1) in mesh.stores[B]
    mesh.owner.succeeded(client_id(1), C.gateway)
    mesh.settle()
    assert client_id(1) not in mesh.stores[B]


def acknowledged(*sent: PutRecords) -> AcknowledgeRecords:
    records = [copy.record for message in sent for copy in message.copies]
    return AcknowledgeRecords(
        versions=tuple(
            RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)
            for record in records
        )
    )


def frames(mesh: Mesh, now_ns: int) -> list[PutRecords]:
    return [message for _, message in mesh.owner.flush(now_ns=now_ns) if isinstance(message, PutRecords)]


def test_slow_replica_gets_nothing_twice_as_long_as_it_goes_on() -> None:
    """Sent again, what it has yet to come to would make it slower still."""
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    for number in range(5 * 64):
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
    sent = frames(mesh, SECOND)
    assert len(sent) == 5
    now_ns = SECOND
    for frame in sent[:4]:
        now_ns += SETTINGS.resend_interval_ns - 1
        mesh.owner.hear_acknowledgement(B, acknowledged(frame))
        assert frames(mesh, now_ns) == []
        assert mesh.owner.next_deadline_ns() == now_ns + SETTINGS.resend_interval_ns
    assert frames(mesh, now_ns + SETTINGS.resend_interval_ns) == [sent[4]]


def test_what_a_replica_has_passed_over_is_lost_however_busy_it_is() -> None:
    mesh = Mesh()
    mesh.owner.place(everywhere(B), alive=(B,))
    mesh.owner.create(client_id(0), make_client_state(mesh.random))
    (lost,) = frames(mesh, SECOND)
    mesh.owner.create(client_id(1), make_client_state(mesh.random))
    (came,) = frames(mesh, SECOND + GATHER_BUSY_NS)
    mesh.owner.hear_acknowledgement(B, acknowledged(came))
    assert frames(mesh, SECOND + SETTINGS.resend_interval_ns - 1) == []
    assert mesh.owner.next_deadline_ns() == SECOND + SETTINGS.resend_interval_ns
    assert frames(mesh, SECOND + SETTINGS.resend_interval_ns) == [lost]
