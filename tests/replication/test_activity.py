"""A replica knows which clients of a gateway were active last."""

from __future__ import annotations

import msgspec

from gossipsa.ipsec.security_association import SaCounters
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import CounterUpdate, RecordCopy
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.store import RecordStore
from tests.replication.test_predecessors import make_record


def update(record: ClientRecord, *, sent: int, received: int) -> CounterUpdate:
    child = record.state.children[0]
    counters = SaCounters(
        outbound_spi=child.outbound_spi,
        inbound_spi=child.inbound_spi,
        sent=sent,
        received=received,
        window_bitmap=(),
    )
    return CounterUpdate(client=record.client, epoch=record.epoch, counters=(counters,))


def test_client_that_sent_is_more_active_than_one_that_only_received() -> None:
    store = RecordStore(LaneLedger())
    one, other = make_record(1), make_record(2)
    for record in (one, other):
        store.put(RecordCopy(record=record))
    store.update_counters(update(one, sent=0, received=5))
    store.update_counters(update(other, sent=7, received=0))
    assert store.activity(one.client) > store.activity(other.client)
    store.update_counters(update(other, sent=7, received=1))
    assert store.activity(other.client) > store.activity(one.client)


def test_other_replicas_for_a_record_are_no_activity_of_its_client() -> None:
    store = RecordStore(LaneLedger())
    one, other = make_record(1), make_record(2)
    for record in (one, other):
        store.put(RecordCopy(record=record))
    store.put(RecordCopy(record=msgspec.structs.replace(one, sequence=2)))
    assert store.activity(one.client) < store.activity(other.client)


def test_client_that_is_forgotten_was_never_active() -> None:
    store = RecordStore(LaneLedger())
    record = make_record(1)
    store.put(RecordCopy(record=record))
    assert store.activity(record.client) > 0
    store.drop(record.client, record.epoch)
    assert store.activity(record.client) == 0
