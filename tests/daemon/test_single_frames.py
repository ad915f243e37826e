from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.framing import encode_frame
from gossipsa.daemon.single_frames import AT_ONCE_MAX, SingleFrames
from tests.daemon.loopback import tcp_listener, unused_endpoint
from tests.daemon.test_streams import listening


@asynccontextmanager
async def sending(counts: Counts) -> AsyncIterator[SingleFrames]:
    frames = SingleFrames(counts=counts, patience_s=1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(frames.run)
        await wait_all_tasks_blocked()
        yield frames
        nursery.cancel_scope.cancel()


async def test_frame_arrives_and_its_connection_ends() -> None:
    bound, endpoint = tcp_listener()
    with bound:
        async with sending(Counts()) as frames:
            frames.send(endpoint, b"who is there?")
            accepted, _ = await trio.socket.from_stdlib_socket(bound).accept()
            arrived = bytearray()
            with accepted, trio.fail_after(5):
                while chunk := await accepted.recv(100):
                    arrived += chunk
    assert arrived == encode_frame(b"who is there?")


async def test_frame_to_nobody_is_tried_once() -> None:
    counts = Counts()
    async with sending(counts) as frames:
        frames.send(unused_endpoint(), b"x")
        with trio.fail_after(5):
            while frames.under_way():  # noqa: ASYNC110 - a failure that nobody is told of
                await trio.sleep(0.01)
    assert counts[Count.STREAM_CONNECTS_FAILED] == 1


async def test_flood_of_frames_takes_few_connections() -> None:
    counts = Counts()
    async with listening() as there, sending(counts) as frames:
        for _ in range(2 * AT_ONCE_MAX):
            frames.send(there.endpoint, b"x")
        assert frames.under_way() == AT_ONCE_MAX
    assert counts[Count.FRAMES_DROPPED] == AT_ONCE_MAX
