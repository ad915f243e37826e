"""What it costs to find some differing records among many."""

from __future__ import annotations

import os
from ipaddress import IPv4Address

from gossipsa.identifiers import BootId, ClientId, Endpoint, Epoch, GatewayName, Holder
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import (
    AcknowledgeRecords,
    AskCells,
    AskVersions,
    AuditShards,
    PutRecords,
    RecordVersion,
    ShardDifference,
)
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.replication.store import RecordStore
from gossipsa.settings import ReplicationSettings
from gossipsa.wire.codec import encode
from gossipsa.wire.sessions import OVERHEAD_BYTES
from tests.bench.state.clients import make_client
from tests.bench.state.figures import AntiEntropy

_S = 1_000_000_000
_OWNER = Holder(GatewayName("owner"), BootId(b"o" * 16))
_REPLICA = Holder(GatewayName("replica"), BootId(b"r" * 16))
_GATEWAY = Endpoint(IPv4Address("10.0.0.1"), 4500)


def measure_anti_entropy(*, records: int, differences: int) -> AntiEntropy:
    """The replica lost some records that it had acknowledged. One comparison of everything."""
    settings = ReplicationSettings(unacknowledged_records_max=65_536)
    owner = Replicator(me=_OWNER, settings=settings, ledger=LaneLedger())
    store = RecordStore(LaneLedger())
    owner.place(((_REPLICA,),) * SHARD_COUNT, alive=[_REPLICA])
    clients = []
    for index in range(records):
        client, state = make_client(index, gateway=_GATEWAY, draw=os.urandom)
        owner.create(client, state)
        clients.append(client)
    _replicate(owner, store)
    step = records // differences
    for client in clients[: step * differences : step]:
        store.drop(client, Epoch(1, _OWNER.boot))
    return _compare(owner, store, records=records, lost=clients[: step * differences : step])


def _compare(owner: Replicator, store: RecordStore, *, records: int, lost: list[ClientId]) -> AntiEntropy:
    auditor = Auditor(replicator=owner, interval_ns=3_600 * _S, entropy=os.urandom)
    audited = Audited(store)
    auditor.compare_all(_REPLICA)
    now_ns = 100 * _S
    round_trips = sealed_bytes = 0
    while asked := auditor.tick(now_ns=now_ns):
        now_ns += _S // 10
        questions: list[AuditShards | AskCells | AskVersions] = [question for _, question in asked]
        while questions:
            question = questions.pop()
            round_trips += 1
            answers = _answers(audited, question)
            sealed_bytes += sum(OVERHEAD_BYTES + len(encode(message)) for message in (question, *answers))
            for answer in answers:
                if isinstance(answer, ShardDifference):
                    further = auditor.hear_difference(_REPLICA, answer)
                    questions += [further] if further is not None else []
    return AntiEntropy(
        records=records,
        differences=len(lost),
        found=auditor.take_differing(),
        round_trips=round_trips,
        sealed_bytes=sealed_bytes,
    )


def _answers(audited: Audited, question: AuditShards | AskCells | AskVersions) -> list[object]:
    match question:
        case AuditShards():
            difference = audited.hear_audit(_OWNER.gateway, question)
            return [] if difference is None else [difference]
        case AskCells():
            return [audited.hear_ask_cells(_OWNER.gateway, question)]
        case AskVersions():
            return list(audited.hear_ask_versions(_OWNER.gateway, question))


def _replicate(owner: Replicator, store: RecordStore) -> None:
    for _, message in owner.flush(now_ns=_S):
        assert isinstance(message, PutRecords)
        versions = []
        for copy in message.copies:
            store.put(copy)
            record = copy.record
            versions.append(RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence))
        owner.hear_acknowledgement(_REPLICA, AcknowledgeRecords(versions=tuple(versions)))
