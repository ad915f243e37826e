"""Reads the recording in strongswan-5.9.8/: HA datagrams, kernel SAs and packets. For tests only.

The HA datagrams are read here by a second, minimal reader, so that these tests do not lean on the product's.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent / "strongswan-5.9.8"

IKE_ADD = 1
CHILD_ADD = 6

OLD_SKD_ATTRIBUTE = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class HaMessage:
    """One HA datagram; attributes that occur once, by number."""

    type: int
    attributes: dict[int, bytes]

    def number(self, attribute: int) -> int | None:
        value = self.attributes.get(attribute)
        return None if value is None else int.from_bytes(value, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSa:
    """One SA of `ip xfrm state`."""

    spi: int
    encryption: str
    encryption_key: bytes
    integrity_key: bytes
    esn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedPackets:
    """What the wire carried, in order: IKE messages without non-ESP marker, ESP packets from the SPI on."""

    ike: tuple[bytes, ...]
    esp: tuple[bytes, ...]


_U8, _U16, _U32 = 1, 2, 4
_FIXED_BYTES = {
    **dict.fromkeys((1, 2), 18),
    **dict.fromkeys((9, 10, 27, 28, 33), _U32),
    **dict.fromkeys((14, 25, 26, 36), _U8),
    **dict.fromkeys((19, 20, 21, 22, 23, 24, 29, 30, 34, 35, 41), _U16),
}


@cache
def ha_messages() -> tuple[HaMessage, ...]:
    lines = (DIRECTORY / "ha-messages.txt").read_text().splitlines()
    return tuple(_ha_message(bytes.fromhex(line.split()[-1])) for line in lines)


def _ha_message(data: bytes) -> HaMessage:
    attributes = {}
    offset = 2
    while offset < len(data):
        attribute = data[offset]
        value, offset = _ha_value(attribute, data, offset + 1)
        attributes[attribute] = value
    return HaMessage(type=data[1], attributes=attributes)


def _ha_value(attribute: int, data: bytes, offset: int) -> tuple[bytes, int]:
    if attribute in _FIXED_BYTES:
        end = offset + _FIXED_BYTES[attribute]
    elif attribute in (15, 16, 17, 18):
        start = offset + 2
        end = start + int.from_bytes(data[offset:start], "big")
        return data[start:end], end
    elif attribute in (3, 4, 5):
        end = offset + 2 + data[offset + 1]
    elif attribute in (6, 7, 11, 12, 13):
        end = offset + 3 + {2: 4, 10: 16}[data[offset + 2]]
    elif attribute == 8:
        end = data.index(0, offset) + 1
    elif attribute in (31, 32):
        end = offset + 7 + {7: 8, 8: 32}[data[offset]]
    else:
        raise AssertionError(f"HA attribute {attribute}")
    return data[offset:end], end


@cache
def kernel_sas() -> tuple[KernelSa, ...]:
    """Every SA that ever appeared in the gateway's SAD, by its first appearance."""
    found: dict[int, KernelSa] = {}
    for path in sorted(DIRECTORY.glob("kernel-*.txt")):
        for block in re.split(r"^(?=src )", path.read_text(), flags=re.MULTILINE):
            if (spi := re.search(r"^\tproto esp spi 0x([0-9a-f]+) ", block, re.MULTILINE)) is None:
                continue
            encryption = re.search(r"^\t(?:enc|aead) (\S+) 0x([0-9a-f]+)", block, re.MULTILINE)
            assert encryption is not None
            integrity = re.search(r"^\tauth-trunc \S+ 0x([0-9a-f]+) 128", block, re.MULTILINE)
            sa = KernelSa(
                spi=int(spi[1], 16),
                encryption=encryption[1],
                encryption_key=bytes.fromhex(encryption[2]),
                integrity_key=bytes.fromhex(integrity[1]) if integrity else b"",
                esn=" esn\n" in block,
            )
            found.setdefault(sa.spi, sa)
    return tuple(found.values())


@cache
def captured_packets() -> CapturedPackets:
    ike: list[bytes] = []
    esp: list[bytes] = []
    for frame in _frames((DIRECTORY / "wire.pcap").read_bytes()):
        protocol, body = _ip_payload(frame)
        if protocol == 50:
            esp.append(body)
        elif protocol == 17:
            port = int.from_bytes(body[:2], "big")
            datagram = body[8 : int.from_bytes(body[4:6], "big")]
            if port == 500:
                ike.append(datagram)
            elif datagram[:4] == bytes(4):
                ike.append(datagram[4:])
            else:
                esp.append(datagram)
    return CapturedPackets(ike=tuple(ike), esp=tuple(esp))


def _frames(pcap: bytes) -> Iterator[bytes]:
    offset = 24
    while offset < len(pcap):
        (size,) = struct.unpack_from("<8xI4x", pcap, offset)
        yield pcap[offset + 16 : offset + 16 + size]
        offset += 16 + size


def _ip_payload(frame: bytes) -> tuple[int, bytes]:
    packet = frame[14:]
    if frame[12:14] == b"\x08\x00":
        return packet[9], packet[4 * (packet[0] & 15) : int.from_bytes(packet[2:4], "big")]
    return packet[6], packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
