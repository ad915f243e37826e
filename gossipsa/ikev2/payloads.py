"""Chains of payloads (RFC 7296 section 3.2): Notify and Delete are understood, others are kept as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError
from gossipsa.ikev2.notify import Notify, decode_notify
from gossipsa.ikev2.registry import PayloadType

PAYLOADS_MAX = 128
"""Longest chain that is decoded; real messages have about a dozen payloads."""

GENERIC_HEADER = struct.Struct("!BBH")
_DELETE_LAYOUT = struct.Struct("!BBH")
_FLAG_CRITICAL = 0x80
_U16_MAX = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """A Delete payload (RFC 7296 section 3.11): the sender's inbound SAs that are gone."""

    protocol: int
    """Kind of the SAs. An IKE_SA is deleted without naming an SPI."""
    spis: tuple[bytes, ...] = ()
    """SPIs of the SAs, all of one length; 4 bytes for ESP."""
    critical: bool = False
    """The receiver must reject the message if it does not know the payload type."""

    @property
    def payload_type(self) -> int:
        """PayloadType.DELETE."""
        return PayloadType.DELETE

    def encode_body(self) -> bytes:
        """Return the payload without its generic header. Raises IkeFieldError if a field does not fit."""
        spi_bytes = len(self.spis[0]) if self.spis else 0
        if any(len(spi) != spi_bytes for spi in self.spis):
            raise IkeFieldError("the SPIs of a Delete payload have one length")
        try:
            return _DELETE_LAYOUT.pack(self.protocol, spi_bytes, len(self.spis)) + b"".join(self.spis)
        except struct.error as error:
            raise IkeFieldError("protocol, SPI length or number of SPIs of a Delete out of range") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPayload:
    """A payload that is passed on as it came: unknown to gossipsa, or none of its business."""

    payload_type: int
    """Payload type, 1 to 255, neither Notify nor Delete."""
    body: bytes = field(repr=False)
    """What follows the generic header."""
    critical: bool = False
    """The receiver must reject the message if it does not know the payload type."""

    def encode_body(self) -> bytes:
        """Return the payload without its generic header."""
        return self.body


Payload = Notify | Delete | RawPayload


def encode_chain(payloads: Sequence[Payload]) -> tuple[int, bytes]:
    """Return the type of the first payload (0 if there is none) and the encoded chain.

    Raises:
        IkeFieldError: a field does not fit, or there are more than `PAYLOADS_MAX` payloads.
    """
    if len(payloads) > PAYLOADS_MAX:
        raise IkeFieldError(f"{len(payloads)} payloads in one message")
    types = [payload.payload_type for payload in payloads] + [int(PayloadType.NONE)]
    if not all(0 < kind <= 0xFF for kind in types[:-1]):
        raise IkeFieldError("payload type out of range")
    parts = []
    for payload, next_type in zip(payloads, types[1:], strict=True):
        body = payload.encode_body()
        if GENERIC_HEADER.size + len(body) > _U16_MAX:
            raise IkeFieldError(f"payload body of {len(body)} bytes")
        flags = _FLAG_CRITICAL if payload.critical else 0
        parts.append(GENERIC_HEADER.pack(next_type, flags, GENERIC_HEADER.size + len(body)) + body)
    return types[0], b"".join(parts)


def decode_chain(first_type: int, chain: bytes) -> tuple[Payload, ...]:
    """Read a chain of payloads that fills `chain` exactly.

    Raises:
        IkeMessageError: truncated, contradictory, followed by other bytes, or longer than `PAYLOADS_MAX`.
    """
    payloads: list[Payload] = []
    kind, offset = first_type, 0
    while kind != PayloadType.NONE:
        if len(payloads) == PAYLOADS_MAX:
            raise IkeMessageError(f"more than {PAYLOADS_MAX} payloads")
        if len(chain) - offset < GENERIC_HEADER.size:
            raise IkeMessageError("payload header is truncated")
        next_type, flags, length_bytes = GENERIC_HEADER.unpack_from(chain, offset)
        if not GENERIC_HEADER.size <= length_bytes <= len(chain) - offset:
            raise IkeMessageError(f"payload of type {kind} has an impossible length")
        body = chain[offset + GENERIC_HEADER.size : offset + length_bytes]
        payloads.append(_decode_payload(kind, body, critical=bool(flags & _FLAG_CRITICAL)))
        kind, offset = next_type, offset + length_bytes
    if offset != len(chain):
        raise IkeMessageError("bytes after the last payload")
    return tuple(payloads)


def _decode_payload(kind: int, body: bytes, *, critical: bool) -> Payload:
    if kind == PayloadType.NOTIFY:
        return decode_notify(body, critical=critical)
    if kind == PayloadType.DELETE:
        return _decode_delete(body, critical=critical)
    return RawPayload(payload_type=kind, body=body, critical=critical)


def _decode_delete(body: bytes, *, critical: bool) -> Delete:
    if len(body) < _DELETE_LAYOUT.size:
        raise IkeMessageError("delete is shorter than its header")
    protocol, spi_bytes, count = _DELETE_LAYOUT.unpack_from(body)
    listed = body[_DELETE_LAYOUT.size :]
    if len(listed) != spi_bytes * count or (count and not spi_bytes):
        raise IkeMessageError("delete does not hold the SPIs that it announces")
    spis = tuple(listed[index * spi_bytes : (index + 1) * spi_bytes] for index in range(count))
    return Delete(protocol=protocol, spis=spis, critical=critical)
