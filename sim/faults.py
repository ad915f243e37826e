"""Faults on demand: break, and repair. Names of nodes are those of gateways and clients."""

from __future__ import annotations

from collections.abc import Iterable

from sim.cluster import Cluster
from sim.host import Host
from sim.network import ALL_TRAFFIC, CLIENT_TRAFFIC, MESH_TRAFFIC, Cut, Traffic, Weather
from sim.observations import FaultInjected


class Faults:
    """Breaks and repairs a cluster. Everything broken here is seen by the checkers."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    # Hosts and processes.

    def crash_host(self, name: str) -> None:
        """Power off: kernel, IKE daemon and gossipsa are gone."""
        if self._host(name).is_up:
            self._host(name).power_off()
            self._cluster.network.break_streams(name)
            self._changed()

    def restart_host(self, name: str) -> None:
        """Power on, with nothing left of before."""
        if not self._host(name).is_up:
            self._host(name).power_on()
            self._changed()

    def kill_gossipsa(self, name: str) -> None:
        """gossipsa dies; kernel and IKE daemon go on."""
        self._host(name).kill_process()
        self._changed()

    def start_gossipsa(self, name: str) -> None:
        """The supervisor starts gossipsa again, with a fresh boot id."""
        self._host(name).start_process()
        self._changed()

    def kill_ike_daemon(self, name: str) -> None:
        """The IKE daemon dies; the kernel forwards ESP as before."""
        self._host(name).kill_ike_daemon()
        self._changed()

    def start_ike_daemon(self, name: str) -> None:
        """The supervisor starts the IKE daemon again, without clients."""
        self._host(name).start_ike_daemon()
        self._changed()

    def pause_host(self, name: str, duration_ns: int) -> None:
        """The host stands still and goes on after that time, as if nothing had been."""
        host = self._host(name)
        if not host.is_up or host.is_paused:
            return
        host.pause()
        self._changed()

        def go_on() -> None:
            host.go_on()
            self._changed()

        self._cluster.clock.after(duration_ns, go_on)

    def pause_gossipsa(self, name: str, duration_ns: int) -> None:
        """Only the gossipsa process stands still."""
        process = self._host(name).process
        if process is None or not process.is_running:
            return
        process.pause()
        self._tell("gossipsa-paused", name)

        def go_on() -> None:
            if process.is_alive and not self._host(name).is_paused:
                self._tell("gossipsa-resumed", name)
                process.go_on()

        self._cluster.clock.after(duration_ns, go_on)

    def burst(self, client: str, packets: int) -> None:
        """Every gateway that has an SA for the client uses up so many sequence numbers at once."""
        known = self._cluster.clients[client]
        for host in self._cluster.hosts.values():
            host.burst(client, known.endpoint.address, known.virtual_address, packets)

    def reconnect(self, client: str, gateway: str) -> None:
        """The client gives up what it had and connects to a gateway that is up, from nothing."""
        host = self._host(gateway)
        if host.is_up and not host.is_paused and host.ike_daemon is not None:
            self._tell("reconnected", f"{client} {gateway}")
            self._cluster.connect(client, int(client[1:]), host)

    # The network.

    def partition(self, *groups: Iterable[str]) -> list[Cut]:
        """Groups of nodes that cannot reach each other, with any traffic, either way."""
        sides = [frozenset(group) for group in groups]
        cuts = [self._cluster.network.cut(one, other) for one in sides for other in sides if one is not other]
        self._tell("partitioned", " | ".join(",".join(sorted(side)) for side in sides))
        return cuts

    def partition_one_way(
        self,
        sources: Iterable[str],
        destinations: Iterable[str],
        traffic: frozenset[Traffic] = ALL_TRAFFIC,
    ) -> list[Cut]:
        """Nothing passes from `sources` to `destinations`; the other direction is well."""
        sources, destinations = frozenset(sources), frozenset(destinations)
        self._tell("cut-one-way", f"{','.join(sorted(sources))} > {','.join(sorted(destinations))}")
        return [self._cluster.network.cut(sources, destinations, traffic)]

    def filter_mesh(self, name: str, traffic: frozenset[Traffic] = MESH_TRAFFIC) -> list[Cut]:
        """A firewall drops the mesh's port at one gateway, or one transport of it; IKE and ESP pass."""
        others = frozenset(self._cluster.hosts) - {name}
        network = self._cluster.network
        kinds = ",".join(kind.value for kind in Traffic if kind in traffic)
        self._tell("mesh-filtered", name if traffic == MESH_TRAFFIC else f"{name} {kinds}")
        return [network.cut([name], others, traffic), network.cut(others, [name], traffic)]

    def cut_clients(self, gateway: str, clients: Iterable[str]) -> list[Cut]:
        """A gateway loses its way to clients, and is well otherwise."""
        clients = frozenset(clients)
        network = self._cluster.network
        self._tell("clients-cut", f"{gateway} {','.join(sorted(clients))}")
        return [
            network.cut([gateway], clients, CLIENT_TRAFFIC),
            network.cut(clients, [gateway], CLIENT_TRAFFIC),
        ]

    def mend(self, cuts: Iterable[Cut]) -> None:
        """Repairs what a function above cut; nothing happens if that was healed already."""
        network = self._cluster.network
        standing = [cut for cut in cuts if cut in network.cuts]
        for cut in standing:
            network.mend(cut)
        if standing:
            self._tell("mended", "")

    def weather(self, weather: Weather) -> None:
        """Changes the network as a whole."""
        self._cluster.network.weather = weather
        self._tell("weather", f"loss {weather.loss:.0%}")

    def heal(self) -> None:
        """Repairs everything: cuts, weather, hosts, daemons."""
        self._cluster.network.cuts.clear()
        self._cluster.network.weather = Weather()
        for host in self._cluster.hosts.values():
            host.go_on()
            if not host.is_up:
                host.power_on()
            host.start_ike_daemon()
            host.start_process()
        self._tell("healed", "")

    def _host(self, name: str) -> Host:
        return self._cluster.hosts[name]

    def _tell(self, fault: str, node: str) -> None:
        self._cluster.trace.note("net", f"{fault} {node}".strip())
        self._changed()
        self._cluster.observe(FaultInjected(fault=fault, node=node))

    def _changed(self) -> None:
        self._cluster.disturbed_ns = self._cluster.clock.now_ns
