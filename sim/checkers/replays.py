"""What arrives at a gateway: no packet twice beyond the stated bound, and nothing that was changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.host import COUNTER_INTERVAL_NS
from sim.network import MESH_TRAFFIC
from sim.observations import ClientMoved, EspAccepted, Observation
from sim.virtual_clock import MILLISECOND_NS

_EXPOSURE_NS = COUNTER_INTERVAL_NS + 2_500 * MILLISECOND_NS
"""Counters are read once in the interval, and then travel; on a lossy path they are sent several times."""
_LOSS_TOLERATED = 0.1
_PACKETS_MAX = 20_000


class NoReplayBeyondBound(Checker):
    """No ESP packet is accepted twice by a gateway, nor by two gateways, but for one that arrived after the
    last counters that its gateway could send to the next one (README: at most what came in one interval).
    """

    observes = (ClientMoved, EspAccepted)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._accepted: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self._moves: dict[str, list[tuple[int, str]]] = {}
        self._linked_ns: dict[tuple[str, str], int] = {}

    def sample(self) -> None:
        network = self.cluster.network
        if network.weather.loss > _LOSS_TOLERATED:
            return
        talking = [
            host.name
            for host in self.cluster.running()
            if host.process is not None and not host.process.handling_ns
        ]
        for one in talking:
            for other in talking:
                if one != other and all(network.passes(one, other, traffic) for traffic in MESH_TRAFFIC):
                    self._linked_ns[one, other] = self.now_ns

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientMoved):
            moves = self._moves.setdefault(observation.client, [])
            moves.append((self.now_ns, observation.destination))
        elif isinstance(observation, EspAccepted):
            self._hear(observation)

    def _hear(self, observation: EspAccepted) -> None:
        digest = hashlib.blake2b(observation.packet, digest_size=12).digest()
        gateway, at_ns = self._accepted.setdefault(digest, (observation.gateway, self.now_ns))
        while len(self._accepted) > _PACKETS_MAX:
            self._accepted.popitem(last=False)
        if at_ns == self.now_ns:
            return
        moves = self._moves.get(observation.client, [])
        since = [destination for moved_ns, destination in moves if moved_ns >= at_ns]
        takers = {name for name in (*since, observation.gateway) if name != gateway}
        known_ns = min((self._linked_ns.get((gateway, name), 0) for name in takers), default=self.now_ns)
        if at_ns < known_ns - _EXPOSURE_NS or not takers:
            raise self.violated(
                f"{observation.gateway} accepted a packet of {observation.client} that {gateway} accepted "
                f"{(self.now_ns - at_ns) // MILLISECOND_NS} ms before"
            )


class CorruptionIsRefused(Checker):
    """No gateway accepts an ESP packet that is not as it was sent."""

    observes = (EspAccepted,)

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, EspAccepted) and observation.packet in self.cluster.network.corrupted:
            raise self.violated(
                f"{observation.gateway} accepted a packet of {observation.client} that was changed on its way"
            )
