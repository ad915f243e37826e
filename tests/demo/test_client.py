"""The demo's client against real parts: an in-memory SAD on the other side, real IKE messages."""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.demo.client import Client
from examples.demo.client_states import ESP_SUITES, invent_client
from examples.demo.inner_packet import build_inner_packet, number_in
from examples.demo.observation import Move
from gossipsa.identifiers import Endpoint
from gossipsa.ikev2.header import NON_ESP_MARKER
from gossipsa.ikev2.keymat import IkeKeys, derive_ike_keys
from gossipsa.ikev2.message import Message, encode_message, open_message, seal_message
from gossipsa.ikev2.notify import (
    Notify,
    additional_address,
    cookie2,
    no_additional_addresses,
    update_sa_addresses,
)
from gossipsa.ikev2.registry import ExchangeType
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import SetNumbers
from gossipsa.kernel.direct_install import client_sas
from gossipsa.kernel.memory_sad import MemorySad, Opened

ALPHA = Endpoint(IPv4Address("127.77.0.1"), 4500)
BRAVO = Endpoint(IPv4Address("127.77.0.2"), 4500)
HOME = Endpoint(IPv4Address("127.88.0.1"), 50_000)


@dataclass
class Pair:
    """A client, and its gateway's kernel and IKE keys."""

    client: Client
    state: ClientState
    sad: MemorySad
    keys: IkeKeys

    def answer_esp(self, packet: bytes) -> bytes:
        opened = self.sad.open_inbound(packet, destination=ALPHA.address, source=HOME)
        assert isinstance(opened, Opened)
        reverse = self.sad.reverse_of(opened.id)
        assert reverse is not None
        answer = self.sad.seal_outbound(reverse, opened.payload, next_header=opened.next_header)
        assert answer is not None
        assert answer.destination == HOME
        return answer.packet

    def request(
        self,
        *notifies: Notify,
        message_id: int = 0,
        iv: int = 0,
        exchange: int = ExchangeType.INFORMATIONAL,
        is_initiator: bool = False,
        is_response: bool = False,
    ) -> bytes:
        message = Message(
            spi_i=self.state.ike_sa.spis.initiator,
            spi_r=self.state.ike_sa.spis.responder,
            exchange=exchange,
            is_initiator=is_initiator,
            is_response=is_response,
            message_id=message_id,
            payloads=notifies,
        )
        return NON_ESP_MARKER + seal_message(message, self.keys, iv=iv.to_bytes(8, "big"))


def make_pair(index: int = 0) -> Pair:
    draw = random.Random(index).randbytes
    client_id, state = invent_client(index=index, client=HOME, gateway=ALPHA, draw=draw)
    sad = MemorySad(random_bytes=draw)
    assert set(sad.add_sas(client_sas(state))) == {None}
    ike_sa = state.ike_sa
    keys = derive_ike_keys(
        prf=ike_sa.prf,
        encryption=ike_sa.encryption,
        encryption_key_bits=ike_sa.encryption_key_bits,
        integrity=ike_sa.integrity,
        nonce_i=ike_sa.nonce_i,
        nonce_r=ike_sa.nonce_r,
        shared_secret=ike_sa.shared_secret,
        spi_i=ike_sa.spis.initiator,
        spi_r=ike_sa.spis.responder,
    )
    return Pair(client=Client(client=client_id, state=state), state=state, sad=sad, keys=keys)


@pytest.fixture
def pair() -> Pair:
    return make_pair()


@pytest.mark.parametrize("index", range(2 * len(ESP_SUITES)))
def test_a_gateway_opens_what_the_client_seals_and_the_client_opens_the_echo(index: int) -> None:
    pair = make_pair(index)
    for number in range(1, 4):
        packet = pair.client.next_packet()
        assert packet.destination == ALPHA
        assert pair.client.receive(pair.answer_esp(packet.data), source=ALPHA, now_ns=number) is None

    assert [(seen.at_ns, seen.gateway, seen.sequence) for seen in pair.client.packets] == [
        (1, ALPHA, 1),
        (2, ALPHA, 2),
        (3, ALPHA, 3),
    ]
    assert not pair.client.refused


@pytest.mark.parametrize("index", range(2))
def test_numbers_of_the_shared_region_are_accepted_with_esn_and_without(index: int) -> None:
    pair = make_pair(index)
    outbound = client_sas(pair.state)[0].id
    pair.client.receive(pair.answer_esp(pair.client.next_packet().data), source=ALPHA, now_ns=1)
    assert pair.sad.set_numbers([SetNumbers(id=outbound, sent=(1 << 30) - 1)]) == (None,)

    pair.client.receive(pair.answer_esp(pair.client.next_packet().data), source=BRAVO, now_ns=2)

    assert [seen.sequence for seen in pair.client.packets] == [1, 1 << 30]
    assert not pair.client.refused


