"""Incoming mesh streams. Nobody is trusted here: who sent a frame shows when the core opens it."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import msgspec
import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.framing import FrameError, FrameReader
from gossipsa.daemon.udp import endpoint_of, family_of, socket_address
from gossipsa.effects import Report
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import FrameReceived, Input

_BACKLOG = 64
_CHUNK_BYTES = 64 << 10
_KEEPALIVE_IDLE_S = 15
_KEEPALIVE_INTERVAL_S = 5
_KEEPALIVE_PROBES = 3
_ACCEPT_PAUSE_S = 0.1


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What strangers may use up."""

    connections_max: int
    """Incoming connections at once. One more closes the one that has been silent longest."""
    frame_s: float = 20.0
    """How long a frame may take from its first byte to its last."""
    idle_s: float = 900.0
    """How long a connection may be silent between frames."""


def open_listener(listen: Endpoint) -> socket.socket:
    """Opens, binds and listens.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    family = family_of(listen)
    tcp = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        tcp.bind(socket_address(listen, family))
        tcp.listen(_BACKLOG)
    except OSError as error:
        tcp.close()
        raise ConfigurationError(f"gateway.listen: cannot bind {listen} (TCP): {error.strerror}") from None
    return tcp


class _Connection(msgspec.Struct, kw_only=True, eq=False):
    stream: trio.SocketStream
    peer: Endpoint
    scope: trio.CancelScope
    heard_s: float
    has_delivered: bool = False


class StreamListener:
    """Accepts streams and passes their frames on.

    Args:
        tcp: listening and non-blocking; stays the caller's to close.
    """

    def __init__(
        self,
        tcp: socket.socket,
        *,
        limits: StreamLimits,
        counts: Counts,
        report: Callable[[Report], None],
    ) -> None:
        self._listener = trio.socket.from_stdlib_socket(tcp)
        self._limits = limits
        self._counts = counts
        self._report = report
        self._connections: dict[_Connection, None] = {}

    def open_connections(self) -> int:
        return len(self._connections)

    async def run(self, inputs: trio.MemorySendChannel[Input]) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    accepted, address = await self._listener.accept()
                except OSError as error:
                    # Out of descriptors, or a connection that was gone before it was accepted.
                    self._report(Report(event="stream-accept-failed", detail=str(error.strerror)))
                    await trio.sleep(_ACCEPT_PAUSE_S)
                    continue
                self._counts.add(Count.STREAMS_ACCEPTED)
                connection = _Connection(
                    stream=trio.SocketStream(accepted),
                    peer=endpoint_of(address),
                    scope=trio.CancelScope(),
                    heard_s=trio.current_time(),
                )
                self._make_room()
                self._connections[connection] = None
                nursery.start_soon(self._serve, connection, inputs.send)

    def _make_room(self) -> None:
        """Close the least useful connection if there are too many: first those that never said anything."""
        if len(self._connections) < self._limits.connections_max:
            return
        victim = min(self._connections, key=lambda other: (other.has_delivered, other.heard_s))
        self._counts.add(Count.STREAMS_REFUSED)
        self._report(Report(event="stream-evicted", detail=f"{victim.peer}, for a newer one"))
        victim.scope.cancel()
        del self._connections[victim]

    async def _serve(
        self, connection: _Connection, pass_on: Callable[[FrameReceived], Awaitable[None]]
    ) -> None:
        try:
            with connection.scope:
                _set_keepalive(connection.stream.socket)
                await self._read(connection, pass_on)
        except FrameError as error:
            self._counts.add(Count.STREAMS_BROKEN)
            self._report(Report(event="stream-refused", detail=f"{connection.peer}: {error}"))
        except (trio.BrokenResourceError, OSError):
            self._counts.add(Count.STREAMS_BROKEN)
        finally:
            self._connections.pop(connection, None)
            # Closing must not wait for anybody.
            connection.stream.socket.close()

    async def _read(
        self, connection: _Connection, pass_on: Callable[[FrameReceived], Awaitable[None]]
    ) -> None:
        reader = FrameReader()
        deadline_s = trio.current_time() + self._limits.idle_s
        while True:
            with trio.move_on_at(deadline_s) as waited:
                chunk = await connection.stream.receive_some(_CHUNK_BYTES)
            if waited.cancelled_caught:
                self._counts.add(Count.STREAMS_BROKEN)
                what = "silence" if reader.is_between_frames else "unfinished frame"
                self._report(Report(event="stream-timeout", detail=f"{connection.peer}: {what}"))
                return
            if not chunk:
                return
            was_between_frames = reader.is_between_frames
            frames = reader.feed(chunk)
            connection.heard_s = trio.current_time()
            for frame in frames:
                connection.has_delivered = True
                self._counts.add(Count.FRAMES_RECEIVED)
                await pass_on(FrameReceived(data=frame))
            if reader.is_between_frames:
                deadline_s = trio.current_time() + self._limits.idle_s
            elif frames or was_between_frames:
                # A new frame began; bytes that merely go on with it do not give it more time.
                deadline_s = trio.current_time() + self._limits.frame_s


def _set_keepalive(stream: trio.socket.SocketType) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
