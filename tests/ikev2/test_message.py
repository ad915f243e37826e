from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Secret
from gossipsa.ikev2.errors import IkeAuthenticationError, IkeFieldError, IkeFragmentError, IkeMessageError
from gossipsa.ikev2.header import HEADER_BYTES
from gossipsa.ikev2.keymat import IkeKeys
from gossipsa.ikev2.message import (
    Message,
    decode_message,
    encode_message,
    open_message,
    peek_header,
    seal_message,
)
from gossipsa.ikev2.notify import Notify, no_additional_addresses
from gossipsa.ikev2.payloads import RawPayload
from gossipsa.ikev2.registry import EncryptionTransform, ExchangeType, PayloadType, PrfTransform
from gossipsa.ipsec.cipher_suite import CipherInputError
from tests.vectors.ike_samples import CIPHER_SUITES, messages, sample_keys

CBC = sample_keys(CIPHER_SUITES[0])
CHACHA = sample_keys(CIPHER_SUITES[-1])

REDIRECT = Message(
    spi_i=bytes(range(8)),
    spi_r=bytes(range(8, 16)),
    exchange=ExchangeType.INFORMATIONAL,
    is_initiator=False,
    is_response=False,
    message_id=7,
    payloads=(no_additional_addresses(),),
)


def iv_of(keys: IkeKeys) -> bytes:
    return bytes(range(100, 100 + keys.suite.iv_bytes))


@given(messages)
def test_plain_message_decodes_to_what_was_encoded(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@given(messages, st.sampled_from(CIPHER_SUITES))
def test_sealed_message_opens_to_what_was_sealed(
    message: Message, suite: tuple[int, int | None, int | None]
) -> None:
    keys = sample_keys(suite)
    sealed = seal_message(message, keys, iv=iv_of(keys))
    assert open_message(sealed, keys) == message
    assert peek_header(sealed).next_payload == PayloadType.SK


@given(st.sampled_from(CIPHER_SUITES), st.data())
def test_one_flipped_bit_is_refused(suite: tuple[int, int | None, int | None], data: st.DataObject) -> None:
    keys = sample_keys(suite)
    sealed = bytearray(seal_message(REDIRECT, keys, iv=iv_of(keys)))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IkeMessageError):
        open_message(bytes(sealed), keys)


@given(st.sampled_from(CIPHER_SUITES), st.binary(max_size=300))
def test_garbage_is_refused_as_a_message(suite: tuple[int, int | None, int | None], data: bytes) -> None:
    keys = sample_keys(suite)
    with pytest.raises(IkeMessageError):
        open_message(data, keys)
    with pytest.raises(IkeMessageError):
        decode_message(data)


def sealed_around(body: bytes, *, pad_length: int, first_type: int) -> bytes:
    """A message whose plaintext is `body` and a pad length, protected with the right keys."""
    sk_bytes = 4 + CHACHA.suite.overhead_bytes + len(body) + 1
    header = bytearray(encode_message(msgspec.structs.replace(REDIRECT, payloads=())))
    header[16] = PayloadType.SK
    header[24:28] = (HEADER_BYTES + sk_bytes).to_bytes(4, "big")
    covered = bytes(header) + bytes((first_type, 0)) + sk_bytes.to_bytes(2, "big")
    return covered + CHACHA.suite.seal(
        encryption_key=CHACHA.sk_er,
        integrity_key=b"",
        iv=iv_of(CHACHA),
        plaintext=body + bytes((pad_length,)),
        header=covered,
    )


@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 255))
def test_authentic_garbage_opens_or_is_refused_as_a_message(
    body: bytes, pad_length: int, first_type: int
) -> None:
    try:
        message = open_message(sealed_around(body, pad_length=pad_length, first_type=first_type), CHACHA)
    except IkeAuthenticationError:
        pytest.fail("the message is authentic")
    except IkeMessageError:
        return
    assert sum(4 + len(payload.encode_body()) for payload in message.payloads) == len(body) - pad_length


def test_padding_longer_than_message_is_refused() -> None:
    assert open_message(sealed_around(bytes(8), pad_length=8, first_type=0), CHACHA).payloads == ()
    with pytest.raises(IkeMessageError, match="padding"):
        open_message(sealed_around(bytes(8), pad_length=9, first_type=0), CHACHA)


