from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.framing import encode_frame
from gossipsa.daemon.stream_listener import StreamLimits, StreamListener
from gossipsa.daemon.stream_sender import SenderLimits, StreamSender
from gossipsa.effects import Report
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.inputs import FrameReceived, Input
from gossipsa.wire.sessions import FRAME_BYTES_MAX
from tests.daemon.loopback import input_channel, tcp_listener, unused_endpoint

LIMITS = StreamLimits(connections_max=4)
A, B = GatewayName("a"), GatewayName("b")
QUICK = SenderLimits(frames_max=8, connect_s=1.0, send_s=0.3, backoff_first_s=0.01, backoff_max_s=0.05)


class Listening:
    """A listener at work."""

    def __init__(
        self, endpoint: Endpoint, listener: StreamListener, arrivals: trio.MemoryReceiveChannel[Input]
    ) -> None:
        self.endpoint = endpoint
        self.listener = listener
        self._arrivals = arrivals

    async def frame(self) -> bytes:
        with trio.fail_after(5):
            received = await self._arrivals.receive()
        assert isinstance(received, FrameReceived)
        return received.data

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(str(self.endpoint.address), self.endpoint.port)


@asynccontextmanager
async def listening(
    limits: StreamLimits = LIMITS,
    counts: Counts | None = None,
    *,
    channel_size: int = 100,
    reports: list[Report] | None = None,
) -> AsyncIterator[Listening]:
    bound, endpoint = tcp_listener()
    inputs, arrivals = input_channel(channel_size)
    with bound:
        report = ([] if reports is None else reports).append
        listener = StreamListener(bound, limits=limits, counts=counts or Counts(), report=report)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, inputs)
            yield Listening(endpoint, listener, arrivals)
            nursery.cancel_scope.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    """Let the network do its work."""
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


async def test_frames_arrive_in_order(nursery: trio.Nursery) -> None:
    async with listening() as here:
        sender = StreamSender(limits=QUICK, counts=Counts())
        for number in range(5):
            sender.send(A, here.endpoint, bytes([number]))
        nursery.start_soon(sender.run)
        assert [await here.frame() for _ in range(5)] == [bytes([number]) for number in range(5)]
        sender.send(A, here.endpoint, bytes(FRAME_BYTES_MAX))
        assert len(await here.frame()) == FRAME_BYTES_MAX
        nursery.cancel_scope.cancel()


async def test_gateway_is_connected_before_there_is_anything_to_say(nursery: trio.Nursery) -> None:
    async with listening() as here:
        sender = StreamSender(limits=QUICK, counts=Counts())
        nursery.start_soon(sender.run)
        sender.open(A, here.endpoint)
        await _until(lambda: here.listener.open_connections() == 1 and sender.connected() == 1)
        nursery.cancel_scope.cancel()


async def test_stream_follows_a_gateway_that_moves(nursery: trio.Nursery) -> None:
    async with listening() as here, listening() as there:
        sender = StreamSender(limits=QUICK, counts=Counts())
        nursery.start_soon(sender.run)
        sender.open(A, here.endpoint)
        await _until(lambda: here.listener.open_connections() == 1)
        sender.open(A, there.endpoint)
        await _until(lambda: there.listener.open_connections() == 1 and not here.listener.open_connections())
        nursery.cancel_scope.cancel()


async def test_closed_stream_is_not_made_again_and_its_frames_are_dropped(nursery: trio.Nursery) -> None:
    counts = Counts()
    async with listening() as here:
        sender = StreamSender(limits=QUICK, counts=counts)
        nursery.start_soon(sender.run)
        sender.open(A, here.endpoint)
        sender.send(B, unused_endpoint(), b"to nobody")
        await _until(lambda: sender.connected() == 1)
        sender.close(A)
        sender.close(B)
        sender.close(B)
        await _until(lambda: not here.listener.open_connections())
        assert sender.waiting_frames() == 0
        assert counts[Count.FRAMES_DROPPED] == 1
        nursery.cancel_scope.cancel()


async def test_unreachable_gateway_keeps_its_newest_frames_and_nobody_else_waits(
    nursery: trio.Nursery,
) -> None:
    nowhere = unused_endpoint()
    counts = Counts()
    async with listening() as here:
        sender = StreamSender(limits=QUICK, counts=counts)
        nursery.start_soon(sender.run)
        for number in range(20):
            sender.send(A, nowhere, bytes([number]))
        sender.send(B, here.endpoint, b"to the living")
        assert await here.frame() == b"to the living"
        assert counts[Count.FRAMES_DROPPED] == 12
        assert sender.waiting_frames() == 8
        # The gateway moves to where somebody listens.
        sender.send(A, here.endpoint, b"last")
        expected = [bytes([number]) for number in range(13, 20)] + [b"last"]
        assert [await here.frame() for _ in range(8)] == expected
        nursery.cancel_scope.cancel()


