"""Tells gateways that believe otherwise who owns a client, until they acknowledge.

A gateway that was declared dead and lives learns here that its clients have moved; two gateways that took one
client over in two halves of a mesh find each other out.
"""

from __future__ import annotations

from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.outbox import Outbox
from gossipsa.replication.messages import CLIENTS_A_MESSAGE_MAX
from gossipsa.replication.replicator import Replicator
from gossipsa.takeover.messages import AcknowledgeOwnership, AnnounceOwnership, Ownership
from gossipsa.takeover.peers import Peers

_RESEND_NS = 500_000_000
_COPIES_NS = 50_000_000
"""Until we look again whether there are copies."""
_PATIENCE_NS = 3_000_000_000
"""Longer than it takes to find a replica dead, and choose another one."""


class Announcer:
    """Announcements waiting for an acknowledgement, by gateway."""

    def __init__(self, *, peers: Peers, replicator: Replicator, outbox: Outbox) -> None:
        self._peers = peers
        self._replicator = replicator
        self._outbox = outbox
        self._waiting: dict[GatewayName, dict[ClientId, int | None]] = {}
        """By gateway: clients, and when to tell of them whether they have copies or not; None if that is yet
        to be determined."""
        self._due_ns: dict[GatewayName, int] = {}

    def tell(self, name: GatewayName, client: ClientId) -> None:
        """Queues an announcement of a client that we own."""
        self._queue(name, client, patient=False)

    def tell_former(self, client: ClientId) -> None:
        """Queues announcements to every former holder that does not keep a copy now: it drops what it has as
        soon as it hears, and so it hears when others have copies.
        """
        owned = self._replicator.get(client)
        if owned is not None:
            keeping = {holder.gateway for holder in owned.copies}
            for name in owned.former:
                if name not in keeping:
                    self._queue(name, client, patient=True)

    def gateway_alive(self, name: GatewayName) -> None:
        """A gateway is back: what it missed is due at once."""
        if name in self._waiting:
            self._due_ns[name] = 0

    def hear_acknowledgement(self, sender: GatewayName, message: AcknowledgeOwnership) -> None:
        waiting = self._waiting.get(sender, {})
        for ownership in message.ownerships:
            owned = self._replicator.get(ownership.client)
            if owned is None or owned.record.epoch == ownership.epoch:
                waiting.pop(ownership.client, None)
                if owned is not None:
                    owned.former = tuple(name for name in owned.former if name != sender)
        if not waiting:
            self._waiting.pop(sender, None)
            self._due_ns.pop(sender, None)

    def flush(self, *, now_ns: int) -> None:
        """Sends what is due to gateways that live."""
        for name, due_ns in self._due_ns.items():
            if now_ns < due_ns or not self._peers.is_live(name):
                continue
            waiting = self._waiting[name]
            ownerships = []
            waits = False
            for client, patience_ends_ns in tuple(waiting.items()):
                owned = self._replicator.get(client)
                if owned is None:
                    del waiting[client]
                    continue
                if patience_ends_ns is None:
                    patience_ends_ns = waiting[client] = now_ns + _PATIENCE_NS  # noqa: PLW2901
                if now_ns < patience_ends_ns and not owned.is_copied:
                    waits = True
                    continue
                ownerships.append(
                    Ownership(client=client, owner=owned.record.owner, epoch=owned.record.epoch)
                )
                if len(ownerships) == CLIENTS_A_MESSAGE_MAX:
                    break
            self._due_ns[name] = now_ns + (_COPIES_NS if waits else _RESEND_NS)
            if ownerships:
                self._outbox.send(name, AnnounceOwnership(ownerships=tuple(ownerships)))

    def next_deadline_ns(self) -> int | None:
        if not self._due_ns:
            return None
        return min(
            (
                due_ns
                for name, due_ns in self._due_ns.items()
                if self._waiting[name] and self._peers.is_live(name)
            ),
            default=None,
        )

    def _queue(self, name: GatewayName, client: ClientId, *, patient: bool) -> None:
        waiting = self._waiting.setdefault(name, {})
        if not patient or client not in waiting:
            waiting[client] = None if patient else 0
        self._due_ns[name] = 0
