"""IKE messages past the IKE daemon: sent from its ports, and copies of those that arrive there.

A raw IPPROTO_UDP socket may send any UDP header, and sees a copy of every UDP datagram for this host; a
classic BPF filter lets only IKE through, so that ESP in UDP costs no wake-up. A per-socket bypass policy
keeps IKE out of the SAs: without it, a message to a client in transport mode would be encrypted or blocked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from types import TracebackType
from typing import Any, NamedTuple, Self

import trio

from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint
from gossipsa.kernel.backend import IkeDatagram
from gossipsa.kernel.xfrm.counters import XfrmCounters
from gossipsa.kernel.xfrm.uapi import (
    SELECTOR,
    Action,
    Direction,
    Selector,
    UserPolicyInfo,
    UserPolicyInfoField,
    unpack_address,
)
from gossipsa.kernel.xfrm.udp_header import IPPROTO_UDP, UdpHeaderError, build_datagram, read_datagram

NON_ESP_MARKER = bytes(4)
"""In front of IKE messages on port 4500 (RFC 3948 section 2.2)."""

_RECEIVE_BYTES = 0x10000
_SO_ATTACH_FILTER = 26
_IP_PKTINFO = 8
_IP_XFRM_POLICY = 17
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_IPV6_XFRM_POLICY = 35
_IPV4_HEADER_BYTES_MIN = 20


class Instruction(NamedTuple):
    """sock_filter: one instruction of classic BPF (include/uapi/linux/filter.h)."""

    code: int
    jump_true: int
    jump_false: int
    operand: int


_LOAD_HALF = 0x48  # BPF_LD | BPF_H | BPF_IND
_LOAD_WORD = 0x40  # BPF_LD | BPF_W | BPF_IND
_LOAD_X_HEADER = 0xB1  # BPF_LDX | BPF_B | BPF_MSH: 4 * (byte & 15)
_LOAD_X = 0x01  # BPF_LDX | BPF_IMM
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K


def ike_filter(family: int, *, ike_port: int, nat_port: int) -> tuple[Instruction, ...]:
    """Return the filter: destination port `ike_port`, or `nat_port` and a payload that begins with zeros.

    Raw IPv4 sockets see the IP header, raw IPv6 sockets do not. A load past the end drops the datagram.
    """
    find_udp = (
        Instruction(_LOAD_X_HEADER, 0, 0, 0) if family == socket.AF_INET else Instruction(_LOAD_X, 0, 0, 0)
    )
    return (
        find_udp,
        Instruction(_LOAD_HALF, 0, 0, 2),  # destination port
        Instruction(_JUMP_EQUAL, 3, 0, ike_port),
        Instruction(_JUMP_EQUAL, 0, 3, nat_port),
        Instruction(_LOAD_WORD, 0, 0, 8),  # first bytes of the payload
        Instruction(_JUMP_EQUAL, 0, 1, 0),
        Instruction(_RETURN, 0, 0, _RECEIVE_BYTES),
        Instruction(_RETURN, 0, 0, 0),
    )


def bypass_policy(family: int, direction: Direction) -> bytes:
    """xfrm_userpolicy_info for a socket whose packets no policy touches."""
    selector = SELECTOR.pack(*Selector(family=family))
    return UserPolicyInfoField.layout.pack(
        *UserPolicyInfo(selector=selector, direction=direction, action=Action.ALLOW)
    )


class IkeSockets:
    """A raw socket for each address family that this kernel has.

    Args:
        received: where copies go; one that does not fit is dropped and counted.

    Raises:
        KernelError: on construction, without CAP_NET_RAW or CAP_NET_ADMIN.
    """

    def __init__(
        self,
        received: trio.MemorySendChannel[IkeDatagram],
        counters: XfrmCounters,
        *,
        ike_port: int,
        nat_port: int,
    ) -> None:
        self._received = received
        self._counters = counters
        self._nat_port = nat_port
        self._sockets: dict[int, trio.socket.SocketType] = {}
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                plain = _open(family, ike_port=ike_port, nat_port=nat_port)
                if plain is not None:
                    self._sockets[family] = trio.socket.from_stdlib_socket(plain)
        except KernelError:
            self.close()
            raise

    def close(self) -> None:
        for raw in self._sockets.values():
            raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, *, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Send an IKE message. Raises KernelError."""
        family = socket.AF_INET if destination.address.version == 4 else socket.AF_INET6
        raw = self._sockets.get(family)
        if raw is None:
            raise KernelError(f"no raw socket for {destination}", errno=errno.EAFNOSUPPORT)
        payload = NON_ESP_MARKER + data if source.port == self._nat_port else data
        try:
            datagram = build_datagram(source, destination, payload)
        except ValueError as error:
            raise KernelError(f"cannot send IKE to {destination}: {error}", errno=errno.EMSGSIZE) from error
        if family == socket.AF_INET:
            packet_info = struct.pack("=i4s4s", 0, source.address.packed, bytes(4))
            ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, packet_info)]
        else:
            packet_info = struct.pack("=16si", source.address.packed, 0)
            ancillary = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, packet_info)]
        try:
            await raw.sendmsg([datagram], ancillary, 0, (str(destination.address), 0))
        except OSError as error:
            raise KernelError(
                f"cannot send IKE from {source} to {destination}: {error.strerror}",
                errno=error.errno or errno.EIO,
            ) from error

    async def run(self) -> None:
        """Copy what arrives until cancelled."""
        async with trio.open_nursery() as nursery:
            for family, raw in self._sockets.items():
                nursery.start_soon(self._receive, family, raw)

    async def _receive(self, family: int, raw: trio.socket.SocketType) -> None:
        while True:
            address: Any
            packet, ancillary, _, address = await raw.recvmsg(_RECEIVE_BYTES, 64)
            try:
                if family == socket.AF_INET:
                    message = decode_ipv4(packet, nat_port=self._nat_port)
                else:
                    message = decode_ipv6(packet, address[0], ancillary, nat_port=self._nat_port)
            except UdpHeaderError:
                self._counters.malformed_ike_datagrams += 1
                continue
            try:
                self._received.send_nowait(message)
            except trio.WouldBlock:
                self._counters.dropped_ike_messages += 1


