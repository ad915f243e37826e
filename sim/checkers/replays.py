"""What arrives at a gateway: no packet twice beyond the stated bound, and nothing that was changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from sim.checkers.checker import Checker, Patience
from sim.cluster import SAMPLE_INTERVAL_NS, Cluster
from sim.host import COUNTER_INTERVAL_NS
from sim.network import MESH_TRAFFIC
from sim.observations import ClientMoved, EspAccepted, Observation
from sim.virtual_clock import MILLISECOND_NS

_EXPOSURE_NS = COUNTER_INTERVAL_NS + 2_500 * MILLISECOND_NS
"""Counters are read once in the interval, and then travel; on a lossy path they are sent several times. A
gateway that was cut off hears within that time who has its client."""
_LOSS_TOLERATED = 0.1
_PACKETS_MAX = 20_000
_UNINTERRUPTED_NS = 3 * SAMPLE_INTERVAL_NS // 2


class Links:
    """When two gateways, both running, could talk to each other: stretches of time, by pair."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def stand(self, one: str, other: str, now_ns: int) -> None:
        """They can talk now."""
        stretches = self._stretches.setdefault((one, other), [])
        if stretches and now_ns - stretches[-1][1] <= _UNINTERRUPTED_NS:
            stretches[-1] = (stretches[-1][0], now_ns)
        else:
            stretches.append((now_ns, now_ns))

    def told(self, one: str, other: str, *, at_ns: int, until_ns: int | None) -> bool:
        """True if `other` must have heard what `one` did at that time: they could talk for long enough.

        Args:
            until_ns: what was told later counts no more, unless they could talk all the time since `at_ns`:
                whoever gives a client away then tells the last numbers. None if it always counts.
        """
        for first_ns, end_ns in self._stretches.get((one, other), ()):
            if until_ns is not None and not first_ns <= at_ns <= until_ns <= end_ns:
                end_ns = min(end_ns, until_ns)  # noqa: PLW2901
            if end_ns - max(first_ns, at_ns) >= _EXPOSURE_NS:
                return True
        return False


class NoReplayBeyondBound(Checker):
    """No ESP packet is accepted twice by a gateway, nor by two, but for what README states: one that arrived
    so shortly before its gateway died, or was cut off, that the next one could not hear of it; and one that
    arrived at the next one, by the former one, as long as that has not heard who has the client. Each of them
    accepts it once.
    """

    observes = (ClientMoved, EspAccepted)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._accepted: OrderedDict[bytes, dict[str, int]] = OrderedDict()
        """By packet: which gateways accepted it, and when they did so last."""
        self._moves: dict[str, list[tuple[int, str]]] = {}
        self._links = Links()

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
                    self._links.stand(one, other, self.now_ns)

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientMoved):
            moves = self._moves.setdefault(observation.client, [])
            moves.append((self.now_ns, observation.destination))
        elif isinstance(observation, EspAccepted):
            self._hear(observation)

    def _hear(self, observation: EspAccepted) -> None:
        digest = hashlib.blake2b(observation.packet, digest_size=12).digest()
        accepted = self._accepted.setdefault(digest, {})
        while len(self._accepted) > _PACKETS_MAX:
            self._accepted.popitem(last=False)
        for gateway, at_ns in accepted.items():
            if at_ns != self.now_ns and not self._is_excused(observation, gateway, at_ns):
                age_ms = (self.now_ns - at_ns) // MILLISECOND_NS
                raise self.violated(
                    f"{observation.gateway} accepted a packet of {observation.client} that {gateway} "
                    f"accepted {age_ms} ms before"
                )
        accepted[observation.gateway] = self.now_ns

    def _is_excused(self, observation: EspAccepted, gateway: str, at_ns: int) -> bool:
        """True if somebody who had the client since `gateway` accepted the packet could not know of it."""
        takers: dict[str, int | None] = {observation.gateway: None}
        for moved_ns, destination in self._moves.get(observation.client, []):
            if moved_ns >= at_ns:
                takers[destination] = moved_ns
        takers.pop(gateway, None)
        return any(
            not self._links.told(gateway, taker, at_ns=at_ns, until_ns=moved_ns)
            for taker, moved_ns in takers.items()
        )


class CorruptionIsRefused(Checker):
    """No gateway accepts an ESP packet that is not as it was sent."""

    observes = (EspAccepted,)

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, EspAccepted) and observation.packet in self.cluster.network.corrupted:
            raise self.violated(
                f"{observation.gateway} accepted a packet of {observation.client} that was changed on its way"
            )
