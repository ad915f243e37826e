"""Follows one charon through its lives: HA messages and VICI events in, events about clients out.

HA messages tell what charon's clients have; VICI events tell where they moved. That the VICI connection ends
tells that charon died: at once, since the kernel closes it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

from gossipsa.errors import IkeDaemonError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ClientChanged, ClientDeleted, IkeDaemonStarted, IkeDaemonStopped
from gossipsa.strongswan.charon_process import CharonProcess, process_behind
from gossipsa.strongswan.client_table import ClientTable, Neglected
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.event_outbox import EventOutbox
from gossipsa.strongswan.ha_attributes import Attribute, MessageType, wire_version_of_release
from gossipsa.strongswan.ha_codec import HaDecodeError, HaMessage, decode, encode
from gossipsa.strongswan.ha_sender import HaSender
from gossipsa.strongswan.ha_socket import BATCH_DATAGRAMS_MAX, HaSocket
from gossipsa.strongswan.import_plan import resync_message
from gossipsa.strongswan.listing import CharonListing
from gossipsa.strongswan.receive_queue import ReceiveQueue
from gossipsa.strongswan.sa_listing import ESTABLISHED, ListedIkeSa, endpoint, ike_sas_in
from gossipsa.strongswan.segments import SEGMENTS_MAX
from gossipsa.strongswan.settings import CharonSettings
from gossipsa.strongswan.vici import ViciCommands, ViciConnection
from gossipsa.strongswan.vici_codec import ViciMessage, text

logger = logging.getLogger(__name__)

_RECONNECT_S = 0.05
_EXPIRE_S = 0.25
_RESYNC_PAUSE_S = 60.0
_EVENTS = ("ike-updown", "ike-update")


@dataclass(slots=True, kw_only=True)
class Session:
    """A connection to one life of charon."""

    commands: ViciCommands
    listing: CharonListing
    wire_version: int
    began_s: float
    """trio's clock."""
    children: dict[int, str] = field(default_factory=dict)
    """Charon's numbers of CHILD_SAs, by inbound SPI, as far as they were asked for."""


