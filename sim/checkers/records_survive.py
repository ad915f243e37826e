"""Durability: what k replicas acknowledged is lost only if owner and replicas all die."""

from __future__ import annotations

from dataclasses import dataclass

from gossipsa.identifiers import BootId
from gossipsa.status import ClientStatus
from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.observations import ClientConnected, ClientForgotten, FaultInjected, Observation


@dataclass(slots=True)
class _Safe:
    """What is promised of one client."""

    epoch: tuple[int, str]
    holders: dict[str, BootId]


class RecordsSurvive(Checker):
    """A record that its owner and k replicas held together is still somewhere, as long as one of them lives.

    Dead is a process that ended; one that is paused, or that nobody reaches, lives. One that was to be
    emptied has passed its copies on: to others, of whom there may be fewer than k. What former owners and
    their replicas had counts no more when the client has moved to an owner with a higher epoch: that one has
    it, and its replicas when they are k again. Nor does it count while the IKE daemon of another gateway
    believes that it serves the client, from a connection that the client gave up: which of two connections is
    the newer one nobody can tell but the client.
    """

    observes = (ClientConnected, ClientForgotten, FaultInjected)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._safe: dict[str, _Safe] = {}
        self._drained: set[str] = set()

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientConnected | ClientForgotten):
            self._safe.pop(observation.client, None)
        elif isinstance(observation, FaultInjected):
            if observation.fault == "draining":
                self._drained.add(observation.node)
                for safe in self._safe.values():
                    safe.holders.pop(observation.node, None)
            elif observation.fault in ("undrained", "gossipsa-started"):
                self._drained.discard(observation.node)

    def sample(self) -> None:
        boots = {
            name: host.process.boot for name, host in self.cluster.hosts.items() if host.process is not None
        }
        running = {host.name for host in self.cluster.running()}
        for client, holders in self.cluster.holders().items():
            for owner, entry in holders.items():
                if entry.role == "owner":
                    self._note(client, owner, entry, boots)
            if holders or client not in self._safe:
                continue
            living = [name for name, boot in self._safe[client].holders.items() if boots.get(name) == boot]
            if living and running.issuperset(living) and not self._has_stale_session(client):
                raise self.violated(
                    f"nobody has the record of {client}, though {', '.join(living)} did not die since"
                )

    def _note(self, client: str, owner: str, entry: ClientStatus, boots: dict[str, BootId]) -> None:
        """Somebody owns the client."""
        counter, boot = entry.epoch.split(".")
        epoch = (int(counter), boot)
        known = self._safe.get(client)
        if known is not None and epoch < known.epoch:
            return
        is_new_owner = (
            known is not None
            and epoch > known.epoch
            and self.cluster.gateway_of(self.cluster.clients[client]).name == owner
        )
        is_copied = entry.acknowledged >= self.cluster.settings.replication.replicas
        if is_copied or is_new_owner:
            names = (owner, *entry.replicas) if is_copied else (owner,)
            self._safe[client] = _Safe(
                epoch, {name: boots[name] for name in names if name in boots and name not in self._drained}
            )

    def _has_stale_session(self, name: str) -> bool:
        client = self.cluster.clients[name]
        return any(
            known.name == name and host.ike_address != client.gateway
            for host in self.cluster.hosts.values()
            for known in host.ike_daemon or ()
        )