def test_a_number_used_twice_is_kept_as_evidence_and_refused(pair: Pair) -> None:
    answer = pair.answer_esp(pair.client.next_packet().data)
    pair.client.receive(answer, source=ALPHA, now_ns=1)
    pair.client.receive(answer, source=BRAVO, now_ns=2)

    assert [(seen.gateway, seen.sequence) for seen in pair.client.packets] == [(ALPHA, 1), (BRAVO, 1)]
    assert pair.client.refused == {"sequence number: duplicate": 1}


@pytest.mark.parametrize(
    "news",
    [
        (update_sa_addresses(),),
        (no_additional_addresses(),),
        (additional_address(IPv4Address("127.77.0.9")),),
        (cookie2(b"crumbs.."), update_sa_addresses()),
    ],
)
def test_a_valid_redirect_is_answered_and_followed(pair: Pair, news: tuple[Notify, ...]) -> None:
    answer = pair.client.receive(pair.request(*news), source=BRAVO, now_ns=7)

    assert answer is not None
    assert answer.destination == BRAVO
    assert answer.data.startswith(NON_ESP_MARKER)
    assert open_message(answer.data[len(NON_ESP_MARKER) :], pair.keys) == Message(
        spi_i=pair.state.ike_sa.spis.initiator,
        spi_r=pair.state.ike_sa.spis.responder,
        exchange=ExchangeType.INFORMATIONAL,
        is_initiator=True,
        is_response=True,
        message_id=0,
        payloads=news[:1] if len(news) == 2 else (),
    )
    assert pair.client.moves == [Move(at_ns=7, origin=ALPHA, destination=BRAVO)]
    assert pair.client.next_packet().destination == BRAVO


def test_a_repeated_redirect_gets_the_same_answer_and_moves_nothing(pair: Pair) -> None:
    request = pair.request(update_sa_addresses())
    first = pair.client.receive(request, source=BRAVO, now_ns=1)
    second = pair.client.receive(request, source=BRAVO, now_ns=2)

    assert first == second
    assert len(pair.client.moves) == 1


def test_requests_are_taken_in_the_order_of_their_message_ids(pair: Pair) -> None:
    later = pair.request(update_sa_addresses(), message_id=1, iv=1)

    assert pair.client.receive(later, source=BRAVO, now_ns=1) is None
    assert pair.client.gateway == ALPHA
    assert pair.client.receive(pair.request(), source=ALPHA, now_ns=2) is not None
    assert pair.client.receive(later, source=BRAVO, now_ns=3) is not None
    assert pair.client.gateway == BRAVO


def test_a_sign_of_life_from_elsewhere_is_answered_but_moves_nothing(pair: Pair) -> None:
    assert pair.client.receive(pair.request(), source=BRAVO, now_ns=1) is not None
    assert pair.client.moves == []
    assert pair.client.gateway == ALPHA


def test_what_is_no_informational_request_of_the_gateway_is_not_answered(pair: Pair) -> None:
    news = update_sa_addresses()
    other = make_pair(1)
    init = Message(
        spi_i=bytes(8),
        spi_r=bytes(8),
        exchange=ExchangeType.IKE_SA_INIT,
        is_initiator=True,
        is_response=False,
        message_id=0,
    )
    for data in (
        pair.request(news, is_response=True),
        pair.request(news, is_initiator=True),
        pair.request(news, exchange=ExchangeType.CREATE_CHILD_SA),
        other.request(news),
        NON_ESP_MARKER + encode_message(init),
    ):
        assert pair.client.receive(data, source=BRAVO, now_ns=1) is None
    assert pair.client.gateway == ALPHA
    assert pair.client.refused.total() == 5


@given(st.binary(max_size=120), st.booleans())
def test_garbage_changes_nothing_and_is_never_answered(garbage: bytes, is_ike: bool) -> None:
    pair = make_pair()
    data = NON_ESP_MARKER + garbage if is_ike else garbage

    assert pair.client.receive(data, source=BRAVO, now_ns=1) is None
    assert (pair.client.gateway, pair.client.packets, pair.client.moves) == (ALPHA, [], [])


@given(st.data())
def test_a_damaged_redirect_is_refused(data: st.DataObject) -> None:
    pair = make_pair()
    request = bytearray(pair.request(update_sa_addresses()))
    position = data.draw(st.integers(len(NON_ESP_MARKER), len(request) - 1))
    request[position] ^= data.draw(st.integers(1, 255))

    assert pair.client.receive(bytes(request), source=BRAVO, now_ns=1) is None
    assert pair.client.gateway == ALPHA


@given(st.integers(0, 2**64 - 1))
def test_inner_packets_carry_their_number(number: int) -> None:
    packet = build_inner_packet(
        source=IPv4Address("10.77.0.1"), destination=IPv4Address("10.78.0.1"), number=number
    )

    assert number_in(packet) == number
    assert number_in(packet[:-1]) is None
    words = [int.from_bytes(packet[offset : offset + 2], "big") for offset in range(0, 20, 2)]
    # RFC 1071: a header with its checksum sums up to all ones.
    assert sum(words) % 0xFFFF == 0
