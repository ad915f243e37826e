"""Charon as an `IkeDaemon`: follows it through its HA plugin and VICI, and gives it clients.

HA messages tell what charon's clients have, VICI events where they moved and whether charon lives. What
was imported is not announced again by charon, so that the table of clients is told of it here; later rekeys
of imported clients are announced as everybody's are.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import trio

from gossipsa.errors import CallerError, IkeDaemonError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import (
    ActivateClient,
    Answer,
    ClientChanged,
    ClientDeleted,
    IkeDaemonEvent,
    IkeDaemonStarted,
    IkeDaemonStopped,
    ImportClient,
)
from gossipsa.ipsec.security_association import ChildSa, IkeSpis
from gossipsa.strongswan.activation import Activation, Activator
from gossipsa.strongswan.charon_process import CharonProcess, process_behind
from gossipsa.strongswan.client_table import ClientTable, Neglected, TableLimits
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.event_outbox import EventOutbox
from gossipsa.strongswan.ha_attributes import Attribute, MessageType, wire_version_of_release
from gossipsa.strongswan.ha_codec import HaDecodeError, HaMessage, IkeId, decode, encode
from gossipsa.strongswan.ha_sender import HaSender
from gossipsa.strongswan.ha_socket import BATCH_DATAGRAMS_MAX, HaSocket
from gossipsa.strongswan.import_plan import delete_messages, message_id_message, resync_message
from gossipsa.strongswan.importer import Importer
from gossipsa.strongswan.listing import CharonListing, Connections
from gossipsa.strongswan.receive_queue import ReceiveQueue
from gossipsa.strongswan.sa_listing import ESTABLISHED, PASSIVE, ListedIkeSa, endpoint, ike_sas_in
from gossipsa.strongswan.settings import CharonSettings
from gossipsa.strongswan.vici import ViciCommands, ViciConnection
from gossipsa.strongswan.vici_codec import ViciMessage, text

logger = logging.getLogger(__name__)

_RECONNECT_S = 0.05
_EXPIRE_S = 0.25
_RESYNC_PAUSE_S = 60.0
_EVENTS = ("ike-updown", "ike-update")


@dataclass(slots=True, kw_only=True)
class _Session:
    """One connection to one life of charon."""

    commands: ViciCommands
    listing: CharonListing
    wire_version: int
    began_s: float
    """trio's clock."""
    children: dict[int, str] = field(default_factory=dict)
    """Charon's numbers of CHILD_SAs, by inbound SPI."""


