"""Segments of charon's HA plugin: which one an IKE_SA is in follows from the client's address alone.

Source: strongSwan, src/libcharon/plugins/ha/ha_kernel.c; the hash is the kernel's jhash of two words, as
Linux 4.1 and later have it (include/linux/jhash.h).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final

from gossipsa.identifiers import IpAddress

SEGMENTS_MAX: Final = 16
"""Charon caps charon.plugins.ha.segment_count here."""

_MASK: Final = 0xFFFFFFFF
_JHASH_INIT: Final = 0xDEADBEEF
_ONE_WORD: Final = 1 << 2
# TEST-NET-1 (RFC 5737): no client ever has these.
_BORROWED_FROM: Final = IPv4Address("192.0.2.0")


@lru_cache(maxsize=65_536)
def segment_of(address: IpAddress, *, segment_count: int) -> int:
    """Return the segment, from 1 on, of the IKE_SA of a client at an address."""
    # Charon hashes every IPv6 address as 0.
    word = int(address) if address.version == 4 else 0
    return (_jhash(word) * segment_count >> 32) + 1


@lru_cache(maxsize=SEGMENTS_MAX * SEGMENTS_MAX)
def borrowed_address(segment: int, *, segment_count: int) -> IPv4Address:
    """Return an address that is in a segment and belongs to nobody."""
    for offset in range(256):
        address = _BORROWED_FROM + offset
        if segment_of(address, segment_count=segment_count) == segment:
            return address
    raise AssertionError(f"no address in segment {segment} of {segment_count}")


def _jhash(a: int) -> int:
    b = 0
    c = _ONE_WORD + _JHASH_INIT
    a = a + _ONE_WORD + _JHASH_INIT & _MASK
    b = b + _ONE_WORD + _JHASH_INIT & _MASK
    c = (c ^ b) - _rotated(b, 14) & _MASK
    a = (a ^ c) - _rotated(c, 11) & _MASK
    b = (b ^ a) - _rotated(a, 25) & _MASK
    c = (c ^ b) - _rotated(b, 16) & _MASK
    a = (a ^ c) - _rotated(c, 4) & _MASK
    b = (b ^ a) - _rotated(a, 14) & _MASK
    return (c ^ b) - _rotated(b, 24) & _MASK


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK
