"""Who holds key material: the owner and k replicas, and nobody for longer than it takes to tell them."""

from __future__ import annotations

from sim.checkers.checker import Checker


class KeyHoldersAreFew(Checker):
    """When all is quiet, at most k + 1 running gateways hold the record of a client."""

    def sample(self) -> None:
        if self.undisturbed_for(self.patience.settled_ns) and not self.cluster.network.cuts:
            self._check()

    def settle(self) -> None:
        self._check()

    def _check(self) -> None:
        holders_max = self.cluster.settings.replication.replicas + 1
        holders: dict[str, list[str]] = {}
        for gateway, status in self.cluster.statuses().items():
            for entry in status.clients:
                holders.setdefault(entry.client, []).append(gateway)
        for client, gateways in holders.items():
            if len(gateways) > holders_max:
                raise self.violated(f"{', '.join(gateways)} hold the record of {client[:8]}")
