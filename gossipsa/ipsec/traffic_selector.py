"""Traffic selectors: which packets a CHILD_SA carries (RFC 7296 section 3.13)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

import msgspec

from gossipsa.errors import CallerError, PeerError
from gossipsa.identifiers import IpAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TS_IPV4_ADDR_RANGE = 7
TS_IPV6_ADDR_RANGE = 8

_LIST_HEADER = struct.Struct("!B3x")
_SELECTOR_HEADER = struct.Struct("!BBHHH")
_ADDRESS_BYTES = {TS_IPV4_ADDR_RANGE: 4, TS_IPV6_ADDR_RANGE: 16}
_SELECTORS_MAX = 255


class TrafficSelectorDecodeError(PeerError):
    """A TS payload that is truncated, contradicts itself or has an unknown type of selector."""


class TrafficSelectorError(CallerError, ValueError):
    """A traffic selector, or a list of them, that cannot exist.

    A ValueError too: so the codec of the mesh refuses it as it refuses any other impossible value.
    """


class TrafficSelector(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """A range of addresses and of ports, for one protocol or for all.

    Raises:
        TrafficSelectorError: mixed address families, an empty address range, or a number out of range.
    """

    protocol: int
    """IP protocol number; 0 for any."""
    from_port: int
    """First port, 0 to 65535; for ICMP type and code. 65535 with `to_port` 0 means OPAQUE."""
    to_port: int
    """Last port."""
    start: IpAddress
    """First address."""
    end: IpAddress
    """Last address, of the same family."""

    def __post_init__(self) -> None:
        if not 0 <= self.protocol <= 0xFF:
            raise TrafficSelectorError("protocol number has 8 bits")
        if not (0 <= self.from_port <= 0xFFFF and 0 <= self.to_port <= 0xFFFF):
            raise TrafficSelectorError("port number has 16 bits")
        # RFC 7296 section 3.13.1: ports 65535 to 0 stand for OPAQUE.
        if self.from_port > self.to_port and (self.from_port, self.to_port) != (0xFFFF, 0):
            raise TrafficSelectorError("port range is empty")
        if self.start.version != self.end.version:
            raise TrafficSelectorError("start and end are of different address families")
        if int(self.start) > int(self.end):
            raise TrafficSelectorError("address range is empty")

    def to_networks(self) -> tuple[Network, ...]:
        """The address range as the fewest CIDR networks, ascending."""
        start, end = self.start, self.end
        if isinstance(start, ipaddress.IPv4Address) and isinstance(end, ipaddress.IPv4Address):
            return tuple(ipaddress.summarize_address_range(start, end))
        assert isinstance(start, ipaddress.IPv6Address)
        assert isinstance(end, ipaddress.IPv6Address)
        return tuple(ipaddress.summarize_address_range(start, end))


def encode_traffic_selectors(selectors: Iterable[TrafficSelector]) -> bytes:
    """Return the body of a TSi or TSr payload.

    Raises:
        TrafficSelectorError: none at all, or more than 255.
    """
    encoded = [_encode_selector(selector) for selector in selectors]
    if not 1 <= len(encoded) <= _SELECTORS_MAX:
        raise TrafficSelectorError("a TS payload holds 1 to 255 selectors")
    return _LIST_HEADER.pack(len(encoded)) + b"".join(encoded)


def decode_traffic_selectors(body: bytes) -> tuple[TrafficSelector, ...]:
    """Read the body of a TSi or TSr payload.

    Raises:
        TrafficSelectorDecodeError: truncated, trailing bytes, unknown type, empty range or no selector.
    """
    if len(body) < _LIST_HEADER.size:
        raise TrafficSelectorDecodeError("TS payload is shorter than its header")
    (count,) = _LIST_HEADER.unpack_from(body)
    if count == 0:
        raise TrafficSelectorDecodeError("TS payload holds no selector")
    offset = _LIST_HEADER.size
    selectors = []
    for _ in range(count):
        selector, offset = _decode_selector(body, offset)
        selectors.append(selector)
    if offset != len(body):
        raise TrafficSelectorDecodeError("bytes after the last traffic selector")
    return tuple(selectors)


def _encode_selector(selector: TrafficSelector) -> bytes:
    kind = TS_IPV4_ADDR_RANGE if selector.start.version == 4 else TS_IPV6_ADDR_RANGE
    size = _SELECTOR_HEADER.size + 2 * _ADDRESS_BYTES[kind]
    header = _SELECTOR_HEADER.pack(kind, selector.protocol, size, selector.from_port, selector.to_port)
    return header + selector.start.packed + selector.end.packed


def _decode_selector(body: bytes, offset: int) -> tuple[TrafficSelector, int]:
    if len(body) - offset < _SELECTOR_HEADER.size:
        raise TrafficSelectorDecodeError("traffic selector is truncated")
    kind, protocol, size, from_port, to_port = _SELECTOR_HEADER.unpack_from(body, offset)
    address_bytes = _ADDRESS_BYTES.get(kind)
    if address_bytes is None:
        raise TrafficSelectorDecodeError(f"traffic selector of unknown type {kind}")
    if size != _SELECTOR_HEADER.size + 2 * address_bytes or size > len(body) - offset:
        raise TrafficSelectorDecodeError("traffic selector has the wrong length")
    middle = offset + _SELECTOR_HEADER.size + address_bytes
    try:
        selector = TrafficSelector(
            protocol=protocol,
            from_port=from_port,
            to_port=to_port,
            start=ipaddress.ip_address(body[middle - address_bytes : middle]),
            end=ipaddress.ip_address(body[middle : middle + address_bytes]),
        )
    except TrafficSelectorError as error:
        raise TrafficSelectorDecodeError(str(error)) from error
    return selector, offset + size
