"""Packets of a client's link: IKE messages and ESP packets, with their times."""

import dataclasses
import enum
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.lab.waiting import wait_until

IKE_PORTS = (500, 4500)
_FILTER = "udp port 500 or udp port 4500 or proto 50"
_SNAP_BYTES = 128

_PCAP_MAGIC_NANOSECONDS = 0xA1B23C4D
_PCAP_HEADER_BYTES = 24
_LINK_TYPE_ETHERNET = 1
_ETHERNET_BYTES = 14
_ETHERTYPE_IPV4 = 0x0800
_NON_ESP_MARKER = bytes(4)
_IKE_HEADER_BYTES = 28


class Exchange(enum.IntEnum):
    """IKE exchange types (RFC 7296 section 3.1)."""

    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IkePacket:
    """An IKE message as it stands in the clear: its header and its addresses."""

    wall_ns: int
    source: str
    destination: str
    spi_i: str
    spi_r: str
    exchange: int
    is_response: bool
    message_id: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EspPacket:
    """An ESP packet: SPI and the low half of its sequence number."""

    wall_ns: int
    source: str
    destination: str
    spi: int
    sequence: int


class Capture:
    """Tcpdump on one interface of a namespace, into the scratch directory."""

    def __init__(self, namespace: str, interface: str, path: Path) -> None:
        self._path = path
        options = f"-i {interface} -s {_SNAP_BYTES} -B 16384 --time-stamp-precision=nano -w {path}"
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "tcpdump", *options.split(), _FILTER],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        # It says "listening on" once it sees every packet.
        line = self._process.stderr.readline()
        if "listening" not in line:
            self._process.kill()
            raise RuntimeError(f"tcpdump: {line}")

    def stop(self) -> "Packets":
        """End the capture and return what it holds.

        Raises:
            RuntimeError: tcpdump lost packets, so that nothing can be said about what was not seen.
        """
        self._process.terminate()
        assert self._process.stderr is not None
        said = self._process.stderr.read()
        wait_until(lambda: self._process.poll() is not None, timeout_s=10, what="tcpdump to end")
        if "0 packets dropped by kernel" not in said:
            raise RuntimeError(f"tcpdump: {said}")
        return read_packets(self._path.read_bytes())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """What a capture holds, in the order of arrival."""

    ike: tuple[IkePacket, ...]
    esp: tuple[EspPacket, ...]

    def exchanges_between(self, start_ns: int, end_ns: int) -> Counter[str]:
        """Count the requests by exchange type and by who sent them, as `NAME from ADDRESS`."""
        return Counter(
            f"{exchange_name(packet.exchange)} from {packet.source}"
            for packet in self.ike
            if start_ns <= packet.wall_ns < end_ns and not packet.is_response
        )


def exchange_name(exchange: int) -> str:
    try:
        return Exchange(exchange).name
    except ValueError:
        return f"exchange {exchange}"


def repeated_sequence_numbers(packets: Iterable[EspPacket]) -> list[tuple[int, int]]:
    """Return every (SPI, sequence number) that was on the wire more than once, whoever sent it."""
    seen = Counter((packet.spi, packet.sequence) for packet in packets)
    return [number for number, count in seen.items() if count > 1]


def read_packets(pcap: bytes) -> Packets:
    """Read the IPv4 packets of a nanosecond pcap file of Ethernet frames.

    Raises:
        ValueError: another kind of file.
    """
    if len(pcap) < _PCAP_HEADER_BYTES:
        raise ValueError("no pcap file")
    magic, link_type = struct.unpack_from("<I16xI", pcap)
    if magic != _PCAP_MAGIC_NANOSECONDS or link_type != _LINK_TYPE_ETHERNET:
        raise ValueError(f"pcap magic {magic:#x}, link type {link_type}")
    ike: list[IkePacket] = []
    esp: list[EspPacket] = []
    for wall_ns, frame in _frames(pcap):
        if struct.unpack_from("!H", frame, 12)[0] != _ETHERTYPE_IPV4:
            continue
        packet = frame[_ETHERNET_BYTES:]
        header_bytes = (packet[0] & 0x0F) * 4
        source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        body = packet[header_bytes:]
        if packet[9] == socket.IPPROTO_ESP:
            esp.append(_esp_packet(body, wall_ns, source, destination))
        elif packet[9] == socket.IPPROTO_UDP:
            ports, datagram = struct.unpack_from("!HH", body), body[8:]
            if 4500 in ports:
                if not datagram.startswith(_NON_ESP_MARKER):
                    # RFC 3948: ESP in UDP; a single byte is a NAT keepalive.
                    if len(datagram) >= 8:
                        esp.append(_esp_packet(datagram, wall_ns, source, destination))
                    continue
                datagram = datagram[4:]
            if len(datagram) >= _IKE_HEADER_BYTES:
                ike.append(_ike_packet(datagram, wall_ns, source, destination))
    return Packets(ike=tuple(ike), esp=tuple(esp))


def _frames(pcap: bytes) -> Iterator[tuple[int, bytes]]:
    at = _PCAP_HEADER_BYTES
    while at + 16 <= len(pcap):
        seconds, nanoseconds, captured, _ = struct.unpack_from("<IIII", pcap, at)
        at += 16
        yield seconds * 1_000_000_000 + nanoseconds, pcap[at : at + captured]
        at += captured


def _esp_packet(body: bytes, wall_ns: int, source: str, destination: str) -> EspPacket:
    spi, sequence = struct.unpack_from("!II", body)
    return EspPacket(wall_ns=wall_ns, source=source, destination=destination, spi=spi, sequence=sequence)


def _ike_packet(datagram: bytes, wall_ns: int, source: str, destination: str) -> IkePacket:
    exchange, flags, message_id = struct.unpack_from("!18xBBI", datagram)
    return IkePacket(
        wall_ns=wall_ns,
        source=source,
        destination=destination,
        spi_i=datagram[0:8].hex(),
        spi_r=datagram[8:16].hex(),
        exchange=exchange,
        is_response=bool(flags & 0x20),
        message_id=message_id,
    )
