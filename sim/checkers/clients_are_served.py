"""Availability: whoever can be served, is."""

from __future__ import annotations

from gossipsa.status import ClientStatus
from sim.checkers.checker import Checker, Patience
from sim.client import Client
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
            able = self._able(client, holders[client.name])
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

    def _able(self, client: Client, holders: dict[str, ClientStatus]) -> list[str]:
        """Gateways that could serve the client. Its own alone, if that is well but for the way to the client."""
        own = self.cluster.gateway_of(client)
        installed = own.is_up and own.kernel.serves(client.endpoint.address, client.virtual_address)
        if installed and not own.is_paused:
            return [own.name] if self.cluster.reaches(own, client) else []
        return [
            name
            for name, record in holders.items()
            if self._is_in_step(client, record)
            and self.cluster.hosts[name].ike_daemon is not None
            and self.cluster.reaches(self.cluster.hosts[name], client)
        ]

    @staticmethod
    def _is_in_step(client: Client, record: ClientStatus) -> bool:
        """True if client and record agree on the IKE_SA, and know each other's newest CHILD_SA."""
        state = client.session.state
        known = [f"{child.outbound_spi:08x}" for child in state.children]
        return (
            record.ike_spis == str(state.ike_sa.spis)
            and bool(record.inbound_spis)
            and record.inbound_spis[-1] in known
            and known[-1] in record.inbound_spis
        )
