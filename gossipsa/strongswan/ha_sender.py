"""Sends HA messages no faster than charon reads them, and tells whether it read them all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum, unique

import trio

from gossipsa.strongswan.errors import CharonUnavailableError
from gossipsa.strongswan.ha_socket import HaSocket
from gossipsa.strongswan.receive_queue import QueueState, ReceiveQueue

logger = logging.getLogger(__name__)

BURST_DATAGRAMS = 64
"""Charon's receive buffer has room for 200 to 250 small datagrams unless net.core.rmem_default is raised."""

_TRIES_MAX = 5
_POLL_S = 0.001
_BLIND_BURST_S = 0.05


@unique
class Delivery(Enum):
    READ = "charon read every datagram"
    LOST = "some did not fit into charon's receive buffer"
    UNKNOWN = "charon's socket cannot be seen"


class HaSender:
    """Sends in bursts, and waits after each until charon has read it."""

    def __init__(self, ha_socket: HaSocket, queue: ReceiveQueue, *, timeout_ns: int) -> None:
        self._socket = ha_socket
        self._queue = queue
        self._timeout_s = timeout_ns / 1e9

    async def send(self, datagrams: Sequence[bytes]) -> Delivery:
        """Send datagrams in order; return when charon has read them.

        The last of them may still be at work in charon.

        Raises:
            CharonUnavailableError: charon is not there, or does not read.
        """
        before = self._queue.look()
        for start in range(0, len(datagrams), BURST_DATAGRAMS):
            self.send_now(datagrams[start : start + BURST_DATAGRAMS])
            after = await self._drained()
        if not datagrams:
            return Delivery.READ
        if before is None or after is None or after.drops < before.drops:
            return Delivery.UNKNOWN
        return Delivery.READ if after.drops == before.drops else Delivery.LOST

    async def send_until_read(self, datagrams: Sequence[bytes]) -> Delivery:
        """Send datagrams that may come twice again and again, until none is lost.

        Raises:
            CharonUnavailableError: as `send`; or charon keeps losing some.
        """
        for _ in range(_TRIES_MAX):
            delivery = await self.send(datagrams)
            if delivery is not Delivery.LOST:
                return delivery
            logger.warning("charon had no room for HA messages; %d are sent again", len(datagrams))
        raise CharonUnavailableError("charon has no room for HA messages")

    def send_now(self, datagrams: Sequence[bytes]) -> None:
        """Send a few datagrams without a pause between them.

        Raises:
            CharonUnavailableError: charon is not there.
        """
        for data in datagrams:
            try:
                sent = self._socket.send(data)
            except OSError as error:
                raise CharonUnavailableError(f"HA message cannot be sent: {error.strerror}") from error
            if not sent:
                raise CharonUnavailableError("charon does not listen for HA messages")

    async def _drained(self) -> QueueState | None:
        with trio.move_on_after(self._timeout_s):
            while (state := self._queue.look()) is not None:
                if state.bytes == 0:
                    return state
                await trio.sleep(_POLL_S)
            # Nothing tells how far charon is; this is slower than any charon measured.
            await trio.sleep(_BLIND_BURST_S)
            return None
        raise CharonUnavailableError("charon does not read HA messages")
