"""The kernel's EXPIRE events, as far as they tell of packet limits."""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Self

import trio

from gossipsa.errors import KernelError
from gossipsa.kernel.backend import PacketLimitReached, SaId
from gossipsa.kernel.xfrm.counters import XfrmCounters
from gossipsa.kernel.xfrm.netlink import NETLINK_XFRM, NetlinkFormatError, split_messages
from gossipsa.kernel.xfrm.request_socket import NetlinkSocket
from gossipsa.kernel.xfrm.sa_record import address_of, decode_usersa_info
from gossipsa.kernel.xfrm.security_associations import SecurityAssociations
from gossipsa.kernel.xfrm.uapi import IPPROTO_ESP, Group, MessageType, UserSaInfo, UserSaInfoField

_HARD_OFFSET = UserSaInfoField.layout.size


class ExpiryMonitor:
    """Turns EXPIRE messages into PacketLimitReached.

    If the kernel drops events, because they come faster than they are read, the SAs are listed and soft
    limits that were reached are announced (again). An SA that vanished at its hard limit meanwhile is not
    announced: it is missing in the next listing of whoever counts on it.

    Args:
        limits: where events go; one that does not fit is dropped and counted.
        buffer_bytes: receive buffer of the socket.
    """

    def __init__(
        self,
        associations: SecurityAssociations,
        limits: trio.MemorySendChannel[PacketLimitReached],
        counters: XfrmCounters,
        *,
        buffer_bytes: int,
    ) -> None:
        self._associations = associations
        self._limits = limits
        self._counters = counters
        self._socket = NetlinkSocket(NETLINK_XFRM, receive_buffer_bytes=buffer_bytes, groups=(Group.EXPIRE,))

    async def run(self) -> None:
        """Follow events until cancelled."""
        while True:
            try:
                buffer = await self._socket.receive()
                for message in split_messages(buffer):
                    if message.type == MessageType.EXPIRE:
                        self._announce(decode_expire(buffer, message.start, message.end))
            except NetlinkFormatError:
                self._counters.malformed_events += 1
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._counters.event_overflows += 1
                await self._resync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    async def _resync(self) -> None:
        try:
            records = await self._associations.dump_records()
        except KernelError:
            self._counters.failed_resyncs += 1
            return
        for record in records:
            if record.info.current_packets >= record.info.soft_packets:
                self._announce(PacketLimitReached(record.id, hard=False))

    def _announce(self, event: PacketLimitReached | None) -> None:
        if event is None:
            return
        try:
            self._limits.send_nowait(event)
        except trio.WouldBlock:
            self._counters.dropped_events += 1


def decode_expire(buffer: bytes | bytearray | memoryview, start: int, end: int) -> PacketLimitReached | None:
    """Decode an EXPIRE message. None if it is about a limit of time or bytes, or not about ESP.

    Raises:
        NetlinkFormatError: truncated.
    """
    info: UserSaInfo = decode_usersa_info(buffer, start, end)
    if end - start <= _HARD_OFFSET:
        raise NetlinkFormatError("EXPIRE message is truncated")
    hard = bool(buffer[start + _HARD_OFFSET])
    reached = info.current_packets >= (info.hard_packets if hard else info.soft_packets)
    if info.protocol != IPPROTO_ESP or not reached:
        return None
    return PacketLimitReached(
        SaId(int.from_bytes(info.spi, "big"), address_of(info.destination, info.family)), hard
    )