async def test_gateway_that_does_not_read_blocks_nobody(nursery: trio.Nursery) -> None:
    stuck, stuck_endpoint = tcp_listener()
    counts = Counts()
    with stuck:
        async with listening() as here:
            sender = StreamSender(limits=QUICK, counts=counts)
            nursery.start_soon(sender.run)
            # More than both socket buffers hold; nobody accepts, the kernel's backlog does.
            for _ in range(8):
                sender.send(A, stuck_endpoint, bytes(FRAME_BYTES_MAX))
            sender.send(B, here.endpoint, b"to the living")
            assert await here.frame() == b"to the living"
            await _until(lambda: counts[Count.FRAMES_LOST] > 0)
            nursery.cancel_scope.cancel()


async def test_broken_connection_is_made_again(nursery: trio.Nursery) -> None:
    bound, endpoint = tcp_listener()
    with bound:
        sender = StreamSender(limits=QUICK, counts=Counts())
        nursery.start_soon(sender.run)
        sender.send(A, endpoint, b"first")
        listener = trio.socket.from_stdlib_socket(bound)
        with trio.fail_after(5):
            accepted, _ = await listener.accept()
            assert await accepted.recv(100) == encode_frame(b"first")
            accepted.close()
            # Without a word from the sender: it notices by itself.
            accepted, _ = await listener.accept()
            sender.send(A, endpoint, b"second")
            assert await accepted.recv(100) == encode_frame(b"second")
        accepted.close()
        nursery.cancel_scope.cancel()


async def test_oversized_length_ends_the_connection_and_no_other() -> None:
    counts = Counts()
    reports: list[Report] = []
    async with listening(counts=counts, reports=reports) as here:
        hostile, good = await here.connect(), await here.connect()
        await hostile.send_all((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
        with trio.fail_after(5):
            assert await hostile.receive_some(1) == b""
        await good.send_all(encode_frame(b"still here"))
        assert await here.frame() == b"still here"
        await good.aclose()
        await hostile.aclose()
    assert counts[Count.STREAMS_BROKEN] == 1
    assert [report.event for report in reports] == ["stream-refused"]


async def test_frame_that_drips_in_is_not_waited_for() -> None:
    counts = Counts()
    reports: list[Report] = []
    limits = StreamLimits(connections_max=4, frame_s=0.1)
    async with listening(limits, counts, reports=reports) as here:
        slow = await here.connect()
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await _drip(slow, encode_frame(bytes(FRAME_BYTES_MAX)))
        await slow.aclose()
    assert counts[Count.STREAMS_BROKEN] == 1
    assert counts[Count.FRAMES_RECEIVED] == 0
    assert [report.event for report in reports] == ["stream-timeout"]
    assert reports[0].detail.endswith(": unfinished frame")


async def _drip(stream: trio.SocketStream, data: bytes) -> None:
    """Byte after byte: there is always something new, and never a whole frame."""
    for index in range(len(data)):
        await stream.send_all(data[index : index + 1])


async def test_silent_connection_is_closed() -> None:
    limits = StreamLimits(connections_max=4, idle_s=0.05)
    async with listening(limits) as here:
        silent = await here.connect()
        with trio.fail_after(5):
            assert await silent.receive_some(1) == b""
        await silent.aclose()


async def test_flood_of_connections_closes_strangers_first() -> None:
    counts = Counts()
    async with listening(counts=counts) as here:
        good = await here.connect()
        await good.send_all(encode_frame(b"hello"))
        assert await here.frame() == b"hello"
        flood = [await here.connect() for _ in range(20)]
        await _until(lambda: counts[Count.STREAMS_ACCEPTED] == 21)
        assert here.listener.open_connections() <= LIMITS.connections_max
        await good.send_all(encode_frame(b"still here"))
        assert await here.frame() == b"still here"
        for stream in (good, *flood):
            await stream.aclose()


async def test_slow_core_makes_senders_wait_and_loses_no_frame(nursery: trio.Nursery) -> None:
    async with listening(channel_size=0) as here:
        sender = StreamSender(limits=SenderLimits(), counts=Counts())
        nursery.start_soon(sender.run)
        for number in range(100):
            sender.send(A, here.endpoint, bytes([number]))
        await wait_all_tasks_blocked()
        assert [await here.frame() for _ in range(100)] == [bytes([number]) for number in range(100)]
        nursery.cancel_scope.cancel()


async def test_reset_connection_disturbs_nothing() -> None:
    async with listening() as here:
        rude = await here.connect()
        await rude.send_all(encode_frame(b"x" * 100)[:50])
        await _until(lambda: here.listener.open_connections() == 1)
        rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        rude.socket.close()
        await _until(lambda: here.listener.open_connections() == 0)
        good = await here.connect()
        await good.send_all(encode_frame(b"still here"))
        assert await here.frame() == b"still here"
        await good.aclose()
