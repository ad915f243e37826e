"""Two gateways that both serve a client, each believing that it is the owner: the client decides again.

It happens when two halves of a mesh take one client over. It obeys both in turn, and the order of their
epochs is not the order in which it moved. So a higher epoch alone takes no client away from a gateway that
hears it: that gateway waits for one more sign of the client, and asserts itself above the higher epoch when
it comes. Nothing is at stake meanwhile but time: each of the two keeps to lanes of its own.
"""

from __future__ import annotations

import msgspec

from gossipsa.effects import RemoveClient
from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.rekeys import PacedRekeys

_MS = 1_000_000
RECENT_NS = 2_500 * _MS
"""A client that was heard within this time may still be here: counters are read about once a second."""
FRESH_NS = 1_200 * _MS
"""What is read sooner after a conflict came up may have arrived before."""
PATIENCE_NS = 3_000 * _MS
"""A client that says nothing for so long after a conflict came up is the rival's."""


class Rival(msgspec.Struct, frozen=True):
    """Who else owns a client, or claims it, and under which epoch."""

    gateway: GatewayName
    epoch: Epoch


class Conflicts:
    """Which owned clients were heard when, and the conflicts that wait for a client's word."""

    def __init__(
        self,
        *,
        me: Holder,
        replicator: Replicator,
        coordinator: Coordinator,
        announcer: Announcer,
        rekeys: PacedRekeys,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._replicator = replicator
        self._coordinator = coordinator
        self._announcer = announcer
        self._rekeys = rekeys
        self._outbox = outbox
        self._heard_ns: dict[ClientId, int] = {}
        self._open: dict[ClientId, tuple[Rival, int]] = {}
        self._leaving: dict[ClientId, None] = {}

    def hear(self, client: ClientId, *, now_ns: int) -> None:
        """An owned client proved that it speaks to us: by authentic ESP or IKE."""
        # The one heard longest ago comes first.
        self._heard_ns.pop(client, None)
        self._heard_ns[client] = now_ns
        rival, since_ns = self._open.get(client, (None, 0))
        owned = self._replicator.get(client)
        if rival is not None and owned is not None and now_ns - since_ns >= FRESH_NS:
            del self._open[client]
            self.overtake(owned, rival, now_ns=now_ns)

    def meet(self, owned: OwnedRecord, rival: Rival, *, now_ns: int) -> bool:
        """Somebody owns a client of ours under a higher epoch.

        Returns:
            True if we yielded; False if we wait for the client's word.
        """
        client = owned.record.client
        known, since_ns = self._open.get(client, (None, now_ns))
        if known is None and not self._is_heard(client, now_ns):
            self.give_up(owned, rival.gateway, now_ns=now_ns)
            return True
        if known is None:
            self._outbox.report("owner-contested", client=client, gateway=rival.gateway)
        if known is None or known.epoch < rival.epoch:
            self._open[client] = (rival, since_ns)
        return False

    def hear_claim(self, owned: OwnedRecord, rival: Rival, *, now_ns: int) -> None:
        """Somebody wants a client that we own: tell it, above whatever epoch it knows of if we can."""
        if rival.epoch > owned.record.epoch and self._is_heard(owned.record.client, now_ns):
            self.overtake(owned, rival, now_ns=now_ns)
        self._announcer.tell(rival.gateway, owned.record.client)

    def overtake(self, owned: OwnedRecord, rival: Rival, *, now_ns: int) -> None:
        """The client is here: our epoch goes above the rival's.

        The rekey makes an end of it: under a new key nobody else has lanes, and no number is too low.
        """
        record = owned.record
        counter = max(record.epoch.counter, rival.epoch.counter)
        former = (rival.gateway, *owned.former, *(holder.gateway for holder in record.replicas))
        # The rival may have taken the client, and may die before it hears of us: what it left is told to its
        # next boot.
        lost = record.succeeded_by(rival.gateway, rival.epoch)
        epoch = Epoch.above(counter, self._me.boot)
        asserted = self._replicator.own(lost.succeeded_by(self._me.gateway, epoch), former=former)
        asserted.in_use = owned.in_use
        asserted.taken = owned.taken
        self._outbox.report("owner-asserted", client=record.client, gateway=rival.gateway)
        self._announcer.tell_former(record.client)
        if all(holder.gateway != rival.gateway for holder in asserted.copies):
            # It may be sending to the client: it does not wait until there are copies.
            self._announcer.tell(rival.gateway, record.client)
        self._rekeys.schedule(record.client, now_ns=now_ns)

    def is_leaving(self, client: ClientId) -> bool:
        """True while a client that is ours no more is being taken out: what is said of it is late."""
        return client in self._leaving

    def removed(self, client: ClientId) -> None:
        """The client was taken out, or could not be."""
        self._leaving.pop(client, None)

    def tick(self, *, now_ns: int) -> None:
        """Yields the clients that kept silent."""
        while self._heard_ns:
            client, heard_ns = next(iter(self._heard_ns.items()))
            if now_ns - heard_ns <= RECENT_NS:
                break
            del self._heard_ns[client]
        for client, (rival, since_ns) in tuple(self._open.items()):
            if now_ns - since_ns >= PATIENCE_NS:
                owned = self._replicator.get(client)
                if owned is not None:
                    self.give_up(owned, rival.gateway, now_ns=now_ns)
                self._forget(client)

    def next_deadline_ns(self) -> int | None:
        if not self._open:
            return None
        return min(since_ns for _, since_ns in self._open.values()) + PATIENCE_NS

    def _is_heard(self, client: ClientId, now_ns: int) -> bool:
        heard_ns = self._heard_ns.get(client)
        return heard_ns is not None and now_ns - heard_ns <= RECENT_NS

    def give_up(self, owned: OwnedRecord, successor: GatewayName, *, now_ns: int) -> None:
        """A higher epoch owns the client (rule R5): SAs go first, and no DELETE is sent."""
        if self.disown(owned, successor, now_ns=now_ns):
            self.take_out(owned.record)

    def disown(self, owned: OwnedRecord, successor: GatewayName, *, now_ns: int) -> bool:
        """A higher epoch owns the client: from here on it is leaving.

        Returns:
            True if it has yet to be taken out; False if a takeover that ends does that.
        """
        record = owned.record
        self._outbox.report("client-yielded", client=record.client)
        self._forget(record.client)
        if self._coordinator.superseded(record.client, None, now_ns=now_ns):
            return False
        self._leaving[record.client] = None
        self._replicator.disown(record.client, successor=successor, now_ns=now_ns)
        return True

    def take_out(self, record: ClientRecord) -> None:
        """Deletes what kernel and IKE daemon have of a client that is leaving."""
        self._outbox.do(RemoveClient(client=record.client, epoch=record.epoch, state=record.state))

    def _forget(self, client: ClientId) -> None:
        self._heard_ns.pop(client, None)
        self._open.pop(client, None)
