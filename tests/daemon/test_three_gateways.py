"""Three daemons in one process on loopback, with in-memory kernels: everything is real but the hosts."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from examples.demo.client import Client
from examples.demo.client_states import invent_client
from examples.demo.mesh_files import GatewayFiles, LoopbackAddresses, write_mesh
from examples.demo.traffic import ClientSockets, exchange_packets
from gossipsa.config import load_configuration
from gossipsa.daemon.admin_client import ask_daemon
from gossipsa.daemon.counts import Counts
from gossipsa.daemon.event_log import EventLog
from gossipsa.daemon.line_writer import LineWriter
from gossipsa.daemon.main import open_ike_daemon
from gossipsa.daemon.service import open_service
from gossipsa.identifiers import ClientId
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.memory import MemoryKernel, MemoryKernelSettings, open_memory_kernel
from gossipsa.wire.codec import encode

CLIENTS = 6
PACKET_INTERVAL_S = 0.02


class Host:
    """A gateway's host: its kernel, and a daemon that can be killed and started on it."""

    def __init__(self, files: GatewayFiles, kernel: MemoryKernel, nursery: trio.Nursery) -> None:
        self.files = files
        self._kernel = kernel
        self._nursery = nursery
        self._running = trio.CancelScope()
        self._stop = trio.Event()
        self._ended = trio.Event()
        self.events = io.StringIO()

    async def start(self) -> None:
        self._running, self._stop, self._ended = trio.CancelScope(), trio.Event(), trio.Event()
        await self._nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        configuration = load_configuration(self.files.configuration)
        counts = Counts()
        lines = LineWriter(counts=counts)
        log = EventLog(configuration.log, own=self.files.name, lines=lines, stream=self.events)
        ike = open_ike_daemon(configuration, self._kernel, {})
        with self._running:
            async with open_service(
                configuration,
                keyring=configuration.keyring(unix_s=int(time.time())),
                kernel=self._kernel,
                ike=ike,
                log=log,
                counts=counts,
            ) as service:
                await service.run(self._stop, task_status=task_status)
        lines.close()
        log.close()
        self._ended.set()

    async def kill(self) -> None:
        """No farewell, no last packet; the kernel goes on."""
        self._running.cancel()
        await self._ended.wait()

    async def stop(self) -> None:
        self._stop.set()
        await self._ended.wait()

    async def ask(self, request: dict[str, str]) -> dict[str, Any]:
        return await trio.to_thread.run_sync(ask_daemon, self.files.admin_socket, request)

    async def offer(self, client: ClientId, state: ClientState) -> None:
        encoded = base64.b64encode(encode(state)).decode()
        await self.ask({"op": "offer", "client": client.hex(), "state": encoded})

    async def roles(self) -> dict[str, str]:
        return {each["client"]: each["role"] for each in (await self.ask({"op": "status"}))["clients"]}

    async def copies(self) -> dict[str, int]:
        found: dict[str, int] = (await self.ask({"op": "status"}))["copies"]
        return found

    async def members(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in (await self.ask({"op": "status"}))["members"]}


async def until(condition: Callable[[], Any], *, within_s: float = 15.0) -> None:
    """Ask again and again until the answer is true: daemons are asked as an operator asks them."""
    with trio.fail_after(within_s):
        while not await condition():  # noqa: ASYNC110
            await trio.sleep(0.02)


class Mesh:
    """The hosts, and clients that send all the time."""

    def __init__(self, hosts: Sequence[tuple[Host, trio.CancelScope]]) -> None:
        self.hosts = [host for host, _ in hosts]
        self._power = [scope for _, scope in hosts]
        self.clients: list[Client] = []

    async def cut_power(self, index: int) -> None:
        """The daemon and the kernel of a host are gone in one moment."""
        self._power[index].cancel()
        await self.hosts[index].kill()

    def moved_clients(self) -> int:
        return sum(bool(client.moves) for client in self.clients)

    def served_since(self, packets_before: Sequence[int]) -> bool:
        return all(
            len(client.packets) > before for client, before in zip(self.clients, packets_before, strict=True)
        )

    def packet_counts(self) -> list[int]:
        return [len(client.packets) for client in self.clients]


@asynccontextmanager
async def running_mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    """Three gateways that know each other, and clients of the first with two copies each."""
    addresses = LoopbackAddresses(os.urandom)
    files = write_mesh(tmp_path, count=3, addresses=addresses, draw=os.urandom)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        hosts = [await nursery.start(_power_up, each, nursery) for each in files]
        mesh = Mesh(hosts)
        sockets = stack.enter_context(ClientSockets())
        for host in mesh.hosts:
            await host.start()

        async def everybody_is_seen() -> bool:
            return all([list((await h.members()).values()) == ["alive"] * 2 for h in mesh.hosts])

        await until(everybody_is_seen)
        for index in range(CLIENTS):
            endpoint = await sockets.open(addresses.client(index))
            client, state = invent_client(index=index, client=endpoint, gateway=files[0].ike, draw=os.urandom)
            await mesh.hosts[0].offer(client, state)
            mesh.clients.append(Client(client=client, state=state))

        async def all_are_copied() -> bool:
            return await mesh.hosts[0].copies() == {"2": CLIENTS}

        await until(all_are_copied)
        nursery.start_soon(exchange_packets, mesh.clients, sockets.sockets, PACKET_INTERVAL_S)
        yield mesh
        nursery.cancel_scope.cancel()


