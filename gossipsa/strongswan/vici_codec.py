"""VICI: the packets and messages of charon's control socket. No IO.

Source: strongSwan, src/libcharon/plugins/vici/README.md. A packet is ``u32 length, u8 type, [u8 length,
name], message``; a message is a tree of sections, key-value pairs and lists. Values are text here: charon
sends nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, Union

from gossipsa.errors import CallerError, PeerError

ViciMessage = dict[str, Union[str, list[str], "ViciMessage"]]
ViciArguments = Mapping[str, Union[str, Sequence[str], "ViciArguments"]]

PACKET_BYTES_MAX: Final = 512 * 1024
"""Length of a packet without its length field: charon sends and takes no more."""
DEPTH_MAX: Final = 16
"""Of nested sections. Charon's deepest message has five."""

LENGTH_FIELD: Final = struct.Struct("!I")
_VALUE_LENGTH: Final = struct.Struct("!H")


class ViciDecodeError(PeerError):
    """Bytes that are no VICI packet."""


class ViciEncodeError(CallerError):
    """Names or values that do not fit into a VICI packet."""


@unique
class PacketType(IntEnum):
    CMD_REQUEST = 0
    CMD_RESPONSE = 1
    CMD_UNKNOWN = 2
    EVENT_REGISTER = 3
    EVENT_UNREGISTER = 4
    EVENT_CONFIRM = 5
    EVENT_UNKNOWN = 6
    EVENT = 7


_NAMED: Final = (
    PacketType.CMD_REQUEST,
    PacketType.EVENT_REGISTER,
    PacketType.EVENT_UNREGISTER,
    PacketType.EVENT,
)


@unique
class _Element(IntEnum):
    SECTION_START = 1
    SECTION_END = 2
    KEY_VALUE = 3
    LIST_START = 4
    LIST_ITEM = 5
    LIST_END = 6


