"""IKE past the IKE daemon: redirects out, clients' answers in."""

from __future__ import annotations

import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.effects import SendIke
from gossipsa.errors import KernelError
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import decode_header
from gossipsa.ikev2.registry import ExchangeType
from gossipsa.inputs import IkeReceived, Input
from gossipsa.kernel.backend import IkeDatagram, Kernel

_WAITING_MAX = 8192
_AT_ONCE_MAX = 64
_HANDSHAKES = frozenset({ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.IKE_INTERMEDIATE})


class IkeMessages:
    """Passes IKE messages between core and kernel."""

    def __init__(self, kernel: Kernel, *, counts: Counts) -> None:
        self._kernel = kernel
        self._counts = counts
        self._send, self._waiting = trio.open_memory_channel[SendIke](_WAITING_MAX)

    def send(self, effect: SendIke) -> None:
        """Queues a message. Never blocks; the core repeats what is lost."""
        try:
            self._send.send_nowait(effect)
        except trio.WouldBlock:
            self._counts.add(Count.IKE_MESSAGES_UNSENT)

    async def send_waiting(self) -> None:
        """Send until cancelled."""
        async for effect in self._waiting:
            # All at once: one after the other, each would wait for its own turn among all tasks, and clients
            # wait for these messages in silence.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_one, effect)
                for _ in range(_AT_ONCE_MAX - 1):
                    try:
                        nursery.start_soon(self._send_one, self._waiting.receive_nowait())
                    except trio.WouldBlock:
                        break

    async def _send_one(self, effect: SendIke) -> None:
        try:
            await self._kernel.send_ike(
                source=effect.source, destination=effect.destination, data=effect.data
            )
        except KernelError:
            self._counts.add(Count.IKE_MESSAGES_UNSENT)
        else:
            self._counts.add(Count.IKE_MESSAGES_SENT)

    async def receive(self, inputs: trio.MemorySendChannel[Input]) -> None:
        """Pass on what may concern the core, until cancelled."""
        async for datagram in self._kernel.ike_messages():
            if not is_of_interest(datagram):
                self._counts.add(Count.IKE_MESSAGES_IGNORED)
                continue
            self._counts.add(Count.IKE_MESSAGES_PASSED)
            await inputs.send(
                IkeReceived(source=datagram.source, destination=datagram.destination, data=datagram.data)
            )


def is_of_interest(datagram: IkeDatagram) -> bool:
    """False for handshakes: clients whose records are here are past them, and they are most of the load."""
    try:
        header = decode_header(datagram.data)
    except IkeMessageError:
        return False
    return header.exchange not in _HANDSHAKES
