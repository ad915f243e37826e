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


class Partners:
    """Chooses replicas as the mesh changes, and prepares for the day on which an owner dies."""

    def __init__(
        self,
        *,
        placement: Placement,
        replicator: Replicator,
        store: RecordStore,
        swim: Swim,
        mesh: MeshView,
        port: MeshPort,
        contacts: Contacts,
        outbox: Outbox,
    ) -> None:
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

    def choose(self) -> None:
        """Places our records by what is known of the mesh now."""
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
