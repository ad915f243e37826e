"""One client, one gateway."""

from __future__ import annotations

from sim.checkers.checker import Checker
from sim.client import Client
from sim.host import Host


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
                if self.cluster.serves(host, client) and not self._is_forgotten(host, client)
            ]
            if len(serving) > 1:
                raise self.violated(f"{' and '.join(serving)} can send to {client.name}")

    def _is_forgotten(self, host: Host, client: Client) -> bool:
        """True if gossipsa was restarted before it could hear that the client moved."""
        return self.patience.may_lose_clients and any(
            known.name == client.name and known.told is None for known in host.ike_daemon or ()
        )
