"""Availability: whoever can be served, is."""

from __future__ import annotations

from sim.checkers.checker import Checker, Patience
from sim.client import Client
from sim.cluster import Cluster
from sim.host import Host
from sim.virtual_clock import SECOND_NS


class ClientsAreServed(Checker):
    """A client that a living gateway can serve is served again in time, in both directions.

    Its own gateway can, if it is up and reaches the client. If it is dead, any running gateway can that holds
    a record and reaches the client. A client whose own rekey was under way when its gateway died may be out
    of step with the record and is not counted.
    """

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._servable_since_ns: dict[str, int] = {}
        self.out_of_step: set[str] = set()

    def sample(self) -> None:
        bound_ns = self.patience.served_again_ns
        holders: dict[str, list[str]] | None = None
        for client in self.cluster.clients.values():
            served_ns = min(client.received_ns, client.heard_ns)
            if self.now_ns - served_ns <= SECOND_NS:
                self._servable_since_ns.pop(client.name, None)
                continue
            if holders is None:
                holders = {name: sorted(found) for name, found in self.cluster.holders().items()}
            if not self._is_servable(client, holders[client.name]):
                self._servable_since_ns.pop(client.name, None)
                continue
            since_ns = self._servable_since_ns.setdefault(client.name, self.now_ns)
            since_ns = max(since_ns, self.cluster.disturbed_ns)
            if self.now_ns - since_ns < bound_ns:
                continue
            rekeying_ns = client.session.rekeying_since_ns
            if rekeying_ns is not None and rekeying_ns <= served_ns + SECOND_NS:
                self.out_of_step.add(client.name)
                continue
            raise self.violated(
                f"{client.name} is not served for {(self.now_ns - served_ns) / SECOND_NS:.1f} s, though "
                f"{', '.join(holders[client.name]) or self.cluster.gateway_of(client).name} could"
            )

    def _is_servable(self, client: Client, holders: list[str]) -> bool:
        own = self.cluster.gateway_of(client)
        if own.is_up and not own.is_paused:
            return (
                self.cluster.reaches(own, client)
                and own.kernel.serves(client.endpoint.address, client.virtual_address)
            ) or (own.process is not None and self._any_reaches(client, holders))
        return self._any_reaches(client, holders)

    def _any_reaches(self, client: Client, holders: list[str]) -> bool:
        hosts: list[Host] = [self.cluster.hosts[name] for name in holders]
        return any(host.ike_daemon is not None and self.cluster.reaches(host, client) for host in hosts)
