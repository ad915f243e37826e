"""First contact over streams: one frame to whoever is at an address, over a connection of its own.

Nobody may be there, and an address may be anybody's word: such a connection is tried once, ends with its
frame, and only so many are under way.
"""

from __future__ import annotations

import socket

import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.framing import encode_frame
from gossipsa.daemon.udp import family_of
from gossipsa.identifiers import Endpoint

AT_ONCE_MAX = 64
"""Connections under way; a frame that finds so many is dropped."""
PATIENCE_S = 3.0
"""How long a connection may take to be accepted, and its frame to be sent."""


class SingleFrames:
    """Sends frames that nobody waits for."""

    def __init__(self, *, counts: Counts, patience_s: float = PATIENCE_S) -> None:
        self._counts = counts
        self._patience_s = patience_s
        self._nursery: trio.Nursery | None = None
        self._under_way = 0

    def under_way(self) -> int:
        return self._under_way

    async def run(self) -> None:
        """Serve until cancelled. Frames handed over before this are dropped."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    def send(self, destination: Endpoint, data: bytes) -> None:
        """Never blocks."""
        if self._nursery is None or self._under_way >= AT_ONCE_MAX:
            self._counts.add(Count.FRAMES_DROPPED)
            return
        self._under_way += 1
        self._nursery.start_soon(self._send, destination, encode_frame(data))

    async def _send(self, destination: Endpoint, frame: bytes) -> None:
        tcp = trio.socket.socket(family_of(destination), socket.SOCK_STREAM)
        connected = False
        try:
            with trio.fail_after(self._patience_s):
                await tcp.connect((str(destination.address), destination.port))
                connected = True
                await trio.SocketStream(tcp).send_all(frame)
            self._counts.add(Count.FRAMES_SENT)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            self._counts.add(Count.FRAMES_LOST if connected else Count.STREAM_CONNECTS_FAILED)
        finally:
            tcp.close()
            self._under_way -= 1
