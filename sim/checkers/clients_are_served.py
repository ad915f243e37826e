"""Availability: whoever can be served, is."""

from __future__ import annotations

from gossipsa.status import ClientStatus
from sim.checkers.checker import Checker, Patience
from sim.checkers.servability import able_gateways
from sim.cluster import Cluster
from sim.virtual_clock import SECOND_NS


class ClientsAreServed(Checker):
    """A client that a living gateway can serve is served again in time, in both directions.

    Its own gateway can, if it is up and reaches the client. If it is dead, any running gateway can that holds
    a record and reaches the client. A record that is older than the client's last rekey is of no use: that is
    the price of a gateway that dies before it told its replicas, or before its answer reached the client.
    """

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._servable_since_ns: dict[str, int] = {}

    def sample(self) -> None:
        bound_ns = self.patience.served_again_ns
        holders: dict[str, dict[str, ClientStatus]] | None = None
        for client in self.cluster.clients.values():
            served_ns = min(client.received_ns, client.heard_ns)
            if self.now_ns - served_ns <= SECOND_NS:
                self._servable_since_ns.pop(client.name, None)
                continue
            if holders is None:
                holders = self.cluster.holders()
            able = able_gateways(self.cluster, client, holders[client.name])
            if not able:
                self._servable_since_ns.pop(client.name, None)
                continue
            since_ns = self._servable_since_ns.setdefault(client.name, self.now_ns)
            since_ns = max(since_ns, self.cluster.disturbed_ns)
            if self.now_ns - since_ns < bound_ns:
                continue
            raise self.violated(
                f"{client.name} is not served for {(self.now_ns - served_ns) / SECOND_NS:.1f} s, though "
                f"{', '.join(able)} could"
            )
