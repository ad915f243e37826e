"""The clients at work: a socket, a sender and a receiver each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from ipaddress import IPv4Address, ip_address
from socket import AF_INET, SOCK_DGRAM

import trio

from examples.demo.client import Client, Datagram
from gossipsa.identifiers import Endpoint

_DATAGRAM_BYTES_MAX = 2_048


class ClientSockets(AbstractContextManager["ClientSockets"]):
    """One bound UDP socket a client."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.sockets: list[trio.socket.SocketType] = []

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def open(self, address: IPv4Address) -> Endpoint:
        """Add a socket at any free port of an address; return where it is."""
        udp = self._stack.enter_context(trio.socket.socket(AF_INET, SOCK_DGRAM))
        await udp.bind((str(address), 0))
        self.sockets.append(udp)
        return Endpoint(address, udp.getsockname()[1])


async def exchange_packets(
    clients: Sequence[Client], sockets: Sequence[trio.socket.SocketType], interval_s: float
) -> None:
    """Let every client send a packet each interval and take what comes, until cancelled."""
    async with trio.open_nursery() as nursery:
        for index, (client, udp) in enumerate(zip(clients, sockets, strict=True)):
            nursery.start_soon(_receive, client, udp)
            # Evenly spread over the interval: nothing is served in bursts that real clients would not make.
            phase_s = interval_s * index / len(clients)
            nursery.start_soon(_send, client, udp, interval_s, phase_s)


async def _send(client: Client, udp: trio.socket.SocketType, interval_s: float, phase_s: float) -> None:
    due_s = trio.current_time() + phase_s
    while True:
        await trio.sleep_until(due_s)
        await _transmit(udp, client.next_packet())
        # A host that could not keep up skips packets; their rhythm stays, so that no bursts form.
        missed = max(0, int((trio.current_time() - due_s) / interval_s))
        due_s += (1 + missed) * interval_s


async def _receive(client: Client, udp: trio.socket.SocketType) -> None:
    while True:
        data, (host, port) = await udp.recvfrom(_DATAGRAM_BYTES_MAX)
        source = Endpoint(ip_address(host), port)
        answer = client.receive(data, source=source, now_ns=time.monotonic_ns())
        if answer is not None:
            await _transmit(udp, answer)


async def _transmit(udp: trio.socket.SocketType, datagram: Datagram) -> None:
    await udp.sendto(datagram.data, (str(datagram.destination.address), datagram.destination.port))
