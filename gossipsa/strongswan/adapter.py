"""Charon as an `IkeDaemon`: gives it clients, activates and takes them, and tells of those it has.

What was imported is not announced again by charon, so that the table of clients is told of it here; later
rekeys of imported clients are announced as everybody's are.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Iterable, Sequence

import trio

from gossipsa.errors import CallerError, IkeDaemonError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ActivateClient, Answer, IkeDaemonEvent, ImportClient
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSpis
from gossipsa.strongswan.activation import Activation, Activator
from gossipsa.strongswan.client_table import ClientTable, TableLimits
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.follower import CharonFollower, Session
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage, IkeId, encode
from gossipsa.strongswan.ha_socket import HaSocket
from gossipsa.strongswan.import_plan import delete_messages, message_id_message
from gossipsa.strongswan.importer import Importer
from gossipsa.strongswan.listing import Connections
from gossipsa.strongswan.sa_listing import ESTABLISHED, PASSIVE, ListedIkeSa
from gossipsa.strongswan.settings import CharonSettings

logger = logging.getLogger(__name__)

_CONNECTIONS_POLL_S = 0.05


class Charon:
    """The charon beside us. Build with `open`, then `run`."""

    def __init__(
        self, settings: CharonSettings, ha_socket: HaSocket, *, limits: TableLimits | None = None
    ) -> None:
        self._settings = settings
        self._socket = ha_socket
        self._table = ClientTable(limits=limits)
        self._follower = CharonFollower(settings, ha_socket, self._table)
        self._importer = Importer(self._follower.sender, message_bytes_max=settings.ha_message_bytes_max)
        self._activator = Activator(self._follower.sender)

    @classmethod
    def open(
        cls,
        settings: CharonSettings,
        *,
        inherited: socket.socket | None = None,
        limits: TableLimits | None = None,
    ) -> Charon:
        """Open the HA socket, so that nothing is lost from here on.

        Args:
            inherited: an HA socket bound and connected by a supervisor; None to open one as the settings say.

        Raises:
            OSError: the socket cannot be opened.
        """
        size = settings.receive_buffer_bytes
        if inherited is not None:
            ha_socket = HaSocket(inherited, receive_buffer_bytes=size)
        else:
            ha_socket = HaSocket.open(
                local=settings.ha_local, remote=settings.ha_remote, receive_buffer_bytes=size
            )
        return cls(settings, ha_socket, limits=limits)

    @property
    def counters(self) -> dict[str, int]:
        """What was left aside or went wrong, by name."""
        neglected = {f"neglected_{why.name.lower()}": count for why, count in self._table.neglected.items()}
        return {
            **self._follower.counters,
            **neglected,
            "ha_refused": self._socket.refused_count,
            "ha_overflow": self._socket.overflow_count,
        }

    def events(self) -> trio.MemoryReceiveChannel[IkeDaemonEvent]:
        """Return the one channel of events. Of each client it holds the latest event only."""
        return self._follower.outbox.receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow charon until cancelled; survives its restarts, and closes the HA socket in the end."""
        try:
            await self._follower.run(task_status=task_status)
        finally:
            self._socket.close()

    async def await_configured(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        """Wait, for `connections_wait_ns` at most, until charon has loaded the clients' connections."""
        wanted = {client.state.ike_sa.connection for client in clients}
        try:
            loaded = await self._loaded_connections(self._follower.session, wanted)
        except IkeDaemonError as error:
            return (error,) * len(clients)
        return tuple(
            None
            if client.state.ike_sa.connection in loaded
            else CharonRefusedError(f"connection {client.state.ike_sa.connection!r} is not configured")
            for client in clients
        )

    async def import_clients(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        """Put clients into charon, passive. Answers per client; a refusal never stops the others."""
        self._follower.start_reading()
        async with self._follower.changing:
            answers = [self._follow(each) for each in clients]
            numbers = [number for number, answer in enumerate(answers) if answer is None]
            imported = await self._import([clients[number].state for number in numbers])
            for number, answer in zip(numbers, imported, strict=True):
                answers[number] = answer
                if answer is not None:
                    self._table.forget(clients[number].client)
        self._report("import", answers)
        return tuple(answers)

    async def activate_clients(self, clients: Sequence[ActivateClient]) -> tuple[Answer, ...]:
        """Let charon answer for imported clients, all with one flip of a segment."""
        answers: list[Answer] = []
        async with self._follower.changing:
            states = [self._table.state(each.client) for each in clients]
            activations = [
                Activation(sa=state.ike_sa, message_id_initiator=each.message_id_initiator)
                for each, state in zip(clients, states, strict=True)
                if state is not None
            ]
            failed = await self._activate(activations, {each.client for each in clients})
            for each, state in zip(clients, states, strict=True):
                if state is None:
                    answers.append(CharonRefusedError("client was not imported"))
                    continue
                answers.append(failed.get(state.ike_sa.spis))
                if answers[-1] is None:
                    self._follower.take(message_id_message(state.ike_sa, each.message_id_initiator))
        self._report("activation", answers)
        return tuple(answers)

    async def forget_clients(self, clients: Sequence[ClientId]) -> tuple[Answer, ...]:
        """Drop clients from charon, and their kernel SAs, without a word to them."""
        async with self._follower.changing:
            states = [self._table.state(client) for client in clients]
            for client in clients:
                self._table.forget(client)
            known = [state for state in states if state is not None]
            try:
                session = self._follower.session
                await self._delete(
                    [message for state in known for message in delete_messages(state)], session
                )
            except CharonUnavailableError as error:
                return (error,) * len(clients)
        return (None,) * len(clients)

    async def adopt_clients(self, clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        """Follow clients that charon holds from before our start; return those that it does hold.

        What charon sent meanwhile is read first, so that a client that was rekeyed is found. Passive IKE_SAs
        that nobody claims are remains of a takeover that our earlier boot did not finish: they are deleted.
        Established ones that nobody knows are asked for, which makes charon rekey all its CHILD_SAs.
        """
        held: tuple[ClientId, ...] = ()
        async with self._follower.changing:
            for each in clients:
                self._follow(each)
            self._follower.start_reading()
            try:
                session = self._follower.session
                self._follower.read_messages()
                listed = await session.listing.ike_sas()
                self._follower.read_messages()
                held = tuple(each.client for each in clients if self._is_listed(each.client, listed))
                self._follower.note_endpoints(listed.values())
                await self._settle_unknown(listed.values(), session)
            except IkeDaemonError as error:
                logger.warning("clients cannot be adopted: %s", error)
            for each in clients:
                if each.client not in held:
                    self._table.forget(each.client)
        return held

    async def rekey_child(self, client: ClientId, child: ChildSa) -> None:
        """Ask charon to rekey a CHILD_SA. Raises IkeDaemonError."""
        state = self._table.state(client)
        if state is None:
            raise CharonRefusedError("client is not known")
        session = self._follower.session
        if child.inbound_spi not in session.children:
            listed = await session.listing.ike_sas(connection=state.ike_sa.connection)
            session.children = {
                found.inbound_spi: found.unique_id for sa in listed.values() for found in sa.children
            }
        unique_id = session.children.pop(child.inbound_spi, None)
        if unique_id is None:
            raise CharonRefusedError(f"charon has no CHILD_SA with inbound SPI {child.inbound_spi:08x}")
        await session.commands.request("rekey", {"child-id": unique_id})

    def _follow(self, each: ImportClient) -> Answer:
        try:
            self._table.adopt(each.client, each.state)
        except CallerError as error:
            return CharonRefusedError(str(error))
        return None

    async def _import(self, states: Sequence[ClientState]) -> Sequence[Answer]:
        try:
            session = self._follower.session
            wanted = {sa.connection for state in states for sa in state.ike_sas}
            return await self._importer.install(
                states,
                wire_version=session.wire_version,
                connections=await self._loaded_connections(session, wanted),
                listing=session.listing,
            )
        except IkeDaemonError as error:
            return (error,) * len(states)

    async def _loaded_connections(self, session: Session, wanted: set[str]) -> Connections:
        """List charon's connections; one that has just started gets time to load those that are wanted."""
        connections = await session.listing.connections()
        with trio.move_on_at(session.began_s + self._settings.connections_wait_ns / 1e9):
            while not wanted <= connections.keys():
                await trio.sleep(_CONNECTIONS_POLL_S)
                connections = await session.listing.connections()
        return connections

    async def _activate(
        self, activations: Sequence[Activation], chosen: set[ClientId]
    ) -> dict[IkeSpis, IkeDaemonError]:
        """Activate; return why for those that are not active."""
        if not activations:
            return {}
        try:
            session = self._follower.session
            return await self._activator.activate(
                activations,
                wire_version=session.wire_version,
                segment_count=self._follower.segment_count,
                other_clients=self._table.remote_addresses(without=chosen),
                listing=session.listing,
            )
        except IkeDaemonError as error:
            return {each.sa.spis: error for each in activations}

    def _is_listed(self, client: ClientId, listed: dict[IkeSpis, ListedIkeSa]) -> bool:
        state = self._table.state(client)
        return state is not None and state.ike_sa.spis in listed

    async def _settle_unknown(self, listed: Iterable[ListedIkeSa], session: Session) -> None:
        unknown = [sa for sa in listed if sa.ike_version == "2" and self._table.client_of(sa.spis) is None]
        await self._delete([_delete_of(sa) for sa in unknown if sa.state == PASSIVE], session)
        if any(sa.state == ESTABLISHED for sa in unknown):
            self._follower.want_resync()

    async def _delete(self, messages: Iterable[HaMessage], session: Session) -> None:
        datagrams = [encode(message, version=session.wire_version) for message in messages]
        # Deletes may come twice.
        await self._follower.sender.send_until_read(datagrams)

    def _report(self, what: str, answers: Sequence[Answer]) -> None:
        reasons = Counter(str(answer) for answer in answers if answer is not None)
        for reason, count in reasons.items():
            self._follower.counters[f"{what}_refused"] += count
            logger.warning("%s of %d clients refused: %s", what, count, reason)


def _delete_of(sa: ListedIkeSa) -> HaMessage:
    ike_id = IkeId(version=2, spis=sa.spis, we_initiated=sa.we_initiated)
    return HaMessage(MessageType.IKE_DELETE, ((Attribute.IKE_ID, ike_id),))
