"""Durability: what k replicas acknowledged is lost only if owner and replicas all die."""

from __future__ import annotations

from gossipsa.identifiers import BootId
from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.observations import ClientConnected, ClientForgotten, FaultInjected, Observation


class RecordsSurvive(Checker):
    """A record that its owner and k replicas held together is still somewhere, as long as one of them lives.

    Dead is a process that ended; one that is paused, or that nobody reaches, lives. One that was to be
    emptied has passed its copies on: to others, of whom there may be fewer than k.
    """

    observes = (ClientConnected, ClientForgotten, FaultInjected)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._safe: dict[str, dict[str, BootId]] = {}

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientConnected | ClientForgotten):
            self._safe.pop(observation.client, None)
        elif isinstance(observation, FaultInjected) and observation.fault == "draining":
            for holders in self._safe.values():
                holders.pop(observation.node, None)

    def sample(self) -> None:
        replicas = self.cluster.settings.replication.replicas
        boots = {
            name: host.process.boot for name, host in self.cluster.hosts.items() if host.process is not None
        }
        running = {host.name for host in self.cluster.running()}
        for client, holders in self.cluster.holders().items():
            for owner, entry in holders.items():
                if entry.role == "owner" and entry.acknowledged >= replicas:
                    names = [name for name in (owner, *entry.replicas) if name in boots]
                    self._safe[client] = {name: boots[name] for name in names}
            if holders or client not in self._safe:
                continue
            living = [name for name, boot in self._safe[client].items() if boots.get(name) == boot]
            if living and running.issuperset(living):
                raise self.violated(
                    f"nobody has the record of {client}, though {', '.join(living)} did not die since"
                )
