"""Who holds key material: the owner and k replicas, and nobody for longer than it takes to tell them."""

from __future__ import annotations

from sim.checkers.checker import Checker, Patience
from sim.cluster import Cluster
from sim.virtual_clock import SECOND_NS

_IN_TRANSIT_NS = 3 * SECOND_NS
"""A replica that is replaced is told when its successor has acknowledged."""


class KeyHoldersAreFew(Checker):
    """When all is quiet, the owner of a client and the replicas that it names hold its record: k at most, and
    the gateway to which it is to return, where clients return.

    Others may for a moment, until they are told.
    """

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._since_ns: dict[str, int] = {}

    def sample(self) -> None:
        if self.undisturbed_for(self.patience.settled_ns) and not self.cluster.network.cuts:
            self._check()
        else:
            self._since_ns.clear()

    def settle(self) -> None:
        self._check()

    def _check(self) -> None:
        settings = self.cluster.settings
        holders_max = settings.replication.replicas + 1 + bool(settings.takeover.return_after_ns)
        holders: dict[str, list[str]] = {}
        named: dict[str, set[str]] = {}
        for gateway, entries in self.cluster.client_statuses().items():
            for entry in entries:
                holders.setdefault(entry.client, []).append(gateway)
                if entry.role == "owner":
                    named[entry.client] = {gateway, *entry.replicas}
        many = {
            client: gateways
            for client, gateways in holders.items()
            if len(gateways) > holders_max or not named.get(client, set(gateways)).issuperset(gateways)
        }
        self._since_ns = {client: self._since_ns.get(client, self.now_ns) for client in many}
        for client, gateways in many.items():
            if self.now_ns - self._since_ns[client] > _IN_TRANSIT_NS:
                raise self.violated(f"{', '.join(gateways)} hold the record of {client[:8]}")
