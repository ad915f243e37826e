"""Which clients are moved by plan: all of a gateway that is being drained, and those whose home is back."""

from __future__ import annotations

from collections import deque

from gossipsa.identifiers import ClientId, GatewayName, Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.handover import Handovers
from gossipsa.takeover.peers import Peers

_MS = 1_000_000
_DRAIN_INTERVAL_NS = 200 * _MS
_SEARCH_INTERVAL_NS = 1_000 * _MS
_RETURNING_MAX = 256


class PlannedMoves:
    """Begins handovers, a few at a time, as long as there is reason to."""

    def __init__(
        self,
        *,
        me: Holder,
        settings: TakeoverSettings,
        peers: Peers,
        replicator: Replicator,
        handovers: Handovers,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._settings = settings
        self._peers = peers
        self._replicator = replicator
        self._handovers = handovers
        self._outbox = outbox
        self._is_draining = False
        self._is_empty = False
        self._back_since_ns: dict[GatewayName, int] = {}
        self._returning: deque[ClientId] = deque()
        self._due_ns: int | None = None

    def drain(self, *, draining: bool, now_ns: int) -> None:
        """Empties this gateway from now on, or no longer."""
        self._is_draining = draining
        self._is_empty = False
        self._returning.clear()
        self._due_ns = now_ns
        if not draining:
            self._handovers.cancel_waiting(now_ns=now_ns)

    def gateway_alive(self, name: GatewayName, *, now_ns: int) -> None:
        """It came, came back, or was thought dead: its stability counts from here."""
        self._back_since_ns[name] = now_ns
        if self._settings.return_after_ns and self._due_ns is None:
            self._due_ns = now_ns

    def gateway_lost(self, name: GatewayName) -> None:
        self._back_since_ns.pop(name, None)

    def tick(self, *, now_ns: int) -> None:
        if self._due_ns is None or now_ns < self._due_ns:
            return
        self._due_ns = None
        if self._is_draining:
            self._drain(now_ns)
        elif self._settings.return_after_ns:
            self._return(now_ns)

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    def _drain(self, now_ns: int) -> None:
        self._due_ns = now_ns + _DRAIN_INTERVAL_NS
        if not len(self._replicator) and not len(self._handovers):
            if not self._is_empty:
                self._outbox.report("drained")
            self._is_empty = True
            return
        # Clients may still connect: whoever sends them here is to be told by the operator.
        self._is_empty = False
        room = 2 * self._settings.moves_at_once_max - len(self._handovers)
        for owned in self._replicator.owned():
            if room <= 0:
                break
            if self._handovers.may_try(owned.record.client, now_ns=now_ns):
                target = self._next_taker(owned)
                if target is not None:
                    self._handovers.begin(owned.record.client, target)
                    room -= 1

    def _next_taker(self, owned: OwnedRecord) -> Holder | None:
        """The replica that would take over first if we died, of those that have the latest version."""
        complete = owned.acknowledged_by()
        return next(
            (holder for holder in owned.record.replicas if holder in complete and self._is_fit(holder)), None
        )

    def _is_fit(self, holder: Holder) -> bool:
        return self._peers.takes_clients(holder.gateway) and self._peers.holder(holder.gateway) == holder

    def _return(self, now_ns: int) -> None:
        """One client, if there is one whose home is well."""
        if not self._returning:
            self._search(now_ns)
        if not self._returning:
            self._due_ns = now_ns + _SEARCH_INTERVAL_NS
            return
        self._due_ns = now_ns + self._settings.return_interval_ns
        client = self._returning.popleft()
        owned = self._replicator.get(client)
        home = self._home_of(owned, now_ns) if owned is not None else None
        if owned is None or home is None or not self._handovers.may_try(client, now_ns=now_ns):
            return
        if home in owned.acknowledged_by():
            self._handovers.begin(client, home)
        else:
            # It gets a copy first, as a replica more.
            self._replicator.invite(client, home)
            self._returning.append(client)

    def _search(self, now_ns: int) -> None:
        for owned in self._replicator.owned():
            if len(self._returning) >= _RETURNING_MAX:
                break
            if self._home_of(owned, now_ns) is not None and self._handovers.may_try(
                owned.record.client, now_ns=now_ns
            ):
                self._returning.append(owned.record.client)

    def _home_of(self, owned: OwnedRecord, now_ns: int) -> Holder | None:
        """The client's home, if that is another gateway and has been well for long enough."""
        name = owned.record.home
        since_ns = self._back_since_ns.get(name)
        if since_ns is None or name == self._me.gateway:
            return None
        if not self._peers.takes_clients(name):
            self._back_since_ns[name] = now_ns
            return None
        return self._peers.holder(name) if now_ns - since_ns >= self._settings.return_after_ns else None
