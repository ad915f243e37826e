"""One gateway in a process of its own: the real core, real sockets, and clients that it is told to have.

Of the daemon it has the run loop, the mesh's UDP socket and the streams. It has no IKE daemon and no kernel:
clients and their changes come from here, and what the core wants done about them is not done.

Arguments: the configuration file. Commands, one a line on standard input: `have N`, `change N`, `recover`,
`memory`, `cpu`, `live`. Answers are numbers, one JSON value a line.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import trio

from gossipsa.config import load_configuration
from gossipsa.daemon.clock import monotonic_ns
from gossipsa.daemon.counts import Counts
from gossipsa.daemon.run_loop import RunLoop
from gossipsa.daemon.stream_listener import StreamLimits, StreamListener, open_listener
from gossipsa.daemon.stream_sender import SenderLimits, StreamSender
from gossipsa.daemon.udp import MeshSocket, open_udp
from gossipsa.effects import AdoptClients, CloseStream, Effect, OpenStream, Report, SendDatagram, SendFrame
from gossipsa.gateway import Gateway
from gossipsa.identifiers import BOOT_ID_BYTES, BootId, ClientId, Endpoint, GatewayName
from gossipsa.inputs import ClientChanged, ClientsAdopted, IkeDaemonStarted, Input, Started
from gossipsa.ipsec.security_association import ClientState
from tests.bench.state.clients import after_a_request, make_client
from tests.bench.state.process_memory import resident_bytes

_SHORT_MAX = 2_048
"""Clients without all their copies, above which no further change is made: an IKE daemon has its pace too."""
_PAUSE_S = 0.002
_REPLICAS = 2


class BenchedGateway:
    """The core and its network."""

    def __init__(self, file: Path) -> None:
        configuration = load_configuration(file)
        self._settings = configuration.gateway
        self.core = Gateway(
            settings=configuration.gateway,
            keyring=configuration.keyring(unix_s=int(time.time())),
            boot=BootId(os.urandom(BOOT_ID_BYTES)),
            random=random.Random(os.urandom(16)),
            entropy=os.urandom,
        )
        counts = Counts()
        self._mesh = MeshSocket(open_udp(configuration.listen), counts=counts)
        self._listener = StreamListener(
            open_listener(configuration.listen),
            limits=StreamLimits(connections_max=64),
            counts=counts,
            report=lambda _: None,
        )
        self._streams = StreamSender(limits=SenderLimits(), counts=counts)
        self._loop = RunLoop(self.core, carry_out=self._carry_out, clock_ns=monotonic_ns)
        self._clients: dict[ClientId, ClientState] = {}
        self._live: set[GatewayName] = set()

    async def run(self) -> None:
        inputs = self._loop.inputs
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._loop.run)
            nursery.start_soon(self._streams.run)
            nursery.start_soon(self._mesh.receive, inputs)
            nursery.start_soon(self._listener.run, inputs)
            await inputs.send(Started())
            async for line in _lines():
                verb, _, number = line.partition(" ")
                print(msgspec.json.encode(await self._obey(verb, int(number or 0))).decode(), flush=True)
            nursery.cancel_scope.cancel()

    async def _obey(self, verb: str, number: int) -> float:
        match verb:
            case "have":
                made = [self._make(index) for index in range(number)]
                return await self._timed(number, made.__getitem__)
            case "change":
                clients = list(self._clients)
                return await self._timed(number, lambda index: self._change(clients[index % len(clients)]))
            case "recover":
                return await self._recovered()
            case "memory":
                gc.collect()
                return resident_bytes()
            case "cpu":
                return time.process_time()
            case "live":
                return len(self._live)
        raise ValueError(f"no such command: {verb}")

    async def _recovered(self) -> float:
        """Seconds from when a second replica is there again until it has acknowledged all."""
        await _until(lambda: len(self._live) >= _REPLICAS)
        begun_s = time.monotonic()
        await _until(lambda: not self.core.short_of_copies)
        return time.monotonic() - begun_s

    async def _timed(self, count: int, make: Callable[[int], Input]) -> float:
        """Seconds until all copies of all changes are acknowledged."""
        begun_s = time.monotonic()
        for index in range(count):
            await self._loop.inputs.send(make(index))
            if index % 64 == 63:
                await _until(lambda: self.core.short_of_copies <= _SHORT_MAX)
        await _until(lambda: not self._loop.waiting() and not self.core.short_of_copies)
        return time.monotonic() - begun_s

    def _make(self, index: int) -> Input:
        gateway = Endpoint(self._settings.ike_addresses[0], self._settings.ike_port)
        client, state = make_client(index, gateway=gateway, draw=os.urandom)
        self._clients[client] = state
        return ClientChanged(client=client, state=state)

    def _change(self, client: ClientId) -> Input:
        state = self._clients[client] = after_a_request(self._clients[client])
        return ClientChanged(client=client, state=state)

    def _carry_out(self, effects: Sequence[Effect]) -> list[Input]:
        follow: list[Input] = []
        for effect in effects:
            match effect:
                case SendDatagram(destination=destination, data=data):
                    self._mesh.send(destination, data)
                case SendFrame(to=str(to), destination=destination, data=data):
                    self._streams.send(to, destination, data)
                case OpenStream(to=to, destination=destination):
                    self._streams.open(to, destination)
                case CloseStream(to=to):
                    self._streams.close(to)
                case Report(event="gateway-alive", gateway=str(name)):
                    self._live.add(name)
                case Report(event="gateway-failed" | "gateway-left", gateway=str(name)):
                    self._live.discard(name)
                case AdoptClients(clients=clients):
                    absent = tuple(client for client, _ in clients)
                    follow += [
                        ClientsAdopted(clients=(), absent=absent, counters=()),
                        IkeDaemonStarted(resumed=False),
                    ]
        return follow


async def _until(holds: Callable[[], bool]) -> None:
    """The core tells nobody of its copies: they are looked at."""
    while True:
        if holds():
            return
        await trio.sleep(_PAUSE_S)


async def _lines() -> AsyncIterator[str]:
    received = b""
    stream = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    async for chunk in stream:
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


if __name__ == "__main__":
    trio.run(BenchedGateway(Path(sys.argv[1])).run)