def test_message_from_responder_is_sealed_with_responder_keys() -> None:
    wrong_initiator_keys = dataclasses.replace(CBC, sk_ei=Secret(16), sk_ai=Secret(20))
    sealed = seal_message(REDIRECT, CBC, iv=iv_of(CBC))
    assert open_message(sealed, wrong_initiator_keys) == REDIRECT
    from_initiator = seal_message(msgspec.structs.replace(REDIRECT, is_initiator=True), CBC, iv=iv_of(CBC))
    with pytest.raises(IkeAuthenticationError):
        open_message(from_initiator, wrong_initiator_keys)


def test_message_reflected_to_its_sender_is_refused() -> None:
    sealed = bytearray(seal_message(REDIRECT, CHACHA, iv=iv_of(CHACHA)))
    sealed[19] ^= 0x08
    with pytest.raises(IkeAuthenticationError):
        open_message(bytes(sealed), CHACHA)


def test_fragment_is_refused_as_a_fragment() -> None:
    sealed = bytearray(seal_message(REDIRECT, CHACHA, iv=iv_of(CHACHA)))
    sealed[16] = PayloadType.SKF
    with pytest.raises(IkeFragmentError):
        open_message(bytes(sealed), CHACHA)
    with pytest.raises(IkeMessageError):
        decode_message(bytes(sealed))


def test_plain_message_is_not_opened_as_a_protected_one() -> None:
    with pytest.raises(IkeMessageError, match="not SK"):
        open_message(encode_message(REDIRECT), CBC)


def test_sk_payload_must_end_with_the_message() -> None:
    sealed = bytearray(seal_message(REDIRECT, CHACHA, iv=iv_of(CHACHA)))
    sealed[HEADER_BYTES + 3] -= 1
    with pytest.raises(IkeMessageError, match="end with the message"):
        open_message(bytes(sealed), CHACHA)
    empty = bytearray(encode_message(msgspec.structs.replace(REDIRECT, payloads=())))
    empty[16] = PayloadType.SK
    with pytest.raises(IkeMessageError, match="truncated"):
        open_message(bytes(empty), CHACHA)


def test_padding_given_by_the_caller_is_sent() -> None:
    padded = seal_message(REDIRECT, CBC, iv=iv_of(CBC), padding=bytes(range(7 + 16)))
    shortest = seal_message(REDIRECT, CBC, iv=iv_of(CBC))
    assert len(padded) == len(shortest) + 16
    assert open_message(padded, CBC) == REDIRECT


@pytest.mark.parametrize("size", [6, 8, 7 + 16 * 16])
def test_padding_that_does_not_fit_is_the_callers_error(size: int) -> None:
    with pytest.raises(IkeFieldError):
        seal_message(REDIRECT, CBC, iv=iv_of(CBC), padding=bytes(size))


def test_iv_of_wrong_length_is_the_callers_error() -> None:
    with pytest.raises(CipherInputError):
        seal_message(REDIRECT, CBC, iv=bytes(8))


def test_rfc_7634_appendix_b_message_is_reproduced() -> None:
    keys = IkeKeys(
        prf=PrfTransform.HMAC_SHA2_256,
        encryption=EncryptionTransform.CHACHA20_POLY1305,
        encryption_key_bits=None,
        integrity=None,
        sk_d=Secret(),
        sk_ai=Secret(),
        sk_ar=Secret(),
        sk_ei=Secret(),
        sk_er=Secret(bytes(range(0x80, 0xA0)) + bytes.fromhex("a0a1a2a3")),
    )
    message = Message(
        spi_i=bytes(range(0xC0, 0xC8)),
        spi_r=bytes(range(0xD0, 0xD8)),
        exchange=ExchangeType.INFORMATIONAL,
        is_initiator=False,
        is_response=False,
        message_id=9,
        payloads=(Notify(type=16385, data=bytes.fromhex("0000000a")),),
    )
    published = bytes.fromhex(
        "c0c1c2c3c4c5c6c7 d0d1d2d3d4d5d6d7 2e202500 00000009 00000045 29000029 1011121314151617"
        "61039470 1f8d017f 7c129248 89 6b71bfe2 5236efd7 cdc67066 906315b2"
    )
    assert seal_message(message, keys, iv=bytes(range(0x10, 0x18))) == published
    assert open_message(published, keys) == message


def test_keys_do_not_show_in_repr() -> None:
    shown = repr(CBC)
    assert "sk_" not in shown
    assert CBC.sk_d.hex() not in shown


def test_body_of_unknown_payload_does_not_show_in_repr() -> None:
    assert "body" not in repr(RawPayload(payload_type=PayloadType.AUTH, body=b"signature"))
