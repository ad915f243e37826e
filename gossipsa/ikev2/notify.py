"""Notify payloads (RFC 7296 section 3.10), and those that move a client to another gateway (RFC 4555)."""

from __future__ import annotations

import ipaddress
import struct

import msgspec

from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError
from gossipsa.ikev2.registry import NotifyType, PayloadType, ProtocolId

_LAYOUT = struct.Struct("!BBH")

COOKIE2_BYTES_MIN = 8
COOKIE2_BYTES_MAX = 64


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """A Notify payload."""

    type: int
    """Notify message type: an error below 16384, a status from there."""
    data: bytes = b""
    """Whatever the type says."""
    protocol: int = ProtocolId.NONE
    """Kind of the SA spoken of, 0 if there is none or it is the IKE_SA."""
    spi: bytes = b""
    """SPI of that SA, empty if there is none or it is the IKE_SA; 4 bytes for ESP."""
    critical: bool = False
    """The receiver must reject the message if it does not know the payload type."""

    @property
    def payload_type(self) -> int:
        """PayloadType.NOTIFY."""
        return PayloadType.NOTIFY

    @property
    def is_error(self) -> bool:
        """True for a type that reports an error (RFC 7296 section 3.10.1)."""
        return self.type < NotifyType.INITIAL_CONTACT

    def encode_body(self) -> bytes:
        """Return the payload without its generic header. Raises IkeFieldError if a field does not fit."""
        try:
            return _LAYOUT.pack(self.protocol, len(self.spi), self.type) + self.spi + self.data
        except struct.error as error:
            raise IkeFieldError("protocol, SPI length or type of a notify out of range") from error


def decode_notify(body: bytes, *, critical: bool) -> Notify:
    """Read the body of a Notify payload.

    Raises:
        IkeMessageError: truncated.
    """
    if len(body) < _LAYOUT.size:
        raise IkeMessageError("notify is shorter than its header")
    protocol, spi_bytes, type_ = _LAYOUT.unpack_from(body)
    data_offset = _LAYOUT.size + spi_bytes
    if len(body) < data_offset:
        raise IkeMessageError("notify is shorter than its SPI")
    return Notify(
        type=type_,
        data=body[data_offset:],
        protocol=protocol,
        spi=body[_LAYOUT.size : data_offset],
        critical=critical,
    )


def additional_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Notify:
    """One more address of the sender: ADDITIONAL_IP4_ADDRESS or ADDITIONAL_IP6_ADDRESS.

    The list in one message replaces what was announced before (RFC 4555 section 3.6).
    """
    kind = NotifyType.ADDITIONAL_IP4_ADDRESS if address.version == 4 else NotifyType.ADDITIONAL_IP6_ADDRESS
    return Notify(type=kind, data=address.packed)


def no_additional_addresses() -> Notify:
    """NO_ADDITIONAL_ADDRESSES: the sender has only the address this comes from (RFC 4555 section 3.6)."""
    return Notify(type=NotifyType.NO_ADDITIONAL_ADDRESSES)


def update_sa_addresses() -> Notify:
    """UPDATE_SA_ADDRESSES: use the addresses of this message from now on (RFC 4555 section 3.5)."""
    return Notify(type=NotifyType.UPDATE_SA_ADDRESSES)


def cookie2(cookie: bytes) -> Notify:
    """COOKIE2: the answer must bring the same bytes back, which proves that the peer receives here.

    Source: RFC 4555 section 3.7.

    Args:
        cookie: 8 to 64 unpredictable bytes.

    Raises:
        IkeFieldError: wrong length.
    """
    if not COOKIE2_BYTES_MIN <= len(cookie) <= COOKIE2_BYTES_MAX:
        raise IkeFieldError("a COOKIE2 has 8 to 64 bytes")
    return Notify(type=NotifyType.COOKIE2, data=cookie)
