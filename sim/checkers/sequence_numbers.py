"""Sequence numbers and IVs: nothing is ever sent twice under one key, and nothing before its time."""

from __future__ import annotations

from bisect import bisect_right

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.observations import ClientConnected, ClientMoved, EspDelivered, EspSent, IkeSealed, Observation


class _NumbersUsed:
    """Sequence numbers of one key, as ranges in ascending order, each with the gateway that used it."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ranges: list[tuple[int, int, str]] = []

    def add(self, first: int, last: int, gateway: str) -> tuple[int, str] | None:
        """Returns a number that was used before, and by whom; None if there is none."""
        index = bisect_right(self._firsts, first)
        if index > 0 and self._ranges[index - 1][1] >= first:
            return first, self._ranges[index - 1][2]
        if index < len(self._ranges) and self._ranges[index][0] <= last:
            return self._ranges[index][0], self._ranges[index][2]
        if index > 0 and self._ranges[index - 1][1:] == (first - 1, gateway):
            self._ranges[index - 1] = (self._ranges[index - 1][0], last, gateway)
            return None
        self._firsts.insert(index, first)
        self._ranges.insert(index, (first, last, gateway))
        return None


class NumbersAreUsedOnce(Checker):
    """No (key, sequence number) is sent twice, by whomever."""

    observes = (EspSent,)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._used: dict[str, _NumbersUsed] = {}

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, EspSent):
            return
        used = self._used.setdefault(observation.key, _NumbersUsed())
        found = used.add(observation.first, observation.last, observation.gateway)
        if found is not None:
            number, gateway = found
            raise self.violated(
                f"{observation.gateway} sent number {number:#x} of key {observation.key} "
                f"({observation.client}), as {gateway} did before"
            )


class VectorsAreUsedOnce(Checker):
    """No two different IKE messages to a client are sealed with one IV under one key."""

    observes = (IkeSealed,)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._sealed: dict[tuple[str, bytes], tuple[bytes, str]] = {}

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, IkeSealed):
            return
        digest, gateway = self._sealed.setdefault(
            (observation.key, observation.iv), (observation.digest, observation.gateway)
        )
        if digest != observation.digest:
            raise self.violated(f"{observation.gateway} sealed with an IV that {gateway} used before")


class NoSendingBeforeAnswer(Checker):
    """A gateway sends ESP to a client only after the client connected to it, or answered its redirect."""

    observes = (ClientConnected, ClientMoved, EspSent)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._answered: dict[str, set[str]] = {}

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, ClientConnected):
            self._known(observation.client, observation.gateway).add(observation.gateway)
        elif isinstance(observation, ClientMoved):
            self._known(observation.client, observation.source).add(observation.destination)
        elif isinstance(observation, EspSent):
            client = self.cluster.clients[observation.client]
            known = self._known(observation.client, self.cluster.gateway_of(client).name)
            if observation.gateway not in known:
                raise self.violated(f"{observation.gateway} sent ESP to {observation.client} unasked")

    def _known(self, client: str, gateway: str) -> set[str]:
        return self._answered.setdefault(client, {gateway})


class NoDoubleDelivery(Checker):
    """A client accepts no packet twice, however often the network delivers it."""

    observes = (EspDelivered,)

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._delivered: set[tuple[str, int]] = set()

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, EspDelivered):
            return
        packet = (observation.client, observation.serial)
        if packet in self._delivered:
            raise self.violated(f"{observation.client} accepted a packet of {observation.gateway} twice")
        self._delivered.add(packet)
