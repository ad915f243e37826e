"""Whole IKE messages: plain ones, and those protected by an SK payload (RFC 7296 section 3.14, RFC 5282).

A protected message, with the associated data of an AEAD cipher marked A and what an HMAC covers marked H:

    | IKE header | SK generic header | IV | payloads | padding | pad length | ICV |
    |AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|                                            |
    |HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH|     |
"""

from __future__ import annotations

import msgspec

from gossipsa.ikev2.errors import IkeAuthenticationError, IkeFieldError, IkeFragmentError, IkeMessageError
from gossipsa.ikev2.header import HEADER_BYTES, Header, decode_header, encode_header
from gossipsa.ikev2.keymat import IkeKeys
from gossipsa.ikev2.payloads import GENERIC_HEADER, Payload, decode_chain, encode_chain
from gossipsa.ikev2.registry import PayloadType

_PADDING_BYTES_MAX = 255


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An IKE message, before it is protected or after protection was removed."""

    spi_i: bytes
    """SPI of the original initiator of the IKE_SA, 8 bytes."""
    spi_r: bytes
    """SPI of the original responder, 8 bytes."""
    exchange: int
    """Exchange type."""
    is_initiator: bool
    """True if the sender is the original initiator of the IKE_SA, whoever starts this exchange."""
    is_response: bool
    """True if the message answers the request with the same message ID."""
    message_id: int
    """Message ID, 32 bits."""
    payloads: tuple[Payload, ...] = ()
    """In their order; without the SK payload that enclosed them."""


def peek_header(datagram: bytes) -> Header:
    """Read the header of a whole message; nothing in it is authenticated yet.

    Raises:
        IkeMessageError: too short, not IKE version 2, or not as long as its header says.
    """
    return decode_header(datagram)


def encode_message(message: Message) -> bytes:
    """Encode a message without protection, as in IKE_SA_INIT.

    Raises:
        IkeFieldError: a field does not fit.
    """
    first_type, chain = encode_chain(message.payloads)
    return encode_header(_header(message, first_type, HEADER_BYTES + len(chain))) + chain


def decode_message(datagram: bytes) -> Message:
    """Decode a message without protection.

    Raises:
        IkeMessageError: malformed, or protected.
    """
    header = decode_header(datagram)
    # The next payload of an SK payload is its first inner one: no chain to follow out here.
    if header.next_payload in (PayloadType.SK, PayloadType.SKF):
        raise IkeMessageError("message is protected")
    return _message(header, decode_chain(header.next_payload, datagram[HEADER_BYTES:]))


def seal_message(message: Message, keys: IkeKeys, *, iv: bytes, padding: bytes | None = None) -> bytes:
    """Protect a message: with SK_ei and SK_ai if the original initiator sends it, else with SK_er and SK_ar.

    Args:
        message: what to send.
        keys: of the IKE_SA.
        iv: `keys.suite.iv_bytes` long. With a counter mode never used before under the same key; with CBC
            unpredictable.
        padding: contents of the padding, without the pad length; None for the shortest, of zeros.

    Raises:
        IkeFieldError: a field does not fit, or the padding has a wrong length.
        CipherInputError: the IV has the wrong length.
    """
    suite = keys.suite
    first_type, chain = encode_chain(message.payloads)
    if padding is None:
        padding = bytes(-(len(chain) + 1) % suite.block_bytes)
    if len(padding) > _PADDING_BYTES_MAX or (len(chain) + len(padding) + 1) % suite.block_bytes:
        raise IkeFieldError(f"padding of {len(padding)} bytes does not fit")
    plaintext = chain + padding + bytes((len(padding),))
    sk_bytes = GENERIC_HEADER.size + len(plaintext) + suite.overhead_bytes
    header = encode_header(_header(message, PayloadType.SK, HEADER_BYTES + sk_bytes))
    header += GENERIC_HEADER.pack(first_type, 0, sk_bytes)
    encryption_key, integrity_key = keys.sender_keys(is_initiator=message.is_initiator)
    return header + suite.seal(
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        iv=iv,
        plaintext=plaintext,
        header=header,
    )


def open_message(datagram: bytes, keys: IkeKeys) -> Message:
    """Authenticate and decrypt a protected message.

    Args:
        datagram: the whole message, without the non-ESP marker.
        keys: of the IKE_SA that its SPIs name.

    Raises:
        IkeAuthenticationError: not protected with these keys, or damaged.
        IkeFragmentError: a fragment (SKF payload, RFC 7383).
        IkeMessageError: anything else that is wrong with it; base of the two above.
    """
    header = decode_header(datagram)
    if header.next_payload == PayloadType.SKF:
        raise IkeFragmentError("IKE message is a fragment")
    if header.next_payload != PayloadType.SK:
        # RFC 7296 section 3.14 lets other payloads stand before SK; no exchange after IKE_SA_INIT does so.
        raise IkeMessageError(f"first payload has type {header.next_payload} and not SK")
    plaintext_offset = HEADER_BYTES + GENERIC_HEADER.size
    if len(datagram) < plaintext_offset:
        raise IkeMessageError("SK payload header is truncated")
    first_type, _, sk_bytes = GENERIC_HEADER.unpack_from(datagram, HEADER_BYTES)
    if sk_bytes != len(datagram) - HEADER_BYTES:
        raise IkeMessageError("SK payload does not end with the message")
    encryption_key, integrity_key = keys.sender_keys(is_initiator=header.is_initiator)
    plaintext = keys.suite.open(
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        sealed=datagram[plaintext_offset:],
        header=datagram[:plaintext_offset],
    )
    if plaintext is None:
        raise IkeAuthenticationError("IKE message does not authenticate")
    if not plaintext or len(plaintext) < plaintext[-1] + 1:
        raise IkeMessageError("IKE padding is longer than the message")
    return _message(header, decode_chain(first_type, plaintext[: len(plaintext) - 1 - plaintext[-1]]))


def _header(message: Message, next_payload: int, length_bytes: int) -> Header:
    return Header(
        spi_i=message.spi_i,
        spi_r=message.spi_r,
        next_payload=next_payload,
        exchange=message.exchange,
        is_initiator=message.is_initiator,
        is_response=message.is_response,
        message_id=message.message_id,
        length_bytes=length_bytes,
    )


def _message(header: Header, payloads: tuple[Payload, ...]) -> Message:
    return Message(
        spi_i=header.spi_i,
        spi_r=header.spi_r,
        exchange=header.exchange,
        is_initiator=header.is_initiator,
        is_response=header.is_response,
        message_id=header.message_id,
        payloads=payloads,
    )
