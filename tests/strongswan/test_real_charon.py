"""The adapter beside a stock charon, with a stock charon as client."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from gossipsa.identifiers import ClientId, Endpoint
from gossipsa.ike_daemon import (
    ActivateClient,
    ClientChanged,
    ClientDeleted,
    IkeDaemonEvent,
    IkeDaemonStarted,
    IkeDaemonStopped,
    ImportClient,
)
from gossipsa.ipsec.security_association import ClientState, IkeSpis
from gossipsa.strongswan.adapter import Charon
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.receive_queue import ReceiveQueue
from gossipsa.strongswan.settings import CharonSettings
from tests.strongswan import real_charon
from tests.strongswan.real_charon import SEGMENT_COUNT, RealCharon, connect, eventually, needs_charon

pytestmark = needs_charon


@dataclass
class Follower:
    """Reads an adapter's events; keeps the latest state of each client."""

    charon: Charon
    states: dict[ClientId, ClientState] = field(default_factory=dict)
    daemon_events: list[IkeDaemonEvent] = field(default_factory=list)

    async def run(self) -> None:
        async for event in self.charon.events():
            match event:
                case ClientChanged(client=client, state=state):
                    self.states[client] = state
                case ClientDeleted(client=client):
                    self.states.pop(client, None)
                case _:
                    self.daemon_events.append(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        async def holds() -> bool:
            return condition()

        await eventually(holds)

    async def only_client(self) -> tuple[ClientId, ClientState]:
        await self.until(lambda: len(self.states) == 1 and len(self.state.children) == 1)
        return next(iter(self.states.items()))

    @property
    def state(self) -> ClientState:
        return next(iter(self.states.values()))


@pytest.fixture
def namespace() -> Iterator[None]:
    with real_charon.network_namespace():
        yield


@pytest.fixture
async def gateway(namespace: None, tmp_path: Path) -> AsyncIterator[RealCharon]:
    charon = real_charon.gateway(tmp_path / "gateway")
    try:
        yield charon
    finally:
        await charon.kill()


@pytest.fixture
async def client(namespace: None, tmp_path: Path) -> AsyncIterator[RealCharon]:
    charon = real_charon.client(tmp_path / "client")
    try:
        await charon.start()
        yield charon
    finally:
        await charon.kill()


@asynccontextmanager
async def following(charon: Charon) -> AsyncIterator[Follower]:
    follower = Follower(charon)
    async with trio.open_nursery() as nursery:
        await nursery.start(charon.run)
        nursery.start_soon(follower.run)
        yield follower
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def beside(
    gateway: RealCharon, *, inherited: socket.socket | None = None, connections_wait_ms: int = 2000
) -> AsyncIterator[Follower]:
    """An adapter that has seen the gateway's charon."""
    settings = CharonSettings(
        vici_path=gateway.vici_path,
        segment_count=SEGMENT_COUNT,
        connections_wait_ns=connections_wait_ms * 10**6,
    )
    async with following(Charon.open(settings, inherited=inherited)) as follower:
        await follower.until(lambda: follower.daemon_events != [])
        yield follower


def held_socket() -> socket.socket:
    """The HA socket as a supervisor would hold it."""
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind(("127.0.0.1", 4510))
    held.connect(("127.0.0.2", 4510))
    return held


def copies(state: ClientState, count: int) -> list[ImportClient]:
    """Clients that differ in SPIs and addresses only, and never existed."""
    made = []
    for number in range(count):
        spis = IkeSpis(initiator=number.to_bytes(8, "big"), responder=b"copied..")
        sa = msgspec.structs.replace(
            state.ike_sa,
            spis=spis,
            remote=Endpoint(address=IPv4Address("10.255.1.0") + number, port=4500),
        )
        child = msgspec.structs.replace(
            state.children[0],
            ike_spis=spis,
            inbound_spi=0xC8000000 + number,
            outbound_spi=0xC9000000 + number,
        )
        client = ClientId(number.to_bytes(16, "big"))
        made.append(ImportClient(client=client, state=ClientState(ike_sas=(sa,), children=(child,))))
    return made


async def sa_states(charon: RealCharon) -> dict[IkeSpis, str]:
    return {sa.spis: sa.state for sa in await charon.ike_sas()}


async def test_a_client_is_reported_from_connect_to_delete(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        (listed,) = await gateway.ike_sas()
        assert state.ike_sa.spis == listed.spis
        assert (state.ike_sa.local, state.ike_sa.remote) == (listed.local, listed.remote)
        assert state.ike_sa.connection == listed.connection
        assert [child.inbound_spi for child in state.children] == [listed.children[0].inbound_spi]
        await follower.until(lambda: follower.state.ike_sa.virtual_addresses == (IPv4Address("10.254.0.1"),))
        assert follower.daemon_events == [IkeDaemonStarted(resumed=False)]
        await client.request("terminate", {"ike": "c0"})
        await follower.until(lambda: not follower.states)


async def test_rekeys_by_both_sides_stay_one_client(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, first = await follower.only_client()

        await client.request("rekey", {"ike": "c0"})
        await follower.until(lambda: follower.state.ike_sa.spis != first.ike_sa.spis)
        rekeyed = follower.states[name]
        assert [sa.spis for sa in rekeyed.ike_sas] == [first.ike_sa.spis, rekeyed.ike_sa.spis]

        await follower.charon.rekey_child(name, rekeyed.children[0])
        await follower.until(
            lambda: [child.ike_spis for child in follower.state.children] == [rekeyed.ike_sa.spis]
        )
        assert list(follower.states) == [name]
        assert len(follower.state.ike_sas) == 1
        assert follower.state.children[0].we_initiated
        assert follower.state.children[0].shared_secret is not None


async def test_a_client_that_moves_is_reported_at_its_new_address(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        real_charon.move_client()
        await follower.until(lambda: follower.state.ike_sa.remote != state.ike_sa.remote)
        (listed,) = await gateway.ike_sas()
        assert follower.state.ike_sa.remote == listed.remote
        assert follower.state.ike_sa.spis == state.ike_sa.spis


async def test_an_unknown_child_cannot_be_rekeyed(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, state = await follower.only_client()
        child = msgspec.structs.replace(state.children[0], inbound_spi=1)
        with pytest.raises(CharonRefusedError, match="00000001"):
            await follower.charon.rekey_child(name, child)


async def test_a_killed_charon_takes_its_clients_back_and_they_rekey(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, _ = await follower.only_client()
        # Two generations: the CHILD_SA hangs on the SK_d of an IKE_SA that is gone.
        await client.request("rekey", {"ike": "c0"})
        await follower.until(lambda: len(follower.state.ike_sas) == 2)
        await follower.until(lambda: follower.state.ike_sa.virtual_addresses != ())

        await gateway.kill()
        await follower.until(lambda: follower.daemon_events[-1] == IkeDaemonStopped())
        state = follower.states[name]
        await gateway.start()
        await follower.until(lambda: follower.daemon_events[-1] == IkeDaemonStarted(resumed=False))

        assert await follower.charon.import_clients([ImportClient(client=name, state=state)]) == (None,)
        (listed,) = await gateway.ike_sas()
        assert listed.state == "PASSIVE"
        assert [child.inbound_spi for child in listed.children] == [state.children[0].inbound_spi]

        activation = ActivateClient(client=name, message_id_initiator=state.ike_sa.message_id_initiator)
        assert await follower.charon.activate_clients([activation]) == (None,)
        (listed,) = await gateway.ike_sas()
        assert (listed.state, listed.remote) == ("ESTABLISHED", state.ike_sa.remote)

        # The client noticed nothing, and both sides have the same keys.
        await client.request("rekey", {"child": "c0"})
        await follower.until(
            lambda: [child.ike_spis for child in follower.state.children] == [state.ike_sa.spis]
        )
        await follower.charon.rekey_child(name, follower.state.children[0])
        before = follower.state.children
        await follower.until(lambda: len(follower.state.children) == 1 and follower.state.children != before)
        await client.request("rekey", {"ike": "c0"})
        await follower.until(lambda: follower.state.ike_sa.spis != state.ike_sa.spis)
        assert list(follower.states) == [name]


async def test_generations_are_imported_even_if_charons_queue_cannot_be_seen(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, _ = await follower.only_client()
        seen = {follower.state.ike_sa.spis}
        for _ in range(2):
            await client.request("rekey", {"ike": "c0"})
            await follower.until(lambda: follower.state.ike_sa.spis not in seen)
            seen.add(follower.state.ike_sa.spis)
        state = follower.states[name]
        await follower.charon.forget_clients([name])
        nobody = Endpoint(address=IPv4Address("127.0.0.1"), port=1)
        follower.charon._follower.sender._queue = ReceiveQueue(local=nobody, remote=nobody)
        assert await follower.charon.import_clients([ImportClient(client=name, state=state)]) == (None,)
        activation = ActivateClient(client=name, message_id_initiator=state.ike_sa.message_id_initiator)
        assert await follower.charon.activate_clients([activation]) == (None,)
        await follower.charon.rekey_child(name, state.children[0])
        await follower.until(lambda: follower.state.children[-1].ike_spis == state.ike_sa.spis)


async def test_hundreds_of_clients_are_imported_without_loss(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        clients = copies(state, 300)
        assert await follower.charon.import_clients(clients) == (None,) * 300
        listed = {sa.spis: sa for sa in await gateway.ike_sas()}
        for each in clients:
            found = listed[each.state.ike_sa.spis]
            assert found.state == "PASSIVE"
            assert len(found.children) == 1
        # Charon's receive buffer was never too small for them: nothing had to be sent twice.
        assert gateway.log.count("installed HA CHILD_SA") == 300


async def test_only_the_clients_chosen_are_activated(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        clients = copies(state, 40)
        await follower.charon.import_clients(clients)
        chosen = clients[10:20]
        for _ in range(2):
            activations = [ActivateClient(client=each.client, message_id_initiator=7) for each in chosen]
            assert await follower.charon.activate_clients(activations) == (None,) * 10
        found = {sa.spis: sa for sa in await gateway.ike_sas()}
        assert found[state.ike_sa.spis].state == "ESTABLISHED"
        for each in clients:
            expected = "ESTABLISHED" if each in chosen else "PASSIVE"
            assert found[each.state.ike_sa.spis].state == expected
            assert found[each.state.ike_sa.spis].remote == each.state.ike_sa.remote


async def test_importing_twice_leaves_each_client_once(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        clients = copies(state, 3)
        for _ in range(2):
            assert await follower.charon.import_clients(clients) == (None,) * 3
        listed = await gateway.ike_sas()
        assert len(listed) == 4
        assert all(len(sa.children) == 1 for sa in listed)


async def test_forgotten_clients_are_gone_without_a_word(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, _ = await follower.only_client()
        assert await follower.charon.forget_clients([name]) == (None,)

        async def is_empty() -> bool:
            return await gateway.ike_sas() == []

        await eventually(is_empty)
        assert [sa.state for sa in await client.ike_sas()] == ["ESTABLISHED"]
        assert list(follower.states) == [name]


async def test_one_client_that_cannot_be_imported_does_not_stop_the_others(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    async with beside(gateway, connections_wait_ms=0) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        good, unconfigured, childless, unsupported = copies(state, 4)

        def with_sa(each: ImportClient, **changes: object) -> ImportClient:
            sa = msgspec.structs.replace(each.state.ike_sa, **changes)
            return ImportClient(client=each.client, state=msgspec.structs.replace(each.state, ike_sas=(sa,)))

        child = msgspec.structs.replace(childless.state.children[0], name="nowhere")
        childless = ImportClient(
            client=childless.client, state=msgspec.structs.replace(childless.state, children=(child,))
        )
        answers = await follower.charon.import_clients(
            [
                with_sa(unconfigured, connection="nobody"),
                childless,
                # ENCR_CAMELLIA_CBC: this charon has no plugin for it.
                with_sa(unsupported, encryption=23),
                good,
            ]
        )
        assert [None if answer is None else str(answer) for answer in answers] == [
            "charon has no connection named 'nobody'",
            "connection 'rw' of charon has no child named 'nowhere'",
            "charon did not install the IKE_SA; its log tells why",
            None,
        ]
        assert all(isinstance(answer, CharonRefusedError | None) for answer in answers)


async def test_our_own_restart_finds_the_clients_again(gateway: RealCharon, client: RealCharon) -> None:
    held = held_socket()
    await gateway.start()
    async with beside(gateway, inherited=held.dup()) as follower:
        await connect(client, 0)
        await connect(client, 1)
        await follower.until(lambda: len(follower.states) == 2)
        await follower.until(lambda: all(len(state.children) == 1 for state in follower.states.values()))
        recalled = [ImportClient(client=name, state=state) for name, state in follower.states.items()]

    # While nobody reads, one client rekeys and the other goes.
    await client.request("rekey", {"ike": "c0"})
    await client.request("terminate", {"ike": "c1"})
    gone = recalled[1]

    async def is_rekeyed() -> bool:
        (sa,) = await gateway.ike_sas()
        return sa.spis != recalled[0].state.ike_sa.spis

    await eventually(is_rekeyed)
    async with beside(gateway, inherited=held) as follower:
        assert follower.daemon_events == [IkeDaemonStarted(resumed=True)]
        assert await follower.charon.adopt_clients(recalled) == (recalled[0].client,)
        await follower.until(lambda: recalled[0].client in follower.states)
        (listed,) = await gateway.ike_sas()
        assert follower.states[recalled[0].client].ike_sa.spis == listed.spis
        assert gone.client not in follower.states


async def test_clients_from_before_our_first_start_are_asked_for(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    await connect(client, 0)
    async with beside(gateway) as follower:
        assert follower.daemon_events == [IkeDaemonStarted(resumed=True)]
        assert await follower.charon.adopt_clients([]) == ()
        # Charon rekeys the CHILD_SA, since it does not remember its keys.
        _, state = await follower.only_client()
        (listed,) = await gateway.ike_sas()
        assert state.ike_sa.spis == listed.spis
        assert state.children[0].inbound_spi in {child.inbound_spi for child in listed.children}


async def test_passive_remains_of_our_earlier_boot_go(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, state = await follower.only_client()
        assert await follower.charon.import_clients(copies(state, 3)) == (None,) * 3
    async with beside(gateway) as follower:
        assert follower.daemon_events == [IkeDaemonStarted(resumed=True)]
        own = ImportClient(client=name, state=state)
        assert await follower.charon.adopt_clients([own]) == (name,)

        async def only_own_is_left() -> bool:
            return list(await sa_states(gateway)) == [state.ike_sa.spis]

        await eventually(only_own_is_left)


async def test_without_charon_every_request_is_refused(gateway: RealCharon, client: RealCharon) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        name, state = await follower.only_client()
        await gateway.kill()
        await follower.until(lambda: follower.daemon_events[-1] == IkeDaemonStopped())
        charon = follower.charon
        (imported,) = await charon.import_clients([ImportClient(client=name, state=state)])
        (activated,) = await charon.activate_clients([ActivateClient(client=name, message_id_initiator=1)])
        assert isinstance(imported, CharonUnavailableError)
        assert isinstance(activated, CharonRefusedError | CharonUnavailableError)
        assert await charon.adopt_clients([ImportClient(client=name, state=state)]) == ()
        (forgotten,) = await charon.forget_clients([name])
        assert isinstance(forgotten, CharonUnavailableError)


async def test_an_orderly_stop_reports_the_deletes_before_the_end(
    gateway: RealCharon, client: RealCharon
) -> None:
    await gateway.start()
    async with beside(gateway) as follower:
        await connect(client, 0)
        await follower.only_client()
        assert gateway.process is not None
        gateway.process.terminate()
        await follower.until(lambda: follower.daemon_events[-1] == IkeDaemonStopped())
        assert follower.states == {}


async def test_more_segments_than_configured_are_noticed(gateway: RealCharon, client: RealCharon) -> None:
    settings = CharonSettings(vici_path=gateway.vici_path, segment_count=1)
    async with following(Charon.open(settings)) as follower:
        await gateway.start()
        await follower.until(lambda: follower.daemon_events != [])
        await connect(client, 0)
        _, state = await follower.only_client()
        # Charon names its segments one second after its start.
        await follower.until(lambda: "requesting HA resynchronization" in gateway.log)
        await trio.testing.wait_all_tasks_blocked()
        clients = copies(state, 2)
        await follower.charon.import_clients(clients)
        activation = ActivateClient(client=clients[0].client, message_id_initiator=1)
        assert await follower.charon.activate_clients([activation]) == (None,)
        found = await sa_states(gateway)
        assert found[clients[0].state.ike_sa.spis] == "ESTABLISHED"
        assert found[clients[1].state.ike_sa.spis] == "PASSIVE"


def stands_still(pid: int) -> bool:
    """True if all threads of a process are stopped: a signal takes a while to reach them."""
    stats = (task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def dropped(follower: Follower) -> int:
    """Datagrams for which charon's HA socket had no room."""
    state = follower.charon._follower.sender._queue.look()
    assert state is not None
    return state.drops


async def test_what_charon_had_no_room_for_is_sent_again(
    gateway: RealCharon, client: RealCharon, caplog: pytest.LogCaptureFixture
) -> None:
    held = held_socket()
    await gateway.start()
    async with beside(gateway, inherited=held.dup()) as follower:
        await connect(client, 0)
        _, state = await follower.only_client()
        clients = copies(state, 30)
        assert gateway.process is not None
        pid = gateway.process.pid

        async def is_stopped() -> bool:
            return stands_still(pid)

        gateway.process.send_signal(signal.SIGSTOP)
        await eventually(is_stopped)
        # Charon says of these that they have the wrong version, once it goes on.
        for _ in range(1000):
            held.send(bytes(600))
        flooded = dropped(follower)
        assert flooded > 0

        async def finds_no_room() -> bool:
            return dropped(follower) > flooded

        async def go_on() -> None:
            await eventually(finds_no_room)
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGCONT)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            # Below `import_clients`, which would first ask the stopped charon for its connections.
            session = follower.charon._follower.session
            answers = await follower.charon._importer.install(
                [each.state for each in clients],
                wire_version=session.wire_version,
                connections={"rw": frozenset({"net"})},
                listing=session.listing,
            )
        assert answers == (None,) * 30
        assert "charon had no room for HA messages" in caplog.text
        listed = await gateway.ike_sas()
        assert len(listed) == 31
        assert all(len(sa.children) == 1 for sa in listed)
