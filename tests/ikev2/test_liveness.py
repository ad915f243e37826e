from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ikev2.errors import IkeFieldError
from gossipsa.ikev2.liveness import KEY_EXCHANGE_BYTES, encode_liveness_probe, is_sign_of_life
from gossipsa.ikev2.message import Message, decode_message, encode_message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.registry import ExchangeType, NotifyType
from tests.vectors.strongswan_capture import DIRECTORY

SPI = b"spi of i"

REFUSAL = Message(
    spi_i=SPI,
    spi_r=bytes(8),
    exchange=ExchangeType.IKE_SA_INIT,
    is_initiator=False,
    is_response=True,
    message_id=0,
    payloads=(Notify(type=NotifyType.NO_PROPOSAL_CHOSEN),),
)


def test_probe_offers_only_what_is_refused() -> None:
    probe = encode_liveness_probe(spi_i=SPI, key_exchange=b"\xaa" * KEY_EXCHANGE_BYTES, nonce=b"\xbb" * 16)
    assert (
        probe.hex()
        == (
            SPI.hex() + "0000000000000000"
            "21"
            "20"
            "22"
            "08"
            "00000000"
            "000000c4"
            "2200002c"
            "00000028"
            "01010004"  # SA, proposal 1 for IKE with 4 transforms
            "03000008"
            "01000003"  # 3DES
            "03000008"
            "02000001"  # PRF HMAC-MD5
            "03000008"
            "03000001"  # HMAC-MD5-96
            "00000008"
            "04000001"  # MODP-768
            "28000068"
            "00010000" + "aa" * 96 + "00000014" + "bb" * 16
        )
    )
    assert not is_sign_of_life(probe, spi_i=SPI)


def test_refusal_is_a_sign_of_life() -> None:
    assert is_sign_of_life(encode_message(REFUSAL), spi_i=SPI)


def test_recorded_gateway_refuses_the_probe() -> None:
    probe, answer = map(bytes.fromhex, (DIRECTORY / "liveness.txt").read_text().split())
    key_exchange, nonce = (payload.encode_body() for payload in decode_message(probe).payloads[1:])
    assert encode_liveness_probe(spi_i=probe[:8], key_exchange=key_exchange[4:], nonce=nonce) == probe
    assert decode_message(answer) == msgspec.structs.replace(REFUSAL, spi_i=probe[:8])
    assert is_sign_of_life(answer, spi_i=probe[:8])


@pytest.mark.parametrize("kind", [NotifyType.COOKIE, NotifyType.INVALID_KE_PAYLOAD, 9999])
def test_any_other_answer_is_a_sign_of_life_too(kind: int) -> None:
    answer = msgspec.structs.replace(
        REFUSAL, spi_r=b"spi of r", payloads=(Notify(type=kind, data=b"\0\x0e"),)
    )
    assert is_sign_of_life(encode_message(answer), spi_i=SPI)


@pytest.mark.parametrize(
    "change",
    [
        {"spi_i": b"another!"},
        {"exchange": ExchangeType.INFORMATIONAL},
        {"is_response": False},
        {"is_initiator": True},
        {"message_id": 1},
    ],
)
def test_message_that_does_not_answer_the_probe_is_no_sign_of_life(change: dict[str, object]) -> None:
    values = {name: getattr(REFUSAL, name) for name in Message.__struct_fields__}
    assert not is_sign_of_life(encode_message(Message(**(values | change))), spi_i=SPI)


@given(st.binary(max_size=60))
def test_garbage_is_no_sign_of_life(tail: bytes) -> None:
    assert not is_sign_of_life(tail, spi_i=SPI)
    assert not is_sign_of_life(encode_message(REFUSAL) + b"\0" + tail, spi_i=SPI)


@given(st.binary(min_size=8, max_size=8).filter(any), st.binary(min_size=16, max_size=256))
def test_probe_is_a_well_formed_request(spi_i: bytes, nonce: bytes) -> None:
    probe = decode_message(encode_liveness_probe(spi_i=spi_i, key_exchange=bytes(96), nonce=nonce))
    assert (probe.spi_i, probe.is_response) == (spi_i, False)
    assert probe.payloads[2].encode_body() == nonce


@pytest.mark.parametrize(
    "change",
    [
        {"spi_i": bytes(8)},
        {"spi_i": b"short"},
        {"key_exchange": bytes(95)},
        {"nonce": bytes(15)},
        {"nonce": bytes(257)},
    ],
)
def test_probe_of_wrong_lengths_is_the_callers_error(change: dict[str, bytes]) -> None:
    with pytest.raises(IkeFieldError):
        encode_liveness_probe(**({"spi_i": SPI, "key_exchange": bytes(96), "nonce": bytes(16)} | change))
