"""A kernel and an IKE daemon that keep a record, and a client whose packets try to get out all the time."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import msgspec
import trio

from gossipsa.daemon.backends import Backends
from gossipsa.daemon.client_installer import ClientInstaller
from gossipsa.daemon.client_keeper import ClientKeeper
from gossipsa.daemon.client_parts import inbound_id, outbound_id
from gossipsa.daemon.number_keeper import NumberKeeper
from gossipsa.effects import ActivateClient, InstallClient, OutboundNumbers, RemoveClient, Report
from gossipsa.errors import IkeDaemonError, KernelError
from gossipsa.identifiers import CLIENT_ID_BYTES, BootId, ClientId, Endpoint, Epoch, IpAddress
from gossipsa.ike_daemon import ActivateClient as IkeActivation
from gossipsa.ike_daemon import Answer as IkeAnswer
from gossipsa.ike_daemon import ImportClient
from gossipsa.inputs import Input
from gossipsa.ipsec.security_association import ClientState
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.kernel.backend import (
    Answer,
    ClientRoute,
    IkeDatagram,
    KernelSa,
    NewSa,
    OutboundBlock,
    PacketLimitReached,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from gossipsa.kernel.direct_install import DirectInstall
from gossipsa.kernel.memory_sad import MemorySad
from tests.client_states import make_client_state

EPOCH = Epoch(7, BootId(b"b" * 16))
FIRST = 2**30 + 5 * 2**20
LAST = FIRST + 2**20 - 1


def make_client(seed: int) -> tuple[ClientId, ClientState]:
    """A client whose CHILD_SA carries what goes to its virtual address, which no other seed has."""
    random = Random(seed)
    state = make_client_state(random)
    address = ipaddress.IPv4Address("10.99.0.0") + seed
    selector = TrafficSelector(protocol=0, from_port=0, to_port=65535, start=address, end=address)
    children = tuple(msgspec.structs.replace(child, remote_selectors=(selector,)) for child in state.children)
    ike_sa = msgspec.structs.replace(state.ike_sa, virtual_addresses=(address,), message_id_initiator=3)
    return (
        ClientId(random.randbytes(CLIENT_ID_BYTES)),
        msgspec.structs.replace(state, ike_sas=(ike_sa,), children=children),
    )


def numbers_of(state: ClientState) -> tuple[OutboundNumbers, ...]:
    return tuple(
        OutboundNumbers(
            outbound_spi=child.outbound_spi,
            inbound_spi=child.inbound_spi,
            sent=FIRST - 1,
            packet_limit=LAST,
            received=500,
            window_bitmap=(),
        )
        for child in state.children
    )


def install_of(client: ClientId, state: ClientState) -> InstallClient:
    return InstallClient(client=client, epoch=EPOCH, state=state, numbers=numbers_of(state))


def activate_of(client: ClientId, state: ClientState) -> ActivateClient:
    return ActivateClient(client=client, epoch=EPOCH, state=state, message_id_initiator=4)


def remove_of(client: ClientId, state: ClientState) -> RemoveClient:
    return RemoveClient(client=client, epoch=EPOCH, state=state)


class RecordingKernel:
    """A `Kernel` on a MemorySad.

    Around every call, a packet for each of `destinations` tries to get out.

    Attributes:
        calls: names of the calls that changed something, in order.
        escaped: sequence numbers that got out, by destination.
        incoming_ike: IKE messages to hand to whoever reads them.
        sent_ike: IKE messages that went out.
        ike_refusals: errors for the next of them.
    """

    def __init__(self) -> None:
        self.sad = MemorySad(random_bytes=Random(1).randbytes)
        self.calls: list[str] = []
        self.destinations: list[IpAddress] = []
        self.escaped: dict[IpAddress, list[int]] = {}
        self._limits = trio.open_memory_channel[PacketLimitReached](100)
        self.incoming_ike, self._ike_messages = trio.open_memory_channel[IkeDatagram](100)
        self.sent_ike: list[tuple[Endpoint, Endpoint, bytes]] = []
        self.ike_refusals: list[KernelError] = []

    def send_traffic(self) -> None:
        for destination in self.destinations:
            sealed = self.sad.seal_outbound(destination, b"payload")
            if sealed is not None:
                number = int.from_bytes(sealed.packet[4:8], "big")
                self.escaped.setdefault(destination, []).append(number)

    async def _record(self, name: str, call: Callable[[Any], Any], items: Sequence[Any]) -> Any:
        self.send_traffic()
        self.calls.append(name)
        await trio.lowlevel.checkpoint()
        answers = call(items)
        self.send_traffic()
        return answers

    async def sas(self) -> tuple[KernelSa, ...]:
        self.send_traffic()
        await trio.lowlevel.checkpoint()
        return self.sad.sas()

    async def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]:
        return await self._record("set_numbers", self.sad.set_numbers, changes)  # type: ignore[no-any-return]

    async def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]:
        return await self._record("set_packet_limits", self.sad.set_packet_limits, changes)  # type: ignore[no-any-return]

    async def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        return await self._record("add_sas", self.sad.add_sas, sas)  # type: ignore[no-any-return]

    async def delete_sas(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        return await self._record("delete_sas", self.sad.delete_sas, ids)  # type: ignore[no-any-return]

    async def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._record("block", self.sad.block_outbound, blocks)  # type: ignore[no-any-return]

    async def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._record("unblock", self.sad.unblock_outbound, blocks)  # type: ignore[no-any-return]

    async def delete_outbound_policies(self, destinations: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._record("delete_policies", self.sad.delete_outbound_policies, destinations)  # type: ignore[no-any-return]

    async def add_routes(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        return await self._record("add_routes", self.sad.add_routes, routes)  # type: ignore[no-any-return]

    async def delete_routes(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]:
        return await self._record("delete_routes", self.sad.delete_routes, addresses)  # type: ignore[no-any-return]

    async def routes(self) -> tuple[IpAddress, ...]:
        await trio.lowlevel.checkpoint()
        return self.sad.routes()

    def limit_events(self) -> trio.MemoryReceiveChannel[PacketLimitReached]:
        return self._limits[1]

    async def send_ike(self, *, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.ike_refusals:
            raise self.ike_refusals.pop()
        self.sent_ike.append((source, destination, data))

    def ike_messages(self) -> trio.MemoryReceiveChannel[IkeDatagram]:
        return self._ike_messages


class RecordingIke(DirectInstall):
    """DirectInstall that writes into the kernel's record, and refuses what it is told to.

    Attributes:
        refuses: operations that fail: await_configured, import, activate, forget, adopt.
    """

    def __init__(self, kernel: RecordingKernel) -> None:
        super().__init__(kernel)
        self._record = kernel
        self.refuses: set[str] = set()
        self.holds: dict[ClientId, ClientState] = {}

    async def import_clients(self, clients: Sequence[ImportClient]) -> tuple[IkeAnswer, ...]:
        answers = await self._answer("import", clients, super().import_clients)
        self.holds.update(
            (each.client, each.state) for each, answer in zip(clients, answers, strict=True) if answer is None
        )
        return answers

    async def await_configured(self, clients: Sequence[ImportClient]) -> tuple[IkeAnswer, ...]:
        return await self._answer("await_configured", clients, super().await_configured)

    async def activate_clients(self, clients: Sequence[IkeActivation]) -> tuple[IkeAnswer, ...]:
        return await self._answer("activate", clients, super().activate_clients)

    async def forget_clients(self, clients: Sequence[ClientId]) -> tuple[IkeAnswer, ...]:
        for client in clients:
            self.holds.pop(client, None)
        return await self._answer("forget", clients, super().forget_clients)

    async def adopt_clients(self, clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        if "adopt" in self.refuses:
            raise IkeDaemonError("told to refuse adopt")
        return await super().adopt_clients(clients)

    def restart(self) -> None:
        """Forget everything, as a process that was killed; the kernel keeps its SAs."""
        self._sas.clear()
        self.active.clear()
        self.holds.clear()

    async def _answer(
        self,
        name: str,
        items: Sequence[Any],
        call: Callable[[Sequence[Any]], Awaitable[tuple[IkeAnswer, ...]]],
    ) -> tuple[IkeAnswer, ...]:
        self._record.send_traffic()
        self._record.calls.append(name)
        if name in self.refuses:
            return (IkeDaemonError(f"told to refuse {name}"),) * len(items)
        return await call(items)


class Bench:
    """Everything that carries out effects on clients, and what it did.

    Args:
        kernel: of an earlier bench, to come after it as a daemon that was started again.
    """

    def __init__(self, kernel: RecordingKernel | None = None) -> None:
        self.kernel = kernel or RecordingKernel()
        self.sad = self.kernel.sad
        self.ike = RecordingIke(self.kernel)
        self.reports: list[Report] = []
        self.backends = Backends(self.kernel, self.ike)
        self.installer = ClientInstaller(self.backends, report=self.reports.append)
        self.keeper = ClientKeeper(self.backends, self.installer, report=self.reports.append)
        self.numbers = NumberKeeper(self.backends, report=self.reports.append)

    async def activate(self, *batch: ActivateClient) -> tuple[Input, ...]:
        """Both parts of an activation."""
        await self.installer.let_through(batch)
        return await self.installer.activate(batch)

    async def remove(self, *batch: RemoveClient) -> tuple[Input, ...]:
        """Both parts of a removal."""
        await self.installer.cut_off(batch)
        return await self.installer.remove(batch)

    def client(self, seed: int) -> tuple[ClientId, ClientState]:
        """A client to whom there is always something to send."""
        client, state = make_client(seed)
        self.kernel.destinations.extend(state.ike_sa.virtual_addresses)
        return client, state

    def outbound(self, state: ClientState) -> KernelSa:
        return self._find(outbound_id(state, state.children[0]))

    def inbound(self, state: ClientState) -> KernelSa:
        return self._find(inbound_id(state, state.children[0]))

    def escaped(self, state: ClientState) -> list[int]:
        """Sequence numbers that got out to the client."""
        (address,) = state.ike_sa.virtual_addresses
        return self.kernel.escaped.get(address, [])

    def _find(self, sa_id: SaId) -> KernelSa:
        (found,) = [sa for sa in self.sad.sas() if sa.id == sa_id]
        return found
