"""The clients that this gateway serves, as its IKE daemon and its kernel tell of them."""

from __future__ import annotations

from gossipsa.effects import CloseWindow, FenceCreator, RestoreClient, RouteClient
from gossipsa.identifiers import ClientId, Holder
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.outbox import Outbox
from gossipsa.replication.owned_index import OwnedIndex
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.takeover.address_book import AddressBook
from gossipsa.takeover.conflict import Conflicts, Rival
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.messages import Claim, CloseWindows
from gossipsa.takeover.reconnections import Reconnections


class OwnClients:
    """Makes records of them, keeps those up to date, and fences the keys that were made here."""

    def __init__(
        self,
        *,
        store: RecordStore,
        replicator: Replicator,
        owned_index: OwnedIndex,
        coordinator: Coordinator,
        conflicts: Conflicts,
        reconnections: Reconnections,
        addresses: AddressBook,
        outbox: Outbox,
    ) -> None:
        self._store = store
        self._replicator = replicator
        self._owned_index = owned_index
        self._coordinator = coordinator
        self._conflicts = conflicts
        self._reconnections = reconnections
        self._addresses = addresses
        self._outbox = outbox
        self._ike_daemon_seen = False

    def changed(self, client: ClientId, state: ClientState, *, now_ns: int) -> None:
        """The IKE daemon tells of a client: all of its state."""
        owned = self._replicator.get(client)
        if owned is None:
            if client in self._store or self._conflicts.is_leaving(client):
                # Put into our IKE daemon by a takeover that the client has not answered, or not yet gone.
                return
            self._connected(client, state, now_ns)
            return
        before = owned.record
        if self._replicator.change(client, state) is None:
            return
        if _has_spoken(before.state, state):
            self._conflicts.hear(client, now_ns=now_ns)
        known = {key.outbound_spi for key in before.keys}
        fresh = tuple(key.outbound_spi for key in owned.record.keys if key.outbound_spi not in known)
        self._fence(owned, fresh)
        if fresh:
            self._outbox.report("client-rekeyed", client=client)
        if before.virtual_addresses != owned.record.virtual_addresses:
            self._outbox.do(RouteClient(client=client, state=state, present=True))

    def deleted(self, client: ClientId) -> None:
        """Its IKE_SA was deleted by either side."""
        record = self._replicator.disown(client)
        if record is not None:
            self._outbox.report("client-gone", client=client)
            self._outbox.do(RouteClient(client=client, state=record.state, present=False))

    def counters_read(self, counters: tuple[SaCounters, ...], *, now_ns: int) -> None:
        """The kernel's numbers. Those that arrived since the last reading are a sign of the client."""
        by_client: dict[ClientId, list[SaCounters]] = {}
        for entry in counters:
            client = self._owned_index.with_inbound_spi(entry.inbound_spi)
            if client is not None:
                by_client.setdefault(client, []).append(entry)
        for client, entries in by_client.items():
            before = self._replicator.received(client)
            self._replicator.update_counters(client, tuple(entries))
            if self._replicator.received(client) > before:
                self._conflicts.hear(client, now_ns=now_ns)

    def ike_daemon_started(self, *, resumed: bool) -> None:
        """One that died while we live has lost its clients: it gets them back from their records."""
        first, self._ike_daemon_seen = not self._ike_daemon_seen, True
        self._outbox.report("ike-daemon-started", detail="resumed" if resumed else "anew")
        if first or resumed:
            return
        for owned in self._replicator.owned():
            record = owned.record
            self._outbox.do(RestoreClient(client=record.client, epoch=record.epoch, state=record.state))

    def hear_claim(self, sender: Holder, message: Claim, *, now_ns: int) -> None:
        """Somebody takes us for dead."""
        for claim in message.claims:
            owned = self._replicator.get(claim.client)
            if owned is not None:
                self._conflicts.hear_claim(owned, Rival(sender.gateway, claim.epoch), now_ns=now_ns)

    def hear_close_windows(self, sender: Holder, message: CloseWindows) -> None:
        """The former owner tells the last numbers of clients that it gave to us."""
        for update in message.updates:
            owned = self._replicator.get(update.client)
            if owned is None or not self._coordinator.take_consent(update.client, sender):
                continue
            self._replicator.update_counters(update.client, update.counters)
            self._outbox.do(
                CloseWindow(client=update.client, state=owned.record.state, counters=update.counters)
            )

    def _connected(self, client: ClientId, state: ClientState, now_ns: int) -> None:
        owned = self._replicator.create(client, state)
        self._outbox.report("client-connected", client=client)
        self._addresses.check(owned.record)
        self._reconnections.forget_predecessors(owned.record, now_ns=now_ns)
        self._fence(owned, tuple(key.outbound_spi for key in owned.record.keys))
        self._outbox.do(RouteClient(client=client, state=state, present=True))

    def _fence(self, owned: OwnedRecord, outbound_spis: tuple[int, ...]) -> None:
        """Numbers below the shared region are its creator's alone (rule R1): the kernel stops there."""
        if outbound_spis:
            self._outbox.do(
                FenceCreator(
                    client=owned.record.client, state=owned.record.state, outbound_spis=outbound_spis
                )
            )


def _has_spoken(before: ClientState, after: ClientState) -> bool:
    """True if only a message of the client can have led from one state to the other."""
    return (
        before.ike_sa.spis != after.ike_sa.spis
        or before.ike_sa.message_id_responder < after.ike_sa.message_id_responder
    )