def decode_ipv4(packet: bytes, *, nat_port: int) -> IkeDatagram:
    """Decode what a raw IPv4 socket received, IP header included.

    Raises:
        UdpHeaderError: truncated, or without the non-ESP marker on `nat_port`.
    """
    if len(packet) < _IPV4_HEADER_BYTES_MIN or len(packet) < (packet[0] & 15) * 4:
        raise UdpHeaderError("packet is shorter than its IP header")
    source, destination = (unpack_address(packet[offset : offset + 4], socket.AF_INET) for offset in (12, 16))
    source_port, destination_port, payload = read_datagram(packet[(packet[0] & 15) * 4 :])
    return IkeDatagram(
        Endpoint(source, source_port),
        Endpoint(destination, destination_port),
        _without_marker(payload, is_marked=destination_port == nat_port),
    )


def decode_ipv6(
    datagram: bytes, source: str, ancillary: list[tuple[int, int, bytes]], *, nat_port: int
) -> IkeDatagram:
    """Decode what a raw IPv6 socket received: no IP header, the destination beside it.

    Raises:
        UdpHeaderError: as `decode_ipv4`, or no destination.
    """
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO) and len(value) >= 16:
            destination = unpack_address(value[:16], socket.AF_INET6)
            break
    else:
        raise UdpHeaderError("datagram without its destination")
    source_port, destination_port, payload = read_datagram(datagram)
    packed_source = socket.inet_pton(socket.AF_INET6, source.partition("%")[0])
    return IkeDatagram(
        Endpoint(unpack_address(packed_source, socket.AF_INET6), source_port),
        Endpoint(destination, destination_port),
        _without_marker(payload, is_marked=destination_port == nat_port),
    )


def _without_marker(payload: bytes, *, is_marked: bool) -> bytes:
    if not is_marked:
        return payload
    if not payload.startswith(NON_ESP_MARKER):
        raise UdpHeaderError("datagram without the non-ESP marker")
    return payload[len(NON_ESP_MARKER) :]


def _open(family: int, *, ike_port: int, nat_port: int) -> socket.socket | None:
    try:
        raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, IPPROTO_UDP)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise _to_error(error, "CAP_NET_RAW") from error
    try:
        _attach_filter(raw, ike_filter(family, ike_port=ike_port, nat_port=nat_port))
        # Datagrams that came before the filter was there.
        _drain(raw)
        if family == socket.AF_INET:
            level, option = socket.IPPROTO_IP, _IP_XFRM_POLICY
        else:
            level, option = socket.IPPROTO_IPV6, _IPV6_XFRM_POLICY
            raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        for direction in (Direction.IN, Direction.OUT):
            raw.setsockopt(level, option, bypass_policy(family, direction))
    except OSError as error:
        raw.close()
        raise _to_error(error, "CAP_NET_ADMIN") from error
    return raw


def _to_error(error: OSError, capability: str) -> KernelError:
    hint = f"; {capability} is needed in this network namespace" if error.errno == errno.EPERM else ""
    return KernelError(
        f"cannot open a raw socket: {os.strerror(error.errno or 0)}{hint}", errno=error.errno or 0
    )


def _attach_filter(raw: socket.socket, program: tuple[Instruction, ...]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    # sock_fprog: u16 length, padding, pointer.
    raw.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program), ctypes.addressof(code)),
    )


def _drain(raw: socket.socket) -> None:
    raw.setblocking(False)
    try:
        while True:
            raw.recv(1)
    except BlockingIOError:
        return
