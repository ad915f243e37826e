"""Datagrams of charon's HA plugin: ``version(1) type(1) { attribute(1) value }*``, numbers big-endian.

Source: strongSwan, src/libcharon/plugins/ha/ha_message.c. SPIs and CPIs are the exception: charon takes
what it holds in network order for a host integer, so that they are swapped on a little-endian CPU.
"""

from __future__ import annotations

import builtins
import struct
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal, TypeVar

from gossipsa.errors import CallerError, PeerError
from gossipsa.identifiers import IKE_SPI_BYTES, Endpoint, Secret
from gossipsa.ipsec.security_association import Identity, IkeSpis
from gossipsa.ipsec.traffic_selector import (
    TS_IPV4_ADDR_RANGE,
    TS_IPV6_ADDR_RANGE,
    TrafficSelector,
    TrafficSelectorError,
)
from gossipsa.strongswan.ha_attributes import ATTRIBUTES, ENCODINGS, NUMBERS, Attribute, Encoding, MessageType

ByteOrder = Literal["little", "big"]

# Both are of Linux, where charon runs; AF_INET6 differs between systems, and nothing here touches a socket.
_AF_INET: Final = 2
_AF_INET6: Final = 10
_ADDRESS_BYTES_OF_FAMILY: Final = {_AF_INET: 4, _AF_INET6: 16}
_ADDRESS_BYTES_OF_SELECTOR: Final = {TS_IPV4_ADDR_RANGE: 4, TS_IPV6_ADDR_RANGE: 16}

_IKE_ID: Final = struct.Struct(f"!B{IKE_SPI_BYTES}s{IKE_SPI_BYTES}sB")
_HOST: Final = struct.Struct("!HB")
_SELECTOR: Final = struct.Struct("!BBHHB")
_NUMBER_BYTES: Final = {Encoding.U8: 1, Encoding.U16: 2, Encoding.U32: 4, Encoding.SPI: 4, Encoding.CPI: 2}
_CPU_ORDERED: Final = (Encoding.SPI, Encoding.CPI)

ATTRIBUTES_MAX: Final = 1024
"""Of one message. Charon's largest have a few dozen."""


class HaDecodeError(PeerError):
    """A datagram that is no HA message of a version spoken here. Its text never quotes the datagram."""


class HaEncodeError(CallerError):
    """A message that cannot be put into the wire version asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeId:
    """Names an IKE_SA."""

    version: int
    """Major version of IKE, 1 or 2."""
    spis: IkeSpis
    we_initiated: bool
    """True if the sender is the original initiator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HaTrafficSelector:
    """A traffic selector, and charon's mark on those that follow the client's address."""

    selector: TrafficSelector
    dynamic: bool = False


HaValue = int | str | Secret | IkeId | Identity | Endpoint | HaTrafficSelector

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HaMessage:
    """One message: its type and its attributes in their order. Secrets do not show in its repr."""

    type: MessageType
    attributes: tuple[tuple[Attribute, HaValue], ...]

    def values(self, attribute: Attribute, kind: builtins.type[_T]) -> tuple[_T, ...]:
        """Return every value of an attribute, in order."""
        return tuple(
            value for name, value in self.attributes if name is attribute and isinstance(value, kind)
        )

    def value(self, attribute: Attribute, kind: builtins.type[_T]) -> _T | None:
        """Return the last value of an attribute, as charon's own reader does, or None."""
        values = self.values(attribute, kind)
        return values[-1] if values else None

    def number(self, attribute: Attribute) -> int | None:
        """Return the last value of a numeric attribute, or None."""
        return self.value(attribute, int)


def decode(data: bytes, *, byteorder: ByteOrder = sys.byteorder) -> HaMessage:
    """Read one datagram; its first byte says which wire version it is in.

    Args:
        data: the payload of the UDP datagram.
        byteorder: of the CPU that charon runs on.

    Raises:
        HaDecodeError: a version that is not spoken here, an unknown type or attribute, truncation, or a value
            that cannot be.
    """
    if len(data) < 2:
        raise HaDecodeError("HA message is shorter than its header")
    version, number = data[0], data[1]
    attributes = ATTRIBUTES.get(version)
    if attributes is None:
        spoken = ", ".join(map(str, ATTRIBUTES))
        raise HaDecodeError(f"HA message has version {version}; versions {spoken} are spoken")
    try:
        message_type = MessageType(number)
    except ValueError:
        raise HaDecodeError(f"HA message has unknown type {number}") from None
    reader = _Reader(data, offset=2, byteorder=byteorder)
    read: list[tuple[Attribute, HaValue]] = []
    while not reader.at_end:
        if len(read) == ATTRIBUTES_MAX:
            raise HaDecodeError(f"HA message has more than {ATTRIBUTES_MAX} attributes")
        number = reader.number(1)
        attribute = attributes.get(number)
        if attribute is None:
            raise HaDecodeError(f"unknown HA attribute {number} in version {version}")
        read.append((attribute, reader.value(ENCODINGS[attribute])))
    return HaMessage(message_type, tuple(read))


