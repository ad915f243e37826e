"""Virtual addresses of clients that moved away: their home's pool must not lease them again.

Charon's in-memory pools forget their leases when charon restarts, and no command of VICI takes a single
address out of a pool (strongSwan, vici_attribute.c). So the owner of a client tells the client's home which
address it has, and the home sees at once when its IKE daemon gives that address to somebody else. The owner
tells the whole list, anew whenever it changed or the home came back: nothing needs to be acknowledged.
"""

from __future__ import annotations

import hashlib

from gossipsa.identifiers import ClientId, GatewayName, Holder, IpAddress
from gossipsa.outbox import Outbox
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.takeover.messages import HeldAddress, HoldAddresses
from gossipsa.takeover.peers import Peers

ADDRESSES_A_MESSAGE_MAX = 1024
ADDRESSES_OF_A_GATEWAY_MAX = 1 << 20
_PEER_BYTES = 8


class AddressBook:
    """What others hold of our pools' addresses, and what we hold of theirs."""

    def __init__(
        self, *, me: Holder, peers: Peers, replicator: Replicator, store: RecordStore, outbox: Outbox
    ) -> None:
        self._me = me
        self._peers = peers
        self._replicator = replicator
        self._store = store
        self._outbox = outbox
        self._told: dict[GatewayName, tuple[HeldAddress, ...]] = {}
        self._held: dict[GatewayName, dict[IpAddress, bytes]] = {}

    def gateway_alive(self, name: GatewayName) -> None:
        """It may have missed, or forgotten, what it was told."""
        self._told.pop(name, None)

    def tell(self) -> None:
        """Tells homes that live what changed. Called about each second."""
        lists: dict[GatewayName, list[HeldAddress]] = {name: [] for name in self._told}
        for record in self._replicator.away():
            held = lists.setdefault(record.home, [])
            held.extend(HeldAddress(address, _peer_of(record)) for address in record.virtual_addresses)
        for name, held in lists.items():
            wanted = tuple(held[:ADDRESSES_OF_A_GATEWAY_MAX])
            if self._told.get(name, ()) == wanted or not self._peers.is_alive(name):
                continue
            self._told[name] = wanted
            for start in range(0, max(len(wanted), 1), ADDRESSES_A_MESSAGE_MAX):
                part = wanted[start : start + ADDRESSES_A_MESSAGE_MAX]
                self._outbox.send(name, HoldAddresses(held=part, first=not start))

    def hear(self, sender: GatewayName, message: HoldAddresses) -> None:
        """A gateway tells what it holds of our addresses."""
        held = {} if message.first else self._held.get(sender, {})
        held.update((entry.address, entry.peer) for entry in message.held)
        while len(held) > ADDRESSES_OF_A_GATEWAY_MAX:
            held.popitem()
        if held:
            self._held[sender] = held
        else:
            self._held.pop(sender, None)

    def check(self, record: ClientRecord) -> None:
        """Reports it if another client has an address that our IKE daemon has just given to this one."""
        peer = _peer_of(record)
        for address in record.virtual_addresses:
            holder = self._holder_of(address, peer, record.client)
            if holder is not None:
                self._outbox.report(
                    "address-clash", client=record.client, gateway=holder, detail=str(address)
                )

    def _holder_of(self, address: IpAddress, peer: bytes, client: ClientId) -> GatewayName | None:
        for name, held in self._held.items():
            if held.get(address, peer) != peer:
                return name
        for other in self._store.of_address(address):
            if other.client != client and _peer_of(other) != peer:
                return other.owner
        return None


def _peer_of(record: ClientRecord) -> bytes:
    """Tells clients apart by their identities, which are nobody else's business."""
    ike_sa = record.state.ike_sa
    digest = hashlib.blake2b(digest_size=_PEER_BYTES, person=b"gossipsa peer")
    for identity in (ike_sa.remote_identity, ike_sa.remote_eap_identity):
        data = b"" if identity is None else identity.type.to_bytes(1, "big") + identity.data
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()