class CharonFollower:
    """The table of charon's clients, kept in step with charon.

    Attributes:
        table: the clients.
        outbox: events on their way out.
        sender: HA messages on their way to charon.
        changing: held by whoever changes what charon has; one at a time, since they would disturb each other.
        segment_count: HA segments that charon has.
        counters: what went wrong, by name.
    """

    def __init__(self, settings: CharonSettings, ha_socket: HaSocket, table: ClientTable) -> None:
        self._settings = settings
        self._socket = ha_socket
        self.table = table
        self.outbox = EventOutbox()
        queue = ReceiveQueue(local=settings.ha_remote, remote=settings.ha_local)
        self.sender = HaSender(ha_socket, queue, timeout_ns=settings.command_timeout_ns)
        self.changing = trio.Lock()
        self.segment_count = settings.segment_count
        self.counters: Counter[str] = Counter()
        self._complaints: Counter[str] = Counter()
        self._session: Session | None = None
        self._last_life: CharonProcess | str | None = None
        self._from_dead_charon: tuple[ClientId, ...] = ()
        self._may_read = trio.Event()
        self._resync_wanted = trio.Event()
        self._overflow_seen = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow charon until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.outbox.pump)
            nursery.start_soon(self._follow_messages)
            nursery.start_soon(self._follow_charon)
            nursery.start_soon(self._expire)
            nursery.start_soon(self._resync_when_wanted)
            task_status.started()

    @property
    def session(self) -> Session:
        """The connection to the charon that lives now. Raises CharonUnavailableError."""
        if self._session is None:
            raise CharonUnavailableError("charon is not there")
        return self._session

    def start_reading(self) -> None:
        """Let HA messages be read: until clients are adopted, those about them wait in the socket."""
        self._may_read.set()

    def read_messages(self) -> None:
        """Take all HA messages that are there."""
        while self._read_batch() == BATCH_DATAGRAMS_MAX:
            pass

    def take(self, message: HaMessage) -> None:
        """Let a message change the table, as if charon had sent it."""
        self._emit(self.table.handle(message, now_ns=_now_ns()))

    def note_endpoints(self, listed: Iterable[ListedIkeSa]) -> None:
        """Take addresses from a list of IKE_SAs."""
        for sa in listed:
            if sa.local is not None and sa.remote is not None and sa.state == ESTABLISHED:
                self._emit(self.table.endpoints_changed(sa.spis, local=sa.local, remote=sa.remote))

    def want_resync(self) -> None:
        """Have charon asked for everything it has, soon and not too often."""
        self._resync_wanted.set()

    def _complain(self, what: str, *, times: int = 1) -> None:
        """Log something that may come often: the first time, and each time its count has doubled."""
        before = self._complaints[what]
        self._complaints[what] += times
        if before.bit_length() != self._complaints[what].bit_length():
            logger.warning("%s (%d times)", what, self._complaints[what])

    async def _follow_messages(self) -> None:
        with trio.move_on_after(self._settings.adoption_wait_ns / 1e9):
            await self._may_read.wait()
        self.start_reading()
        while True:
            await self._socket.wait_readable()
            self._read_batch()
            await trio.lowlevel.checkpoint()

    def _read_batch(self) -> int:
        batch = self._socket.receive_batch()
        for data in batch:
            try:
                message = decode(data)
            except HaDecodeError as error:
                self.counters["ha_undecodable"] += 1
                self._complain(f"HA message left aside: {error}")
                continue
            if message.type is MessageType.RESYNC:
                self._note_segments(message)
            self.take(message)
        if self._socket.overflow_count != self._overflow_seen:
            self._overflow_seen = self._socket.overflow_count
            logger.warning("HA messages were lost: our receive buffer was full")
            self._resync_wanted.set()
        return len(batch)

    def _emit(self, events: Iterable[ClientChanged | ClientDeleted]) -> None:
        for event in events:
            self.outbox.put(event)

    def _note_segments(self, message: HaMessage) -> None:
        """Charon names all its segments when it starts."""
        count = max(message.values(Attribute.SEGMENT, int), default=0)
        if count != self.segment_count and 1 <= count <= SEGMENTS_MAX:
            logger.warning("charon has %d HA segments, not %d as configured here", count, self.segment_count)
            self.segment_count = count

    async def _expire(self) -> None:
        neglected = self.table.neglected.copy()
        while True:
            await trio.sleep(_EXPIRE_S)
            self._emit(self.table.expire(now_ns=_now_ns()))
            for why, count in (self.table.neglected - neglected).items():
                # Our peers' probes for a sign of life make charon speak of IKE_SAs that never were.
                if why is not Neglected.UNKNOWN_IKE_SA:
                    self._complain(f"HA messages: {why.value}", times=count)
            neglected = self.table.neglected.copy()

    async def _resync_when_wanted(self) -> None:
        while True:
            await self._resync_wanted.wait()
            session = self._session
            if session is not None:
                self._resync_wanted = trio.Event()
                await self._resync(session)
            await trio.sleep(_RESYNC_PAUSE_S if session is not None else _RECONNECT_S)

    async def _resync(self, session: Session) -> None:
        """Ask charon for everything it has."""
        self.counters["resyncs"] += 1
        logger.warning("asking charon for all its clients; it rekeys their CHILD_SAs")
        try:
            async with self.changing:
                message = resync_message(self.segment_count)
                await self.sender.send_until_read([encode(message, version=session.wire_version)])
                # Charon repeats addresses as they were at first.
                listed = await session.listing.ike_sas()
                self.read_messages()
                self.note_endpoints(listed.values())
        except IkeDaemonError as error:
            logger.warning("charon did not tell: %s", error)

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
        life = process or await listing.started_at()
        is_first = self._last_life is None
        resumed = await listing.ike_sa_count() > 0 if is_first else life == self._last_life
        if not resumed:
            for client in self._from_dead_charon:
                self.table.forget(client)
            self.start_reading()
        self._from_dead_charon = ()
        self._last_life = life
        self._session = Session(
            commands=commands,
            listing=listing,
            wire_version=wire_version,
            began_s=trio.current_time(),
        )
        logger.info("charon %s is up, HA version %d", release, wire_version)
        self.outbox.put(IkeDaemonStarted(resumed=resumed))

    def _stopped(self, error: Exception) -> None:
        logger.warning("charon is gone: %s", error)
        self.counters["charon_stops"] += 1
        # What it said last, deletes by an orderly shutdown among them, comes before the news of its end.
        self.start_reading()
        self.read_messages()
        self._session = None
        self._from_dead_charon = self.table.clients()
        self.outbox.put(IkeDaemonStopped())

    def _take_vici(self, name: str, message: ViciMessage) -> None:
        local, remote = endpoint(message, "local"), endpoint(message, "remote")
        for sa in ike_sas_in(message):
            if name == "ike-update" and local is not None and remote is not None:
                # The section has the addresses from before; those after stand outside.
                self._emit(self.table.endpoints_changed(sa.spis, local=local, remote=remote))
            elif name == "ike-updown" and text(message, "up") != "yes":
                # Of passive IKE_SAs, this is the only word there is.
                self._emit(self.table.ike_sa_lost(sa.spis, now_ns=_now_ns()))


def _now_ns() -> int:
    return int(trio.current_time() * 1e9)
