"""Who may be moved: only clients of a gateway that is dead, or that looks so from every side that matters."""

from __future__ import annotations

from itertools import permutations

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.network import MESH_TRAFFIC, Traffic
from sim.observations import ClientConnected, ClientDismissed, ClientMoved, FaultInjected, Observation
from sim.virtual_clock import SECOND_NS

_AFTERMATH_NS = 20 * SECOND_NS
"""A takeover that was begun for good reason may end this long after the reason went."""
_ALL_STARTED_NS = 3 * SECOND_NS
"""A gateway that is not up before has not failed."""
_LOSS_TOLERATED = 0.1
"""With more, all questions to a living IKE daemon may get lost within the time that a takeover may take."""


class _PlannedMoves:
    """Moves that the operator asked for: away from a gateway that is being emptied, back to it since that
    failed, and home where clients return.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._drained: set[str] = set()

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, FaultInjected) and observation.fault == "draining":
            self._drained.add(observation.node)

    def covers(self, move: ClientMoved) -> bool:
        home = self._cluster.started_at[move.client]
        is_return = bool(self._cluster.settings.takeover.return_after_ns) and home in (
            move.source,
            move.destination,
        )
        return is_return or bool(self._drained & {move.source, move.destination})


class BystandersStay(Checker):
    """A client leaves only a gateway whose IKE daemon could not answer another gateway shortly before, or
    whose kernel has nothing left of the client, or that was to be emptied.

    So nobody moves when gossipsa alone dies or stalls, nor when only the mesh's port is filtered, nor twice
    after one death; but two that take over after one death, and do not hear each other, may both be answered.
    """

    observes = (ClientConnected, ClientMoved, FaultInjected)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._silent_ns: dict[str, int] = {}
        self._apart_ns: dict[tuple[str, str], int] = {}
        """When two gateways last could not talk to each other over the mesh."""
        self._came_ns: dict[str, int] = {}
        """By client that was moved: when it came to the gateway that it has."""
        self._planned = _PlannedMoves(cluster)

    def sample(self) -> None:
        for name in self.cluster.hosts:
            if self._is_silent(name):
                self._silent_ns[name] = self.now_ns
        network = self.cluster.network
        for one, other in permutations(self.cluster.hosts, 2) if network.cuts else ():
            if not all(network.passes(one, other, traffic) for traffic in MESH_TRAFFIC):
                self._apart_ns[one, other] = self.now_ns

    def observe(self, observation: Observation) -> None:
        self._planned.observe(observation)
        if isinstance(observation, ClientConnected):
            self._came_ns.pop(observation.client, None)
        if not isinstance(observation, ClientMoved):
            return
        came_ns = self._came_ns.get(observation.client)
        self._came_ns[observation.client] = self.now_ns
        if self._planned.covers(observation) or self._is_taken_twice(observation, came_ns):
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

    def _is_taken_twice(self, move: ClientMoved, came_ns: int | None) -> bool:
        """True for the second of two takers that did not hear each other, soon after the first."""
        apart_ns = self._apart_ns.get((move.source, move.destination))
        return (
            came_ns is not None
            and apart_ns is not None
            and self.now_ns - came_ns <= _AFTERMATH_NS
            and apart_ns >= came_ns - _AFTERMATH_NS
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


class MovedOncePerFailure(Checker):
    """A client that was moved is not moved on, unless something happened to its new gateway as well, or that
    could not hear it: a taker that gets no answer leaves the client to the next one.

    Two takers of one dead gateway are what this is about: the client would obey both.
    """

    observes = (ClientConnected, ClientMoved, FaultInjected)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._impaired_ns: dict[str, int] = {}
        """By gateway."""
        self._unheard_ns: dict[str, int] = {}
        """By client: when its gateway last did not hear it, or the other way round."""
        self._planned = _PlannedMoves(cluster)
        self._moved_to: dict[str, str] = {}

    def sample(self) -> None:
        if self.now_ns < _ALL_STARTED_NS:
            return
        if self.cluster.network.weather.loss > _LOSS_TOLERATED:
            self._impaired_ns.update(dict.fromkeys(self.cluster.hosts, self.now_ns))
            return
        running = self.cluster.running()
        for host in self.cluster.hosts.values():
            is_cut = any(
                not self.cluster.network.passes(host.name, other, traffic)
                for other in self.cluster.hosts
                if other != host.name
                for traffic in Traffic
            )
            if is_cut or host not in running or host.ike_daemon is None or host.refusals:
                self._impaired_ns[host.name] = self.now_ns
        for client in self.cluster.clients.values():
            if not self.cluster.reaches(self.cluster.gateway_of(client), client):
                self._unheard_ns[client.name] = self.now_ns

    def observe(self, observation: Observation) -> None:
        self._planned.observe(observation)
        if isinstance(observation, FaultInjected):
            if self.now_ns >= _ALL_STARTED_NS and observation.node in self.cluster.hosts:
                self._impaired_ns[observation.node] = self.now_ns
        elif isinstance(observation, ClientConnected):
            self._moved_to.pop(observation.client, None)
        elif isinstance(observation, ClientMoved):
            source = observation.source
            reasons_ns = (self._impaired_ns.get(source), self._unheard_ns.get(observation.client))
            is_second = self._moved_to.get(observation.client) == source
            self._moved_to[observation.client] = observation.destination
            if self._planned.covers(observation):
                return
            if is_second and not any(
                reason_ns is not None and self.now_ns - reason_ns <= _AFTERMATH_NS for reason_ns in reasons_ns
            ):
                raise self.violated(
                    f"{observation.client} was moved on from {source} to {observation.destination}"
                )


class NoDismissal(Checker):
    """No gateway tells a client that its IKE_SA is over: a former owner least of all (rule R5)."""

    observes = (ClientDismissed,)

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientDismissed):
            raise self.violated(f"{observation.gateway} deleted the IKE_SA of {observation.client}")
