"""The table of clients: a recorded gateway folded step by step, and the sequences charon can produce."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossipsa.errors import CallerError
from gossipsa.identifiers import ClientId, Endpoint, Secret
from gossipsa.ike_daemon import ClientChanged, ClientDeleted
from gossipsa.ikev2.keymat import IkeKeys, derive_child_keys, derive_ike_keys
from gossipsa.ipsec.security_association import ClientState, Identity, IkeSa, IkeSpis
from gossipsa.strongswan.client_table import ClientTable, Neglected, TableLimits, client_id_of
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage, decode, encode
from gossipsa.strongswan.import_plan import delete_messages, import_stages
from tests.strongswan.capture import capture_lines
from tests.strongswan.charon_messages import (
    CHILD_NONCES,
    child_add,
    child_delete,
    ike_add,
    ike_delete,
    ike_update,
    message_id,
    spis,
    virtual_address,
)
from tests.vectors.strongswan_capture import DIRECTORY

A = IkeSpis(initiator=bytes.fromhex("adcb04c28e47e29e"), responder=bytes.fromhex("2f8053f03a7b7c64"))
A_REKEYED = IkeSpis(initiator=bytes.fromhex("27cf889399436156"), responder=bytes.fromhex("c400b5719f16feb6"))
B = IkeSpis(initiator=bytes.fromhex("e000b5856282d169"), responder=bytes.fromhex("69a499cce375274c"))
C = IkeSpis(initiator=bytes.fromhex("8788422af7c1a68a"), responder=bytes.fromhex("abf4e24cc9e708c5"))

SECOND_NS = 10**9


def fold(messages: Iterable[HaMessage], table: ClientTable | None = None) -> ClientTable:
    table = ClientTable() if table is None else table
    for message in messages:
        table.handle(message, now_ns=0)
    return table


def capture_until(time_s: float) -> ClientTable:
    return fold(line.message for line in capture_lines() if line.time_s < time_s)


def state_of(table: ClientTable, first_spis: IkeSpis) -> ClientState:
    state = table.state(client_id_of(first_spis))
    assert state is not None
    return state


def ike_keys(sa: IkeSa) -> IkeKeys:
    return derive_ike_keys(
        prf=sa.prf,
        encryption=sa.encryption,
        encryption_key_bits=sa.encryption_key_bits,
        integrity=sa.integrity,
        nonce_i=sa.nonce_i,
        nonce_r=sa.nonce_r,
        shared_secret=sa.shared_secret,
        spi_i=sa.spis.initiator,
        spi_r=sa.spis.responder,
        old_sk_d=sa.old_sk_d,
        old_prf=sa.old_prf,
    )


def derived_keys(state: ClientState) -> dict[int, tuple[bytes, bytes]]:
    """SPI to encryption and integrity key, of both directions of every CHILD_SA."""
    found = {}
    sas = {sa.spis: sa for sa in state.ike_sas}
    for child in state.children:
        sa = sas[child.ike_spis]
        keys = derive_child_keys(
            sk_d=ike_keys(sa).sk_d,
            prf=sa.prf,
            encryption=child.encryption,
            encryption_key_bits=child.encryption_key_bits,
            integrity=child.integrity,
            nonce_i=child.nonce_i,
            nonce_r=child.nonce_r,
            shared_secret=child.shared_secret,
        )
        towards_us, from_us = keys.initiator_to_responder, keys.responder_to_initiator
        if child.we_initiated:
            towards_us, from_us = from_us, towards_us
        found[child.inbound_spi] = (bytes(towards_us.encryption_key), bytes(towards_us.integrity_key))
        found[child.outbound_spi] = (bytes(from_us.encryption_key), bytes(from_us.integrity_key))
    return found


def kernel_keys(name: str) -> dict[int, tuple[bytes, bytes]]:
    """SPI to encryption and integrity key, out of `ip xfrm state`."""
    found = {}
    for block in re.split(r"^(?=src )", (DIRECTORY / name).read_text(), flags=re.MULTILINE):
        spi = re.search(r"^\tproto esp spi 0x([0-9a-f]+) ", block, re.MULTILINE)
        encryption = re.search(r"^\t(?:enc|aead) \S+ 0x([0-9a-f]+)", block, re.MULTILINE)
        integrity = re.search(r"^\tauth-trunc \S+ 0x([0-9a-f]+) 128", block, re.MULTILINE)
        if spi is not None and encryption is not None:
            found[int(spi[1], 16)] = (
                bytes.fromhex(encryption[1]),
                bytes.fromhex(integrity[1]) if integrity else b"",
            )
    return found


STEPS = [
    # (kernel snapshot, seconds into the recording at which it was taken, SAs the kernel drops before charon)
    ("kernel-1-connected.txt", 10.0, set()),
    ("kernel-2-child-rekeyed.txt", 15.0, {0xC108912B, 0xC58C1B9F}),
    ("kernel-3-ike-rekeyed.txt", 20.0, set()),
    ("kernel-4-child-rekeyed-again.txt", 23.0, {0xC1349BC6}),
    ("kernel-5-b-deleted.txt", 25.0, {0xC1349BC6}),
]


@pytest.mark.parametrize(("snapshot", "time_s", "dropped"), STEPS)
def test_keys_derived_from_the_states_are_those_of_the_kernel(
    snapshot: str, time_s: float, dropped: set[int]
) -> None:
    table = capture_until(time_s)
    derived: dict[int, tuple[bytes, bytes]] = {}
    for client in table.clients():
        state = table.state(client)
        assert state is not None
        derived |= derived_keys(state)
    kernel = kernel_keys(snapshot)
    assert {spi: keys for spi, keys in derived.items() if spi not in dropped} == kernel
    # A rekeyed CHILD_SA only receives for a while.
    assert dropped <= derived.keys()


def test_a_connected_client_has_the_state_that_charon_shows() -> None:
    state = state_of(capture_until(10.0), A)
    assert len(state.ike_sas) == 1
    sa, (child,) = state.ike_sa, state.children
    assert sa.spis == A
    assert sa.established
    assert not sa.we_initiated
    assert (sa.encryption, sa.encryption_key_bits, sa.integrity, sa.prf, sa.dh) == (12, 128, 12, 5, 31)
    assert str(sa.local) == "10.0.2.2:4500"
    assert str(sa.remote) == "10.0.1.2:4500"
    assert sa.local_identity == Identity(type=2, data=b"gw.example.org")
    assert sa.remote_identity == Identity(type=3, data=b"a@example.org")
    assert sa.connection == "rw"
    assert sa.virtual_addresses == (IPv4Address("10.99.1.1"),)
    # IKE_SA_INIT was request 0 and IKE_AUTH request 1; the gateway sent none.
    assert (sa.message_id_initiator, sa.message_id_responder) == (0, 2)
    assert (child.name, child.inbound_spi, child.outbound_spi) == ("net", 0xC7909FEA, 0xC108912B)
    assert (child.esn, child.we_initiated, child.shared_secret) == (True, False, None)


def test_a_client_without_virtual_address_is_followed() -> None:
    state = state_of(capture_until(10.0), C)
    assert state.ike_sa.virtual_addresses == ()
    assert str(state.ike_sa.remote) == "[fd00:1::2]:4500"
    assert state.children[0].mode.name == "TRANSPORT"


def test_a_rekeyed_ike_sa_stays_while_a_child_made_under_it_lives() -> None:
    state = state_of(capture_until(20.0), A)
    assert [sa.spis for sa in state.ike_sas] == [A, A_REKEYED]
    assert [child.ike_spis for child in state.children] == [A]
    assert state.ike_sa.virtual_addresses == (IPv4Address("10.99.1.1"),)
    assert state.ike_sa.message_id_responder == 0


def test_a_rekeyed_ike_sa_goes_with_its_last_child() -> None:
    state = state_of(capture_until(1000.0), A)
    assert [sa.spis for sa in state.ike_sas] == [A_REKEYED]
    assert [child.inbound_spi for child in state.children] == [0xC16625F4]


def test_the_client_id_stays_through_rekeys() -> None:
    table = capture_until(1000.0)
    assert table.client_of(A_REKEYED) == client_id_of(A)


def test_a_deleted_client_is_gone() -> None:
    table = ClientTable()
    events = [event for line in capture_lines() for event in table.handle(line.message, now_ns=0)]
    assert ClientDeleted(client_id_of(B)) in events
    assert table.clients() == (client_id_of(A), client_id_of(C))


def test_every_event_carries_the_whole_state() -> None:
    table = ClientTable()
    seen: dict[ClientId, ClientState] = {}
    for line in capture_lines():
        for event in table.handle(line.message, now_ns=0):
            if isinstance(event, ClientChanged):
                seen[event.client] = event.state
            else:
                del seen[event.client]
        assert seen == {client: table.state(client) for client in table.clients()}


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("time_s", [time_s for _, time_s, _ in STEPS])
def test_a_state_that_was_planned_and_replayed_is_the_same(time_s: float, version: int) -> None:
    table = capture_until(time_s)
    for client in table.clients():
        state = table.state(client)
        assert state is not None
        copy = replay(state, version=version)
        assert copy == without_peer_addresses(state)


def replay(state: ClientState, *, version: int) -> ClientState:
    """The state that a table makes of the messages by which a charon would be given it."""
    stages = import_stages(state, version=version)
    messages = [message for stage in stages for message in stage]
    table = fold(decode(encode(message, version=version)) for message in messages)
    (client,) = table.clients()
    copy = table.state(client)
    assert copy is not None
    assert fold(delete_messages(state), table).clients() == ()
    return copy


def without_peer_addresses(state: ClientState) -> ClientState:
    sas = tuple(msgspec.structs.replace(sa, peer_addresses=()) for sa in state.ike_sas)
    return msgspec.structs.replace(state, ike_sas=sas)


def test_an_ike_sa_is_not_reported_before_it_is_established() -> None:
    table = ClientTable()
    assert table.handle(ike_add(spis(1)), now_ns=0) == ()
    assert table.handle(message_id(spis(1), 2), now_ns=0) == ()
    (event,) = table.handle(ike_update(spis(1)), now_ns=0)
    assert isinstance(event, ClientChanged)
    assert event.state.ike_sa.message_id_responder == 2


def test_a_child_announced_before_its_ike_sa_is_established_is_kept() -> None:
    table = fold([ike_add(spis(1)), child_add(spis(1), 0x11), ike_update(spis(1))])
    assert [child.inbound_spi for child in state_of(table, spis(1)).children] == [0x11]


def test_the_delete_of_an_unknown_ike_sa_is_ignored_and_counted() -> None:
    table = ClientTable()
    assert table.handle(ike_delete(spis(9)), now_ns=0) == ()
    assert table.neglected == {Neglected.UNKNOWN_IKE_SA: 1}


def test_the_delete_of_a_half_open_ike_sa_reports_nothing() -> None:
    table = fold([ike_add(spis(1)), ike_delete(spis(1)), ike_update(spis(1))])
    assert table.clients() == ()


def test_a_rekey_is_held_back_until_its_update() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), ike_add(spis(2), replaces=spis(1))])
    assert state_of(table, spis(1)).ike_sa.spis == spis(1)
    table = fold([ike_delete(spis(1)), ike_update(spis(2))], table)
    assert state_of(table, spis(1)).ike_sa.spis == spis(2)
    assert table.client_of(spis(1)) is None


def test_the_loser_of_a_rekey_collision_does_not_take_the_children() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), child_add(spis(1), 0x11)])
    collision = [
        ike_add(spis(2), replaces=spis(1)),
        ike_delete(spis(1)),
        ike_update(spis(2)),
        # Charon may announce the loser last, and deletes it later.
        ike_add(spis(3), replaces=spis(1)),
        ike_delete(spis(3)),
    ]
    state = state_of(fold(collision, table), spis(1))
    assert [sa.spis for sa in state.ike_sas] == [spis(1), spis(2)]
    assert [child.inbound_spi for child in state.children] == [0x11]


@pytest.mark.parametrize("loser_first", [True, False])
def test_of_two_established_replacements_the_one_that_is_not_deleted_stays(loser_first: bool) -> None:
    order = [spis(3), spis(2)] if loser_first else [spis(2), spis(3)]
    table = fold(
        [
            ike_add(spis(1)),
            ike_update(spis(1)),
            ike_add(spis(2), replaces=spis(1)),
            ike_add(spis(3), replaces=spis(1)),
            child_add(spis(1), 0x11),
            ike_delete(spis(1)),
            *(ike_update(winner) for winner in order),
            ike_delete(spis(3)),
        ]
    )
    assert state_of(table, spis(1)).ike_sa.spis == spis(2)


def test_a_client_deleted_while_a_rekey_is_under_way_is_reported_after_a_moment() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), ike_add(spis(2), replaces=spis(1))])
    assert table.handle(ike_delete(spis(1)), now_ns=5 * SECOND_NS) == ()
    assert table.next_deadline_ns() == 6 * SECOND_NS
    assert table.expire(now_ns=6 * SECOND_NS - 1) == ()
    assert table.expire(now_ns=6 * SECOND_NS) == (ClientDeleted(client_id_of(spis(1))),)
    assert table.clients() == ()


def test_a_replacement_that_comes_in_time_keeps_the_client() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), ike_add(spis(2), replaces=spis(1))])
    fold([ike_delete(spis(1)), ike_update(spis(2))], table)
    assert table.expire(now_ns=10 * SECOND_NS) == ()
    assert table.clients() == (client_id_of(spis(1)),)


def test_the_rekey_of_an_unknown_ike_sa_begins_a_client() -> None:
    table = fold([ike_add(spis(2), replaces=spis(1)), ike_update(spis(2))])
    assert table.clients() == (client_id_of(spis(2)),)
    assert state_of(table, spis(2)).ike_sa.old_sk_d == Secret(b"old SK_d")


def test_a_child_rekey_adds_the_new_child_and_then_drops_the_old() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), child_add(spis(1), 0x11), child_add(spis(1), 0x12)])
    assert [child.inbound_spi for child in state_of(table, spis(1)).children] == [0x11, 0x12]
    fold([child_delete(spis(1), 0x11)], table)
    assert [child.inbound_spi for child in state_of(table, spis(1)).children] == [0x12]


def test_a_failed_child_rekey_changes_nothing() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), child_add(spis(1), 0x11)])
    before = state_of(table, spis(1))
    assert table.handle(child_delete(spis(1), 0), now_ns=0) == ()
    assert state_of(table, spis(1)) == before


def test_message_ids_only_rise() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1)), message_id(spis(1), 7)])
    assert table.handle(message_id(spis(1), 6), now_ns=0) == ()
    assert state_of(table, spis(1)).ike_sa.message_id_responder == 7


def test_message_ids_of_a_replaced_ike_sa_are_ignored() -> None:
    table = fold(
        [
            ike_add(spis(1)),
            ike_update(spis(1)),
            child_add(spis(1), 0x11),
            ike_add(spis(2), replaces=spis(1)),
            ike_delete(spis(1)),
            ike_update(spis(2)),
        ]
    )
    before = state_of(table, spis(1))
    assert table.handle(message_id(spis(1), 9), now_ns=0) == ()
    assert state_of(table, spis(1)) == before


def test_a_resync_changes_nothing_of_what_is_known() -> None:
    messages = [ike_add(spis(1)), ike_update(spis(1)), virtual_address(spis(1)), message_id(spis(1), 3)]
    table = fold(messages)
    moved = Endpoint(address=IPv4Address("198.51.100.9"), port=41234)
    table.endpoints_changed(spis(1), local=state_of(table, spis(1)).ike_sa.local, remote=moved)
    before = state_of(table, spis(1))
    assert [event for message in messages for event in table.handle(message, now_ns=0)] == []
    assert state_of(table, spis(1)) == before


def test_a_client_that_moves_is_reported_with_its_new_address() -> None:
    table = fold([ike_add(spis(1)), ike_update(spis(1))])
    local = state_of(table, spis(1)).ike_sa.local
    moved = Endpoint(address=IPv4Address("198.51.100.9"), port=41234)
    (event,) = table.endpoints_changed(spis(1), local=local, remote=moved)
    assert isinstance(event, ClientChanged)
    assert event.state.ike_sa.remote == moved
    assert table.endpoints_changed(spis(1), local=local, remote=moved) == ()


def test_an_adopted_client_goes_on_under_its_id() -> None:
    state = state_of(capture_until(10.0), A)
    table = ClientTable()
    table.adopt(ClientId(b"sixteen bytes id"), state)
    assert table.state(ClientId(b"sixteen bytes id")) == state
    later = [line.message for line in capture_lines() if line.time_s >= 10.0]
    fold(later, table)
    assert table.client_of(A_REKEYED) == ClientId(b"sixteen bytes id")
    assert table.state(ClientId(b"sixteen bytes id")) == state_of(capture_until(1000.0), A)


def test_adoption_replaces_what_was_known_of_the_same_ike_sa() -> None:
    table = capture_until(10.0)
    state = state_of(table, A)
    table.adopt(ClientId(b"sixteen bytes id"), state)
    assert table.client_of(A) == ClientId(b"sixteen bytes id")
    assert client_id_of(A) not in table.clients()


def test_a_forgotten_client_raises_no_event() -> None:
    table = capture_until(10.0)
    table.forget(client_id_of(A))
    assert table.handle(ike_delete(A), now_ns=0) == ()
    assert table.client_of(A) is None


def test_a_state_without_ike_sa_is_refused() -> None:
    with pytest.raises(CallerError):
        ClientTable().adopt(ClientId(bytes(16)), ClientState(ike_sas=()))


def test_an_intermediate_key_exchange_chains_the_keys() -> None:
    # RFC 9370 section 2.2.2: SKEYSEED(1) = prf(SK_d(0), SK(1) | Ni | Nr)
    further = HaMessage(
        MessageType.IKE_ADD,
        (
            *ike_add(spis(1)).attributes[:2],
            (Attribute.NONCE_I, Secret(CHILD_NONCES[0])),
            (Attribute.NONCE_R, Secret(CHILD_NONCES[1])),
            (Attribute.SECRET, Secret(b"second secret")),
        ),
    )
    first = state_of(fold([ike_add(spis(1)), ike_update(spis(1))]), spis(1)).ike_sa
    sa = state_of(fold([ike_add(spis(1)), further, ike_update(spis(1))]), spis(1)).ike_sa
    assert sa.old_sk_d == ike_keys(first).sk_d
    assert sa.shared_secret == Secret(b"second secret")


@pytest.mark.parametrize(
    "damage",
    [
        lambda attributes: [a for a in attributes if a[0] is not Attribute.NONCE_R],
        lambda attributes: [a for a in attributes if a[0] is not Attribute.ALG_PRF],
        lambda attributes: [*attributes, (Attribute.ADD_SECRET, Secret(b"s"))],
        lambda attributes: [a for a in attributes if a[0] is not Attribute.IKE_ID],
    ],
)
def test_an_ike_sa_that_cannot_be_carried_is_counted_and_not_followed(
    damage: Callable[[tuple[object, ...]], list[tuple[Attribute, object]]],
) -> None:
    message = ike_add(spis(1))
    broken = HaMessage(message.type, tuple(damage(message.attributes)))  # type: ignore[arg-type]
    table = fold([broken, ike_update(spis(1))])
    assert table.clients() == ()
    assert table.neglected[Neglected.UNUSABLE] == 1


def test_half_open_ike_sas_are_bounded_and_the_oldest_gives_way() -> None:
    table = ClientTable(limits=TableLimits(half_open_max=2))
    fold(
        [ike_add(spis(1)), ike_add(spis(2)), ike_add(spis(3)), ike_update(spis(1)), ike_update(spis(2))],
        table,
    )
    assert table.clients() == (client_id_of(spis(2)),)
    assert table.neglected[Neglected.TOO_MANY_HALF_OPEN] == 1


def test_half_open_ike_sas_expire() -> None:
    table = ClientTable(limits=TableLimits(half_open_lifetime_ns=SECOND_NS))
    table.handle(ike_add(spis(1)), now_ns=SECOND_NS)
    assert table.next_deadline_ns() == 2 * SECOND_NS
    assert table.expire(now_ns=2 * SECOND_NS) == ()
    assert table.next_deadline_ns() is None
    assert table.handle(ike_update(spis(1)), now_ns=2 * SECOND_NS) == ()


def test_clients_are_bounded() -> None:
    table = ClientTable(limits=TableLimits(clients_max=1))
    fold([ike_add(spis(1)), ike_update(spis(1)), ike_add(spis(2)), ike_update(spis(2))], table)
    assert table.clients() == (client_id_of(spis(1)),)
    assert table.neglected[Neglected.TOO_MANY_CLIENTS] == 1
    with pytest.raises(CallerError):
        table.adopt(ClientId(bytes(16)), state_of(capture_until(10.0), A))


LIMITS = TableLimits(
    clients_max=3,
    children_max=3,
    generations_max=3,
    half_open_max=4,
    half_open_lifetime_ns=50,
    replacement_wait_ns=5,
)
few_spis = st.integers(1, 8).map(spis)
few_child_spis = st.integers(0, 6)


class AnySequenceOfMessages(RuleBasedStateMachine):
    """Whatever charon sends in whatever order: no exception, and a table that is bounded and consistent."""

    def __init__(self) -> None:
        super().__init__()
        self.table = ClientTable(limits=LIMITS)
        self.now_ns = 0
        self.known: dict[ClientId, ClientState] = {}

    def apply(self, events: Iterable[ClientChanged | ClientDeleted]) -> None:
        for event in events:
            if isinstance(event, ClientChanged):
                self.known[event.client] = event.state
            else:
                del self.known[event.client]

    def send(self, message: HaMessage) -> None:
        self.apply(self.table.handle(message, now_ns=self.now_ns))

    @rule(new=few_spis, old=st.none() | few_spis)
    def add(self, new: IkeSpis, old: IkeSpis | None) -> None:
        self.send(ike_add(new, replaces=old))

    @rule(new=few_spis, old=few_spis)
    def rekey(self, new: IkeSpis, old: IkeSpis) -> None:
        self.send(ike_add(new, replaces=old))
        self.send(ike_delete(old))
        self.send(ike_update(new))

    @rule(sa=few_spis)
    def update(self, sa: IkeSpis) -> None:
        self.send(ike_update(sa))

    @rule(sa=few_spis, number=st.integers(0, 9), initiator=st.booleans())
    def set_message_id(self, sa: IkeSpis, number: int, initiator: bool) -> None:
        self.send(message_id(sa, number, initiator=initiator))

    @rule(sa=few_spis)
    def delete(self, sa: IkeSpis) -> None:
        self.send(ike_delete(sa))

    @rule(sa=few_spis, spi=few_child_spis)
    def add_child(self, sa: IkeSpis, spi: int) -> None:
        self.send(child_add(sa, spi))

    @rule(sa=few_spis, spi=few_child_spis)
    def delete_child(self, sa: IkeSpis, spi: int) -> None:
        self.send(child_delete(sa, spi))

    @rule(kind=st.sampled_from(MessageType))
    def send_nothing(self, kind: MessageType) -> None:
        self.send(HaMessage(kind, ()))

    @rule(elapsed_ns=st.integers(0, 60))
    def wait(self, elapsed_ns: int) -> None:
        self.now_ns += elapsed_ns
        self.apply(self.table.expire(now_ns=self.now_ns))
        deadline_ns = self.table.next_deadline_ns()
        assert deadline_ns is None or deadline_ns > self.now_ns

    @rule(data=st.data())
    def adopt_again_under_another_id(self, data: st.DataObject) -> None:
        if self.known:
            client = data.draw(st.sampled_from(sorted(self.known)))
            state = self.known.pop(client)
            new = ClientId(bytes([data.draw(st.integers(0, 3))]) * 16)
            self.table.adopt(new, state)
            self.known = {c: s for c, s in self.known.items() if c in self.table.clients()}
            self.known[new] = state

    @invariant()
    def events_told_everything(self) -> None:
        assert self.known == {client: self.table.state(client) for client in self.table.clients()}

    @invariant()
    def stays_bounded_and_every_child_has_its_ike_sa(self) -> None:
        assert self.table.client_count <= LIMITS.clients_max
        seen: set[IkeSpis] = set()
        for client, state in self.known.items():
            assert len(state.children) <= LIMITS.children_max
            assert len(state.ike_sas) <= LIMITS.generations_max
            own = {sa.spis for sa in state.ike_sas}
            assert {child.ike_spis for child in state.children} <= own
            assert all(self.table.client_of(found) == client for found in own)
            assert not own & seen
            seen |= own


TestAnySequenceOfMessages = AnySequenceOfMessages.TestCase


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.sampled_from((3, 4, 5)),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**31 - 1),
    st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_any_history_of_rekeys_survives_planning_and_replay(
    children_by_generation: list[int],
    version: int,
    conditions: int,
    private: int,
    message_ids: tuple[int, int],
) -> None:
    bits = conditions | (private << 32 if version == 5 else 0)
    table = ClientTable()
    for generation, children in enumerate(children_by_generation):
        new = spis(generation)
        replaces = spis(generation - 1) if generation else None
        fold([ike_add(new, replaces=replaces), ike_update(new)], table)
        fold((child_add(new, 16 * generation + child) for child in range(children)), table)
    fold([virtual_address(spis(len(children_by_generation) - 1))], table)
    state = state_of(table, spis(0))
    sas = [
        msgspec.structs.replace(
            sa, conditions=bits, extensions=bits, virtual_addresses=state.ike_sa.virtual_addresses
        )
        for sa in state.ike_sas
    ]
    sas[-1] = msgspec.structs.replace(
        sas[-1], message_id_initiator=message_ids[0], message_id_responder=message_ids[1]
    )
    state = msgspec.structs.replace(state, ike_sas=tuple(sas))
    assert replay(state, version=version) == without_peer_addresses(state)
