"""The in-memory kernel on a real UDP socket: clients of the demonstration, on loopback."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio

from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint
from gossipsa.kernel.backend import IkeDatagram, OutboundBlock, PacketLimitReached, SaId, SetPacketLimit
from gossipsa.kernel.memory import MemoryKernelSettings, open_memory_kernel
from gossipsa.kernel.memory_sad import InboundDrop, MemorySad, Opened
from tests.kernel.samples import INNER, gcm_sa, selector

LOOPBACK = IPv4Address("127.0.0.1")
CLIENT = IPv4Address("127.0.0.9")
OUT = SaId(0x1000, CLIENT)
IN = SaId(0x2000, LOOPBACK)
SETTINGS = MemoryKernelSettings(listen=Endpoint(LOOPBACK, 0))
PAIR = (
    gcm_sa(OUT.spi, CLIENT, LOOPBACK, destinations=(selector(str(INNER)),), reverse=IN),
    gcm_sa(IN.spi, LOOPBACK, CLIENT, reverse=OUT),
)


class Client:
    """A client with the same pair of SAs, on a socket of its own."""

    def __init__(self, gateway: Endpoint, udp: trio.socket.SocketType) -> None:
        self.udp = udp
        self.sad = MemorySad(random_bytes=random.Random(1).randbytes)
        self.sad.add_sas(PAIR)
        self._gateway = (str(gateway.address), gateway.port)

    async def send_esp(self, payload: bytes) -> None:
        sealed = self.sad.seal_outbound(IN, payload)
        assert sealed is not None
        await self.send(sealed.packet)

    async def send(self, data: bytes) -> None:
        await self.udp.sendto(data, self._gateway)

    async def receive(self) -> bytes:
        with trio.fail_after(5):
            data: bytes = await self.udp.recv(2000)
        return data

    async def receive_esp(self) -> Opened | InboundDrop:
        return self.sad.open_inbound(await self.receive(), destination=CLIENT)


@contextmanager
def client_of(gateway: Endpoint) -> Iterator[Client]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.bind((str(CLIENT), 0))
        with trio.socket.from_stdlib_socket(plain) as udp:
            yield Client(gateway, udp)


async def test_payload_comes_back_to_where_it_came_from() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        await kernel.add_sas(PAIR)
        for _ in range(2):  # the second time from another port, as behind a NAT
            with client_of(kernel.local) as client:
                client.sad.set_numbers([])
                sent = (await kernel.sas())[1].received
                for _ in range(sent):
                    client.sad.seal_outbound(IN, b"")
                await client.send_esp(b"ping")
                opened = await client.receive_esp()
                assert isinstance(opened, Opened)
                assert opened.payload == b"ping"


async def test_drops_are_counted_by_reason() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        await kernel.add_sas(PAIR)
        with client_of(kernel.local) as client:
            await client.send(b"\xff")  # keep-alive
            await client.send(b"short")
            await client.send(b"\0\0\0\1" + bytes(40))
            await client.send(b"\0\0\x20\0\0\0\0\1" + bytes(40))
            await client.send_esp(b"ping")
            await client.receive_esp()
        drops = {reason: count for reason, count in kernel.counters.inbound_drops.items() if count}
        assert drops == {
            InboundDrop.HEADER_ERROR: 1,
            InboundDrop.NO_STATE: 1,
            InboundDrop.PROTOCOL_ERROR: 1,
        }


async def test_blocked_client_gets_no_answer() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        await kernel.add_sas(PAIR)
        block = OutboundBlock((selector(str(INNER)),))
        await kernel.block_outbound([block])
        with client_of(kernel.local) as client:
            await client.send_esp(b"one")
            # IKE passes; once it is here, the packet before it has been worked on.
            await client.send(bytes(4) + b"ike")
            with trio.fail_after(5):
                await kernel.ike_messages().receive()
            assert kernel.counters.unanswered == 1
            await kernel.unblock_outbound([block])
            await client.send_esp(b"two")
            opened = await client.receive_esp()
            assert isinstance(opened, Opened)
            assert (opened.sequence, opened.payload) == (1, b"two")


async def test_limit_events_come_from_traffic() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        await kernel.add_sas(PAIR)
        await kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=1, hard=2)])
        with client_of(kernel.local) as client:
            for _ in range(3):
                await client.send_esp(b"ping")
            with trio.fail_after(5):
                events = [await kernel.limit_events().receive() for _ in range(2)]
        assert events == [PacketLimitReached(OUT, hard=False), PacketLimitReached(OUT, hard=True)]
        assert [sa.id for sa in await kernel.sas()] == [IN]


async def test_ike_goes_both_ways_beside_esp() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        with client_of(kernel.local) as client:
            here = Endpoint(CLIENT, client.udp.getsockname()[1])
            await client.send(bytes(4) + b"request")
            with trio.fail_after(5):
                copy = await kernel.ike_messages().receive()
            assert copy == IkeDatagram(here, kernel.local, b"request")
            await kernel.send_ike(source=kernel.local, destination=here, data=b"answer")
            assert await client.receive() == bytes(4) + b"answer"


async def test_ike_messages_that_nobody_reads_are_counted() -> None:
    settings = MemoryKernelSettings(listen=Endpoint(LOOPBACK, 0), ike_messages_max=1)
    async with open_memory_kernel(settings) as kernel:
        await kernel.add_sas(PAIR)
        with client_of(kernel.local) as client:
            for _ in range(3):
                await client.send(bytes(4) + b"ike")
            await client.send_esp(b"ping")
            await client.receive_esp()
        assert kernel.counters.dropped_ike_messages == 2


async def test_unreachable_destination_is_an_error() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        with pytest.raises(KernelError, match="cannot send IKE"):
            await kernel.send_ike(
                source=kernel.local, destination=Endpoint(IPv4Address("255.255.255.255"), 4500), data=b"ike"
            )


async def test_address_in_use_is_an_error() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        with pytest.raises(KernelError, match="cannot listen"):
            async with open_memory_kernel(MemoryKernelSettings(listen=kernel.local)):
                pass


async def test_ipv6_works_alike() -> None:
    loopback = IPv6Address("::1")
    async with open_memory_kernel(MemoryKernelSettings(listen=Endpoint(loopback, 0))) as kernel:
        await kernel.send_ike(source=kernel.local, destination=kernel.local, data=b"ike")
        with trio.fail_after(5):
            assert await kernel.ike_messages().receive() == IkeDatagram(kernel.local, kernel.local, b"ike")
