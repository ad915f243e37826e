"""Socket, queue and sender towards charon, between real UDP sockets on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio

from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.strongswan.errors import CharonUnavailableError
from gossipsa.strongswan.ha_sender import BURST_DATAGRAMS, Delivery, HaSender
from gossipsa.strongswan.ha_socket import BATCH_DATAGRAMS_MAX, HaSocket
from gossipsa.strongswan.receive_queue import QueueState, ReceiveQueue

LOOPBACK = IPv4Address("127.0.0.1")
BUFFER_BYTES = 4 << 20
DEFAULT_BUFFER_BYTES = 212_992


class Link:
    """Our end and charon's end, connected to each other."""

    def __init__(
        self, address: IpAddress = LOOPBACK, *, charon_buffer_bytes: int = DEFAULT_BUFFER_BYTES
    ) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        ours = socket.socket(family, socket.SOCK_DGRAM)
        self.charon = socket.socket(family, socket.SOCK_DGRAM)
        ours.bind((str(address), 0))
        self.charon.bind((str(address), 0))
        ours.connect(self.charon.getsockname())
        self.charon.connect(ours.getsockname())
        self.charon.setblocking(False)
        # The kernel doubles what it is asked for.
        self.charon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, charon_buffer_bytes // 2)
        self.local = Endpoint(address=address, port=ours.getsockname()[1])
        self.remote = Endpoint(address=address, port=self.charon.getsockname()[1])
        self.socket = HaSocket(ours, receive_buffer_bytes=BUFFER_BYTES)
        self.queue = ReceiveQueue(local=self.remote, remote=self.local)
        self.sender = HaSender(self.socket, self.queue, timeout_ns=10**9)

    def close(self) -> None:
        self.socket.close()
        self.charon.close()

    def read_all(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.charon.recv(65535))
            except BlockingIOError:
                return found


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link()
    yield made
    made.close()


async def test_datagrams_are_received_in_order_and_in_batches(link: Link) -> None:
    sent = [number.to_bytes(2, "big") for number in range(BATCH_DATAGRAMS_MAX + 10)]
    for data in sent:
        link.charon.send(data)
    await link.socket.wait_readable()
    first, second, third = (link.socket.receive_batch() for _ in range(3))
    assert (len(first), len(second), third) == (BATCH_DATAGRAMS_MAX, 10, [])
    assert first + second == sent


def test_a_dead_charon_is_counted_and_the_next_one_is_reached(link: Link) -> None:
    address = link.charon.getsockname()
    link.charon.close()
    assert not link.socket.send(b"refused")
    assert not link.socket.send(b"refused again")
    reborn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reborn.bind(address)
    # What is left of the last refusal must not swallow the first datagram to the new charon.
    assert link.socket.send(b"arrives")
    assert reborn.recv(100) == b"arrives"
    assert link.socket.refused_count == 2
    reborn.close()


async def test_a_refusal_does_not_end_reception(link: Link) -> None:
    address = link.charon.getsockname()
    link.charon.close()
    # The refusal of this one is still pending when the next charon speaks.
    link.socket._socket.send(b"refused")
    reborn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reborn.bind(address)
    reborn.connect((str(link.local.address), link.local.port))
    reborn.send(b"alive")
    await link.socket.wait_readable()
    assert link.socket.receive_batch() == [b"alive"]
    assert link.socket.refused_count == 1
    reborn.close()


def test_what_our_buffer_had_no_room_for_is_counted() -> None:
    link = Link()
    ours = HaSocket.open(
        local=Endpoint(address=LOOPBACK, port=0), remote=link.remote, receive_buffer_bytes=16 << 10
    )
    link.charon.connect(("127.0.0.1", ours._socket.getsockname()[1]))
    for _ in range(200):
        link.charon.send(bytes(500))
    received = len(ours.receive_batch())
    link.charon.send(b"after the flood")
    assert ours.receive_batch() == [b"after the flood"]
    assert ours.overflow_count == 200 - received
    ours.close()
    link.close()


@pytest.mark.parametrize("address", [LOOPBACK, IPv6Address("::1")], ids=str)
def test_the_queue_shows_what_waits_and_what_was_dropped(address: IpAddress) -> None:
    link = Link(address, charon_buffer_bytes=8 << 10)
    assert link.queue.look() == QueueState(bytes=0, drops=0)
    for _ in range(100):
        link.socket.send(bytes(100))
    state = link.queue.look()
    assert state is not None
    assert state.bytes > 0
    assert state.drops == 100 - len(link.read_all())
    drained = link.queue.look()
    assert drained == QueueState(bytes=0, drops=state.drops)
    link.close()


def test_a_socket_that_does_not_exist_has_no_queue(link: Link) -> None:
    nobody = Endpoint(address=LOOPBACK, port=1)
    assert ReceiveQueue(local=nobody, remote=link.local).look() is None


async def test_a_slow_reader_gets_everything(link: Link) -> None:
    sent = [number.to_bytes(400, "big") for number in range(10 * BURST_DATAGRAMS)]
    received: list[bytes] = []

    async def read_slowly() -> None:
        while len(received) < len(sent):
            await trio.sleep(0.002)
            received.extend(link.read_all())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_slowly)
        assert await link.sender.send(sent) is Delivery.READ
    assert received == sent


async def test_a_buffer_that_is_too_small_is_reported_as_loss(autojump_clock: trio.testing.MockClock) -> None:
    link = Link(charon_buffer_bytes=8 << 10)

    async def read() -> None:
        await trio.sleep(0.1)
        link.read_all()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        assert await link.sender.send([bytes(400)] * BURST_DATAGRAMS) is Delivery.LOST
    link.close()


async def test_what_may_come_twice_is_repeated_until_it_is_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    link = Link(charon_buffer_bytes=8 << 10)
    received: list[bytes] = []

    async def read() -> None:
        await trio.sleep(0.1)
        received.extend(link.read_all())
        # Room for all from now on.
        link.charon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEFAULT_BUFFER_BYTES)
        await trio.sleep(0.1)
        received.extend(link.read_all())

    sent = [number.to_bytes(400, "big") for number in range(BURST_DATAGRAMS)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        assert await link.sender.send_until_read(sent) is Delivery.READ
    assert received[-BURST_DATAGRAMS:] == sent
    assert len(received) > BURST_DATAGRAMS
    link.close()


async def test_a_charon_that_does_not_read_is_given_up(
    link: Link, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(CharonUnavailableError, match="does not read"):
        await link.sender.send([b"unread"])


async def test_a_charon_that_is_not_there_is_given_up(
    link: Link, autojump_clock: trio.testing.MockClock
) -> None:
    link.charon.close()
    with pytest.raises(CharonUnavailableError, match="does not listen"):
        await link.sender.send([b"first", b"second"])


async def test_without_sight_of_the_queue_nothing_is_promised(
    link: Link, autojump_clock: trio.testing.MockClock
) -> None:
    nobody = Endpoint(address=LOOPBACK, port=1)
    sender = HaSender(link.socket, ReceiveQueue(local=nobody, remote=link.local), timeout_ns=10**9)
    started = trio.current_time()
    assert await sender.send([b"x"] * (2 * BURST_DATAGRAMS)) is Delivery.UNKNOWN
    assert trio.current_time() > started
    assert len(link.read_all()) == 2 * BURST_DATAGRAMS


async def test_sending_nothing_succeeds(link: Link) -> None:
    assert await link.sender.send([]) is Delivery.READ
