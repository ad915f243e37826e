"""One gateway's core: inputs in, effects out. No IO, no clock, no randomness of its own.

The driver calls `handle` with everything that happens and performs the effects in order; it calls again, with
TimerDue, when `next_deadline_ns` is reached. The daemon and the simulator drive this very class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from gossipsa import inputs
from gossipsa.audits import Audits
from gossipsa.contacts import Contacts
from gossipsa.effects import Effect, Report
from gossipsa.first_contact import FirstContact, is_unsealed
from gossipsa.identifiers import BootId, Endpoint, GatewayName, Holder
from gossipsa.inspection import Inspection
from gossipsa.introductions import Introductions
from gossipsa.membership_changes import MembershipChanges
from gossipsa.mesh_message import Gossip, MeshMessage, OfferTrust, PassTrust
from gossipsa.mesh_port import MeshPort
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox
from gossipsa.own_metadata import OwnMetadata
from gossipsa.partners import Partners
from gossipsa.replication import messages as replication
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.owned_index import OwnedIndex
from gossipsa.replication.placement import Placement
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings
from gossipsa.status import GatewayStatus
from gossipsa.steady_time import SteadyTime
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
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import Channel, Sessions

_PLACEMENT_INTERVAL_NS = 1_000_000_000


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
        self._outbox = Outbox()
        self._counts: Counter[str] = Counter()
        self._own_metadata = OwnMetadata(settings)
        sessions = Sessions(keyring=keyring, boot=boot, entropy=entropy)
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
            metadata=self._own_metadata.encoded(),
            random=random,
            credentials=keyring,
            site_of=keyring.site_of,
        )
        self._mesh = MeshView(self._swim, keyring)
        self._port = MeshPort(
            keyring=keyring,
            sessions=sessions,
            introductions=self._introductions,
            contacts=self._contacts,
            swim=self._swim,
            mesh=self._mesh,
            outbox=self._outbox,
        )
        self._ledger = LaneLedger()
        self._store = RecordStore(self._ledger)
        self._replicator = Replicator(me=self._me, settings=settings.replication, ledger=self._ledger)
        self._audits = Audits(
            auditor=Auditor(
                replicator=self._replicator,
                interval_ns=settings.replication.audit_interval_ns,
                entropy=entropy,
            ),
            audited=Audited(self._store),
            outbox=self._outbox,
        )
        self._partners = Partners(
            placement=Placement(
                owner=keyring.name,
                site=keyring.own.site,
                zone=keyring.own.zone,
                settings=settings.replication,
            ),
            replicator=self._replicator,
            store=self._store,
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            contacts=self._contacts,
            outbox=self._outbox,
        )
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
        self._membership = MembershipChanges(
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            partners=self._partners,
            trust=self._trust,
            replicator=self._replicator,
            store=self._store,
            coordinator=self._coordinator,
            announcer=self._announcer,
            addresses=self._addresses,
            handovers=self._handovers,
            planned_moves=self._planned_moves,
            adoption=self._adoption,
            outbox=self._outbox,
        )
        self._first_contact = FirstContact(
            keyring=keyring,
            sessions=sessions,
            introductions=self._introductions,
            contacts=self._contacts,
            trust=self._trust,
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            membership=self._membership,
            outbox=self._outbox,
        )
        self._inspection = Inspection(
            me=self._me,
            keyring=keyring,
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            own_metadata=self._own_metadata,
            replicator=self._replicator,
            store=self._store,
            coordinator=self._coordinator,
            handovers=self._handovers,
        )
        self._placement_due_ns: int | None = None
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
            self._audits.next_deadline_ns(),
            self._announcer.next_deadline_ns(),
            None if self._coordinator.is_busy else self._rekeys.next_deadline_ns(),
            self._conflicts.next_deadline_ns(),
            self._handovers.next_deadline_ns(),
            self._planned_moves.next_deadline_ns(),
            self._adoption.next_deadline_ns(now_ns=self._now_ns),
            self._introductions.next_deadline_ns(),
            self._first_contact.next_deadline_ns(),
            self._trust.next_deadline_ns(),
            self._contacts.next_deadline_ns(),
            self._placement_due_ns,
            self._ceilings.next_deadline_ns(),
        )
        return self._time.on_clock(min(due_ns for due_ns in deadlines if due_ns is not None))

    @property
    def short_of_copies(self) -> int:
        """How many of our clients have fewer acknowledged copies than they should have."""
        return self._replicator.short

    def status(self, *, now_ns: int, with_clients: bool = True) -> GatewayStatus:
        """What an operator may see. Listing the clients takes as long as there are clients."""
        now_ns = self._time.read(now_ns)
        return self._inspection.status(counts=self._counts, with_clients=with_clients, now_ns=now_ns)

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
                self._membership.take(self._swim.leave(now_ns=now_ns), now_ns=now_ns)
            case _:
                raise AssertionError(f"no such input: {type(event).__name__}")

    def _start(self, now_ns: int) -> None:
        self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
        self._trust.start(now_ns=now_ns)
        self._introductions.start(
            seeds=self._settings.seeds, remembered=self._contacts.remembered, now_ns=now_ns
        )
        self._adoption.start(is_alone=self._introductions.is_alone, now_ns=now_ns)
        self._membership.take(self._swim.join((), now_ns=now_ns), now_ns=now_ns)
        self._first_contact.tick(now_ns=now_ns)

    def _tick(self, now_ns: int) -> None:
        self._first_contact.tick(now_ns=now_ns)
        self._trust.tick(live=self._mesh.live, now_ns=now_ns)
        if self._contacts.is_due(now_ns=now_ns):
            live = (member.endpoint for member in self._swim.members.values() if member.state.live)
            self._contacts.remember(live, outbox=self._outbox)
        self._membership.take(self._swim.handle_tick(now_ns=now_ns), now_ns=now_ns)
        self._coordinator.tick(now_ns=now_ns)
        if not self._coordinator.is_busy:
            # Clients in silence go before clients that are served.
            self._rekeys.tick(now_ns=now_ns)
        self._conflicts.tick(now_ns=now_ns)
        self._handovers.tick(now_ns=now_ns)
        self._planned_moves.tick(now_ns=now_ns)
        self._ceilings.check(now_ns=now_ns)
        self._audits.tick(now_ns=now_ns)
        if self._placement_due_ns is not None and now_ns >= self._placement_due_ns:
            self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
            if self._own_metadata.count(len(self._store) + len(self._replicator)):
                self._swim.set_metadata(self._own_metadata.encoded(), now_ns=now_ns)
            self._addresses.tell()
            self._partners.choose()

    def _hear(self, data: bytes, source: Endpoint | None, now_ns: int) -> None:
        """Takes in what came from the network; `source` is None if it came over a stream."""
        if self._port.is_silent:
            # It is for the host that has our name now.
            return
        if is_unsealed(data):
            self._first_contact.hear(data, source, now_ns=now_ns)
            return
        heard = self._port.hear(data, source, now_ns=now_ns)
        if heard is not None:
            sender, message = heard
            self._hear_message(sender, message, now_ns)

    def _hear_message(self, sender: Holder, message: MeshMessage, now_ns: int) -> None:
        match message:
            case Gossip():
                self._membership.hear(sender, message, now_ns=now_ns)
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
            case (
                replication.AuditShards()
                | replication.ShardDifference()
                | replication.AskCells()
                | replication.AskVersions()
                | replication.TellVersions()
            ):
                self._audits.hear(sender, message)
            case takeover.Claim():
                self._own_clients.hear_claim(sender, message, now_ns=now_ns)
                self._coordinator.hear_claim(sender, message, now_ns=now_ns)
            case takeover.AnswerClaims():
                self._coordinator.hear_answers(sender, message, now_ns=now_ns)
            case takeover.EndClaims():
                self._coordinator.hear_end(sender, message, now_ns=now_ns)
            case takeover.OfferClients():
                self._kept_records.hear_offers(
                    sender, message, willing=not self._own_metadata.is_draining, now_ns=now_ns
                )
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

    def _drain(self, *, draining: bool, now_ns: int) -> None:
        if self._own_metadata.drain(draining=draining):
            self._outbox.report("draining" if draining else "undrained")
            self._swim.set_metadata(self._own_metadata.encoded(), now_ns=now_ns)
            self._planned_moves.drain(draining=draining, now_ns=now_ns)

    # The end of every run

    def _finish(self, now_ns: int) -> None:
        self._membership.expel_dropped(now_ns=now_ns)
        self._first_contact.finish(now_ns=now_ns)
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
            self._port.seal(to, message, Channel.STREAM, now_ns=now_ns)
        for to, trust_message in self._trust.take_sends():
            channel = Channel.DATAGRAM if isinstance(trust_message, OfferTrust) else Channel.STREAM
            self._port.seal(to, trust_message, channel, now_ns=now_ns)
        self._partners.finish(now_ns=now_ns)
        for refused in self._keyring.take_refused():
            self._outbox.report(
                "identity-refused",
                gateway=GatewayName(refused.name) if refused.name else None,
                detail=refused.reason,
            )
