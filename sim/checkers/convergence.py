"""In the end everybody agrees, and every client is as safe as before."""

from __future__ import annotations

from sim.checkers.checker import Checker


class Convergence(Checker):
    """After everything was healed: all gateways see each other, and every client has one owner, the gateway
    that it talks to, and k acknowledged copies.
    """

    def settle(self) -> None:
        statuses = self.cluster.statuses()
        names = set(statuses)
        for name, status in statuses.items():
            alive = {member.name for member in status.members if member.state == "alive"} | {name}
            if alive != names:
                raise self.violated(f"{name} sees {', '.join(sorted(alive))} alive")
        copies = min(self.cluster.settings.replication.replicas, len(names) - 1)
        holders = self.cluster.holders()
        for client in self.cluster.clients.values():
            owners = [name for name, entry in holders[client.name].items() if entry.role == "owner"]
            gateway = self.cluster.gateway_of(client).name
            if self.patience.may_lose_clients and not holders[client.name]:
                continue
            if owners != [gateway]:
                raise self.violated(f"{client.name} talks to {gateway}; its owner is {owners or 'nobody'}")
            acknowledged = holders[client.name][gateway].acknowledged
            if acknowledged < copies:
                raise self.violated(f"{client.name} has {acknowledged} acknowledged copies, not {copies}")
