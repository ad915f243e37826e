"""Faults on demand: break, and repair. Names of nodes are those of gateways and clients."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable

from gossipsa import inputs
from gossipsa.kernel.memory_sad import Operation
from sim.cluster import Cluster
from sim.host import Host
from sim.network import ALL_TRAFFIC, CLIENT_TRAFFIC, MESH_TRAFFIC, Cut, Traffic, Weather
from sim.observations import FaultInjected
from sim.virtual_clock import MILLISECOND_NS

_LEAVING_NS = 300 * MILLISECOND_NS
"""From the operator's word to the end of the process."""
_REFUSALS_MAX = 64


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
        """gossipsa dies; kernel and IKE daemon go on, and remember."""
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

    def pause_host(self, name: str, duration_ns: int, *, clock_stands: bool = False) -> None:
        """The host stands still and goes on after that time, as if nothing had been.

        Args:
            clock_stands: its clock stands still too, so that it cannot know. Else it sees time jump.
        """
        host = self._host(name)
        if not host.is_up or host.is_paused:
            return
        host.pause(clock_stands=clock_stands)
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

    def slow_gossipsa(self, name: str, handling_ns: int, duration_ns: int) -> None:
        """The process takes so long over every input; those that come meanwhile wait."""
        process = self._host(name).process
        if process is None:
            return
        process.handling_ns = handling_ns
        self._tell("gossipsa-slow", name)

        def be_quick() -> None:
            process.handling_ns = 0
            self._tell("gossipsa-quick", name)

        self._cluster.clock.after(duration_ns, be_quick)

    def leave(self, name: str, duration_ns: int) -> None:
        """gossipsa is stopped in good order, and started again after that time; its host goes on."""
        host = self._host(name)
        if host.process is None or not host.process.is_running:
            return
        host.leave()
        self._changed()
        clock = self._cluster.clock
        clock.after(min(_LEAVING_NS, duration_ns), lambda: self.kill_gossipsa(name))
        clock.after(duration_ns, lambda: self.start_gossipsa(name))

    def jump_clock(self, name: str, forward_ns: int) -> None:
        """The host's clock shows later all at once."""
        if self._host(name).is_up:
            self._host(name).clock_jumps(forward_ns)
            self._changed()

    def drift_clock(self, name: str, ppm: int) -> None:
        """The host's clock runs too fast or too slow, until it is healed or restarted."""
        if self._host(name).is_up:
            self._host(name).clock_drifts(ppm)
            self._changed()

    def refuse(self, name: str, operation: Operation, error: int, requests: int) -> None:
        """The kernel refuses the next requests of gossipsa for an operation."""
        refusals = self._host(name).refusals.setdefault(operation, deque(maxlen=_REFUSALS_MAX))
        refusals.extend([error] * requests)
        self._tell("kernel-refuses", f"{name} {operation.value} {errno.errorcode[error]} {requests} times")

    def roam(self, client: str) -> None:
        """The client's address changes."""
        if client in self._cluster.clients:
            self._cluster.roam(client)
            self._tell("roamed", client)

    def rekey(self, client: str, *, ike: bool) -> None:
        """The client rekeys its IKE_SA, or its newest CHILD_SA."""
        known = self._cluster.clients.get(client)
        if known is None or known.is_dismissed or not known.session.state.children:
            return
        if ike:
            known.session.rekey_ike()
        else:
            known.session.rekey_child(known.session.state.children[-1].outbound_spi)
        self._tell("rekeys", f"{client} {'IKE' if ike else 'ESP'}")

    def replay_traffic(self, client: str) -> None:
        """An attacker sends a client's last packets to its gateway again."""
        if client in self._cluster.clients:
            self._cluster.replay_traffic(client)

    def drain(self, name: str) -> None:
        """The operator has a gateway emptied. gossipsa forgets it when it is started again."""
        self._ask(name, inputs.DrainRequested(draining=True), "draining")

    def undrain(self, name: str) -> None:
        """The operator has it used again."""
        self._ask(name, inputs.DrainRequested(draining=False), "undrained")

    def _ask(self, name: str, request: inputs.Input, what: str) -> None:
        process = self._host(name).process
        if process is not None:
            self._tell(what, name)
            process.feed(request)

    def burst(self, client: str, packets: int) -> None:
        """Every gateway that has an SA for the client uses up so many sequence numbers at once."""
        known = self._cluster.clients.get(client)
        if known is None:
            return
        for host in self._cluster.hosts.values():
            host.burst(client, known.endpoint.address, known.virtual_address, packets)

    def reconnect(self, client: str, gateway: str) -> None:
        """The client gives up what it had and connects to a gateway that is up and reached, from nothing."""
        host = self._host(gateway)
        is_reached = self._cluster.network.passes(client, gateway, Traffic.IKE)
        if is_reached and host.is_up and not host.is_paused and host.ike_daemon is not None:
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
            host.refusals.clear()
            host.host_clock.drift(0)
            if host.process is not None:
                host.process.handling_ns = 0
                host.process.clock_changed()
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
