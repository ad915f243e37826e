from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

import trio
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.ike_probe import ANSWER_WAIT_NS, IkeProber
from gossipsa.identifiers import GatewayName, IpAddress
from gossipsa.ikev2.header import NON_ESP_MARKER
from gossipsa.ikev2.message import Message, decode_message, encode_message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.registry import NotifyType
from gossipsa.inputs import IkeProbeAnswered, Input
from tests.daemon.loopback import HERE, input_channel

NAME = GatewayName("b")


class Daemon:
    """The IKE port of a gateway on loopback."""

    def __init__(self, address: IpAddress = HERE) -> None:
        self._socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self._address = address

    async def open(self) -> int:
        await self._socket.bind((str(self._address), 0))
        port: int = self._socket.getsockname()[1]
        return port

    async def take_probe(self) -> tuple[bytes, tuple[object, ...]]:
        with trio.fail_after(5):
            data, source = await self._socket.recvfrom(2000)
        assert data.startswith(NON_ESP_MARKER)
        return data[len(NON_ESP_MARKER) :], source

    async def refuse(self, probe: bytes, source: tuple[object, ...]) -> None:
        request = decode_message(probe)
        refusal = Message(
            spi_i=request.spi_i,
            spi_r=bytes(8),
            exchange=request.exchange,
            is_initiator=False,
            is_response=True,
            message_id=0,
            payloads=(Notify(type=NotifyType.NO_PROPOSAL_CHOSEN),),
        )
        await self.send(NON_ESP_MARKER + encode_message(refusal), source)

    async def send(self, data: bytes, to: tuple[object, ...]) -> None:
        await self._socket.sendto(data, to)

    def close(self) -> None:
        self._socket.close()


class Probing:
    """A prober, with a clock that the test moves."""

    def __init__(self, port: int) -> None:
        self.now_ns = 0
        self.counts = Counts()
        self.prober = IkeProber(
            port=port, entropy=Random(1).randbytes, clock_ns=lambda: self.now_ns, counts=self.counts
        )
        self.inputs, self.arrivals = input_channel()

    async def next_input(self) -> Input:
        with trio.fail_after(5):
            return await self.arrivals.receive()

    def close(self) -> None:
        self.prober.close()


async def test_refusal_is_a_sign_of_life(nursery: trio.Nursery) -> None:
    daemon = Daemon()
    probing = Probing(await daemon.open())
    nursery.start_soon(probing.prober.run, probing.inputs)
    probing.prober.ask(NAME, HERE)
    probe, source = await daemon.take_probe()
    await daemon.refuse(probe, source)

    assert await probing.next_input() == IkeProbeAnswered(gateway=NAME)
    nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    probing.close()
    daemon.close()


async def test_late_garbled_and_repeated_answers_are_none(nursery: trio.Nursery) -> None:
    daemon = Daemon()
    probing = Probing(await daemon.open())
    nursery.start_soon(probing.prober.run, probing.inputs)
    probing.prober.ask(NAME, HERE)
    late, source = await daemon.take_probe()
    probing.now_ns += ANSWER_WAIT_NS + 1
    await daemon.refuse(late, source)
    probing.prober.ask(NAME, HERE)
    probe, source = await daemon.take_probe()
    await daemon.send(b"", source)
    await daemon.send(NON_ESP_MARKER + probe[:8] + b"nonsense", source)
    await daemon.send(NON_ESP_MARKER + probe, source)  # An echo is no answer.
    await daemon.refuse(probe, source)
    await daemon.refuse(probe, source)
    probing.prober.ask(GatewayName("c"), HERE)
    probe, source = await daemon.take_probe()
    await daemon.refuse(probe, source)

    # In the order of arrival: had one of the others counted, it would have come first.
    assert await probing.next_input() == IkeProbeAnswered(gateway=NAME)
    assert await probing.next_input() == IkeProbeAnswered(gateway=GatewayName("c"))
    nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    probing.close()
    daemon.close()


async def test_answer_of_another_host_does_not_count(nursery: trio.Nursery) -> None:
    daemon, stranger = Daemon(), Daemon(IPv4Address("127.0.0.2"))
    probing = Probing(await daemon.open())
    await stranger.open()
    nursery.start_soon(probing.prober.run, probing.inputs)
    probing.prober.ask(NAME, HERE)
    probe, source = await daemon.take_probe()
    await stranger.refuse(probe, source)
    probing.prober.ask(GatewayName("c"), HERE)
    second, source = await daemon.take_probe()
    await daemon.refuse(second, source)

    assert await probing.next_input() == IkeProbeAnswered(gateway=GatewayName("c"))
    nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    for each in (probing, daemon, stranger):
        each.close()


async def test_probes_are_bounded() -> None:
    daemon = Daemon()
    probing = Probing(await daemon.open())
    for _ in range(2000):
        probing.prober.ask(NAME, HERE)
    sent = probing.counts[Count.IKE_PROBES_SENT]

    assert sent <= 1024
    assert probing.counts[Count.IKE_PROBES_UNSENT] == 2000 - sent
    # Silence makes room.
    probing.now_ns += ANSWER_WAIT_NS + 1
    probing.prober.ask(NAME, HERE)
    assert probing.counts[Count.IKE_PROBES_SENT] == sent + 1
    probing.close()
    daemon.close()