class Charon:
    """The charon beside us. Build with `open`, then `run`.

    Attributes:
        counters: what was left aside or went wrong, by name.
    """

    def __init__(
        self, settings: CharonSettings, ha_socket: HaSocket, *, limits: TableLimits | None = None
    ) -> None:
        self._settings = settings
        self._socket = ha_socket
        self._table = ClientTable(limits=limits)
        self._outbox = EventOutbox()
        queue = ReceiveQueue(local=settings.ha_remote, remote=settings.ha_local)
        self._sender = HaSender(ha_socket, queue, timeout_ns=settings.command_timeout_ns)
        self._importer = Importer(self._sender, message_bytes_max=settings.ha_message_bytes_max)
        self._activator = Activator(self._sender)
        self._segment_count = settings.segment_count
        self._session: _Session | None = None
        self._last_process: CharonProcess | None = None
        self._was_up = False
        self._from_dead_charon: tuple[ClientId, ...] = ()
        # Imports, activations and deletes would disturb each other.
        self._changing = trio.Lock()
        self._may_read = trio.Event()
        self._resync_wanted = trio.Event()
        self._overflow_seen = 0
        self._counters: Counter[str] = Counter()
        self._complaints: Counter[str] = Counter()

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
        neglected = {f"neglected_{why.name.lower()}": count for why, count in self._table.neglected.items()}
        return {
            **self._counters,
            **neglected,
            "ha_refused": self._socket.refused_count,
            "ha_overflow": self._socket.overflow_count,
        }

    def events(self) -> trio.MemoryReceiveChannel[IkeDaemonEvent]:
        """Return the one channel of events. Of each client it holds the latest event only."""
        return self._outbox.receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow charon until cancelled; survives its restarts, and closes the HA socket in the end."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._outbox.pump)
                nursery.start_soon(self._follow_messages)
                nursery.start_soon(self._follow_charon)
                nursery.start_soon(self._expire)
                nursery.start_soon(self._resync_when_wanted)
                task_status.started()
        finally:
            self._socket.close()

    async def import_clients(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        """Put clients into charon, passive. Answers per client; never raises for one of them."""
        self._may_read.set()
        async with self._changing:
            answers: list[Answer] = [self._follow(each) for each in clients]
            numbers = [number for number, answer in enumerate(answers) if answer is None]
            states = [clients[number].state for number in numbers]
            try:
                session = self._required_session()
                imported = await self._importer.install(
                    states,
                    wire_version=session.wire_version,
                    connections=await self._loaded_connections(
                        session, {s.ike_sa.connection for s in states}
                    ),
                    listing=session.listing,
                )
            except IkeDaemonError as error:
                imported = (error,) * len(states)
            for number, answer in zip(numbers, imported, strict=True):
                answers[number] = answer
                if answer is not None:
                    self._table.forget(clients[number].client)
        self._log_refused("import", answers)
        return tuple(answers)

    async def activate_clients(self, clients: Sequence[ActivateClient]) -> tuple[Answer, ...]:
        """Let charon answer for imported clients, all with one flip of a segment."""
        async with self._changing:
            states = [self._table.state(each.client) for each in clients]
            chosen = {each.client for each in clients}
            activations = [
                Activation(sa=state.ike_sa, message_id_initiator=each.message_id_initiator)
                for each, state in zip(clients, states, strict=True)
                if state is not None
            ]
            failed: dict[IkeSpis, IkeDaemonError] = {}
            try:
                session = self._required_session()
                if activations:
                    failed = await self._activator.activate(
                        activations,
                        wire_version=session.wire_version,
                        segment_count=self._segment_count,
                        other_clients=self._table.remote_addresses(without=chosen),
                        listing=session.listing,
                    )
            except IkeDaemonError as error:
                failed = {each.sa.spis: error for each in activations}
        answers: list[Answer] = []
        for each, state in zip(clients, states, strict=True):
            if state is None:
                answers.append(CharonRefusedError("client was not imported"))
                continue
            answers.append(failed.get(state.ike_sa.spis))
            if answers[-1] is None:
                self._take(message_id_message(state.ike_sa, each.message_id_initiator))
        self._log_refused("activation", answers)
        return tuple(answers)

    async def forget_clients(self, clients: Sequence[ClientId]) -> tuple[Answer, ...]:
        """Drop clients from charon, and their kernel SAs, without a word to them."""
        async with self._changing:
            states = [self._table.state(client) for client in clients]
            for client in clients:
                self._table.forget(client)
            messages = [
                message for state in states if state is not None for message in delete_messages(state)
            ]
            try:
                session = self._required_session()
                await self._delete(messages, session)
            except CharonUnavailableError as error:
                return (error,) * len(clients)
        return (None,) * len(clients)

    async def adopt_clients(self, clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        """Follow clients that charon holds from before our start; return those that it does hold.

        What charon sent meanwhile is read first, so that a client that was rekeyed is found. Passive IKE_SAs
        that nobody claims are remains of a takeover that our earlier boot did not finish: they are deleted.
        Established ones that nobody knows are asked for, which makes charon rekey all its CHILD_SAs.
        """
        async with self._changing:
            for each in clients:
                self._follow(each)
            self._may_read.set()
            try:
                session = self._required_session()
                self._read_messages()
                listed = await session.listing.ike_sas()
                self._read_messages()
                held = tuple(each.client for each in clients if self._is_listed(each.client, listed))
                for client in {each.client for each in clients} - set(held):
                    self._table.forget(client)
                self._note_endpoints(listed.values())
                unknown = [sa for sa in listed.values() if self._table.client_of(sa.spis) is None]
                await self._delete([_delete_of(sa) for sa in unknown if sa.state == PASSIVE], session)
            except CharonUnavailableError as error:
                logger.warning("clients cannot be adopted: %s", error)
                return ()
        if any(sa.state == ESTABLISHED for sa in unknown):
            self._resync_wanted.set()
        return held

    async def rekey_child(self, client: ClientId, child: ChildSa) -> None:
        """Ask charon to rekey a CHILD_SA. Raises IkeDaemonError."""
        state = self._table.state(client)
        if state is None:
            raise CharonRefusedError("client is not known")
        session = self._required_session()
        if child.inbound_spi not in session.children:
            listed = await session.listing.ike_sas(connection=state.ike_sa.connection)
            session.children = {
                found.inbound_spi: found.unique_id for sa in listed.values() for found in sa.children
            }
        unique_id = session.children.pop(child.inbound_spi, None)
        if unique_id is None:
            raise CharonRefusedError(f"charon has no CHILD_SA with inbound SPI {child.inbound_spi:08x}")
        await session.commands.request("rekey", {"child-id": unique_id})

    def _required_session(self) -> _Session:
        if self._session is None:
            raise CharonUnavailableError("charon is not there")
        return self._session

    def _follow(self, each: ImportClient) -> Answer:
        try:
            self._table.adopt(each.client, each.state)
        except CallerError as error:
            return CharonRefusedError(str(error))
        return None

    def _is_listed(self, client: ClientId, listed: dict[IkeSpis, ListedIkeSa]) -> bool:
        state = self._table.state(client)
        return state is not None and state.ike_sa.spis in listed

    async def _delete(self, messages: Iterable[HaMessage], session: _Session) -> None:
        datagrams = [encode(message, version=session.wire_version) for message in messages]
        # Deletes may come twice.
        await self._sender.send_until_read(datagrams)

    async def _loaded_connections(self, session: _Session, wanted: set[str]) -> Connections:
        """List charon's connections; one that has just started gets time to load those that are wanted."""
        connections = await session.listing.connections()
        with trio.move_on_at(session.began_s + self._settings.connections_wait_ns / 1e9):
            while not wanted <= connections.keys():
                await trio.sleep(_RECONNECT_S)
                connections = await session.listing.connections()
        return connections

    def _log_refused(self, what: str, answers: Sequence[Answer]) -> None:
        refused = [answer for answer in answers if answer is not None]
        if refused:
            self._counters[f"{what}_refused"] += len(refused)
            reasons = Counter(map(str, refused))
            for reason, count in reasons.items():
                logger.warning("%s of %d clients refused: %s", what, count, reason)

    def _complain(self, what: str, *, times: int = 1) -> None:
        """Log something that may come often: the first time, and each time its count has doubled."""
        before = self._complaints[what]
        self._complaints[what] += times
        if before.bit_length() != self._complaints[what].bit_length():
            logger.warning("%s (%d times)", what, self._complaints[what])

    async def _follow_messages(self) -> None:
        with trio.move_on_after(self._settings.adoption_wait_ns / 1e9):
            await self._may_read.wait()
        self._may_read.set()
        while True:
            await self._socket.wait_readable()
            self._read_batch()
            await trio.lowlevel.checkpoint()

    def _read_messages(self) -> None:
        while self._read_batch() == BATCH_DATAGRAMS_MAX:
            pass

    def _read_batch(self) -> int:
        batch = self._socket.receive_batch()
        for data in batch:
            try:
                message = decode(data)
            except HaDecodeError as error:
                self._counters["ha_undecodable"] += 1
                self._complain(f"HA message left aside: {error}")
                continue
            if message.type is MessageType.RESYNC:
                self._note_segments(message)
            self._take(message)
        if self._socket.overflow_count != self._overflow_seen:
            self._overflow_seen = self._socket.overflow_count
            logger.warning("HA messages were lost: our receive buffer was full")
            self._resync_wanted.set()
        return len(batch)

    def _take(self, message: HaMessage) -> None:
        self._emit(self._table.handle(message, now_ns=_now_ns()))

    def _emit(self, events: Iterable[ClientChanged | ClientDeleted]) -> None:
        for event in events:
            self._outbox.put(event)

    def _note_segments(self, message: HaMessage) -> None:
        """Charon names all its segments when it starts."""
        count = max(message.values(Attribute.SEGMENT, int), default=self._segment_count)
        if count != self._segment_count:
            logger.warning("charon has %d HA segments, not %d as configured here", count, self._segment_count)
            self._segment_count = count

    async def _expire(self) -> None:
        neglected = self._table.neglected.copy()
        while True:
            await trio.sleep(_EXPIRE_S)
            self._emit(self._table.expire(now_ns=_now_ns()))
            for why, count in (self._table.neglected - neglected).items():
                # Our peers' probes for a sign of life make charon speak of IKE_SAs that never were.
                if why is not Neglected.UNKNOWN_IKE_SA:
                    self._complain(f"HA messages: {why.value}", times=count)
            neglected = self._table.neglected.copy()

    async def _resync_when_wanted(self) -> None:
        while True:
            await self._resync_wanted.wait()
            session = self._session
            if session is not None:
                self._resync_wanted = trio.Event()
                await self._resync(session)
            await trio.sleep(_RESYNC_PAUSE_S if session is not None else _RECONNECT_S)

    async def _resync(self, session: _Session) -> None:
        """Ask charon for everything it has."""
        self._counters["resyncs"] += 1
        logger.warning("asking charon for all its clients; it rekeys their CHILD_SAs")
        try:
            message = resync_message(self._segment_count)
            await self._sender.send_until_read([encode(message, version=session.wire_version)])
            # Charon repeats addresses as they were at first.
            listed = await session.listing.ike_sas()
        except IkeDaemonError as error:
            logger.warning("charon did not tell: %s", error)
            return
        self._read_messages()
        self._note_endpoints(listed.values())

    def _note_endpoints(self, listed: Iterable[ListedIkeSa]) -> None:
        for sa in listed:
            if sa.local is not None and sa.remote is not None and sa.state == ESTABLISHED:
                self._emit(self._table.endpoints_changed(sa.spis, local=sa.local, remote=sa.remote))

    async def _follow_charon(self) -> None:
        complaint = ""
        while True:
            try:
                await self._follow_one_life()
            except IkeDaemonError as error:
                if self._session is not None:
                    self._stopped(error)
                elif str(error) != complaint:
                    complaint = str(error)
                    logger.warning("charon cannot be followed: %s", complaint)
            await trio.sleep(_RECONNECT_S)

    async def _follow_one_life(self) -> None:
        path, timeout_ns = self._settings.vici_path, self._settings.command_timeout_ns
        events = await ViciConnection.connect(path, timeout_ns=timeout_ns)
        commands = ViciCommands(path, timeout_ns=timeout_ns)
        try:
            for event in _EVENTS:
                try:
                    await events.register([event])
                except CharonRefusedError:
                    logger.warning("charon has no VICI event %s: clients that move are not noticed", event)
            await self._started(commands, process_behind(events.socket))
            while True:
                self._take_vici(*await events.next_event())
        finally:
            events.close()
            commands.close()

    async def _started(self, commands: ViciCommands, process: CharonProcess | None) -> None:
        release = text(await commands.request("version"), "version")
        wire_version = self._settings.ha_version or wire_version_of_release(release)
        if wire_version is None:
            raise CharonUnavailableError(f"charon {release!r} speaks no HA version that is spoken here")
        listing = CharonListing(commands, listing_sas_max=self._settings.listing_sas_max)
        if self._was_up:
            resumed = process is not None and process == self._last_process
        else:
            resumed = await listing.ike_sa_count() > 0
        if not resumed:
            for client in self._from_dead_charon:
                self._table.forget(client)
            self._may_read.set()
        self._from_dead_charon = ()
        self._last_process, self._was_up = process, True
        self._session = _Session(
            commands=commands,
            listing=listing,
            wire_version=wire_version,
            began_s=trio.current_time(),
        )
        logger.info("charon %s is up, HA version %d", release, wire_version)
        self._outbox.put(IkeDaemonStarted(resumed=resumed))

    def _stopped(self, error: Exception) -> None:
        logger.warning("charon is gone: %s", error)
        self._counters["charon_stops"] += 1
        # What it said last, deletes by an orderly shutdown among them, comes before the news of its end.
        if self._may_read.is_set():
            self._read_messages()
        self._session = None
        self._from_dead_charon = self._table.clients()
        self._outbox.put(IkeDaemonStopped())

    def _take_vici(self, name: str, message: ViciMessage) -> None:
        local, remote = endpoint(message, "local"), endpoint(message, "remote")
        for sa in ike_sas_in(message):
            if name == "ike-update" and local is not None and remote is not None:
                # The section has the addresses from before; those after stand outside.
                self._emit(self._table.endpoints_changed(sa.spis, local=local, remote=remote))
            elif name == "ike-updown" and text(message, "up") != "yes":
                # Of passive IKE_SAs, this is the only word there is.
                self._emit(self._table.ike_sa_lost(sa.spis, now_ns=_now_ns()))


def _delete_of(sa: ListedIkeSa) -> HaMessage:
    ike_id = IkeId(version=2, spis=sa.spis, we_initiated=sa.we_initiated)
    return HaMessage(MessageType.IKE_DELETE, ((Attribute.IKE_ID, ike_id),))


def _now_ns() -> int:
    return int(trio.current_time() * 1e9)