_WITH_NAME: Final = (_Element.SECTION_START, _Element.KEY_VALUE, _Element.LIST_START)
_WITH_VALUE: Final = (_Element.KEY_VALUE, _Element.LIST_ITEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViciPacket:
    """One packet. Its message stays encoded: of thousands of events few are looked into."""

    type: PacketType
    name: str = ""
    """Of the command or the event; empty for types that have none."""
    body: bytes = b""
    """The encoded message."""

    def message(self) -> ViciMessage:
        """Decode the message. Raises ViciDecodeError."""
        return decode_message(self.body)


def encode_packet(packet: ViciPacket) -> bytes:
    """Return a packet with its length field.

    Raises:
        ViciEncodeError: the name or the packet is too long.
    """
    data = bytes((packet.type,))
    if packet.type in _NAMED:
        data += _encode_name(packet.name)
    data += packet.body
    if len(data) > PACKET_BYTES_MAX:
        raise ViciEncodeError("VICI packet is too long")
    return LENGTH_FIELD.pack(len(data)) + data


def decode_packet(data: bytes) -> ViciPacket:
    """Read a packet without its length field.

    Raises:
        ViciDecodeError: an unknown type, or truncation.
    """
    if not data:
        raise ViciDecodeError("VICI packet is empty")
    try:
        kind = PacketType(data[0])
    except ValueError:
        raise ViciDecodeError(f"VICI packet of unknown type {data[0]}") from None
    if kind not in _NAMED:
        return ViciPacket(type=kind, body=data[1:])
    name, offset = _decode_name(data, 1)
    return ViciPacket(type=kind, name=name, body=data[offset:])


def encode_message(message: ViciArguments) -> bytes:
    """Return an encoded message.

    Raises:
        ViciEncodeError: a name or value is too long, or sections are nested too deeply.
    """
    return bytes(_encode_section(message, depth=0))


def decode_message(data: bytes) -> ViciMessage:
    """Read a message. Text that is not UTF-8 keeps its bytes as surrogates.

    Raises:
        ViciDecodeError: truncation, unbalanced sections or lists, a repeated name, or too much nesting.
    """
    root: ViciMessage = {}
    sections = [root]
    items: list[str] | None = None
    offset = 0
    while offset < len(data):
        try:
            element = _Element(data[offset])
        except ValueError:
            raise ViciDecodeError(f"VICI element of unknown type {data[offset]}") from None
        offset += 1
        name = value = ""
        if element in _WITH_NAME:
            name, offset = _decode_name(data, offset)
            if name in sections[-1]:
                raise ViciDecodeError("VICI name appears twice in a section")
        if element in _WITH_VALUE:
            value, offset = _decode_value(data, offset)
        if (items is None) is (element in (_Element.LIST_ITEM, _Element.LIST_END)):
            raise ViciDecodeError("VICI list and what surrounds it are mixed up")
        match element:
            case _Element.SECTION_START:
                if len(sections) > DEPTH_MAX:
                    raise ViciDecodeError("VICI sections are nested too deeply")
                section: ViciMessage = {}
                sections[-1][name] = section
                sections.append(section)
            case _Element.SECTION_END:
                sections.pop()
                if not sections:
                    raise ViciDecodeError("VICI section ends that did not begin")
            case _Element.KEY_VALUE:
                sections[-1][name] = value
            case _Element.LIST_START:
                items = []
                sections[-1][name] = items
            case _Element.LIST_ITEM:
                assert items is not None
                items.append(value)
            case _Element.LIST_END:
                items = None
    if len(sections) != 1 or items is not None:
        raise ViciDecodeError("VICI message ends inside a section or list")
    return root


def text(section: ViciMessage, name: str) -> str:
    """Return the value of a key, or an empty string if there is none or it is no value."""
    value = section.get(name, "")
    return value if isinstance(value, str) else ""


def subsections(section: ViciMessage) -> dict[str, ViciMessage]:
    """Return the sections in a section, by name."""
    return {name: value for name, value in section.items() if isinstance(value, dict)}


def _encode_section(section: ViciArguments, *, depth: int) -> bytearray:
    if depth > DEPTH_MAX:
        raise ViciEncodeError("VICI sections are nested too deeply")
    out = bytearray()
    for name, value in section.items():
        encoded_name = _encode_name(name)
        if isinstance(value, str):
            out.append(_Element.KEY_VALUE)
            out += encoded_name + _encode_value(value)
        elif isinstance(value, Mapping):
            out.append(_Element.SECTION_START)
            out += encoded_name + _encode_section(value, depth=depth + 1)
            out.append(_Element.SECTION_END)
        else:
            out.append(_Element.LIST_START)
            out += encoded_name
            for item in value:
                out.append(_Element.LIST_ITEM)
                out += _encode_value(item)
            out.append(_Element.LIST_END)
    return out


def _encode_name(name: str) -> bytes:
    data = _to_bytes(name)
    if len(data) > 0xFF:
        raise ViciEncodeError("VICI name is too long")
    return bytes((len(data),)) + data


def _encode_value(value: str) -> bytes:
    data = _to_bytes(value)
    if len(data) > 0xFFFF:
        raise ViciEncodeError("VICI value is too long")
    return _VALUE_LENGTH.pack(len(data)) + data


def _to_bytes(value: str) -> bytes:
    try:
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise ViciEncodeError("VICI text cannot be encoded") from None


def _decode_name(data: bytes, offset: int) -> tuple[str, int]:
    if offset >= len(data):
        raise ViciDecodeError("VICI packet is truncated")
    end = offset + 1 + data[offset]
    return _decode_text(data, offset + 1, end), end


def _decode_value(data: bytes, offset: int) -> tuple[str, int]:
    start = offset + _VALUE_LENGTH.size
    if start > len(data):
        raise ViciDecodeError("VICI packet is truncated")
    end = start + int(_VALUE_LENGTH.unpack_from(data, offset)[0])
    return _decode_text(data, start, end), end


def _decode_text(data: bytes, start: int, end: int) -> str:
    if end > len(data):
        raise ViciDecodeError("VICI packet is truncated")
    return data[start:end].decode(errors="surrogateescape")
