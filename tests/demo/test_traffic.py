"""The demo's clients over real sockets, with the in-memory kernel for a gateway."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from itertools import count

import trio

from examples.demo.client import Client
from examples.demo.client_states import invent_client
from examples.demo.traffic import ClientSockets, exchange_packets
from gossipsa.identifiers import Endpoint
from gossipsa.kernel.direct_install import client_sas
from gossipsa.kernel.memory import MemoryKernelSettings, open_memory_kernel

LOOPBACK = IPv4Address("127.0.0.1")
CLIENTS = 4
PACKETS = 5


async def test_every_client_exchanges_sealed_packets_with_its_gateway() -> None:
    draw = random.Random(1).randbytes
    async with open_memory_kernel(MemoryKernelSettings(listen=Endpoint(LOOPBACK, 0))) as kernel:
        with ClientSockets() as sockets:
            clients = []
            for index in range(CLIENTS):
                home = await sockets.open(LOOPBACK)
                client_id, state = invent_client(index=index, client=home, gateway=kernel.local, draw=draw)
                assert set(await kernel.add_sas(client_sas(state))) == {None}
                clients.append(Client(client=client_id, state=state))
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(exchange_packets, clients, sockets.sockets, 0.01)
                    while any(len(client.packets) < PACKETS for client in clients):
                        await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()

    for client in clients:
        assert not client.refused
        assert {packet.gateway for packet in client.packets} == {kernel.local}
        assert all(
            packet.sequence == expected for packet, expected in zip(client.packets, count(1), strict=False)
        )