def encode(message: HaMessage, *, version: int, byteorder: ByteOrder = sys.byteorder) -> bytes:
    """Return the datagram of a message.

    Args:
        version: wire version that charon speaks.
        byteorder: of the CPU that charon runs on.

    Raises:
        HaEncodeError: a version that is not spoken, an attribute that it does not have, or a value that does
            not fit its attribute.
    """
    numbers = NUMBERS.get(version)
    if numbers is None:
        raise HaEncodeError(f"HA version {version} is not spoken")
    if len(message.attributes) > ATTRIBUTES_MAX:
        raise HaEncodeError(f"HA message has more than {ATTRIBUTES_MAX} attributes")
    out = bytearray((version, message.type))
    for attribute, value in message.attributes:
        number = numbers.get(attribute)
        if number is None:
            raise HaEncodeError(f"HA version {version} has no attribute {attribute.name}")
        out.append(number)
        try:
            out += _encode_value(ENCODINGS[attribute], value, byteorder)
        except (OverflowError, struct.error, UnicodeEncodeError):
            raise HaEncodeError(f"value of {attribute.name} does not fit") from None
    return bytes(out)


class _Reader:
    """Walks over a datagram; every step raises HaDecodeError where the bytes end."""

    def __init__(self, data: bytes, *, offset: int, byteorder: ByteOrder) -> None:
        self._data = data
        self._offset = offset
        self._byteorder = byteorder

    @property
    def at_end(self) -> bool:
        return self._offset == len(self._data)

    def number(self, size: int, byteorder: ByteOrder = "big") -> int:
        return int.from_bytes(self._take(size), byteorder)

    def value(self, encoding: Encoding) -> HaValue:
        size = _NUMBER_BYTES.get(encoding)
        if size is not None:
            return self.number(size, self._byteorder if encoding in _CPU_ORDERED else "big")
        match encoding:
            case Encoding.IKE_ID:
                version, spi_i, spi_r, initiator = _IKE_ID.unpack(self._take(_IKE_ID.size))
                spis = IkeSpis(initiator=spi_i, responder=spi_r)
                return IkeId(version=version, spis=spis, we_initiated=self._flag(initiator))
            case Encoding.IDENTITY:
                kind, size = self.number(1), self.number(1)
                return Identity(type=kind, data=self._take(size))
            case Encoding.HOST:
                return self._host()
            case Encoding.STRING:
                return self._string()
            case Encoding.CHUNK:
                return Secret(self._take(self.number(2)))
            case Encoding.TRAFFIC_SELECTOR:
                return self._traffic_selector()
            case _:
                raise AssertionError(encoding)

    def _take(self, size: int) -> bytes:
        taken = self._data[self._offset : self._offset + size]
        if len(taken) != size:
            raise HaDecodeError("HA message is truncated")
        self._offset += size
        return taken

    def _flag(self, value: int) -> bool:
        if value not in (0, 1):
            raise HaDecodeError("a flag in an HA message is neither 0 nor 1")
        return value == 1

    def _host(self) -> Endpoint:
        port, family = _HOST.unpack(self._take(_HOST.size))
        size = _ADDRESS_BYTES_OF_FAMILY.get(family)
        if size is None:
            raise HaDecodeError(f"unknown address family {family}")
        return Endpoint(address=ip_address(self._take(size)), port=port)

    def _string(self) -> str:
        end = self._data.find(b"\0", self._offset)
        if end < 0:
            raise HaDecodeError("string in an HA message has no end")
        text = self._take(end - self._offset)
        self._offset += 1
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise HaDecodeError("string in an HA message is not UTF-8") from None

    def _traffic_selector(self) -> HaTrafficSelector:
        kind, protocol, from_port, to_port, dynamic = _SELECTOR.unpack(self._take(_SELECTOR.size))
        size = _ADDRESS_BYTES_OF_SELECTOR.get(kind)
        if size is None:
            raise HaDecodeError(f"traffic selector of unknown type {kind}")
        start, end = ip_address(self._take(size)), ip_address(self._take(size))
        try:
            selector = TrafficSelector(
                protocol=protocol, from_port=from_port, to_port=to_port, start=start, end=end
            )
        except TrafficSelectorError as error:
            raise HaDecodeError(str(error)) from None
        return HaTrafficSelector(selector=selector, dynamic=self._flag(dynamic))


def _encode_value(encoding: Encoding, value: HaValue, byteorder: ByteOrder) -> bytes:
    size = _NUMBER_BYTES.get(encoding)
    if size is not None and isinstance(value, int):
        return value.to_bytes(size, byteorder if encoding in _CPU_ORDERED else "big")
    match encoding, value:
        case Encoding.IKE_ID, IkeId(version=version, spis=spis, we_initiated=we_initiated):
            if len(spis.initiator) != IKE_SPI_BYTES or len(spis.responder) != IKE_SPI_BYTES:
                raise HaEncodeError("an IKE SPI has 8 bytes")
            return _IKE_ID.pack(version, spis.initiator, spis.responder, we_initiated)
        case Encoding.IDENTITY, Identity(type=kind, data=data):
            return struct.pack("!BB", kind, len(data)) + data
        case Encoding.HOST, Endpoint(address=address, port=port):
            family = _AF_INET if address.version == 4 else _AF_INET6
            return _HOST.pack(port, family) + address.packed
        case Encoding.STRING, str():
            if "\0" in value:
                raise HaEncodeError("a string in an HA message has no NUL in it")
            return value.encode() + b"\0"
        case Encoding.CHUNK, bytes():
            return struct.pack("!H", len(value)) + value
        case Encoding.TRAFFIC_SELECTOR, HaTrafficSelector(selector=selector, dynamic=dynamic):
            kind = TS_IPV4_ADDR_RANGE if selector.start.version == 4 else TS_IPV6_ADDR_RANGE
            return (
                _SELECTOR.pack(kind, selector.protocol, selector.from_port, selector.to_port, dynamic)
                + selector.start.packed
                + selector.end.packed
            )
        case _:
            raise HaEncodeError(
                f"a value of type {type(value).__name__} cannot be encoded as {encoding.name}"
            )
