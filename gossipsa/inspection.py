"""What an operator may see of a running core. It changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from gossipsa.clients import Clients
from gossipsa.identifiers import Holder
from gossipsa.mesh_port import MeshPort
from gossipsa.mesh_view import MeshView
from gossipsa.own_metadata import OwnMetadata
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.status import ClientStatus, GatewayStatus, IdentityStatus, MemberStatus
from gossipsa.swim.reachability import Way
from gossipsa.swim.swim import Swim
from gossipsa.wire.keyring import Keyring

_OWNER_ROLE, _REPLICA_ROLE = "owner", "replica"


class Inspection:
    """Collects the status of a gateway from its parts."""

    def __init__(
        self,
        *,
        me: Holder,
        keyring: Keyring,
        swim: Swim,
        mesh: MeshView,
        port: MeshPort,
        own_metadata: OwnMetadata,
        replicator: Replicator,
        store: RecordStore,
        clients: Clients,
    ) -> None:
        self._me = me
        self._keyring = keyring
        self._swim = swim
        self._mesh = mesh
        self._port = port
        self._own_metadata = own_metadata
        self._replicator = replicator
        self._store = store
        self._clients = clients

    def status(self, *, counts: Mapping[str, int], with_clients: bool, now_ns: int) -> GatewayStatus:
        """The whole status, or all but the list of clients. `counts` are those of the reports."""
        since_ns = self._replicator.short_since_ns
        return GatewayStatus(
            name=self._me.gateway,
            boot=self._me.boot.hex(),
            identity=self._identity_status(),
            name_lost=self._port.is_silent,
            members=self._members(now_ns),
            clients=self.client_statuses() if with_clients else (),
            copies={str(copies): count for copies, count in sorted(self._replicator.copies().items())},
            roles=dict(sorted(self._roles().items())),
            short_since_s=None if since_ns is None else round((now_ns - since_ns) / 1e9, 3),
            counts=dict(sorted(counts.items())),
            draining=self._own_metadata.is_draining,
            moving=self._clients.moving,
        )

    def client_statuses(self) -> tuple[ClientStatus, ...]:
        """Of our own clients, then of others'."""
        return tuple(self._client_statuses())

    def _client_statuses(self) -> Iterator[ClientStatus]:
        for owned in self._replicator.owned():
            yield _client_status(owned.record, _OWNER_ROLE, len(owned.acknowledged_by()))
        for record in self._store.records():
            state = self._clients.takeover_state(record.client)
            yield _client_status(record, state.value if state else _REPLICA_ROLE, 0)

    def _roles(self) -> Counter[str]:
        roles = Counter(
            state.value for client, state in self._clients.takeover_states() if client in self._store
        )
        roles[_REPLICA_ROLE] += len(self._store) - roles.total()
        roles[_OWNER_ROLE] += len(self._replicator)
        return +roles

    def _members(self, now_ns: int) -> tuple[MemberStatus, ...]:
        members = []
        for member in self._swim.members.values():
            estimate_ns = self._swim.estimate_rtt_ns(self._me.gateway, member.name)
            members.append(
                MemberStatus(
                    name=member.name,
                    state=member.state.name.lower(),
                    boot=member.boot.hex(),
                    incarnation=member.incarnation,
                    round_trip_ms=None if member.rtt_ns is None else round(member.rtt_ns / 1e6, 3),
                    closed=tuple(way.value for way in Way if way in member.closed),
                    estimate_ms=None if estimate_ns is None else round(estimate_ns / 1e6, 3),
                    flapping=member.flapping,
                    heard_ms_ago=round(min(now_ns - member.heard_ns, now_ns) / 1e6, 3),
                    site=self._keyring.site_of(member.name),
                    zone=self._keyring.zone_of(member.name),
                    draining=self._mesh.is_draining(member.name),
                )
            )
        return tuple(members)

    def _identity_status(self) -> IdentityStatus:
        own = self._keyring.own
        return IdentityStatus(
            mesh=own.mesh,
            site=own.site,
            zone=own.zone,
            serial=own.serial.hex(),
            ends_s=own.not_after_s,
            ends_in_s=own.not_after_s - self._keyring.calendar.now_s,
            trust_version=self._keyring.trust.version,
        )


def _client_status(record: ClientRecord, role: str, acknowledged: int) -> ClientStatus:
    return ClientStatus(
        client=record.client.hex(),
        role=role,
        owner=record.owner,
        epoch=str(record.epoch),
        remote=str(record.state.ike_sa.remote),
        virtual_addresses=tuple(str(address) for address in record.virtual_addresses),
        children=len(record.state.children),
        replicas=tuple(holder.gateway for holder in record.replicas),
        acknowledged=acknowledged,
        ike_spis=str(record.state.ike_sa.spis),
        inbound_spis=tuple(f"{child.inbound_spi:08x}" for child in record.state.children),
    )
