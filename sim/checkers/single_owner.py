"""One client, one gateway."""

from __future__ import annotations

from sim.checkers.checker import Checker
from sim.client import Client
from sim.host import Host


class SingleOwner(Checker):
    """When all is quiet, only the gateway that the client talks to owns it, can send to it, and routes it."""

    def sample(self) -> None:
        if self.undisturbed_for(self.patience.settled_ns) and not self.cluster.network.cuts:
            self._check()

    def settle(self) -> None:
        self._check()
        for client in self.cluster.clients.values():
            own = self.cluster.gateway_of(client)
            routing = [
                host.name
                for host in self.cluster.hosts.values()
                if host is not own
                and host.is_up
                and client.virtual_address in host.kernel.routes()
                # Where the client was connected before, the IKE daemon finds out by itself.
                and all(known.name != client.name for known in host.ike_daemon or ())
            ]
            if self.cluster.serves(own, client) and routing:
                raise self.violated(
                    f"{' and '.join(routing)} still announces {client.name}, which {own.name} has"
                )

    def _check(self) -> None:
        holders = self.cluster.holders()
        for client in self.cluster.clients.values():
            owners = [name for name, entry in holders[client.name].items() if entry.role == "owner"]
            if len(owners) > 1:
                raise self.violated(f"{' and '.join(owners)} own {client.name}")
            serving = [
                host.name
                for host in self.cluster.hosts.values()
                if self.cluster.serves(host, client) and self._can_be_read(host, client)
            ]
            if len(serving) > 1:
                raise self.violated(f"{' and '.join(serving)} can send to {client.name}")

    @staticmethod
    def _can_be_read(host: Host, client: Client) -> bool:
        """False for what is left of an earlier connection of the client."""
        readable = {sa.id.spi for sa in client.kernel.sas()}
        return any(sa.id.spi in readable for sa in host.kernel.outbound_sas(client.endpoint.address))
