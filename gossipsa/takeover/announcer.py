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


class Announcer:
    """Announcements waiting for an acknowledgement, by gateway."""

    def __init__(self, *, peers: Peers, replicator: Replicator, outbox: Outbox) -> None:
        self._peers = peers
        self._replicator = replicator
        self._outbox = outbox
        self._waiting: dict[GatewayName, dict[ClientId, None]] = {}
        self._due_ns: dict[GatewayName, int] = {}

    def tell(self, name: GatewayName, client: ClientId) -> None:
        """Queues an announcement of a client that we own."""
        self._waiting.setdefault(name, {})[client] = None
        self._due_ns[name] = 0

    def tell_former(self, client: ClientId) -> None:
        """Queues announcements to every former holder that does not keep a copy now."""
        owned = self._replicator.get(client)
        if owned is not None:
            keeping = {holder.gateway for holder in owned.copies}
            for name in owned.former:
                if name not in keeping:
                    self.tell(name, client)

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
            for client in tuple(waiting):
                owned = self._replicator.get(client)
                if owned is None:
                    del waiting[client]
                    continue
                ownerships.append(
                    Ownership(client=client, owner=owned.record.owner, epoch=owned.record.epoch)
                )
                if len(ownerships) == CLIENTS_A_MESSAGE_MAX:
                    break
            self._due_ns[name] = now_ns + _RESEND_NS
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
