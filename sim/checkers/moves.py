"""Who may be moved: only clients of a gateway that is dead, or that looks so from every side that matters."""

from __future__ import annotations

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.network import Traffic
from sim.observations import ClientDismissed, ClientMoved, Observation
from sim.virtual_clock import SECOND_NS

_AFTERMATH_NS = 20 * SECOND_NS
"""A takeover that was begun for good reason may end this long after the reason went."""
_LOSS_TOLERATED = 0.1
"""With more, all questions to a living IKE daemon may get lost within the time that a takeover may take."""


class BystandersStay(Checker):
    """A client leaves only a gateway whose IKE daemon could not answer another gateway shortly before, or
    whose kernel has nothing left of the client.

    So nobody moves when gossipsa alone dies or stalls, nor when only the mesh's port is filtered, nor twice
    after one death.
    """

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._silent_ns: dict[str, int] = {}

    def sample(self) -> None:
        for name in self.cluster.hosts:
            if self._is_silent(name):
                self._silent_ns[name] = self.now_ns

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, ClientMoved):
            return
        source = observation.source
        client = self.cluster.clients[observation.client]
        if not self.cluster.serves(self.cluster.hosts[source], client):
            return
        if self.cluster.network.weather.loss > _LOSS_TOLERATED:
            return
        silent_ns = self.now_ns if self._is_silent(source) else self._silent_ns.get(source)
        if silent_ns is None or self.now_ns - silent_ns > _AFTERMATH_NS:
            raise self.violated(
                f"{observation.client} was moved from {source}, which answers, to {observation.destination}"
            )

    def _is_silent(self, name: str) -> bool:
        host = self.cluster.hosts[name]
        if not host.is_up or host.is_paused or host.ike_daemon is None:
            return True
        return any(
            not self.cluster.network.passes(name, other, Traffic.IKE)
            for other in self.cluster.hosts
            if other != name
        )


class NoDismissal(Checker):
    """No gateway tells a client that its IKE_SA is over: a former owner least of all (rule R5)."""

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientDismissed):
            raise self.violated(f"{observation.gateway} deleted the IKE_SA of {observation.client}")
