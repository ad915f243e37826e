"""The gateways that records go to and come from: chosen, watched, and streams kept open to them."""

from __future__ import annotations

from gossipsa.contacts import Contacts
from gossipsa.identifiers import GatewayName
from gossipsa.mesh_port import MeshPort
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox
from gossipsa.replication.placement import Placement
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import NOWHERE
from gossipsa.replication.store import RecordStore
from gossipsa.swim.swim import Swim

_INTERVAL_NS = 10_000_000
"""Times the live members: to look at all of them costs the more the more there are."""
_NEWS_INTERVAL_NS = 2_000_000
"""The same, if anything is new of any of them."""


class Partners:
    """Chooses replicas as the mesh changes, and prepares for the day on which an owner dies.

    Args:
        copies: how many replicas a record should have.
    """

    def __init__(
        self,
        *,
        copies: int,
        placement: Placement,
        replicator: Replicator,
        store: RecordStore,
        swim: Swim,
        mesh: MeshView,
        port: MeshPort,
        contacts: Contacts,
        outbox: Outbox,
    ) -> None:
        self._copies = copies
        self._placement = placement
        self._replicator = replicator
        self._store = store
        self._swim = swim
        self._mesh = mesh
        self._port = port
        self._contacts = contacts
        self._outbox = outbox
        self._replicas: tuple[GatewayName, ...] = ()
        self._watched: tuple[GatewayName, ...] = ()
        self._connected: tuple[GatewayName, ...] = ()
        self._members_changed = False
        self._is_due = False
        self._chosen_ns = 0

    def look_at(self, name: GatewayName) -> None:
        """Something is new of a gateway: places our records anew at once if that matters to a copy of ours,
        and when it is time otherwise. Of a large mesh there is always something new.
        """
        if len(self._replicas) < self._copies or self._replicator.has_copies_at(name):
            self.choose()
        else:
            self._is_due = True

    def choose_in_turn(self, *, now_ns: int) -> None:
        """Called about each second: places by what was new since, and now and then by new distances."""
        interval_ns = _NEWS_INTERVAL_NS if self._is_due else _INTERVAL_NS
        if now_ns >= self._chosen_ns + self._swim.live_count * interval_ns:
            self._chosen_ns = now_ns
            self.choose()

    def choose(self) -> None:
        """Places our records by what is known of the mesh now."""
        self._is_due = False
        if self._port.is_silent:
            self._replicator.place(NOWHERE, alive=())
            return
        shards = self._placement.choose(self._mesh.candidates())
        moved = self._replicator.place(shards, alive=self._mesh.live_holders())
        if moved:
            names = sorted({holder.gateway for replicas in shards for holder in replicas})
            self._swim.check_streams(names)
            self._replicas = tuple(names)
            self._outbox.report("replicas-chosen", detail=f"{moved} shards: {', '.join(names)}")

    def members_changed(self) -> None:
        """Somebody came, went, or moved to another endpoint."""
        self._members_changed = True

    def finish(self, *, now_ns: int) -> None:
        """Ends a run of the core: owners are watched closely, streams are there when they are needed."""
        owners = self._store.owners()
        if owners != self._watched:
            self._watched = owners
            self._swim.watch(owners)
        partners = (*self._replicas, *owners)
        if self._members_changed or partners != self._connected:
            self._members_changed, self._connected = False, partners
            self._contacts.open_streams(partners, endpoint_of=self._port.endpoint_of, outbox=self._outbox)
            self._contacts.members_changed(now_ns=now_ns)
