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
        for client, holders in self.cluster.holders().items():
            if len(holders) > holders_max:
                raise self.violated(f"{', '.join(holders)} hold the record of {client}")
