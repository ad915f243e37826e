"""One gateway's core: inputs in, effects out. No IO, no clock, no randomness of its own.

The driver calls `handle` with everything that happens and performs the effects in order; it calls again, with
TimerDue, when `next_deadline_ns` is reached. The daemon and the simulator drive this very class.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from gossipsa import inputs
from gossipsa.contacts import Contacts
from gossipsa.effects import (
    CloseStream,
    Effect,
    Report,
    SendDatagram,
    SendFrame,
)
from gossipsa.errors import PeerError
from gossipsa.identifiers import BootId, Endpoint, GatewayName, Holder
from gossipsa.introductions import Answered, CallKind, Introductions
from gossipsa.mesh_message import (
    MESSAGE_DECODER,
    PROTOCOL_VERSION,
    GatewayMetadata,
    Gossip,
    MeshMessage,
    OfferTrust,
    PassTrust,
)
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox, StateMessage
from gossipsa.replication import messages as replication
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.owned_index import OwnedIndex
from gossipsa.replication.placement import Placement
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import NOWHERE
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings
from gossipsa.status import ClientStatus, GatewayStatus, IdentityStatus, MemberStatus
from gossipsa.steady_time import SteadyTime
from gossipsa.swim import outputs as swim_events
from gossipsa.swim.outputs import Outputs
from gossipsa.swim.reachability import Way
from gossipsa.swim.swim import Swim
from gossipsa.takeover import messages as takeover
from gossipsa.takeover.address_book import AddressBook
from gossipsa.takeover.adoption import Adoption
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.conflict import Conflicts
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.handover import Handovers
from gossipsa.takeover.kept_records import KeptRecords
from gossipsa.takeover.own_clients import OwnClients
from gossipsa.takeover.planned_moves import PlannedMoves
from gossipsa.takeover.raised_ceilings import RaisedCeilings
from gossipsa.takeover.reconnections import Reconnections
from gossipsa.takeover.rekeys import PacedRekeys
from gossipsa.trust_keeper import TrustKeeper
from gossipsa.wire import introduction
from gossipsa.wire.codec import MessageDecodeError, encode
from gossipsa.wire.handshake import WIRE_VERSION, is_handshake, is_hello
from gossipsa.wire.introduction import IntroductionError
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import (
    STRANGER_REASON,
    Channel,
    MessageTooLongError,
    Outgoing,
    SealError,
    Sessions,
)

_PLACEMENT_INTERVAL_NS = 1_000_000_000
_RECORDS_UNTOLD_MAX = 64
_TRUST_WAIT_NS = 500_000_000
_OWNER_ROLE, _REPLICA_ROLE = "owner", "replica"
_UNSEALED = tuple(
    bytes((kind,))
    for kind in (introduction.INTRODUCTION, introduction.ANSWER, introduction.STRANGER, introduction.TRUST)
)


class Gateway:
    """The whole core of one gateway.

    Args:
        boot: 16 random bytes, fresh at every start.
        random: a seeded source for choices (order of probes, jitter).
        entropy: returns that many unpredictable bytes, for keys, nonces and cookies.
        remembered: where members of the mesh were reached by an earlier boot.

    Raises:
        ConfigurationError: the settings do not go together.
    """

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        keyring: Keyring,
        boot: BootId,
        random: Random,
        entropy: Callable[[int], bytes],
        remembered: tuple[Endpoint, ...] = (),
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._me = Holder(keyring.name, boot)
        self._is_draining = False
        self._records_told = 0
        self._outbox = Outbox()
        self._counts: Counter[str] = Counter()
        self._sessions = Sessions(keyring=keyring, boot=boot, entropy=entropy)
        self._introductions = Introductions(
            keyring=keyring, own=settings.mesh_endpoint, entropy=entropy, outbox=self._outbox
        )
        self._trust = TrustKeeper(keyring=keyring, random=random, outbox=self._outbox)
        self._contacts = Contacts(settings.seeds, remembered)
        self._swim = Swim(
            settings=settings.swim,
            name=keyring.name,
            boot=boot,
            endpoint=settings.mesh_endpoint,
            metadata=self._describe(records=0),
            random=random,
            credentials=keyring,
            site_of=keyring.site_of,
        )
        self._mesh = MeshView(self._swim, keyring)
        self._ledger = LaneLedger()
        self._store = RecordStore(self._ledger)
        self._placement = Placement(
            owner=keyring.name,
            site=keyring.own.site,
            zone=keyring.own.zone,
            settings=settings.replication,
        )
        self._replicator = Replicator(me=self._me, settings=settings.replication, ledger=self._ledger)
        self._auditor = Auditor(
            replicator=self._replicator,
            interval_ns=settings.replication.audit_interval_ns,
            entropy=entropy,
        )
        self._audited = Audited(self._store)
        self._owned_index = OwnedIndex(self._replicator)
        self._coordinator = Coordinator(
            me=self._me,
            settings=settings,
            peers=self._mesh,
            store=self._store,
            replicator=self._replicator,
            ledger=self._ledger,
            outbox=self._outbox,
            random=random,
            entropy=entropy,
        )
        self._announcer = Announcer(peers=self._mesh, replicator=self._replicator, outbox=self._outbox)
        self._rekeys = PacedRekeys(
            settings=settings.takeover, replicator=self._replicator, outbox=self._outbox
        )
        self._conflicts = Conflicts(
            me=self._me,
            replicator=self._replicator,
            coordinator=self._coordinator,
            announcer=self._announcer,
            rekeys=self._rekeys,
            outbox=self._outbox,
        )
        self._ceilings = RaisedCeilings(replicator=self._replicator, ledger=self._ledger, outbox=self._outbox)
        self._handovers = Handovers(
            me=self._me,
            settings=settings.takeover,
            peers=self._mesh,
            replicator=self._replicator,
            conflicts=self._conflicts,
            outbox=self._outbox,
            entropy=entropy,
            go_above=self._ceilings.go_above_target,
        )
        self._planned_moves = PlannedMoves(
            me=self._me,
            settings=settings.takeover,
            peers=self._mesh,
            replicator=self._replicator,
            handovers=self._handovers,
            outbox=self._outbox,
        )
        self._addresses = AddressBook(
            me=self._me,
            peers=self._mesh,
            replicator=self._replicator,
            store=self._store,
            outbox=self._outbox,
        )
        self._reconnections = Reconnections(
            me=self._me,
            peers=self._mesh,
            store=self._store,
            replicator=self._replicator,
            owned_index=self._owned_index,
            coordinator=self._coordinator,
            conflicts=self._conflicts,
            outbox=self._outbox,
        )
        self._own_clients = OwnClients(
            store=self._store,
            replicator=self._replicator,
            owned_index=self._owned_index,
            coordinator=self._coordinator,
            conflicts=self._conflicts,
            reconnections=self._reconnections,
            addresses=self._addresses,
            outbox=self._outbox,
        )
        self._kept_records = KeptRecords(
            me=self._me,
            peers=self._mesh,
            store=self._store,
            replicator=self._replicator,
            coordinator=self._coordinator,
            announcer=self._announcer,
            conflicts=self._conflicts,
            handovers=self._handovers,
            reconnections=self._reconnections,
            outbox=self._outbox,
        )
        self._adoption = Adoption(
            me=self._me,
            keyring=keyring,
            replicator=self._replicator,
            owned_index=self._owned_index,
            announcer=self._announcer,
            own_clients=self._own_clients,
            reconnections=self._reconnections,
            outbox=self._outbox,
        )
        self._placement_due_ns: int | None = None
        self._watched: tuple[GatewayName, ...] = ()
        self._replicas: tuple[GatewayName, ...] = ()
        self._partners: tuple[GatewayName, ...] = ()
        self._members_changed = False
        self._is_silent = False
        # Trust list versions that are waited for before we join, and until when.
        self._joins: dict[GatewayName, tuple[int, int]] = {}
        self._time = SteadyTime()
        self._now_ns = 0

    def handle(self, event: inputs.Input, *, now_ns: int) -> tuple[Effect, ...]:
        """Takes one input and returns what is to be done, in order. Never raises for what others sent."""
        self._now_ns = now_ns = self._time.read(now_ns)
        self._keyring.calendar.advance(now_ns)
        self._dispatch(event, now_ns)
        self._finish(now_ns)
        effects, self._outbox.effects = self._outbox.effects, []
        for effect in effects:
            if isinstance(effect, Report):
                self._counts[effect.event] += effect.count
        return tuple(effects)

    def next_deadline_ns(self) -> int | None:
        """When TimerDue must come, at the latest; may lie in the past. None before Started."""
        if not self._adoption.has_started:
            return None
        deadlines = (
            self._swim.next_deadline_ns(),
            self._coordinator.next_deadline_ns(now_ns=self._now_ns),
            self._replicator.next_deadline_ns(),
            self._auditor.next_deadline_ns(),
            self._announcer.next_deadline_ns(),
            None if self._coordinator.is_busy else self._rekeys.next_deadline_ns(),
            self._conflicts.next_deadline_ns(),
            self._handovers.next_deadline_ns(),
            self._planned_moves.next_deadline_ns(),
            self._adoption.next_deadline_ns(now_ns=self._now_ns),
            self._introductions.next_deadline_ns(),
            self._trust.next_deadline_ns(),
            self._contacts.next_deadline_ns(),
            self._placement_due_ns,
            self._ceilings.next_deadline_ns(),
            min((due_ns for _, due_ns in self._joins.values()), default=None),
        )
        return self._time.on_clock(min(due_ns for due_ns in deadlines if due_ns is not None))

    @property
    def short_of_copies(self) -> int:
        """How many of our clients have fewer acknowledged copies than they should have."""
        return self._replicator.short

    def status(self, *, now_ns: int, with_clients: bool = True) -> GatewayStatus:
        """What an operator may see. Listing the clients takes as long as there are clients."""
        now_ns = self._time.read(now_ns)
        members = []
        for member in self._swim.members.values():
            estimate_ns = self._swim.estimate_rtt_ns(self._me.gateway, member.name)
            members.append(
                MemberStatus(
                    name=member.name,
                    state=member.state.name.lower(),
                    boot=member.boot.hex(),
                    incarnation=member.incarnation,
                    round_trip_ms=None if member.rtt_ns is None else round(member.rtt_ns / 1e6, 3),
                    closed=tuple(way.value for way in Way if way in member.closed),
                    estimate_ms=None if estimate_ns is None else round(estimate_ns / 1e6, 3),
                    flapping=member.flapping,
                    heard_ms_ago=round(min(now_ns - member.heard_ns, now_ns) / 1e6, 3),
                    site=self._keyring.site_of(member.name),
                    zone=self._keyring.zone_of(member.name),
                    draining=self._mesh.is_draining(member.name),
                )
            )
        since_ns = self._replicator.short_since_ns
        return GatewayStatus(
            name=self._me.gateway,
            boot=self._me.boot.hex(),
            identity=self._identity_status(),
            name_lost=self._is_silent,
            members=tuple(members),
            clients=tuple(self._client_statuses()) if with_clients else (),
            copies={str(copies): count for copies, count in sorted(self._replicator.copies().items())},
            roles=dict(sorted(self._roles().items())),
            short_since_s=None if since_ns is None else round((now_ns - since_ns) / 1e9, 3),
            counts=dict(sorted(self._counts.items())),
            draining=self._is_draining,
            moving=len(self._handovers),
        )

    def _client_statuses(self) -> Iterator[ClientStatus]:
        for owned in self._replicator.owned():
            yield self._client_status(owned.record, _OWNER_ROLE, len(owned.acknowledged_by()))
        for record in self._store.records():
            state = self._coordinator.state_of(record.client)
            yield self._client_status(record, state.value if state else _REPLICA_ROLE, 0)

    def _roles(self) -> Counter[str]:
        roles = Counter(state.value for client, state in self._coordinator.states() if client in self._store)
        roles[_REPLICA_ROLE] += len(self._store) - roles.total()
        roles[_OWNER_ROLE] += len(self._replicator)
        return +roles

    def _identity_status(self) -> IdentityStatus:
        own = self._keyring.own
        return IdentityStatus(
            mesh=own.mesh,
            site=own.site,
            zone=own.zone,
            serial=own.serial.hex(),
            ends_s=own.not_after_s,
            ends_in_s=own.not_after_s - self._keyring.calendar.now_s,
            trust_version=self._keyring.trust.version,
        )

    # Inputs

    def _dispatch(self, event: inputs.Input, now_ns: int) -> None:
        match event:
            case inputs.TimerDue():
                self._tick(now_ns)
            case inputs.DatagramReceived(source=source, data=data):
                self._hear(data, source, now_ns)
            case inputs.FrameReceived(data=data):
                self._hear(data, None, now_ns)
            case inputs.Started():
                self._start(now_ns)
            case inputs.ClientChanged(client=client, state=state):
                self._own_clients.changed(client, state, now_ns=now_ns)
            case inputs.ClientDeleted(client=client):
                self._own_clients.deleted(client)
            case inputs.CountersRead(counters=counters):
                self._own_clients.counters_read(counters, now_ns=now_ns)
            case inputs.IkeReceived(source=source, data=data):
                self._coordinator.ike_received(source, data, now_ns=now_ns)
                self._handovers.ike_received(data, now_ns=now_ns)
            case inputs.IkeProbeAnswered(gateway=gateway):
                self._coordinator.ike_answered(gateway, now_ns=now_ns)
            case inputs.ClientInstalled(client=client, epoch=epoch):
                self._coordinator.installed(client, epoch, now_ns=now_ns)
            case inputs.ClientActivated(client=client, epoch=epoch):
                self._coordinator.activated(client, epoch, now_ns=now_ns)
                if client in self._replicator:
                    self._rekeys.schedule(client, now_ns=now_ns)
            case inputs.ClientRemoved(client=client, epoch=epoch, counters=counters):
                self._conflicts.removed(client)
                self._handovers.removed(client, counters)
                self._coordinator.removed(client, epoch, now_ns=now_ns)
            case inputs.ClientRestored(client=client):
                self._outbox.report("client-restored", client=client)
            case inputs.ClientFailed(client=client, epoch=epoch, reason=reason):
                self._outbox.report("client-failed", client=client, detail=reason)
                self._conflicts.removed(client)
                self._handovers.removed(client, ())
                self._coordinator.failed(client, epoch, now_ns=now_ns)
            case inputs.ClientsAdopted():
                self._adoption.adopted(event, now_ns=now_ns)
            case inputs.IkeDaemonStarted(resumed=resumed):
                self._own_clients.ike_daemon_started(resumed=resumed)
            case inputs.IkeDaemonStopped():
                self._outbox.report("ike-daemon-stopped")
            case inputs.PacketLimitReached():
                self._ceilings.packet_limit_reached(event, now_ns=now_ns)
            case inputs.TrustListGiven(trust_list=data):
                self._trust.take(data, whence="the operator", now_ns=now_ns)
            case inputs.DrainRequested(draining=draining):
                self._drain(draining=draining, now_ns=now_ns)
            case inputs.LeaveRequested():
                self._take_swim(self._swim.leave(now_ns=now_ns), now_ns)
            case _:
                raise AssertionError(f"no such input: {type(event).__name__}")

    def _start(self, now_ns: int) -> None:
        self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
        self._trust.start(now_ns=now_ns)
        self._introductions.start(
            seeds=self._settings.seeds, remembered=self._contacts.remembered, now_ns=now_ns
        )
        self._adoption.start(is_alone=self._introductions.is_alone, now_ns=now_ns)
        self._take_swim(self._swim.join((), now_ns=now_ns), now_ns)
        self._introduce(now_ns)

    def _introduce(self, now_ns: int) -> None:
        if self._is_silent:
            return
        self._introductions.tick(joined=self._swim.joined, is_live=self._mesh.is_live, now_ns=now_ns)

    def _tick(self, now_ns: int) -> None:
        self._introduce(now_ns)
        self._trust.tick(live=self._mesh.live, now_ns=now_ns)
        if self._contacts.is_due(now_ns=now_ns):
            live = (member.endpoint for member in self._swim.members.values() if member.state.live)
            self._contacts.remember(live, outbox=self._outbox)
        self._take_swim(self._swim.handle_tick(now_ns=now_ns), now_ns)
        self._coordinator.tick(now_ns=now_ns)
        if not self._coordinator.is_busy:
            # Clients in silence go before clients that are served.
            self._rekeys.tick(now_ns=now_ns)
        self._conflicts.tick(now_ns=now_ns)
        self._handovers.tick(now_ns=now_ns)
        self._planned_moves.tick(now_ns=now_ns)
        self._ceilings.check(now_ns=now_ns)
        for to, question in self._auditor.tick(now_ns=now_ns):
            self._outbox.send(to, question)
        if self._placement_due_ns is not None and now_ns >= self._placement_due_ns:
            self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
            self._tell_load(now_ns)
            self._addresses.tell()
            self._place()

    def _hear(self, data: bytes, source: Endpoint | None, now_ns: int) -> None:
        """Takes in what came from the network; `source` is None if it came over a stream."""
        if self._is_silent:
            # It is for the host that has our name now.
            return
        try:
            if data[:1] == bytes((WIRE_VERSION,)) and data[1:2] in _UNSEALED:
                self._hear_unsealed(data, source, now_ns)
                return
            channel = Channel.STREAM if source is None else Channel.DATAGRAM
            if is_hello(data) and not self._introductions.admits_hello(channel, now_ns=now_ns):
                raise SealError("too many hellos")
            opened, answers = self._sessions.open(data, channel=channel, now_ns=now_ns)
        except (SealError, IntroductionError) as error:
            self._refuse(data, source, error, now_ns)
            return
        self._emit(answers, source)
        if opened is None:
            return
        sender = opened.sender
        if sender.boot == self._sessions.boot_of(sender.gateway, now_ns=now_ns):
            if source is None:
                self._contacts.heard_over_stream(sender)
            else:
                self._contacts.heard(sender, source)
        try:
            message = MESSAGE_DECODER.decode(opened.payload)
        except MessageDecodeError as error:
            self._outbox.report("message-refused", gateway=sender.gateway, detail=f"malformed: {error}")
            return
        self._swim.reached(sender.gateway, now_ns=now_ns, boot=sender.boot)
        self._hear_message(sender, message, now_ns)

    def _refuse(self, data: bytes, source: Endpoint | None, error: PeerError, now_ns: int) -> None:
        whence = f"datagram from {source}" if source is not None else "stream"
        if isinstance(error, SealError) and error.reason == STRANGER_REASON and source is not None:
            # It knows us, and we have forgotten it, or never knew it: ask it to introduce itself.
            with contextlib.suppress(IntroductionError):
                self._introductions.answer_stranger(data, source, now_ns=now_ns)
        self._outbox.report("message-refused", detail=f"{error}, {whence}")

    def _hear_unsealed(self, data: bytes, source: Endpoint | None, now_ns: int) -> None:
        """First contact. Raises IntroductionError."""
        channel = Channel.STREAM if source is None else Channel.DATAGRAM
        match data[1]:
            case introduction.INTRODUCTION:
                heard = self._introductions.hear_introduction(data, source, now_ns=now_ns)
                if heard is not None and heard[0].is_admitted:
                    met, there = heard
                    self._met(met.identity.name, there)
                    self._greet_again(met.identity.name, there, channel, now_ns)
            case introduction.ANSWER:
                answered = self._introductions.hear_answer(data, source, now_ns=now_ns)
                if answered is not None:
                    self._met(answered.name, answered.endpoint)
                    if answered.kind is not CallKind.ONCE:
                        self._join_with_trust(answered, channel, now_ns)
                    self._greet_again(answered.name, answered.endpoint, channel, now_ns)
            case introduction.STRANGER if source is not None:
                name = self._sessions.greeted(introduction.ephemeral_of_notice(data))
                if name is not None:
                    self._introductions.call(source, now_ns=now_ns)
                    self._introduce(now_ns)
            case introduction.TRUST:
                self._trust.hear_unsealed(data[2:], now_ns=now_ns)
            case _:
                raise IntroductionError("a notice that came over a stream")

    def _met(self, name: GatewayName, there: Endpoint) -> None:
        """An identity was shown by whoever is there."""
        self._contacts.introduced(name, there)
        self._swim.readmit(name)

    def _greet_again(self, name: GatewayName, there: Endpoint, channel: Channel, now_ns: int) -> None:
        """The hello that is under way, if there is one, to where the gateway is, by the way that is open."""
        self._emit(self._sessions.greet_again(name, channel=channel, now_ns=now_ns), there)

    def _join_with_trust(self, answered: Answered, channel: Channel, now_ns: int) -> None:
        """Joins; whoever has a newer trust list is asked for that first, so that nobody is believed who was
        revoked while we were away. What it says of its list is not proven, and not waited for long."""
        version = self._keyring.trust.version
        if answered.trust_version <= version:
            self._join(answered.name, now_ns)
        elif answered.name not in self._joins:
            self._joins[answered.name] = (answered.trust_version, now_ns + _TRUST_WAIT_NS)
            self._seal(answered.name, OfferTrust(version=version), channel, now_ns)

    def _join_waiting(self, now_ns: int) -> None:
        for name, (version, due_ns) in tuple(self._joins.items()):
            if self._keyring.trust.version >= version or now_ns >= due_ns:
                del self._joins[name]
                self._join(name, now_ns)

    def _join(self, seed: GatewayName, now_ns: int) -> None:
        if self._mesh.is_live(seed):
            return
        self._take_swim(self._swim.join((seed,), now_ns=now_ns), now_ns)

    def _hear_message(self, sender: Holder, message: MeshMessage, now_ns: int) -> None:
        match message:
            case Gossip(packet=packet):
                if packet.boot != sender.boot:
                    self._outbox.report("message-refused", gateway=sender.gateway, detail="boot is a lie")
                    return
                self._take_swim(self._swim.handle(sender.gateway, packet, now_ns=now_ns), now_ns)
            case OfferTrust():
                self._trust.hear_offer(sender.gateway, message, now_ns=now_ns)
            case PassTrust(trust_list=data):
                self._trust.take(data, whence=sender.gateway, now_ns=now_ns)
            case replication.PutRecords():
                self._kept_records.hear_put(sender, message, now_ns=now_ns)
            case replication.AcknowledgeRecords():
                self._replicator.hear_acknowledgement(sender, message)
                self._ceilings.check(now_ns=now_ns)
            case replication.AcknowledgeDrops(versions=versions):
                self._replicator.hear_drops_acknowledged(sender.gateway, versions)
            case replication.UpdateCounters():
                self._kept_records.hear_counters(sender, message)
            case replication.DropRecords():
                self._kept_records.hear_drop(sender, message, now_ns=now_ns)
            case replication.AuditShards():
                self._answer(sender, self._audited.hear_audit(sender.gateway, message))
            case replication.AskCells():
                self._answer(sender, self._audited.hear_ask_cells(sender.gateway, message))
            case replication.AskVersions():
                for answer in self._audited.hear_ask_versions(sender.gateway, message):
                    self._answer(sender, answer)
            case replication.ShardDifference():
                self._hear_difference(sender, message)
            case replication.TellVersions():
                self._auditor.hear_versions(sender, message)
                self._report_differences(sender)
            case takeover.Claim():
                self._own_clients.hear_claim(sender, message, now_ns=now_ns)
                self._coordinator.hear_claim(sender, message, now_ns=now_ns)
            case takeover.AnswerClaims():
                self._coordinator.hear_answers(sender, message, now_ns=now_ns)
            case takeover.EndClaims():
                self._coordinator.hear_end(sender, message, now_ns=now_ns)
            case takeover.OfferClients():
                self._kept_records.hear_offers(sender, message, willing=not self._is_draining, now_ns=now_ns)
            case takeover.AnswerOffers():
                self._handovers.hear_answers(sender, message, now_ns=now_ns)
            case takeover.HoldAddresses():
                self._addresses.hear(sender.gateway, message)
            case takeover.CloseWindows():
                self._own_clients.hear_close_windows(sender, message)
            case takeover.AnnounceOwnership():
                self._kept_records.hear_announcement(sender, message, now_ns=now_ns)
            case takeover.AcknowledgeOwnership():
                self._announcer.hear_acknowledgement(sender.gateway, message)
            case replication.RecallRecords():
                self._kept_records.hear_recall(sender)
            case replication.ReturnRecords():
                self._adoption.hear_return(sender, message)
            case replication.ReleaseRecords(versions=versions):
                self._coordinator.hear_release(sender, versions, now_ns=now_ns)

    # Membership

    def _take_swim(self, outputs: Outputs, now_ns: int) -> None:
        for output in outputs:
            if not isinstance(output, swim_events.Send):
                self._members_changed = True
            match output:
                case swim_events.Send(to=to, packet=packet, bulk=bulk):
                    channel = Channel.STREAM if bulk else Channel.DATAGRAM
                    self._seal(to, Gossip(packet=packet), channel, now_ns)
                case swim_events.MemberJoined(name=name):
                    self._outbox.report("gateway-alive", gateway=name)
                    self._gateway_alive(name, now_ns)
                    self._trust.offer(name)
                    self._adoption.gateway_joined(name)
                case swim_events.MemberRefuted(name=name):
                    self._outbox.report("gateway-refuted", gateway=name)
                    self._gateway_alive(name, now_ns)
                case swim_events.MemberSuspected(name=name, witnesses=witnesses):
                    self._outbox.report("gateway-suspected", gateway=name, detail=f"{witnesses} witnesses")
                    self._coordinator.gateway_suspected(name, now_ns=now_ns)
                case swim_events.MemberFailed(name=name):
                    self._outbox.report("gateway-failed", gateway=name)
                    self._gateway_lost(name, now_ns)
                    self._place()
                    self._coordinator.gateway_failed(name, now_ns=now_ns)
                case swim_events.MemberLeft(name=name):
                    self._outbox.report("gateway-left", gateway=name)
                    self._gateway_lost(name, now_ns)
                    self._place()
                case swim_events.MemberRestarted(name=name):
                    self._outbox.report("gateway-restarted", gateway=name)
                    self._replicator.forget_drops(name)
                    self._coordinator.gateway_restarted(name, now_ns=now_ns)
                    self._handovers.gateway_lost(name, now_ns=now_ns)
                    self._planned_moves.gateway_alive(name, now_ns=now_ns)
                    self._addresses.gateway_alive(name)
                    self._place()
                case swim_events.MetadataChanged():
                    self._place()
                case swim_events.MemberHalfDead(name=name, closed=closed):
                    ways = ", ".join(way.value for way in closed)
                    self._outbox.report("gateway-half-dead", gateway=name, detail=f"closed: {ways}")
                    self._place()
                case swim_events.MemberWhole(name=name):
                    self._outbox.report("gateway-whole", gateway=name)
                    self._place()
                case swim_events.UpdatesRefused(sender=name, count=count):
                    self._outbox.report("updates-refused", gateway=name, count=max(count, 1))
                case swim_events.CoordinateRefused(sender=name, reason=reason):
                    self._outbox.report("coordinate-refused", gateway=name, detail=reason)
                case swim_events.ClaimsForged(sender=name, count=count):
                    self._outbox.report("claims-forged", gateway=name, count=count)
                case swim_events.MemberFlapping(name=name):
                    self._outbox.report("gateway-flapping", gateway=name)
                case swim_events.MemberSteady(name=name):
                    self._outbox.report("gateway-steady", gateway=name)
                case swim_events.NameClash():
                    self._outbox.report("name-clash", detail="another host speaks under our name")
                case swim_events.NameLost():
                    self._outbox.report("name-lost", detail="a newer host keeps our name, we left the mesh")
                case swim_events.Stalled(late_ns=late_ns):
                    self._outbox.report("stalled", detail=f"{late_ns / 1e6:.0f} ms late")
        if self._swim.name_lost and not self._is_silent:
            self._fall_silent(now_ns)

    def _fall_silent(self, now_ns: int) -> None:
        """A newer host has our name: from now on nothing is said in it, and others' clients are not ours to
        take. Our own stay served, by what is here."""
        for record in tuple(self._store.records()):
            self._coordinator.superseded(record.client, None, now_ns=now_ns)
            self._store.drop(record.client, record.epoch)
        for name in self._swim.members:
            self._gateway_lost(name, now_ns)
        self._introductions.stop()
        self._is_silent = True
        self._place()

    def _gateway_lost(self, name: GatewayName, now_ns: int) -> None:
        self._adoption.gateway_lost(name)
        self._handovers.gateway_lost(name, now_ns=now_ns)
        self._planned_moves.gateway_lost(name)

    def _gateway_alive(self, name: GatewayName, now_ns: int) -> None:
        self._coordinator.gateway_alive(name, now_ns=now_ns)
        self._announcer.gateway_alive(name)
        self._addresses.gateway_alive(name)
        self._planned_moves.gateway_alive(name, now_ns=now_ns)
        self._place()

    def _describe(self, *, records: int) -> bytes:
        """What we tell all others of ourselves."""
        settings = self._settings
        return encode(
            GatewayMetadata(
                protocol_version=PROTOCOL_VERSION,
                capacity=settings.capacity,
                ike_addresses=settings.ike_addresses,
                draining=self._is_draining,
                records=records,
            )
        )

    def _drain(self, *, draining: bool, now_ns: int) -> None:
        if draining == self._is_draining:
            return
        self._is_draining = draining
        self._outbox.report("draining" if draining else "undrained")
        self._swim.set_metadata(self._describe(records=self._records_told), now_ns=now_ns)
        self._planned_moves.drain(draining=draining, now_ns=now_ns)

    def _tell_load(self, now_ns: int) -> None:
        """Says how many records are here, seldom: every change goes to the whole mesh."""
        records = len(self._store) + len(self._replicator)
        if abs(records - self._records_told) > _RECORDS_UNTOLD_MAX + self._records_told // 8:
            self._records_told = records
            self._swim.set_metadata(self._describe(records=records), now_ns=now_ns)

    def _place(self) -> None:
        if self._is_silent:
            self._replicator.place(NOWHERE, alive=())
            return
        shards = self._placement.choose(self._mesh.candidates())
        moved = self._replicator.place(shards, alive=self._mesh.live_holders())
        if moved:
            names = sorted({holder.gateway for replicas in shards for holder in replicas})
            self._swim.check_streams(names)
            self._replicas = tuple(names)
            self._outbox.report("replicas-chosen", detail=f"{moved} shards: {', '.join(names)}")

    def _answer(self, sender: Holder, answer: StateMessage | None) -> None:
        if answer is not None:
            self._outbox.send(sender.gateway, answer)

    def _hear_difference(self, sender: Holder, message: replication.ShardDifference) -> None:
        self._answer(sender, self._auditor.hear_difference(sender, message))
        self._report_differences(sender)

    def _report_differences(self, sender: Holder) -> None:
        found = self._auditor.take_differing()
        if found:
            self._outbox.report("copies-differ", gateway=sender.gateway, count=found)

    # The end of every run

    def _finish(self, now_ns: int) -> None:
        self._expel_dropped(now_ns)
        self._join_waiting(now_ns)
        self._adoption.finish(has_joined=self._swim.joined, now_ns=now_ns)
        self._handovers.finish(now_ns=now_ns)
        self._coordinator.finish(now_ns=now_ns)
        for client in self._coordinator.take_moved():
            self._announcer.tell_former(client)
            self._conflicts.hear(client, now_ns=now_ns)
            self._owned_index.forget()
        if self._conflicts.take_yielded():
            self._owned_index.forget()
        for to, record_message in self._replicator.flush(now_ns=now_ns):
            self._outbox.send(to, record_message)
        self._announcer.flush(now_ns=now_ns)
        messages, self._outbox.messages = self._outbox.messages, []
        for to, message in messages:
            self._seal(to, message, Channel.STREAM, now_ns)
        for to, trust_message in self._trust.take_sends():
            is_short = isinstance(trust_message, OfferTrust)
            self._seal(to, trust_message, Channel.DATAGRAM if is_short else Channel.STREAM, now_ns)
        owners = self._store.owners()
        if owners != self._watched:
            self._watched = owners
            self._swim.watch(owners)
        partners = (*self._replicas, *owners)
        if self._members_changed or partners != self._partners:
            self._members_changed, self._partners = False, partners
            self._contacts.open_streams(partners, endpoint_of=self._endpoint_of, outbox=self._outbox)
            self._contacts.members_changed(now_ns=now_ns)
        for refused in self._keyring.take_refused():
            self._outbox.report(
                "identity-refused",
                gateway=GatewayName(refused.name) if refused.name else None,
                detail=refused.reason,
            )

    def _expel_dropped(self, now_ns: int) -> None:
        """Whom the trust list, or the calendar, does not let count any more."""
        for name, refusal in self._trust.take_dropped():
            self._outbox.report("gateway-expelled", gateway=name, detail=refusal.value)
            self._sessions.forget(name)
            self._contacts.forget(name)
            self._outbox.do(CloseStream(to=name))
            self._take_swim(self._swim.expel(name, now_ns=now_ns), now_ns)

    def _seal(self, to: GatewayName, message: MeshMessage, channel: Channel, now_ns: int) -> None:
        if self._is_silent:
            return
        if to not in self._keyring:
            # Known from others, by name and address only: it has to show its identity first.
            endpoint = self._endpoint_of(to)
            if endpoint is not None:
                self._introductions.call(endpoint, now_ns=now_ns)
            return
        try:
            self._emit(self._sessions.seal(to, encode(message), channel=channel, now_ns=now_ns), None)
        except MessageTooLongError as error:
            self._outbox.report("message-too-long", gateway=to, detail=str(error))

    def _emit(self, outgoing: tuple[Outgoing, ...], source: Endpoint | None) -> None:
        """Sends what was sealed; datagrams in answer to one go to where that came from."""
        for message in outgoing:
            endpoint = self._endpoint_of(message.to)
            if message.channel is Channel.DATAGRAM:
                destination = source or endpoint
                if destination is not None:
                    self._outbox.do(SendDatagram(destination=destination, data=message.data))
            elif is_handshake(message.data):
                for place in self._contacts.endpoints(message.to, self._swim.member(message.to)):
                    self._outbox.do(SendFrame(to=None, destination=place, data=message.data))
                    if is_hello(message.data) and not self._mesh.is_live(message.to):
                        # Whoever does not know us cannot say so over a stream.
                        self._introductions.call(place, now_ns=self._now_ns)
            elif endpoint is not None:
                self._outbox.do(SendFrame(to=message.to, destination=endpoint, data=message.data))

    def _endpoint_of(self, name: GatewayName) -> Endpoint | None:
        return self._contacts.endpoint(name, self._swim.member(name))

    def _client_status(self, record: ClientRecord, role: str, acknowledged: int) -> ClientStatus:
        return ClientStatus(
            client=record.client.hex(),
            role=role,
            owner=record.owner,
            epoch=str(record.epoch),
            remote=str(record.state.ike_sa.remote),
            virtual_addresses=tuple(str(address) for address in record.virtual_addresses),
            children=len(record.state.children),
            replicas=tuple(holder.gateway for holder in record.replicas),
            acknowledged=acknowledged,
            ike_spis=str(record.state.ike_sa.spis),
            inbound_spis=tuple(f"{child.inbound_spi:08x}" for child in record.state.children),
        )
