"""One gateway's core: inputs in, effects out. No IO, no clock, no randomness of its own.

The driver calls `handle` with everything that happens and performs the effects in order; it calls again, with
TimerDue, when `next_deadline_ns` is reached. The daemon and the simulator drive this very class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from gossipsa import inputs
from gossipsa.clients import Clients
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
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.placement import Placement
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings
from gossipsa.status import ClientStatus, GatewayStatus
from gossipsa.steady_time import SteadyTime
from gossipsa.swim.swim import Swim
from gossipsa.timers import earliest
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
        me = Holder(keyring.name, boot)
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
        ledger = LaneLedger()
        store = RecordStore(ledger)
        replicator = Replicator(me=me, settings=settings.replication, ledger=ledger)
        self._partners = Partners(
            copies=settings.replication.replicas,
            placement=Placement(
                owner=keyring.name,
                site=keyring.own.site,
                zone=keyring.own.zone,
                settings=settings.replication,
            ),
            replicator=replicator,
            store=store,
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            contacts=self._contacts,
            outbox=self._outbox,
        )
        self._clients = Clients(
            me=me,
            settings=settings,
            keyring=keyring,
            peers=self._mesh,
            ledger=ledger,
            store=store,
            replicator=replicator,
            outbox=self._outbox,
            random=random,
            entropy=entropy,
        )
        self._membership = MembershipChanges(
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            partners=self._partners,
            trust=self._trust,
            clients=self._clients,
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
            me=me,
            keyring=keyring,
            swim=self._swim,
            mesh=self._mesh,
            port=self._port,
            own_metadata=self._own_metadata,
            replicator=replicator,
            store=store,
            clients=self._clients,
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
        if not self._clients.has_started:
            return None
        due_ns = earliest(
            self._swim.next_deadline_ns(),
            self._clients.next_deadline_ns(now_ns=self._now_ns),
            self._introductions.next_deadline_ns(),
            self._first_contact.next_deadline_ns(),
            self._trust.next_deadline_ns(),
            self._contacts.next_deadline_ns(),
            self._placement_due_ns,
        )
        return None if due_ns is None else self._time.on_clock(due_ns)

    @property
    def short_of_copies(self) -> int:
        """How many of our clients have fewer acknowledged copies than they should have."""
        return self._clients.short_of_copies

    def status(self, *, now_ns: int, with_clients: bool = True) -> GatewayStatus:
        """What an operator may see. Listing the clients takes as long as there are clients."""
        now_ns = self._time.read(now_ns)
        return self._inspection.status(counts=self._counts, with_clients=with_clients, now_ns=now_ns)

    def client_statuses(self) -> tuple[ClientStatus, ...]:
        """The clients of `status` alone."""
        return self._inspection.client_statuses()

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
            case inputs.TrustListGiven(trust_list=data):
                self._trust.take(data, whence="the operator", now_ns=now_ns)
            case inputs.DrainRequested(draining=draining):
                self._drain(draining=draining, now_ns=now_ns)
            case inputs.LeaveRequested():
                self._membership.take(self._swim.leave(now_ns=now_ns), now_ns=now_ns)
            case _:
                self._clients.handle(event, now_ns=now_ns)

    def _start(self, now_ns: int) -> None:
        self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
        self._trust.start(now_ns=now_ns)
        self._introductions.start(
            seeds=self._settings.seeds, remembered=self._contacts.remembered, now_ns=now_ns
        )
        self._clients.start(is_alone=self._introductions.is_alone, now_ns=now_ns)
        self._membership.take(self._swim.join((), now_ns=now_ns), now_ns=now_ns)
        self._first_contact.tick(now_ns=now_ns)

    def _tick(self, now_ns: int) -> None:
        self._first_contact.tick(now_ns=now_ns)
        self._trust.tick(live=self._mesh.live, now_ns=now_ns)
        if self._contacts.is_due(now_ns=now_ns):
            live = (member.endpoint for member in self._swim.members.values() if member.state.live)
            self._contacts.remember(live, outbox=self._outbox)
        self._membership.take(self._swim.handle_tick(now_ns=now_ns), now_ns=now_ns)
        self._clients.tick(now_ns=now_ns)
        if self._placement_due_ns is not None and now_ns >= self._placement_due_ns:
            self._placement_due_ns = now_ns + _PLACEMENT_INTERVAL_NS
            if self._own_metadata.count(len(self._clients)):
                self._swim.set_metadata(self._own_metadata.encoded(), now_ns=now_ns)
            self._clients.tell_addresses()
            self._partners.choose_in_turn(now_ns=now_ns)

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
            case _:
                self._clients.hear(sender, message, now_ns=now_ns)

    def _drain(self, *, draining: bool, now_ns: int) -> None:
        if self._own_metadata.drain(draining=draining):
            self._outbox.report("draining" if draining else "undrained")
            self._swim.set_metadata(self._own_metadata.encoded(), now_ns=now_ns)
            self._clients.drain(draining=draining, now_ns=now_ns)

    # The end of every run

    def _finish(self, now_ns: int) -> None:
        self._membership.expel_dropped(now_ns=now_ns)
        self._first_contact.finish(now_ns=now_ns)
        self._clients.finish(has_joined=self._swim.joined, now_ns=now_ns)
        if self._outbox.messages:
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
