"""Is an IKE daemon alive? An IKE_SA_INIT that can only be refused, and what counts as an answer.

The single proposal (3DES, HMAC-MD5, 768-bit MODP) is one no gateway accepts, so that the daemon answers
NO_PROPOSAL_CHOSEN without computing a Diffie-Hellman value or keeping state.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gossipsa.identifiers import IKE_SPI_BYTES
from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError
from gossipsa.ikev2.message import Message, decode_message, encode_message
from gossipsa.ikev2.payloads import RawPayload
from gossipsa.ikev2.registry import (
    DiffieHellmanGroup,
    EncryptionTransform,
    ExchangeType,
    IntegrityTransform,
    PayloadType,
    PrfTransform,
    ProtocolId,
    TransformType,
)

KEY_EXCHANGE_BYTES = 96
"""Length of a public value of the 768-bit MODP group."""
NONCE_BYTES_MIN = 16
NONCE_BYTES_MAX = 256

_PROPOSAL = struct.Struct("!BxHBBBB")
_TRANSFORM = struct.Struct("!BxHBxH")
_KE = struct.Struct("!H2x")
_MORE_TRANSFORMS = 3

_TRANSFORMS: Sequence[tuple[int, int]] = (
    (TransformType.ENCR, EncryptionTransform.TRIPLE_DES),
    (TransformType.PRF, PrfTransform.HMAC_MD5),
    (TransformType.INTEG, IntegrityTransform.MD5_96),
    (TransformType.KE, DiffieHellmanGroup.MODP_768),
)


def encode_liveness_probe(*, spi_i: bytes, key_exchange: bytes, nonce: bytes) -> bytes:
    """Build the IKE_SA_INIT request, without non-ESP marker.

    Args:
        spi_i: 8 random bytes, not all zero; the answer brings them back.
        key_exchange: 96 random bytes in place of a public value.
        nonce: 16 to 256 random bytes.

    Raises:
        IkeFieldError: a wrong length, or a zero SPI.
    """
    if len(spi_i) != IKE_SPI_BYTES or not any(spi_i):
        raise IkeFieldError("an initiator's SPI has 8 bytes and is not zero")
    if len(key_exchange) != KEY_EXCHANGE_BYTES:
        raise IkeFieldError(f"a public value of the 768-bit group has {KEY_EXCHANGE_BYTES} bytes")
    if not NONCE_BYTES_MIN <= len(nonce) <= NONCE_BYTES_MAX:
        raise IkeFieldError("a nonce has 16 to 256 bytes")
    key_exchange_body = _KE.pack(DiffieHellmanGroup.MODP_768) + key_exchange
    return encode_message(
        Message(
            spi_i=spi_i,
            spi_r=bytes(IKE_SPI_BYTES),
            exchange=ExchangeType.IKE_SA_INIT,
            is_initiator=True,
            is_response=False,
            message_id=0,
            payloads=(
                RawPayload(payload_type=PayloadType.SA, body=_refusable_proposal()),
                RawPayload(payload_type=PayloadType.KE, body=key_exchange_body),
                RawPayload(payload_type=PayloadType.NONCE, body=nonce),
            ),
        )
    )


def is_sign_of_life(datagram: bytes, *, spi_i: bytes) -> bool:
    """True for any well-formed answer to the probe with this SPI: refusal, cookie request, even acceptance.

    Never raises: whatever else arrives is no sign of life.
    """
    try:
        message = decode_message(datagram)
    except IkeMessageError:
        return False
    return (
        message.spi_i == spi_i
        and message.exchange == ExchangeType.IKE_SA_INIT
        and message.is_response
        and not message.is_initiator
        and message.message_id == 0
    )


def _refusable_proposal() -> bytes:
    """Body of an SA payload with one proposal (RFC 7296 section 3.3)."""
    transforms = b"".join(
        _TRANSFORM.pack(
            _MORE_TRANSFORMS if index + 1 < len(_TRANSFORMS) else 0, _TRANSFORM.size, kind, number
        )
        for index, (kind, number) in enumerate(_TRANSFORMS)
    )
    proposal_number, spi_bytes, last_proposal = 1, 0, 0
    return (
        _PROPOSAL.pack(
            last_proposal,
            _PROPOSAL.size + len(transforms),
            proposal_number,
            ProtocolId.IKE,
            spi_bytes,
            len(_TRANSFORMS),
        )
        + transforms
    )
