"""All that a gateway does for clients: serves its own, keeps records of others', takes over, hands over.

The parts are in `replication` and `takeover`. Here they are put together, and told what happens in the order
that they rely on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from gossipsa import inputs
from gossipsa.audits import Audits
from gossipsa.identifiers import ClientId, GatewayName, Holder
from gossipsa.outbox import Outbox, StateMessage
from gossipsa.replication import messages as replication
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings
from gossipsa.takeover import messages as takeover
from gossipsa.takeover.address_book import AddressBook
from gossipsa.takeover.adoption import Adoption
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.conflict import Conflicts
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.handover import Handovers
from gossipsa.takeover.kept_records import KeptRecords
from gossipsa.takeover.own_clients import OwnClients
from gossipsa.takeover.peers import Peers
from gossipsa.takeover.planned_moves import PlannedMoves
from gossipsa.takeover.raised_ceilings import RaisedCeilings
from gossipsa.takeover.reconnections import Reconnections
from gossipsa.takeover.rekeys import PacedRekeys
from gossipsa.takeover.states import State
from gossipsa.timers import earliest
from gossipsa.wire.keyring import Keyring


class Clients:
    """Replication and takeover as one part of the core. What it wants sent goes to the outbox.

    Args:
        ledger, store, replicator: shared with whoever places records, or shows them.
    """

    def __init__(
        self,
        *,
        me: Holder,
        settings: GatewaySettings,
        keyring: Keyring,
        peers: Peers,
        ledger: LaneLedger,
        store: RecordStore,
        replicator: Replicator,
        outbox: Outbox,
        random: Random,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._peers = peers
        self._store = store
        self._replicator = replicator
        self._outbox = outbox
        self._is_draining = False
        self._audits = Audits(
            auditor=Auditor(
                replicator=replicator,
                interval_ns=settings.replication.audit_interval_ns,
                entropy=entropy,
            ),
            audited=Audited(store),
            outbox=outbox,
        )
        self._coordinator = Coordinator(
            me=me,
            settings=settings,
            peers=peers,
            store=store,
            replicator=replicator,
            ledger=ledger,
            outbox=outbox,
            random=random,
            entropy=entropy,
        )
        self._announcer = Announcer(peers=peers, replicator=replicator, outbox=outbox)
        self._rekeys = PacedRekeys(settings=settings.takeover, replicator=replicator, outbox=outbox)
        self._conflicts = Conflicts(
            me=me,
            replicator=replicator,
            coordinator=self._coordinator,
            announcer=self._announcer,
            rekeys=self._rekeys,
            outbox=outbox,
        )
        self._ceilings = RaisedCeilings(replicator=replicator, ledger=ledger, outbox=outbox)
        self._handovers = Handovers(
            me=me,
            settings=settings.takeover,
            peers=peers,
            replicator=replicator,
            conflicts=self._conflicts,
            outbox=outbox,
            entropy=entropy,
            go_above=self._ceilings.go_above_target,
        )
        self._planned_moves = PlannedMoves(
            me=me,
            settings=settings.takeover,
            peers=peers,
            replicator=replicator,
            handovers=self._handovers,
            outbox=outbox,
        )
        self._addresses = AddressBook(me=me, peers=peers, replicator=replicator, store=store, outbox=outbox)
        self._reconnections = Reconnections(
            me=me,
            peers=peers,
            store=store,
            replicator=replicator,
            owned_index=replicator.index,
            coordinator=self._coordinator,
            conflicts=self._conflicts,
            outbox=outbox,
        )
        self._own_clients = OwnClients(
            store=store,
            replicator=replicator,
            owned_index=replicator.index,
            coordinator=self._coordinator,
            conflicts=self._conflicts,
            reconnections=self._reconnections,
            addresses=self._addresses,
            outbox=outbox,
        )
        self._kept_records = KeptRecords(
            me=me,
            peers=peers,
            store=store,
            replicator=replicator,
            coordinator=self._coordinator,
            announcer=self._announcer,
            conflicts=self._conflicts,
            handovers=self._handovers,
            reconnections=self._reconnections,
            outbox=outbox,
        )
        self._adoption = Adoption(
            me=me,
            keyring=keyring,
            replicator=replicator,
            announcer=self._announcer,
            own_clients=self._own_clients,
            reconnections=self._reconnections,
            outbox=outbox,
        )

    def __len__(self) -> int:
        """Records here: of our own clients, and of others'."""
        return len(self._store) + len(self._replicator)

    @property
    def has_started(self) -> bool:
        return self._adoption.has_started

    @property
    def moving(self) -> int:
        """Own clients that are being moved by plan, or are next."""
        return len(self._handovers)

    def takeover_state(self, client: ClientId) -> State | None:
        """Where the takeover of a client stands; None if there is none."""
        return self._coordinator.state_of(client)

    def takeover_states(self) -> Iterator[tuple[ClientId, State]]:
        """Of all takeovers."""
        return self._coordinator.states()

    @property
    def short_of_copies(self) -> int:
        """How many own clients have fewer acknowledged copies than they should have."""
        return self._replicator.short

    def start(self, *, is_alone: bool, now_ns: int) -> None:
        """Looks for what an earlier boot owned; `is_alone` if there is no gateway to ask."""
        self._adoption.start(is_alone=is_alone, now_ns=now_ns)

    def handle(self, event: inputs.Input, *, now_ns: int) -> None:
        """What IKE daemon, kernel and driver tell of clients."""
        match event:
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
            case _:
                raise AssertionError(f"no such input: {type(event).__name__}")

    def hear(self, sender: Holder, message: StateMessage, *, now_ns: int) -> None:
        """What another gateway says of clients."""
        match message:
            case replication.PutRecords():
                self._kept_records.hear_put(sender, message, now_ns=now_ns)
            case replication.MoveReplicas():
                self._kept_records.hear_move(sender, message)
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
            case replication.RecallRecords(shard=shard):
                self._kept_records.hear_recall(sender, shard)
            case replication.ReturnRecords():
                self._adoption.hear_return(sender, message, now_ns=now_ns)
            case replication.ReleaseRecords(versions=versions):
                self._coordinator.hear_release(sender, versions, now_ns=now_ns)

    def drain(self, *, draining: bool, now_ns: int) -> None:
        """Moves all clients away, and takes none while that lasts."""
        self._is_draining = draining
        self._planned_moves.drain(draining=draining, now_ns=now_ns)

    # Other gateways

    def gateway_joined(self, name: GatewayName, *, live: int) -> None:
        """It was unknown, failed or gone, and may have records of ours, or we of its: one of so many live
        ones. Comes after `gateway_alive`.
        """
        self._adoption.gateway_joined(name, live=live)
        self._kept_records.gateway_started(name, live=live)

    def gateway_alive(self, name: GatewayName, *, now_ns: int) -> None:
        self._coordinator.gateway_alive(name, now_ns=now_ns)
        self._announcer.gateway_alive(name)
        self._addresses.gateway_alive(name)
        self._planned_moves.gateway_alive(name, now_ns=now_ns)
        holder = self._peers.holder(name)
        if holder is not None:
            self._audits.gateway_alive(holder, now_ns=now_ns)

    def gateway_suspected(self, name: GatewayName, *, now_ns: int) -> None:
        self._coordinator.gateway_suspected(name, now_ns=now_ns)

    def gateway_lost(self, name: GatewayName, *, now_ns: int) -> None:
        """Failed or left: nobody waits for it."""
        self._adoption.gateway_lost(name)
        self._handovers.gateway_lost(name, now_ns=now_ns)
        self._planned_moves.gateway_lost(name)

    def gateway_failed(self, name: GatewayName, *, now_ns: int) -> None:
        """Its clients are to be taken over. Comes after `gateway_lost`, when our own have new replicas."""
        self._coordinator.gateway_failed(name, now_ns=now_ns)

    def gateway_restarted(self, name: GatewayName, *, live: int, now_ns: int) -> None:
        self._replicator.forget_drops(name)
        self._coordinator.gateway_restarted(name, now_ns=now_ns)
        self._handovers.gateway_lost(name, now_ns=now_ns)
        self._planned_moves.gateway_alive(name, now_ns=now_ns)
        self._addresses.gateway_alive(name)
        self._kept_records.gateway_started(name, live=live)

    def drop_kept(self, *, now_ns: int) -> None:
        """Others' clients are not ours to take any more."""
        self._kept_records.drop_all(now_ns=now_ns)

    # Time

    def tick(self, *, now_ns: int) -> None:
        """Whatever is due."""
        self._coordinator.tick(now_ns=now_ns)
        if not self._coordinator.is_busy:
            # Clients in silence go before clients that are served.
            self._rekeys.tick(now_ns=now_ns)
        self._conflicts.tick(now_ns=now_ns)
        self._handovers.tick(now_ns=now_ns)
        self._planned_moves.tick(now_ns=now_ns)
        self._ceilings.check(now_ns=now_ns)
        self._audits.tick(now_ns=now_ns)

    def tell_addresses(self) -> None:
        """Called about each second."""
        self._addresses.tell()

    def finish(self, *, has_joined: bool, now_ns: int) -> None:
        """Ends a run of the core.

        Args:
            has_joined: all members of the mesh have been named to us.
        """
        self._adoption.finish(has_joined=has_joined, now_ns=now_ns)
        self._handovers.finish(now_ns=now_ns)
        self._coordinator.finish(now_ns=now_ns)
        for client in self._coordinator.take_moved():
            self._announcer.tell_former(client)
            self._kept_records.taken_over(client)
            self._conflicts.hear(client, now_ns=now_ns)
        for to, message in self._replicator.flush(now_ns=now_ns):
            self._outbox.send(to, message)
        self._announcer.flush(now_ns=now_ns)

    def next_deadline_ns(self, *, now_ns: int) -> int | None:
        return earliest(
            self._coordinator.next_deadline_ns(now_ns=now_ns),
            self._replicator.next_deadline_ns(),
            self._audits.next_deadline_ns(),
            self._announcer.next_deadline_ns(),
            None if self._coordinator.is_busy else self._rekeys.next_deadline_ns(),
            self._conflicts.next_deadline_ns(),
            self._handovers.next_deadline_ns(),
            self._planned_moves.next_deadline_ns(),
            self._adoption.next_deadline_ns(now_ns=now_ns),
            self._ceilings.next_deadline_ns(),
        )
