"""UDP headers built and read by hand, for raw sockets (RFC 768)."""

from __future__ import annotations

import struct

from gossipsa.errors import PeerError
from gossipsa.identifiers import Endpoint, IpAddress

IPPROTO_UDP = 17
HEADER_BYTES = 8
_HEADER = struct.Struct("!HHHH")
_DATAGRAM_BYTES_MAX = 0xFFFF


class UdpHeaderError(PeerError):
    """A datagram that is no UDP datagram."""


def build_datagram(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    """Return header and payload, with its checksum.

    Raises:
        ValueError: too long, or addresses of different families.
    """
    length = HEADER_BYTES + len(payload)
    if length > _DATAGRAM_BYTES_MAX or source.address.version != destination.address.version:
        raise ValueError("no UDP datagram can hold this")
    blank = _HEADER.pack(source.port, destination.port, length, 0) + payload
    # RFC 768: a sum of zero is sent as ones, for zero means none; RFC 8200 section 8.1 alike.
    checksum = _checksum(source.address, destination.address, blank) or 0xFFFF
    return _HEADER.pack(source.port, destination.port, length, checksum) + payload


def read_datagram(datagram: bytes) -> tuple[int, int, bytes]:
    """Return source port, destination port and payload. The checksum is not looked at.

    Raises:
        UdpHeaderError: truncated.
    """
    if len(datagram) < HEADER_BYTES:
        raise UdpHeaderError("UDP datagram is shorter than its header")
    source_port, destination_port, length, _ = _HEADER.unpack_from(datagram)
    if not HEADER_BYTES <= length <= len(datagram):
        raise UdpHeaderError("UDP datagram has a wrong length")
    return source_port, destination_port, datagram[HEADER_BYTES:length]


def _checksum(source: IpAddress, destination: IpAddress, datagram: bytes) -> int:
    if source.version == 4:
        pseudo = struct.pack("!4s4sBBH", source.packed, destination.packed, 0, IPPROTO_UDP, len(datagram))
    else:
        pseudo = struct.pack("!16s16sI3xB", source.packed, destination.packed, len(datagram), IPPROTO_UDP)
    covered = pseudo + datagram
    covered += b"\0" * (len(covered) % 2)
    total: int = sum(struct.unpack(f"!{len(covered) // 2}H", covered))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
