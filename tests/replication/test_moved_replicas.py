"""Records whose replicas change and nothing else: those who have them are told of that alone."""

from __future__ import annotations

import msgspec
import pytest

from gossipsa.identifiers import Epoch, GatewayName
from gossipsa.replication import store as store_module
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import MovedRecord, MoveReplicas, PutRecords, RecordCopy
from gossipsa.replication.replicator import Outbox
from gossipsa.replication.store import RecordStore, key_ids
from tests.client_states import make_child, make_client_state
from tests.replication.test_predecessors import make_record
from tests.replication.test_replicator import SECOND, SETTINGS, B, C, D, Mesh, client_id, everywhere

OWNER = GatewayName("owner")


def settled(*clients: int) -> Mesh:
    """A mesh in which B and C have all clients."""
    mesh = Mesh()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    for number in clients:
        mesh.owner.create(client_id(number), make_client_state(mesh.random))
    mesh.settle()
    return mesh


def told(outbox: Outbox) -> dict[tuple[str, str], int]:
    """How many records each gateway got, whole and moved."""
    counts: dict[tuple[str, str], int] = {}
    for name, message in outbox:
        if isinstance(message, PutRecords):
            counts[name, "whole"] = counts.get((name, "whole"), 0) + len(message.copies)
        elif isinstance(message, MoveReplicas):
            counts[name, "moved"] = counts.get((name, "moved"), 0) + len(message.records)
    return counts


def test_survivors_of_a_replica_are_told_of_its_successor_and_get_no_record_again() -> None:
    mesh = settled(*range(100))
    mesh.owner.place(everywhere(B, D), alive=(B, D))
    assert told(mesh.owner.flush(now_ns=mesh.now_ns + SECOND)) == {("b", "moved"): 100, ("d", "whole"): 100}


def test_what_else_changed_goes_whole() -> None:
    mesh = settled(1, 2)
    owned = mesh.owner.get(client_id(1))
    assert owned is not None
    children = (make_child(owned.record.state.ike_sa.spis, mesh.random),)
    mesh.owner.change(client_id(1), msgspec.structs.replace(owned.record.state, children=children))
    mesh.owner.place(everywhere(C, B), alive=(B, C, D))
    assert told(mesh.owner.flush(now_ns=mesh.now_ns + SECOND)) == {
        (name, how): 1 for name in "bc" for how in ("whole", "moved")
    }


def test_replica_that_does_not_have_the_record_gets_it_whole_with_its_next_sending() -> None:
    mesh = settled(1)
    mesh.stores[B].take(client_id(1))
    mesh.owner.place(everywhere(C, B), alive=(B, C, D))
    mesh.now_ns += SECOND
    mesh.deliver()
    assert client_id(1) not in mesh.stores[B]
    mesh.now_ns += SETTINGS.resend_interval_ns
    mesh.deliver()
    assert client_id(1) in mesh.stores[B]
    mesh.settle()
    assert mesh.owner.short == 0


def test_replica_that_was_taken_for_dead_goes_on_with_what_it_has() -> None:
    """Its copies are not sent again, and cost it no further lanes."""
    mesh = settled(*range(100))
    owned = mesh.owner.get(client_id(1))
    assert owned is not None
    (key,) = key_ids(owned.record)
    held = mesh.ledger.book(key).held
    mesh.owner.place(everywhere(C), alive=(C, D))
    mesh.settle()
    mesh.owner.place(everywhere(B, C), alive=(B, C, D))
    sent = mesh.owner.flush(now_ns=mesh.now_ns + SECOND)
    assert told(sent) == {("b", "moved"): 100, ("c", "moved"): 100}
    mesh.now_ns += 2 * SECOND
    mesh.settle()
    assert mesh.owner.copies() == {2: 100}
    assert mesh.ledger.book(key).held == held
    assert mesh.ledgers[B].book(key).held.bit_count() == 8


