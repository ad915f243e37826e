"""Hypothesis strategies for IKE messages, and keys of every cipher suite that gossipsa computes with."""

from __future__ import annotations

from hypothesis import strategies as st

from gossipsa.ikev2.keymat import IkeKeys, derive_ike_keys
from gossipsa.ikev2.message import Message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.payloads import Delete, Payload, RawPayload
from gossipsa.ikev2.registry import EncryptionTransform, IntegrityTransform, PayloadType, PrfTransform

CIPHER_SUITES: tuple[tuple[int, int | None, int | None], ...] = (
    *(
        (EncryptionTransform.AES_CBC, bits, integrity)
        for bits in (128, 192, 256)
        for integrity in (
            IntegrityTransform.SHA1_96,
            IntegrityTransform.SHA2_256_128,
            IntegrityTransform.SHA2_384_192,
            IntegrityTransform.SHA2_512_256,
        )
    ),
    (EncryptionTransform.AES_CTR, 128, IntegrityTransform.SHA2_256_128),
    *(
        (encryption, bits, None)
        for bits in (128, 192, 256)
        for encryption in (
            EncryptionTransform.AES_GCM_8,
            EncryptionTransform.AES_GCM_12,
            EncryptionTransform.AES_GCM_16,
            EncryptionTransform.AES_CCM_8,
            EncryptionTransform.AES_CCM_12,
            EncryptionTransform.AES_CCM_16,
        )
    ),
    (EncryptionTransform.CHACHA20_POLY1305, None, None),
)
"""Encryption, key bits and integrity."""


def sample_keys(suite: tuple[int, int | None, int | None]) -> IkeKeys:
    """Keys of an IKE_SA with this cipher suite; always the same."""
    encryption, key_bits, integrity = suite
    return derive_ike_keys(
        prf=PrfTransform.HMAC_SHA2_256,
        encryption=encryption,
        encryption_key_bits=key_bits,
        integrity=integrity,
        nonce_i=bytes(range(32)),
        nonce_r=bytes(range(32, 64)),
        shared_secret=bytes(range(64, 96)),
        spi_i=bytes(range(1, 9)),
        spi_r=bytes(range(9, 17)),
    )


@st.composite
def deletes(draw: st.DrawFn) -> Delete:
    spi_bytes = draw(st.integers(1, 8))
    spis = draw(st.lists(st.binary(min_size=spi_bytes, max_size=spi_bytes), max_size=4))
    return Delete(protocol=draw(st.integers(0, 255)), spis=tuple(spis), critical=draw(st.booleans()))


notifies = st.builds(
    Notify,
    type=st.integers(0, 0xFFFF),
    data=st.binary(max_size=40),
    protocol=st.integers(0, 255),
    spi=st.binary(max_size=255),
    critical=st.booleans(),
)

raw_payloads = st.builds(
    RawPayload,
    payload_type=st.integers(1, 255).filter(
        lambda kind: kind not in (PayloadType.NOTIFY, PayloadType.DELETE, PayloadType.SK, PayloadType.SKF)
    ),
    body=st.binary(max_size=60),
    critical=st.booleans(),
)

payloads: st.SearchStrategy[Payload] = st.one_of(notifies, deletes(), raw_payloads)

messages = st.builds(
    Message,
    spi_i=st.binary(min_size=8, max_size=8),
    spi_r=st.binary(min_size=8, max_size=8),
    exchange=st.integers(0, 255),
    is_initiator=st.booleans(),
    is_response=st.booleans(),
    message_id=st.integers(0, 2**32 - 1),
    payloads=st.lists(payloads, max_size=6).map(tuple),
)
