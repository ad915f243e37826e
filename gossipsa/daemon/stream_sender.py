"""Outgoing mesh streams: a connection and a bounded queue for each gateway; nobody waits for another."""

from __future__ import annotations

import contextlib
import random
import socket
from collections import deque

import msgspec
import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.framing import encode_frame
from gossipsa.daemon.udp import family_of
from gossipsa.identifiers import Endpoint, GatewayName

_KEEPALIVE_IDLE_S = 15
"""Deaths are the mesh's to find, at a constant cost; every 2 s, 31 idle streams cost 1,600 bytes a second."""
_KEEPALIVE_INTERVAL_S = 5
_GATEWAYS_MAX = 1024
_WRITE_BYTES_MAX = 64 << 10


class SenderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited for a gateway, and how much is kept for it meanwhile."""

    frames_max: int = 1024
    """Frames that wait for one gateway; the oldest is dropped for one more."""
    bytes_max: int = 16 << 20
    """Bytes that wait for one gateway."""
    connect_s: float = 3.0
    """How long a connection may take to be accepted."""
    send_s: float = 5.0
    """How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT), and one write unfinished."""
    backoff_first_s: float = 0.05
    backoff_max_s: float = 2.0
    """Pause after a connection that failed: doubled each time, plus up to a half by chance."""
    backoff_news_s: float = 0.25
    """Longest pause while frames wait."""


class _Lane:
    """What waits for one gateway."""

    def __init__(self, destination: Endpoint) -> None:
        self.destination = destination
        self.frames: deque[bytes] = deque()
        self.bytes = 0
        self.changed = trio.Event()
        self.is_connected = False
        self.scope = trio.CancelScope()

    def take_some(self) -> list[bytes]:
        """The oldest frames, at least one: what one system call takes."""
        frames = [self.frames.popleft()]
        size = len(frames[0])
        while self.frames and size + len(self.frames[0]) <= _WRITE_BYTES_MAX:
            frames.append(self.frames.popleft())
            size += len(frames[-1])
        self.bytes -= size
        return frames

    def wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class StreamSender:
    """Keeps a connection to each gateway that there was something to say to, or will be."""

    def __init__(self, *, limits: SenderLimits, counts: Counts) -> None:
        self._limits = limits
        self._counts = counts
        self._lanes: dict[GatewayName, _Lane] = {}
        self._nursery: trio.Nursery | None = None
        # For nothing but the spread of retries.
        self._random = random.Random()

    def connected(self) -> int:
        """Connections that are up."""
        return sum(lane.is_connected for lane in self._lanes.values())

    def waiting_frames(self) -> int:
        return sum(len(lane.frames) for lane in self._lanes.values())

    async def run(self) -> None:
        """Serve until cancelled. Frames handed over before this wait in their queues."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for name, lane in self._lanes.items():
                nursery.start_soon(self._serve, lane, name=f"stream to {name}")
            await trio.sleep_forever()

    def open(self, to: GatewayName, destination: Endpoint) -> None:
        """Connects, so that the first frame need not wait."""
        self._lane(to, destination)

    def close(self, to: GatewayName) -> None:
        """Ends the connection to a gateway; what waits for it is dropped."""
        lane = self._lanes.pop(to, None)
        if lane is not None:
            self._counts.add(Count.FRAMES_DROPPED, len(lane.frames))
            lane.scope.cancel()

    def send(self, to: GatewayName, destination: Endpoint, data: bytes) -> None:
        """Queues a frame. Never blocks; what does not fit pushes out the oldest."""
        lane = self._lane(to, destination)
        if lane is None:
            self._counts.add(Count.FRAMES_DROPPED)
            return
        frame = encode_frame(data)
        lane.frames.append(frame)
        lane.bytes += len(frame)
        while len(lane.frames) > self._limits.frames_max or lane.bytes > self._limits.bytes_max:
            lane.bytes -= len(lane.frames.popleft())
            self._counts.add(Count.FRAMES_DROPPED)
        lane.wake()

    def _lane(self, name: GatewayName, destination: Endpoint) -> _Lane | None:
        lane = self._lanes.get(name)
        if lane is not None and lane.destination != destination:
            lane.destination = destination
            lane.wake()
        if lane is None:
            if len(self._lanes) >= _GATEWAYS_MAX:
                return None
            lane = self._lanes[name] = _Lane(destination)
            if self._nursery is not None:
                self._nursery.start_soon(self._serve, lane, name=f"stream to {name}")
        return lane

    async def _serve(self, lane: _Lane) -> None:
        with lane.scope:
            await self._keep_connected(lane)

    async def _keep_connected(self, lane: _Lane) -> None:
        backoff_s = self._limits.backoff_first_s
        while True:
            destination = lane.destination
            stream = await self._connect(destination)
            if stream is None:
                self._counts.add(Count.STREAM_CONNECTS_FAILED)
                await self._pause(lane, backoff_s * (1 + self._random.random() / 2))
                backoff_s = min(2 * backoff_s, self._limits.backoff_max_s)
                continue
            lane.is_connected = True
            try:
                sent_any = await self._use(lane, stream, destination)
            finally:
                lane.is_connected = False
                stream.socket.close()
            if sent_any:
                backoff_s = self._limits.backoff_first_s
            # A gateway that accepts and closes at once must not be hammered.
            await self._pause(lane, backoff_s)
            backoff_s = min(2 * backoff_s, self._limits.backoff_max_s)

    async def _pause(self, lane: _Lane, pause_s: float) -> None:
        """Wait before the next try, but not long if there is something to send.

        A gateway that was dead for long and is back has to be told much: it does not wait for our patience.
        """
        await trio.sleep(min(pause_s, self._limits.backoff_news_s))
        if not lane.frames:
            with trio.move_on_after(max(0.0, pause_s - self._limits.backoff_news_s)):
                await lane.changed.wait()

    async def _connect(self, destination: Endpoint) -> trio.SocketStream | None:
        plain = trio.socket.socket(family_of(destination), socket.SOCK_STREAM)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._limits.send_s * 1000))
            with trio.fail_after(self._limits.connect_s):
                await plain.connect((str(destination.address), destination.port))
        except (OSError, trio.TooSlowError):
            plain.close()
            return None
        except BaseException:
            plain.close()
            raise
        return trio.SocketStream(plain)  # Sets TCP_NODELAY.

    async def _use(self, lane: _Lane, stream: trio.SocketStream, destination: Endpoint) -> bool:
        """Send what waits until the connection breaks or its gateway moves. True if anything was sent."""
        sent_any = False

        async def watch(scope: trio.CancelScope) -> None:
            """The other side never speaks on this connection: whatever comes is its end."""
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                await stream.receive_some(1)
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            while lane.destination == destination:
                if not lane.frames:
                    await lane.changed.wait()
                    continue
                frames = lane.take_some()
                try:
                    with trio.fail_after(self._limits.send_s):
                        await stream.send_all(b"".join(frames))
                except (trio.BrokenResourceError, trio.TooSlowError, OSError):
                    self._counts.add(Count.FRAMES_LOST, len(frames))
                    break
                except trio.Cancelled:
                    self._counts.add(Count.FRAMES_LOST, len(frames))
                    raise
                sent_any = True
                self._counts.add(Count.FRAMES_SENT, len(frames))
            nursery.cancel_scope.cancel()
        return sent_any
