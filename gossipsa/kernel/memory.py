"""An in-memory kernel with a data plane of its own: ESP in UDP on one socket, for demonstrations and tests.

One UDP socket stands for the gateway's port 4500. What begins with four zero bytes is IKE (RFC 3948 section
2.2), what is one byte long is a keep-alive, all else is ESP: opened, and its payload sent back by the SA of
the other direction.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SOCK_DGRAM

import msgspec
import trio

from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.kernel.backend import (
    Answer,
    ClientRoute,
    IkeDatagram,
    KernelSa,
    NewSa,
    OutboundBlock,
    PacketLimitReached,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from gossipsa.kernel.memory_sad import InboundDrop, MemorySad

_NON_ESP_MARKER = bytes(4)
_DATAGRAM_BYTES_MAX = 0xFFFF
_KEEP_ALIVE_BYTES = 1


class MemoryKernelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the in-memory kernel meets the network."""

    listen: Endpoint
    """Where clients send ESP and IKE; port 0 takes any free one, see `MemoryKernel.local`."""
    replay_window_packets: int = 64
    """Replay window of SAs."""
    limit_events_max: int = 4096
    """Limit events that wait for their reader."""
    ike_messages_max: int = 1024
    """IKE messages that wait for their reader."""


class MemoryKernelCounters(msgspec.Struct, kw_only=True):
    """Numbers that only grow. Read them for metrics."""

    inbound_drops: dict[InboundDrop, int]
    """ESP packets dropped, by reason."""
    unanswered: int = 0
    """Payloads that could not be sent back: blocked, no SA, or its numbers used up."""
    send_errors: int = 0
    """Datagrams that the host refused to send."""
    dropped_events: int = 0
    """Limit events dropped because nobody read them in time."""
    dropped_ike_messages: int = 0
    """IKE messages dropped because nobody read them in time."""


class MemoryKernel:
    """Implements `gossipsa.kernel.backend.Kernel`; get it from `open_memory_kernel`.

    Attributes:
        sad: the kernel proper, open to tests that let operations fail.
        local: where it listens.
    """

    def __init__(self, settings: MemoryKernelSettings, *, udp: trio.socket.SocketType) -> None:
        self.sad = MemorySad(random_bytes=os.urandom, window_packets=settings.replay_window_packets)
        self.counters = MemoryKernelCounters(inbound_drops=dict.fromkeys(InboundDrop, 0))
        self.local = Endpoint(settings.listen.address, udp.getsockname()[1])
        self._udp = udp
        self._send_limit, self._limits = trio.open_memory_channel[PacketLimitReached](
            settings.limit_events_max
        )
        self._send_ike, self._ike_messages = trio.open_memory_channel[IkeDatagram](settings.ike_messages_max)

    async def sas(self) -> tuple[KernelSa, ...]:
        await trio.lowlevel.checkpoint()
        return self.sad.sas()

    async def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]:
        return await self._done(self.sad.set_numbers(changes))

    async def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]:
        return await self._done(self.sad.set_packet_limits(changes))

    async def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        return await self._done(self.sad.add_sas(sas))

    async def delete_sas(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        return await self._done(self.sad.delete_sas(ids))

    async def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._done(self.sad.block_outbound(blocks))

    async def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._done(self.sad.unblock_outbound(blocks))

    async def delete_outbound_policies(self, destinations: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._done(self.sad.delete_outbound_policies(destinations))

    async def add_routes(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        return await self._done(self.sad.add_routes(routes))

    async def delete_routes(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]:
        return await self._done(self.sad.delete_routes(addresses))

    async def routes(self) -> tuple[IpAddress, ...]:
        await trio.lowlevel.checkpoint()
        return self.sad.routes()

    def limit_events(self) -> trio.MemoryReceiveChannel[PacketLimitReached]:
        return self._limits

    async def send_ike(self, *, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Send from the one socket, whatever port `source` names. Raises KernelError."""
        try:
            await self._send(_NON_ESP_MARKER + data, destination)
        except OSError as error:
            raise KernelError(
                f"cannot send IKE from {source} to {destination}: {error.strerror}",
                errno=error.errno or errno.EIO,
            ) from error

    def ike_messages(self) -> trio.MemoryReceiveChannel[IkeDatagram]:
        return self._ike_messages

    async def run(self) -> None:
        """Serve the socket until cancelled."""
        while True:
            try:
                datagram, address = await self._udp.recvfrom(_DATAGRAM_BYTES_MAX)
            except ConnectionError:
                continue  # An ICMP error for something sent earlier.
            source = Endpoint(ip_address(address[0].partition("%")[0]), address[1])
            if datagram.startswith(_NON_ESP_MARKER):
                self._take_ike(datagram[len(_NON_ESP_MARKER) :], source)
            elif len(datagram) > _KEEP_ALIVE_BYTES:
                await self._echo(datagram, source)

    def _take_ike(self, data: bytes, source: Endpoint) -> None:
        try:
            self._send_ike.send_nowait(IkeDatagram(source, self.local, data))
        except trio.WouldBlock:
            self.counters.dropped_ike_messages += 1

    async def _echo(self, packet: bytes, source: Endpoint) -> None:
        opened = self.sad.open_inbound(packet, destination=self.local.address, source=source)
        self._pass_limit_events()
        if isinstance(opened, InboundDrop):
            self.counters.inbound_drops[opened] += 1
            return
        reverse = self.sad.reverse_of(opened.id)
        answer = reverse and self.sad.seal_outbound(reverse, opened.payload, next_header=opened.next_header)
        self._pass_limit_events()
        if not answer:
            self.counters.unanswered += 1
            return
        try:
            await self._send(answer.packet, answer.destination)
        except OSError:
            self.counters.send_errors += 1

    async def _send(self, data: bytes, destination: Endpoint) -> None:
        await self._udp.sendto(data, (str(destination.address), destination.port))

    async def _done(self, answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
        self._pass_limit_events()
        await trio.lowlevel.checkpoint()
        return answers

    def _pass_limit_events(self) -> None:
        for event in self.sad.take_limit_events():
            try:
                self._send_limit.send_nowait(event)
            except trio.WouldBlock:
                self.counters.dropped_events += 1


@asynccontextmanager
async def open_memory_kernel(settings: MemoryKernelSettings) -> AsyncIterator[MemoryKernel]:
    """Bind the socket, and serve it while the block runs.

    Raises:
        KernelError: the address cannot be bound.
    """
    family = AF_INET if settings.listen.address.version == 4 else AF_INET6
    with trio.socket.socket(family, SOCK_DGRAM) as udp:
        try:
            await udp.bind((str(settings.listen.address), settings.listen.port))
        except OSError as error:
            raise KernelError(
                f"cannot listen on {settings.listen}: {error.strerror}", errno=error.errno or errno.EIO
            ) from error
        kernel = MemoryKernel(settings, udp=udp)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.run)
            yield kernel
            nursery.cancel_scope.cancel()
