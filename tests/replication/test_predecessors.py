"""A client that connects anew: the store finds what it was before, and nobody else."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

import msgspec
import pytest

from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName
from gossipsa.ipsec.security_association import Identity
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import RecordCopy
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.store import RecordStore
from tests.client_states import make_client_state

VIRTUAL = IPv4Address("10.99.0.1")


def make_record(number: int, *, identity: str = "carol", address: IPv4Address = VIRTUAL) -> ClientRecord:
    state = make_client_state(Random(number))
    ike_sa = msgspec.structs.replace(
        state.ike_sa, remote_identity=Identity(11, identity.encode()), virtual_addresses=(address,)
    )
    return ClientRecord(
        client=ClientId(bytes([number]) * 16),
        owner=GatewayName("owner"),
        epoch=Epoch(1, BootId(bytes(16))),
        sequence=1,
        state=msgspec.structs.replace(state, ike_sas=(ike_sa,)),
        keys=(),
        replicas=(),
    )


@pytest.fixture
def store() -> RecordStore:
    store = RecordStore(LaneLedger())
    store.put(RecordCopy(record=make_record(1)))
    return store


def test_record_with_the_same_identity_and_address_is_a_predecessor(store: RecordStore) -> None:
    assert store.predecessors(make_record(2)) == (make_record(1),)


def test_record_is_not_its_own_predecessor(store: RecordStore) -> None:
    assert store.predecessors(make_record(1)) == ()


@pytest.mark.parametrize(
    "other", [make_record(2, identity="dave"), make_record(2, address=IPv4Address("10.99.0.2"))]
)
def test_another_identity_or_address_is_another_client(store: RecordStore, other: ClientRecord) -> None:
    assert store.predecessors(other) == ()


def test_dropped_record_is_nobodys_predecessor(store: RecordStore) -> None:
    old = make_record(1)
    store.drop(old.client, old.epoch)
    assert store.predecessors(make_record(2)) == ()