async def _power_up(
    files: GatewayFiles,
    nursery: trio.Nursery,
    *,
    task_status: trio.TaskStatus[tuple[Host, trio.CancelScope]] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.CancelScope() as power:
        async with open_memory_kernel(MemoryKernelSettings(listen=files.ike)) as kernel:
            task_status.started((Host(files, kernel, nursery), power))
            await trio.sleep_forever()


async def test_clients_of_a_dead_gateway_go_on_elsewhere_without_a_number_used_twice(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        await until(lambda: _true(mesh.served_since([0] * CLIENTS)))
        await mesh.cut_power(0)
        await until(lambda: _true(mesh.moved_clients() == CLIENTS))
        before = mesh.packet_counts()
        await until(lambda: _true(mesh.served_since(before)))
        roles = [await host.roles() for host in mesh.hosts[1:]]
        members = await mesh.hosts[1].members()

    assert members[mesh.hosts[0].files.name] == "failed"
    owners = [client for of_host in roles for client, role in of_host.items() if role == "owner"]
    assert sorted(owners) == sorted(client.client.hex() for client in mesh.clients)
    for client in mesh.clients:
        numbers = [packet.sequence for packet in client.packets]
        assert len(set(numbers)) == len(numbers)
        assert len(client.moves) == 1
        assert {packet.gateway for packet in client.packets[-1:]} <= {
            host.files.ike for host in mesh.hosts[1:]
        }
        assert client.refused == {}


async def test_daemon_that_comes_back_finds_its_clients_again_and_nobody_moves(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        first = mesh.hosts[0]
        await first.kill()
        await first.start()

        async def everybody_is_owned_and_copied() -> bool:
            return await first.copies() == {"2": CLIENTS}

        await until(everybody_is_owned_and_copied)
        before = mesh.packet_counts()
        await until(lambda: _true(mesh.served_since(before)))

    assert mesh.moved_clients() == 0
    for client in mesh.clients:
        numbers = [packet.sequence for packet in client.packets]
        assert len(set(numbers)) == len(numbers)


async def test_gateway_without_its_daemon_goes_on_serving(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        await mesh.hosts[0].stop()
        before = mesh.packet_counts()
        await until(lambda: _true(mesh.served_since(before)))

        async def the_others_know() -> bool:
            states = [await host.members() for host in mesh.hosts[1:]]
            return all(each[mesh.hosts[0].files.name] == "left" for each in states)

        await until(the_others_know)
        roles = [await host.roles() for host in mesh.hosts[1:]]

    assert mesh.moved_clients() == 0
    assert [set(of_host.values()) for of_host in roles] == [{"replica"}, {"replica"}]


async def test_drained_gateway_gives_every_client_away_and_nobody_is_dropped(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        await until(lambda: _true(mesh.served_since([0] * CLIENTS)))
        await mesh.hosts[0].ask({"op": "drain"})

        async def it_is_empty() -> bool:
            status = await mesh.hosts[0].ask({"op": "status"})
            is_empty = not (status["copies"] or status["clients"] or status["moving"])
            return status["draining"] and is_empty

        await until(it_is_empty)
        await mesh.cut_power(0)
        before = mesh.packet_counts()
        await until(lambda: _true(mesh.served_since(before)))
        roles = [await host.roles() for host in mesh.hosts[1:]]

    owners = [client for of_host in roles for client, role in of_host.items() if role == "owner"]
    assert sorted(owners) == sorted(client.client.hex() for client in mesh.clients)
    for client in mesh.clients:
        numbers = [packet.sequence for packet in client.packets]
        assert len(set(numbers)) == len(numbers)
        assert len(client.moves) == 1
        # The former gateway goes on until the new one serves: what it sends after that one's first packet is
        # late, below the window, or with ESN taken for the next 2^32 numbers.
        assert client.refused.keys() <= {"sequence number: too old", "ESP does not authenticate"}
        assert client.refused.total() < 20


async def test_operator_can_have_a_gateway_leave(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        await mesh.hosts[2].ask({"op": "leave"})

        async def the_others_know() -> bool:
            return (await mesh.hosts[0].members())[mesh.hosts[2].files.name] == "left"

        await until(the_others_know)

        async def its_copies_are_not_counted() -> bool:
            return await mesh.hosts[0].copies() == {"1": CLIENTS}

        await until(its_copies_are_not_counted)


async def test_metrics_of_a_running_gateway_can_be_read(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        text = (await mesh.hosts[0].ask({"op": "metrics"}))["text"]

    assert f'gossipsa_clients{{role="owner"}} {CLIENTS}\n' in text
    assert 'gossipsa_members{state="alive"} 2\n' in text
    assert f'gossipsa_events_total{{event="client-connected"}} {CLIENTS}\n' in text


async def _true(condition: bool) -> bool:
    return condition
