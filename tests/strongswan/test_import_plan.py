"""What is sent to import a client, and in which order."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec
import pytest

from gossipsa.identifiers import Endpoint, Secret
from gossipsa.ipsec.security_association import ClientState
from gossipsa.strongswan.client_table import ClientTable, client_id_of
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage, IkeId
from gossipsa.strongswan.import_plan import (
    delete_messages,
    import_stages,
    message_id_message,
    remote_address_message,
    resync_message,
    segment_flip_messages,
    with_local_endpoint,
)
from tests.strongswan.charon_messages import (
    child_add,
    ike_add,
    ike_delete,
    ike_update,
    message_id,
    spis,
    virtual_address,
)

ADD, UPDATE = MessageType.IKE_ADD, MessageType.IKE_UPDATE
MID_I, MID_R = MessageType.IKE_MID_INITIATOR, MessageType.IKE_MID_RESPONDER
CHILD = MessageType.CHILD_ADD


@pytest.fixture
def rekeyed() -> ClientState:
    """A client with a virtual address and two CHILD_SAs, the second made after a rekey of its IKE_SA."""
    table = ClientTable()
    for message in (
        ike_add(spis(1)),
        ike_update(spis(1)),
        child_add(spis(1), 0x11),
        virtual_address(spis(1)),
        ike_add(spis(2), replaces=spis(1)),
        ike_delete(spis(1)),
        ike_update(spis(2)),
        child_add(spis(2), 0x12),
        message_id(spis(2), 5),
        message_id(spis(2), 3, initiator=True),
    ):
        table.handle(message, now_ns=0)
    state = table.state(client_id_of(spis(1)))
    assert state is not None
    return state


def test_generations_come_in_stages_and_message_ids_last(rekeyed: ClientState) -> None:
    stages = import_stages(rekeyed, version=3)
    assert [[message.type for message in stage] for stage in stages] == [
        [ADD, UPDATE, CHILD],
        [ADD, UPDATE, CHILD, MID_I, MID_R],
    ]


def test_a_later_stage_replaces_the_one_before(rekeyed: ClientState) -> None:
    (first, *_), (second, *_) = import_stages(rekeyed, version=3)
    assert first.value(Attribute.IKE_REKEY_ID, IkeId) is None
    assert first.value(Attribute.OLD_SKD, Secret) is None
    replaced = second.value(Attribute.IKE_REKEY_ID, IkeId)
    assert replaced is not None
    assert replaced.spis == spis(1)
    assert second.value(Attribute.OLD_SKD, Secret) == Secret(b"old SK_d")


def test_without_its_predecessor_an_ike_sa_still_derives_from_its_sk_d(rekeyed: ClientState) -> None:
    alone = ClientState(ike_sas=rekeyed.ike_sas[1:])
    ((add, *_),) = import_stages(alone, version=3)
    assert add.value(Attribute.IKE_REKEY_ID, IkeId) is None
    assert add.value(Attribute.OLD_SKD, Secret) == Secret(b"old SK_d")
    assert add.number(Attribute.ALG_OLD_PRF) == 5


def test_the_ike_version_stands_before_the_ike_id(rekeyed: ClientState) -> None:
    for add, *_ in import_stages(rekeyed, version=3):
        assert [attribute for attribute, _ in add.attributes[:2]] == [Attribute.IKE_VERSION, Attribute.IKE_ID]


def test_peer_addresses_are_left_out(rekeyed: ClientState) -> None:
    assert rekeyed.ike_sa.peer_addresses
    for stage in import_stages(rekeyed, version=3):
        for message in stage:
            assert message.values(Attribute.PEER_ADDR, Endpoint) == ()


def test_virtual_addresses_are_set_once(rekeyed: ClientState) -> None:
    updates = [stage[1] for stage in import_stages(rekeyed, version=3)]
    assert [len(update.values(Attribute.REMOTE_VIP, Endpoint)) for update in updates] == [1, 0]


@pytest.mark.parametrize(
    ("version", "conditions"),
    [(3, (0x4005,)), (4, (0x4005,)), (5, (0x4005, 0x80000003))],
)
def test_private_conditions_travel_in_a_word_of_their_own(
    rekeyed: ClientState, version: int, conditions: tuple[int, ...]
) -> None:
    sa = msgspec.structs.replace(rekeyed.ike_sa, conditions=0x4005 | 3 << 32)
    ((_, update, *_),) = import_stages(ClientState(ike_sas=(sa,)), version=version)
    assert update.values(Attribute.CONDITIONS, int) == conditions


def test_every_ike_sa_of_a_client_is_deleted(rekeyed: ClientState) -> None:
    assert delete_messages(rekeyed) == (ike_delete(spis(1)), ike_delete(spis(2)))


def test_the_other_messages_say_what_they_are_for(rekeyed: ClientState) -> None:
    sa = rekeyed.ike_sa
    assert message_id_message(sa, 9) == message_id(spis(2), 9, initiator=True)
    elsewhere = Endpoint(address=IPv4Address("192.0.2.77"), port=4500)
    moved = remote_address_message(sa, elsewhere)
    assert (moved.type, moved.value(Attribute.REMOTE_ADDR, Endpoint)) == (UPDATE, elsewhere)
    assert segment_flip_messages(7) == (
        HaMessage(MessageType.SEGMENT_TAKE, ((Attribute.SEGMENT, 7),)),
        HaMessage(MessageType.SEGMENT_DROP, ((Attribute.SEGMENT, 7),)),
    )
    assert resync_message(3).values(Attribute.SEGMENT, int) == (1, 2, 3)


def test_a_client_is_moved_to_another_gateway_in_all_generations(rekeyed: ClientState) -> None:
    local = Endpoint(address=IPv4Address("203.0.113.5"), port=4500)
    moved = with_local_endpoint(rekeyed, local)
    assert {sa.local for sa in moved.ike_sas} == {local}
    assert moved.children == rekeyed.children
