"""In the end everybody agrees, and every client is as safe as before."""

from __future__ import annotations

from gossipsa.status import ClientStatus
from sim.checkers.checker import Checker, Patience
from sim.checkers.servability import able_gateways
from sim.cluster import Cluster
from sim.virtual_clock import SECOND_NS

_RECENT_NS = 3 * SECOND_NS
"""Records change all the time, so that the newest version is on its way at many a moment."""
_SAMPLES_APART_NS = SECOND_NS // 2


class Convergence(Checker):
    """After everything was healed: all gateways see each other, and every client has one owner, the gateway
    that it talks to, and k acknowledged copies.
    """

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        super().__init__(cluster, patience)
        self._sampled_ns = 0
        self._copied_ns: dict[str, int] = {}

    def sample(self) -> None:
        if self.now_ns - self._sampled_ns < _SAMPLES_APART_NS:
            return
        self._sampled_ns = self.now_ns
        copies = self._copies()
        for client, holders in self.cluster.holders().items():
            if any(self._is_copied(entry, holders, copies) for entry in holders.values()):
                self._copied_ns[client] = self.now_ns

    def settle(self) -> None:
        statuses = self.cluster.statuses()
        names = set(statuses)
        for name, status in statuses.items():
            alive = {member.name for member in status.members if member.state == "alive"} | {name}
            if alive != names:
                raise self.violated(f"{name} sees {', '.join(sorted(alive))} alive")
        holders = self.cluster.holders()
        for client in self.cluster.clients.values():
            owners = [name for name, entry in holders[client.name].items() if entry.role == "owner"]
            gateway = self.cluster.gateway_of(client).name
            able = able_gateways(self.cluster, client, holders[client.name])
            is_lost = not able or client.session.is_stuck or client.gave_up
            if self.patience.may_lose_clients and is_lost:
                continue
            if owners != [gateway]:
                raise self.violated(f"{client.name} talks to {gateway}; its owner is {owners or 'nobody'}")
            if self.now_ns - self._copied_ns.get(client.name, 0) > _RECENT_NS:
                acknowledged = holders[client.name][gateway].acknowledged
                raise self.violated(f"{client.name} has {acknowledged} acknowledged copies only")

    @staticmethod
    def _is_copied(owned: ClientStatus, holders: dict[str, ClientStatus], copies: int) -> bool:
        """True for the owner's record, if so many replicas have it as it is."""
        if owned.role != "owner" or owned.acknowledged < copies:
            return False
        same = [
            entry
            for name, entry in holders.items()
            if name in owned.replicas
            and (entry.epoch, entry.ike_spis, entry.inbound_spis)
            == (owned.epoch, owned.ike_spis, owned.inbound_spis)
        ]
        return len(same) >= copies

    def _copies(self) -> int:
        return min(self.cluster.settings.replication.replicas, len(self.cluster.running()) - 1)
