"""The IKE header (RFC 7296 section 3.1): 28 bytes that every message starts with, never encrypted."""

from __future__ import annotations

import struct

import msgspec

from gossipsa.identifiers import IKE_SPI_BYTES
from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError

HEADER_BYTES = 28
MESSAGE_BYTES_MAX = 65507
"""Largest IKE message: the payload of the largest IPv4 UDP datagram."""

NON_ESP_MARKER = b"\0\0\0\0"
"""Stands before every IKE message on UDP port 4500, and is no part of it (RFC 3948 section 2.2)."""

_LAYOUT = struct.Struct("!8s8sBBBBII")
_VERSION_2_0 = 0x20
_FLAG_INITIATOR = 0x08
_FLAG_RESPONSE = 0x20


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in an IKE header but version, which is 2, and the flags that RFC 7296 says to ignore."""

    spi_i: bytes
    """SPI of the original initiator of the IKE_SA, 8 bytes."""
    spi_r: bytes
    """SPI of the original responder, 8 bytes; zero in an IKE_SA_INIT request."""
    next_payload: int
    """Type of the first payload."""
    exchange: int
    """Exchange type."""
    is_initiator: bool
    """True if the sender is the original initiator of the IKE_SA, whoever starts this exchange."""
    is_response: bool
    """True if the message answers the request with the same message ID."""
    message_id: int
    """Message ID, 32 bits."""
    length_bytes: int
    """Length of the whole message, header included."""


def encode_header(header: Header) -> bytes:
    """Return the 28 bytes.

    Raises:
        IkeFieldError: a field does not fit.
    """
    if len(header.spi_i) != IKE_SPI_BYTES or len(header.spi_r) != IKE_SPI_BYTES:
        raise IkeFieldError("an IKE SPI has 8 bytes")
    if not HEADER_BYTES <= header.length_bytes <= MESSAGE_BYTES_MAX:
        raise IkeFieldError(f"IKE message of {header.length_bytes} bytes")
    flags = _FLAG_INITIATOR * header.is_initiator | _FLAG_RESPONSE * header.is_response
    try:
        return _LAYOUT.pack(
            header.spi_i,
            header.spi_r,
            header.next_payload,
            _VERSION_2_0,
            header.exchange,
            flags,
            header.message_id,
            header.length_bytes,
        )
    except struct.error as error:
        raise IkeFieldError("next payload, exchange type or message ID out of range") from error


def decode_header(datagram: bytes) -> Header:
    """Read the header of a whole message, without the non-ESP marker.

    Raises:
        IkeMessageError: too short, not IKE version 2, or not as long as its header says.
    """
    if len(datagram) < HEADER_BYTES:
        raise IkeMessageError("datagram is shorter than an IKE header")
    spi_i, spi_r, next_payload, version, exchange, flags, message_id, length_bytes = _LAYOUT.unpack_from(
        datagram
    )
    if version >> 4 != 2:
        # RFC 7296 section 2.5: the minor version is ignored.
        raise IkeMessageError(f"IKE major version {version >> 4}")
    if length_bytes != len(datagram):
        raise IkeMessageError(f"IKE message of {len(datagram)} bytes says that it has {length_bytes}")
    return Header(
        spi_i=spi_i,
        spi_r=spi_r,
        next_payload=next_payload,
        exchange=exchange,
        is_initiator=bool(flags & _FLAG_INITIATOR),
        is_response=bool(flags & _FLAG_RESPONSE),
        message_id=message_id,
        length_bytes=length_bytes,
    )
