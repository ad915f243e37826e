"""The packets that clients send through their tunnels: IPv4, of the protocol number kept for experiments."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

_HEADER = struct.Struct("!BBHHHBBH4s4s")
_NUMBER = struct.Struct("!Q")
_VERSION_AND_HEADER_WORDS = 0x45
_HOPS = 64
_PROTOCOL = 253  # RFC 3692: use for experimentation and testing
_FILLING = bytes(range(48))


def build_inner_packet(*, source: IPv4Address, destination: IPv4Address, number: int) -> bytes:
    """Return an IPv4 packet of 76 bytes that carries `number`."""
    body = _NUMBER.pack(number) + _FILLING

    def header(checksum: int) -> bytes:
        return _HEADER.pack(
            _VERSION_AND_HEADER_WORDS,
            0,
            _HEADER.size + len(body),
            0,
            0,
            _HOPS,
            _PROTOCOL,
            checksum,
            source.packed,
            destination.packed,
        )

    return header(_internet_checksum(header(0))) + body


def number_in(packet: bytes) -> int | None:
    """The number that a packet of `build_inner_packet` carries; None for any other packet."""
    if len(packet) != _HEADER.size + _NUMBER.size + len(_FILLING) or packet[9] != _PROTOCOL:
        return None
    return int.from_bytes(packet[_HEADER.size : _HEADER.size + _NUMBER.size], "big")


def _internet_checksum(header: bytes) -> int:
    """RFC 1071: ones' complement of the ones' complement sum of all 16-bit words."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