def test_copies_that_were_dropped_meanwhile_are_new_ones_with_lanes_of_their_own() -> None:
    mesh = settled(1)
    mesh.owner.place(everywhere(C, D), alive=(C, D))
    mesh.settle()
    mesh.owner.place(everywhere(C, D), alive=(B, C, D))
    mesh.now_ns += 2 * SECOND
    # B drops its copy, and says so to nobody.
    mesh.deliver(answers_lost=True)
    assert client_id(1) not in mesh.stores[B]
    mesh.owner.place(everywhere(C, B), alive=(B, C, D))
    mesh.settle()
    owned = mesh.owner.get(client_id(1))
    assert owned is not None
    assert mesh.ledgers[B].book(key_ids(owned.record)[0]).held.bit_count() == 8


@pytest.mark.parametrize(
    ("since", "sequence", "taken"), [(1, 9, True), (5, 9, True), (6, 9, False), (1, 5, False)]
)
def test_only_a_record_that_is_else_the_same_is_moved(since: int, sequence: int, taken: bool) -> None:
    store = RecordStore(LaneLedger())
    record = msgspec.structs.replace(make_record(1), sequence=5)
    store.put(RecordCopy(record=record))
    moved = MovedRecord(client=record.client, epoch=record.epoch, sequence=sequence, since=since)
    assert store.move(moved, (B, C), owner=OWNER) is None
    expected = msgspec.structs.replace(record, sequence=sequence, replicas=(B, C)) if taken else record
    assert store.get(record.client) == expected


def test_nobody_moves_records_of_another_or_of_a_newer_epoch() -> None:
    store = RecordStore(LaneLedger())
    record = make_record(1)
    store.put(RecordCopy(record=record))
    moved = MovedRecord(client=record.client, epoch=record.epoch, sequence=2, since=1)
    assert store.move(moved, (B,), owner=GatewayName("other")) is None
    assert store.get(record.client) == record
    newer = msgspec.structs.replace(record, owner=C.gateway, epoch=Epoch(2, C.boot))
    store.put(RecordCopy(record=newer))
    assert store.move(moved, (B,), owner=OWNER) == newer
    assert store.get(record.client) == newer


def test_replicas_count_as_parts_wherever_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordStore(LaneLedger())
    record = make_record(1)
    store.put(RecordCopy(record=record))
    monkeypatch.setattr(store_module, "OWNER_PARTS_MAX", record.parts + 2)
    moved = MovedRecord(client=record.client, epoch=record.epoch, sequence=2, since=1)
    store.move(moved, (B, C), owner=OWNER)
    again = msgspec.structs.replace(moved, sequence=3)
    store.move(again, (B, C, D), owner=OWNER)
    assert store.get(record.client) == msgspec.structs.replace(record, sequence=2, replicas=(B, C))
    assert not store.has_room(make_record(2))
    store.drop(record.client, record.epoch)
    assert store.has_room(make_record(2))


def test_very_many_clients_are_placed_anew_step_by_step() -> None:
    clients = 4_000
    mesh = settled(*range(clients))
    mesh.owner.place(everywhere(B, D), alive=(B, D))
    placed = []
    for step in range(1, clients):
        replicas = (mesh.owner.get(client_id(number)) for number in range(clients))
        placed.append(sum(owned is not None and owned.record.replicas == (B, D) for owned in replicas))
        if placed[-1] == clients:
            break
        due_ns = mesh.owner.next_deadline_ns()
        assert due_ns is not None
        assert due_ns <= mesh.now_ns + step
        mesh.owner.flush(now_ns=mesh.now_ns + step)
    assert placed[0] < clients / 2
    assert placed[-1] == clients
    mesh.now_ns += SECOND
    for _ in range(20):
        mesh.settle()
    assert mesh.owner.copies() == {2: clients}
    assert C not in mesh.owner.holders()


def test_client_that_changes_before_it_is_placed_anew_is_placed_all_the_same() -> None:
    clients = 4_000
    mesh = settled(*range(clients))
    mesh.owner.place(everywhere(B, D), alive=(B, D))
    owned = next(each for each in mesh.owner.owned() if each.record.replicas == (B, C))
    children = (make_child(owned.record.state.ike_sa.spis, mesh.random),)
    mesh.owner.change(owned.record.client, msgspec.structs.replace(owned.record.state, children=children))
    for _ in range(20):
        mesh.settle()
    assert owned.record.replicas == (B, D)
    assert set(owned.acknowledged_by()) == {B, D}
    assert mesh.owner.holders() == (B, D)
