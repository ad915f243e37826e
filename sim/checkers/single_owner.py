"""One client, one gateway."""

from __future__ import annotations

from sim.checkers.checker import Checker


class SingleOwner(Checker):
    """When all is quiet, only the gateway that the client talks to owns it and can send to it."""

    def sample(self) -> None:
        if self.undisturbed_for(self.patience.settled_ns) and not self.cluster.network.cuts:
            self._check()

    def settle(self) -> None:
        self._check()

    def _check(self) -> None:
        holders = self.cluster.holders()
        for client in self.cluster.clients.values():
            owners = [name for name, entry in holders[client.name].items() if entry.role == "owner"]
            if len(owners) > 1:
                raise self.violated(f"{' and '.join(owners)} own {client.name}")
            serving = [
                host.name
                for host in self.cluster.hosts.values()
                if host.is_up and host.kernel.serves(client.endpoint.address, client.virtual_address)
            ]
            if len(serving) > 1:
                raise self.violated(f"{' and '.join(serving)} can send to {client.name}")
