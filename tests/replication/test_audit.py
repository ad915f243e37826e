"""Owners find out what replicas hold that they should not, and lack that they should hold."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName, Holder
from gossipsa.ipsec.security_association import ClientState
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import (
    AcknowledgeRecords,
    AskCells,
    AskVersions,
    AuditShards,
    DropRecords,
    PutRecords,
    RecordCopy,
    RecordVersion,
    ShardDifference,
)
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.replication.store import RecordStore
from gossipsa.settings import ReplicationSettings
from gossipsa.wire.codec import encode
from tests.client_states import make_client_state

SECOND = 1_000_000_000
OWNER = Holder(GatewayName("a"), BootId(b"a" * 16))
REPLICA = Holder(GatewayName("b"), BootId(b"b" * 16))


def client_id(number: int) -> ClientId:
    return ClientId(Random(number).randbytes(16))


def state(number: int) -> ClientState:
    return make_client_state(Random(number))


class Pair:
    """An owner and its only replica, on a network that loses nothing and counts bytes."""

    def __init__(self, clients: int) -> None:
        self.random = Random(1)
        self.owner = Replicator(me=OWNER, settings=ReplicationSettings(), ledger=LaneLedger())
        self.store = RecordStore(LaneLedger())
        self.auditor = Auditor(replicator=self.owner, interval_ns=60 * SECOND, entropy=self.random.randbytes)
        self.audited = Audited(self.store)
        self.now_ns = SECOND
        self.bytes = 0
        self.questions = 0
        self.owner.place(((REPLICA,),) * SHARD_COUNT, alive=[REPLICA])
        for number in range(clients):
            self.owner.create(client_id(number), state(number))
        self.replicate()

    def replicate(self) -> None:
        for _ in range(200):
            self.now_ns += SECOND
            sent = self.owner.flush(now_ns=self.now_ns)
            for _, message in sent:
                if isinstance(message, PutRecords):
                    for copy in message.copies:
                        self.store.put(copy)
                    versions = tuple(version_of(copy.record) for copy in message.copies)
                    self.owner.hear_acknowledgement(REPLICA, AcknowledgeRecords(versions=versions))
                elif isinstance(message, DropRecords):
                    for version in message.versions:
                        self.store.drop(version.client, version.epoch)
                    self.owner.hear_drops_acknowledged(REPLICA.gateway, message.versions)
            if not sent:
                return

    def audit(self) -> None:
        """Compares everything, until there is nothing more to say."""
        self.auditor.compare_all(REPLICA)
        for _ in range(100):
            self.now_ns += SECOND // 10
            asked = self.auditor.tick(now_ns=self.now_ns)
            for _, question in asked:
                self._answer(question)
            if not asked:
                return

    def _answer(self, question: AuditShards) -> None:
        self._count(question)
        self.questions += 1
        difference = self.audited.hear_audit(OWNER.gateway, question)
        while difference is not None:
            self._count(difference)
            further = self.auditor.hear_difference(REPLICA, difference)
            difference = None
            if further is not None:
                self._count(further)
                self.questions += 1
            if isinstance(further, AskCells):
                difference = self.audited.hear_ask_cells(OWNER.gateway, further)
            elif isinstance(further, AskVersions):
                for answer in self.audited.hear_ask_versions(OWNER.gateway, further):
                    self._count(answer)
                    self.auditor.hear_versions(REPLICA, answer)

    def _count(self, message: object) -> None:
        self.bytes += len(encode(message))

    def held(self) -> dict[ClientId, tuple[Epoch, int]]:
        return {record.client: record.version for record in self.store.records()}

    def wanted(self) -> dict[ClientId, tuple[Epoch, int]]:
        return {owned.record.client: owned.record.version for owned in self.owner.owned()}


def version_of(record: ClientRecord) -> RecordVersion:
    return RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)


def repaired(pair: Pair) -> None:
    for _ in range(3):
        pair.audit()
        pair.replicate()
    assert pair.held() == pair.wanted()


def test_equal_copies_cost_fingerprints_only() -> None:
    pair = Pair(300)
    pair.audit()
    assert pair.auditor.take_differing() == 0
    assert pair.bytes < SHARD_COUNT * 12


@given(
    lost=st.sets(st.integers(0, 59), max_size=60),
    invented=st.integers(0, 20),
)
def test_whatever_the_replica_lost_or_kept_is_put_right(lost: set[int], invented: int) -> None:
    pair = Pair(60)
    for number in lost:
        pair.store.drop(client_id(number), Epoch(1, OWNER.boot))
    for number in range(1_000, 1_000 + invented):
        pair.store.put(RecordCopy(record=a_record(pair, number)))
    repaired(pair)
    assert pair.auditor.take_differing() >= len(lost)


def test_older_versions_are_replaced_and_keep_their_lanes() -> None:
    pair = Pair(40)
    old = {record.client: record for record in pair.store.records()}
    for number in range(10):
        pair.owner.change(client_id(number), state(number + 50))
    pair.replicate()
    for number in range(10):
        client = client_id(number)
        pair.store.take(client)
        pair.store.put(RecordCopy(record=old[client]))
    repaired(pair)


def test_hundred_differences_among_many_take_few_round_trips_and_few_bytes() -> None:
    pair = Pair(3_000)
    for number in range(100):
        pair.store.drop(client_id(number * 7), Epoch(1, OWNER.boot))
    pair.audit()
    # Fingerprints of all shards, and cells for twice the difference: what was found may be stale, not lost.
    assert pair.bytes < 100 * 120
    assert pair.questions <= 4
    pair.replicate()
    assert pair.held() == pair.wanted()


def test_records_under_way_are_left_alone() -> None:
    pair = Pair(20)
    pair.owner.change(client_id(1), state(70))
    pair.audit()
    assert pair.auditor.take_differing() == 0


def test_answers_of_strangers_and_to_nothing_asked_are_ignored() -> None:
    pair = Pair(5)
    difference = ShardDifference(salt=b"8 bytes.", shards=(1,), first=0, cells=b"")
    assert pair.auditor.hear_difference(REPLICA, difference) is None
    pair.auditor.compare_all(REPLICA)
    ((_, question),) = pair.auditor.tick(now_ns=pair.now_ns)
    for mangle in MANGLED:
        assert pair.auditor.hear_difference(Holder(GatewayName("c"), REPLICA.boot), mangle(question)) is None
        assert pair.auditor.hear_difference(REPLICA, mangle(question)) is None


MANGLED: tuple[Callable[[AuditShards], ShardDifference], ...] = (
    lambda question: ShardDifference(salt=question.salt, shards=(1,), first=0, cells=b"no cell"),
    lambda question: ShardDifference(salt=question.salt, shards=(1,), first=7, cells=b""),
)


def a_record(pair: Pair, number: int) -> ClientRecord:
    """One that the owner's present boot once had, and has not any more."""
    other = Replicator(me=OWNER, settings=ReplicationSettings(), ledger=LaneLedger())
    return other.create(client_id(number), state(number)).record


def test_replica_that_is_back_is_compared_soon_and_not_only_with_the_next_round() -> None:
    pair = Pair(300)
    assert pair.auditor.tick(now_ns=pair.now_ns) == []
    back_ns = pair.now_ns
    pair.auditor.compare_soon(REPLICA, now_ns=back_ns)
    due_ns = pair.auditor.next_deadline_ns()
    assert due_ns is not None
    assert back_ns < due_ns <= back_ns + 10 * SECOND
    assert pair.auditor.tick(now_ns=due_ns - 1) == []
    assert pair.auditor.tick(now_ns=due_ns)
