"""Keys and messages against a recording of real daemons and a real kernel."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

import pytest

from gossipsa.ikev2.errors import IkeAuthenticationError
from gossipsa.ikev2.header import HEADER_BYTES
from gossipsa.ikev2.liveness import is_sign_of_life
from gossipsa.ikev2.message import (
    Message,
    decode_message,
    encode_message,
    open_message,
    peek_header,
    seal_message,
)
from gossipsa.ikev2.notify import Notify, additional_address
from gossipsa.ikev2.payloads import Delete
from gossipsa.ikev2.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from tests.vectors.strongswan_capture import OLD_SKD_ATTRIBUTE, captured_packets, ha_messages, kernel_sas
from tests.vectors.strongswan_keys import children, ike_keys, spis

PROTECTED = [data for data in captured_packets().ike if peek_header(data).next_payload == PayloadType.SK]
PLAIN = [data for data in captured_packets().ike if peek_header(data).next_payload != PayloadType.SK]


def opened(data: bytes) -> Message:
    return open_message(data, ike_keys()[data[:16]])


def test_old_sk_d_in_rekey_message_is_that_of_old_ike_sa() -> None:
    rekeys = [message for message in ha_messages() if OLD_SKD_ATTRIBUTE in message.attributes]
    assert len(rekeys) == 1
    assert rekeys[0].attributes[OLD_SKD_ATTRIBUTE] in [keys.sk_d for keys in ike_keys().values()]


def test_child_keys_equal_those_of_the_kernel_for_every_child_sa() -> None:
    derived = {}
    for child in children():
        # The clients are initiators: what they send is inbound for the gateway.
        derived[child.inbound_spi] = child.keys.initiator_to_responder
        derived[child.outbound_spi] = child.keys.responder_to_initiator
    assert {spi: (keys.encryption_key, keys.integrity_key) for spi, keys in derived.items()} == {
        sa.spi: (sa.encryption_key, sa.integrity_key) for sa in kernel_sas()
    }
    assert len(children()) == 6
    assert sum(child.has_pfs for child in children()) == 1


@pytest.mark.parametrize("data", PROTECTED, ids=lambda data: f"{data[:4].hex()}-{len(data)}")
def test_every_protected_message_opens_and_seals_to_the_same_bytes(data: bytes) -> None:
    keys = ike_keys()[data[:16]]
    message = open_message(data, keys)
    iv = data[HEADER_BYTES + 4 :][: keys.suite.iv_bytes]
    padding = contents_of_padding(data)
    assert seal_message(message, keys, iv=iv, padding=padding) == data


def contents_of_padding(data: bytes) -> bytes:
    """The padding that charon chose: random with CBC, empty with an AEAD cipher."""
    keys = ike_keys()[data[:16]]
    encryption_key, integrity_key = keys.sender_keys(is_initiator=peek_header(data).is_initiator)
    plaintext = keys.suite.open(
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        sealed=data[HEADER_BYTES + 4 :],
        header=data[: HEADER_BYTES + 4],
    )
    assert plaintext is not None
    return plaintext[len(plaintext) - 1 - plaintext[-1] : -1]


@pytest.mark.parametrize("data", PLAIN, ids=lambda data: f"{data[:4].hex()}-{len(data)}")
def test_every_plain_message_encodes_to_the_same_bytes(data: bytes) -> None:
    assert encode_message(decode_message(data)) == data


def test_recording_holds_the_exchanges_it_is_said_to_hold() -> None:
    count = Counter(
        (peek_header(data).exchange, peek_header(data).is_response) for data in captured_packets().ike
    )
    assert count == {
        (ExchangeType.IKE_SA_INIT, False): 3,
        (ExchangeType.IKE_SA_INIT, True): 3,
        (ExchangeType.IKE_AUTH, False): 3,
        (ExchangeType.IKE_AUTH, True): 3,
        (ExchangeType.CREATE_CHILD_SA, False): 4,
        (ExchangeType.CREATE_CHILD_SA, True): 4,
        (ExchangeType.INFORMATIONAL, False): 5,
        (ExchangeType.INFORMATIONAL, True): 5,
    }


def test_delete_of_rekeyed_child_names_its_inbound_spi() -> None:
    deletes = [
        payload
        for data in PROTECTED
        if peek_header(data).exchange == ExchangeType.INFORMATIONAL and not peek_header(data).is_response
        for payload in opened(data).payloads
    ]
    # The clients delete: what is inbound for them is outbound for the gateway.
    first_of_a, first_of_b, _, second_of_a = (children()[index].outbound_spi for index in (0, 1, 2, 3))
    assert deletes == [
        Delete(protocol=ProtocolId.ESP, spis=(first_of_a.to_bytes(4, "big"),)),
        Delete(protocol=ProtocolId.ESP, spis=(first_of_b.to_bytes(4, "big"),)),
        Delete(protocol=ProtocolId.IKE),
        Delete(protocol=ProtocolId.ESP, spis=(second_of_a.to_bytes(4, "big"),)),
        Delete(protocol=ProtocolId.IKE),
    ]


def test_gateway_announces_its_addresses_in_ike_auth() -> None:
    response = next(data for data in PROTECTED if peek_header(data).is_response)
    notifies = [payload for payload in opened(response).payloads if isinstance(payload, Notify)]
    assert notifies == [
        Notify(type=NotifyType.MOBIKE_SUPPORTED),
        additional_address(IPv4Address("192.168.7.1")),
        additional_address(IPv6Address("fd00:2::2")),
    ]


def test_message_of_one_ike_sa_does_not_open_under_keys_of_another() -> None:
    for data in PROTECTED:
        for other, keys in ike_keys().items():
            if other != data[:16]:
                with pytest.raises(IkeAuthenticationError):
                    open_message(data, keys)


def test_initial_responses_are_signs_of_life_for_their_own_spi_only() -> None:
    initiators = {spis(message)[:8] for message in ha_messages() if message.type == 1}
    for data in captured_packets().ike:
        is_answer = data in PLAIN and peek_header(data).is_response
        for spi_i in sorted(initiators):
            assert is_sign_of_life(data, spi_i=spi_i) == (is_answer and data[:8] == spi_i)
