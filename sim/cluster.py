"""The whole world of a run: gateways, clients, network, traffic, and the checkers that watch.

Inner traffic is as unkind as can be: every gateway whose kernel has an SA for a client gets packets for it,
whoever the inner network thinks is responsible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import IO, Protocol

from gossipsa.gateway import Gateway
from gossipsa.identifiers import BootId, Endpoint, IpAddress
from gossipsa.settings import GatewaySettings, ReplicationSettings, TakeoverSettings
from gossipsa.status import ClientStatus, GatewayStatus
from gossipsa.swim.settings import LAN, SwimSettings
from gossipsa.wire.keyring import Keyring
from sim.client import Client
from sim.driver import Driver
from sim.host import Host
from sim.mesh_authority import START_S, MeshAuthority
from sim.network import Network, Traffic, Weather
from sim.observations import ClientConnected, ClientDismissed, ClientMoved, EspDelivered, Observation
from sim.process import Core, Process
from sim.random_streams import RandomStreams
from sim.trace import Trace
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS, VirtualClock

MESH_PORT = 4600
IKE_PORT = 4500
SAMPLE_INTERVAL_NS = 100 * MILLISECOND_NS
_ROAMING_NETWORK = IPv4Address("198.18.0.0")
_WIRETAP_PACKETS = 128

_ZONES = 3
_SEEDS = 3
"""Gateways that every other one is told of."""


class Watcher(Protocol):
    """A checker, as the cluster knows it."""

    @property
    def observes(self) -> tuple[type[Observation], ...]:
        """Of what it is told."""

    def observe(self, observation: Observation) -> None:
        """Something happened. Raises Violation."""

    def sample(self) -> None:
        """A moment to look around. Raises Violation."""

    def settle(self) -> None:
        """Everything was healed long ago. Raises Violation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """A cluster, before its seed is chosen."""

    gateways: int = 4
    clients: int = 6
    weather: Weather = field(default_factory=Weather)
    packet_interval_ns: int = 100 * MILLISECOND_NS
    """Between two packets to a client, and two from it."""
    peer_check_interval_ns: int = 2 * SECOND_NS
    """Between two empty INFORMATIONAL requests of a client."""
    rekey_interval_ns: int | None = None
    """Between two rekeys by a client, of its CHILD_SA and its IKE_SA in turns; None for never."""
    swim: SwimSettings = LAN
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)
    takeover: TakeoverSettings = field(
        default_factory=lambda: TakeoverSettings(hold_retry_ns=4 * SECOND_NS, rekey_delay_ns=2 * SECOND_NS)
    )
    """Unanswering clients are tried again sooner than by default, so that runs may be short."""


class Cluster:
    """Gateways `g1`, `g2`, ... and clients `c1`, `c2`, ..., clients spread evenly.

    Args:
        make_core, make_driver: replaced by tests that plant bugs.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        *,
        seed: int,
        make_core: Callable[..., Core] = Gateway,
        make_driver: Callable[..., Driver] = Driver,
        make_client: Callable[..., Client] = Client,
        copy_trace_to: IO[str] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = VirtualClock()
        self.streams = RandomStreams(seed)
        self.trace = Trace(self.clock, copy_to=copy_trace_to)
        self.network = Network(
            clock=self.clock, streams=self.streams, trace=self.trace, weather=settings.weather
        )
        self.watchers: list[Watcher] = []
        """Complete before the start."""
        self._observers: dict[type[Observation], tuple[Watcher, ...]] = {}
        self.clients: dict[str, Client] = {}
        self.disturbed_ns = self.clock.now_ns
        """When something was last broken or repaired."""
        self._make_core = make_core
        self._make_driver = make_driver
        self._make_client = make_client
        self.hosts = {
            name: Host(
                name,
                ike_address=IPv4Address("192.0.2.0") + number,
                mesh=Endpoint(IPv4Address("10.255.0.0") + number, MESH_PORT),
                world=self,
                clock=self.clock,
                trace=self.trace,
                random_stream=self.streams.stream,
            )
            for number, name in ((number, f"g{number}") for number in range(1, settings.gateways + 1))
        }
        self._by_mesh = {host.mesh: host for host in self.hosts.values()}
        self._by_ike = {host.ike_address: host for host in self.hosts.values()}
        self._by_client_address: dict[IpAddress, Client] = {}
        self._address_of: dict[str, IpAddress] = {}
        """By client, where it is now."""
        self._carriers: dict[IpAddress, dict[Host, None]] = {}
        """By virtual address, hosts whose kernels have or had SAs for it: no other needs packets for it."""
        self._ever_at: dict[str, str] = {}
        """By address, the client that has or had it: no two share one."""
        self.wiretap: dict[str, deque[bytes]] = {}
        """By client: the last ESP packets that it sent, as an attacker has them."""
        self.authority = MeshAuthority(self.streams.stream("authority").randbytes)
        for number, host in enumerate(self.hosts.values(), start=1):
            zone = f"z{number % _ZONES}" if settings.gateways > _ZONES else host.name
            host.enrolment = self.authority.enrol(host.name, zone=zone)
        self.connections = 0
        self._roams = 0
        self._sampled: dict[str, dict[str, ClientStatus]] | None = None
        """What `holders` found, while all watchers look at one moment."""
        self.started_at: dict[str, str] = {}
        """The gateway that each client connected to."""

    # Running.

    def start(self) -> None:
        """Powers all gateways on, and lets clients connect within the next second."""
        for host in self.hosts.values():
            delay_ns = host.random_stream("power on").randrange(200 * MILLISECOND_NS)
            self.clock.after(delay_ns, host.power_on)
        names = list(self.hosts)
        for number in range(1, self.settings.clients + 1):
            name = f"c{number}"
            gateway = self.hosts[names[(number - 1) % len(names)]]
            random = self.streams.stream(name, "connect")
            delay_ns = 300 * MILLISECOND_NS + random.randrange(700 * MILLISECOND_NS)
            self.clock.after(delay_ns, self._connecting(name, number, gateway))
        self.clock.every(SAMPLE_INTERVAL_NS, self._sample)

    def run_for(self, duration_ns: int) -> None:
        """Lets time pass. Raises Violation."""
        self.clock.run_until(self.clock.now_ns + duration_ns)

    def connect(self, name: str, number: int, gateway: Host) -> Client:
        """A client connects to a gateway that is up; perhaps again, and with the same virtual address."""
        assert gateway.ike_daemon is not None
        if name in self.clients:
            self.clients[name].leave()
        endpoint = Endpoint(IPv4Address("198.51.100.0") + number, IKE_PORT)
        virtual_address = IPv4Address("10.200.0.0") + number
        state = gateway.ike_daemon.connect(
            name,
            local=Endpoint(gateway.ike_address, IKE_PORT),
            remote=endpoint,
            virtual_address=virtual_address,
        )
        self.connections += 1
        random = self.streams.stream(name, "client", self.connections)
        client = self._make_client(name, state, world=self, clock=self.clock, random=random)
        self.clients[name] = client
        self.started_at[name] = gateway.name
        self._put_at(client, endpoint.address)
        self.observe(ClientConnected(client=name, gateway=gateway.name))
        self._generate_traffic(client)
        return client

    def roam(self, name: str) -> None:
        """A client's address changes: from now on it is nowhere else."""
        client = self.clients[name]
        if client.is_dismissed:
            return
        self._roams += 1
        endpoint = Endpoint(_ROAMING_NETWORK + self._roams, IKE_PORT)
        self._put_at(client, endpoint.address)
        client.roam(endpoint)
        self.trace.note(name, f"roamed to {endpoint.address}")

    def replay_traffic(self, name: str) -> None:
        """An attacker sends all that it recorded of a client to the client's gateway, once more."""
        client = self.clients[name]
        host = self.gateway_of(client)
        for packet in tuple(self.wiretap.get(name, ())):
            host.receive_esp(packet, client.endpoint)

    def _put_at(self, client: Client, address: IpAddress) -> None:
        former = self._address_of.get(client.name)
        if former is not None:
            self._by_client_address.pop(former, None)
        self._address_of[client.name] = address
        self._by_client_address[address] = client
        self._ever_at[str(address)] = client.name

    # What there is to know.

    def gateway_of(self, client: Client) -> Host:
        """The gateway that the client talks to."""
        return self._by_ike[client.gateway]

    def running(self) -> list[Host]:
        """Hosts whose gossipsa runs."""
        return [
            host
            for host in self.hosts.values()
            if host.is_up and not host.is_paused and host.process is not None and host.process.is_running
        ]

    def statuses(self, asked_max: int | None = None) -> dict[str, GatewayStatus]:
        """What every running gossipsa says of itself, or so many of them."""
        asked = self.running()[:asked_max]
        return {host.name: host.process.status() for host in asked if host.process is not None}

    def client_statuses(self) -> dict[str, tuple[ClientStatus, ...]]:
        """What every running gossipsa says of the clients whose records it has."""
        return {
            host.name: host.process.client_statuses() for host in self.running() if host.process is not None
        }

    def holders(self) -> dict[str, dict[str, ClientStatus]]:
        """By client and gateway: what each running gossipsa holds of each client, as it is connected now."""
        if self._sampled is not None:
            return self._sampled
        found: dict[str, dict[str, ClientStatus]] = {name: {} for name in self.clients}
        for gateway, entries in self.client_statuses().items():
            for entry in entries:
                client = self._ever_at.get(entry.remote.rsplit(":", 1)[0])
                if client is None or self.clients[client].spis_ever.isdisjoint(entry.inbound_spis):
                    # Of a connection that the client gave up: its former gateway finds out by itself.
                    continue
                known = found[client].get(gateway)
                # A client that was lost and found again has two records for a while.
                if known is None or known.role != "owner":
                    found[client][gateway] = entry
        return found

    def reaches(self, host: Host, client: Client) -> bool:
        """True if IKE and ESP pass between them, both ways."""
        return all(
            self.network.passes(host.name, client.name, traffic) for traffic in (Traffic.IKE, Traffic.ESP)
        )

    @staticmethod
    def serves(host: Host, client: Client) -> bool:
        """True if packets for the client leave the gateway."""
        return host.is_up and host.kernel.serves(client.endpoint.address, client.virtual_address)

    # HostWorld

    def send_mesh(self, host: Host, destination: Endpoint, data: bytes) -> None:
        target = self._by_mesh.get(destination)
        if target is None:
            # Nobody has this address (any more).
            return
        self.network.send(
            host.name,
            target.name,
            Traffic.MESH,
            data,
            lambda arrived: target.receive_mesh(arrived, host.mesh),
        )

    def send_frame(self, host: Host, destination: Endpoint, data: bytes) -> None:
        target = self._by_mesh.get(destination)
        if target is None:
            return
        if target.process is None:
            # Connection refused.
            self.network.break_streams(host.name, target.name)
            return
        process = target.process

        def deliver(arrived: bytes) -> None:
            if target.process is process:
                target.receive_frame(arrived)

        self.network.send_frame(host.name, target.name, data, deliver)

    def send_to_client_or_gateway(
        self, host: Host, destination: IpAddress, data: bytes, *, source: Endpoint, is_ike: bool
    ) -> None:
        traffic = Traffic.IKE if is_ike else Traffic.ESP
        other = self._by_ike.get(destination)
        client = self._by_client_address.get(destination)

        def receive_ike(client: Client, arrived: bytes) -> None:
            if self._by_client_address.get(destination) is client:
                client.receive_ike(arrived, source)

        def receive_esp(client: Client, arrived: bytes) -> None:
            if self._by_client_address.get(destination) is client:
                client.receive_esp(arrived, source.address)

        if other is not None:
            there = Endpoint(destination, IKE_PORT)
            self.network.send(
                host.name,
                other.name,
                traffic,
                data,
                lambda arrived: other.receive_ike(arrived, source, there),
            )
        elif client is not None and is_ike:
            self.network.send(
                host.name, client.name, traffic, data, lambda arrived: receive_ike(client, arrived)
            )
        elif client is not None:
            self.network.send(
                host.name,
                client.name,
                traffic,
                data,
                lambda arrived: receive_esp(client, arrived),
            )

    def observe(self, observation: Observation) -> None:
        kind = type(observation)
        observers = self._observers.get(kind)
        if observers is None:
            observers = tuple(watcher for watcher in self.watchers if issubclass(kind, watcher.observes))
            self._observers[kind] = observers
        for watcher in observers:
            watcher.observe(observation)

    def start_process(self, host: Host, boot: BootId) -> Process:
        assert host.enrolment is not None
        keyring = Keyring(
            keys=host.enrolment.keys,
            identity=host.enrolment.identity,
            trust=host.trust or host.enrolment.trust,
            unix_s=START_S + self.clock.now_ns // SECOND_NS,
        )
        settings = GatewaySettings(
            ike_addresses=(host.ike_address,),
            ike_port=IKE_PORT,
            mesh_endpoint=host.mesh,
            seeds=tuple(other.mesh for other in list(self.hosts.values())[:_SEEDS]),
            swim=self.settings.swim,
            replication=self.settings.replication,
            takeover=self.settings.takeover,
        )
        core = self._make_core(
            settings=settings,
            keyring=keyring,
            boot=boot,
            random=host.random_stream("choices", host.boots),
            entropy=host.random_stream("entropy", host.boots).randbytes,
            remembered=host.members,
        )
        driver = self._make_driver(host, boot=host.boots)
        process = Process(
            core,
            boot=boot,
            clock=self.clock,
            host_clock=host.host_clock,
            random=host.random_stream("scheduling", host.boots),
            carry_out=driver.carry_out,
        )
        driver.process = process
        return process

    def client_heard(self, client: str, host: Host) -> None:
        self.clients[client].heard_ns = self.clock.now_ns

    def may_carry(self, host: Host, virtual_address: IpAddress) -> None:
        self._carriers.setdefault(virtual_address, {})[host] = None

    def break_streams(self, host: Host) -> None:
        self.network.break_streams(host.name)

    # ClientWorld

    def send_from_client(self, client: Client, data: bytes, to: IpAddress, *, is_ike: bool) -> None:
        host = self._by_ike[to]
        source = client.endpoint
        if is_ike:
            there = Endpoint(to, IKE_PORT)
            self.network.send(
                client.name,
                host.name,
                Traffic.IKE,
                data,
                lambda arrived: host.receive_ike(arrived, source, there),
            )
        else:
            self.wiretap.setdefault(client.name, deque(maxlen=_WIRETAP_PACKETS)).append(data)
            self.network.send(
                client.name, host.name, Traffic.ESP, data, lambda arrived: host.receive_esp(arrived, source)
            )

    def client_received(self, client: Client, source: IpAddress, serial: int) -> None:
        gateway = self._by_ike[source].name
        self._mark_served(client.name, gateway)
        self.observe(EspDelivered(client=client.name, gateway=gateway, serial=serial))

    def client_moved(self, client: Client, source: IpAddress, destination: IpAddress) -> None:
        before, after = self._by_ike[source].name, self._by_ike[destination].name
        self.trace.note(client.name, f"moved from {before} to {after}")
        self.observe(ClientMoved(client=client.name, source=before, destination=after))

    def client_dismissed(self, client: Client) -> None:
        self.trace.note(client.name, "dismissed")
        self.observe(ClientDismissed(client=client.name, gateway=self.gateway_of(client).name))

    # Traffic and time.

    def _connecting(self, name: str, number: int, gateway: Host) -> Callable[[], None]:
        def connect() -> None:
            if gateway.ike_daemon is not None:
                self.connect(name, number, gateway)

        return connect

    def _generate_traffic(self, client: Client) -> None:
        random = self.streams.stream(client.name, "traffic", self.connections)
        interval_ns = self.settings.packet_interval_ns
        serial = 0

        def to_client() -> None:
            if client.is_dismissed:
                return
            for host in tuple(self._carriers.get(client.virtual_address, ())):
                host.send_inner(client.name, client.virtual_address)

        def from_client() -> None:
            nonlocal serial
            serial += 1
            client.send_data(serial)

        def check_peer() -> None:
            if not client.is_dismissed:
                client.session.check_peer()

        rekeys = 0

        def rekey() -> None:
            nonlocal rekeys
            rekeys += 1
            if client.is_dismissed:
                return
            if rekeys % 3 == 0:
                client.session.rekey_ike()
            else:
                client.session.rekey_child(client.session.state.children[-1].outbound_spi)

        self.clock.every(interval_ns, to_client, first_ns=random.randrange(interval_ns))
        self.clock.every(interval_ns, from_client, first_ns=random.randrange(interval_ns))
        check_ns = self.settings.peer_check_interval_ns
        self.clock.every(check_ns, check_peer, first_ns=random.randrange(check_ns))
        rekey_ns = self.settings.rekey_interval_ns
        if rekey_ns is not None:
            self.clock.every(rekey_ns, rekey, first_ns=random.randrange(rekey_ns))

    def _mark_served(self, client: str, gateway: str) -> None:
        self.trace.mark(client, gateway[1:][-1])

    def _sample(self) -> None:
        for host in self.hosts.values():
            self.trace.mark(host.name, host.symbol)
        for client in self.clients.values():
            if self.clock.now_ns - min(client.received_ns, client.heard_ns) > 5 * SAMPLE_INTERVAL_NS:
                self.trace.mark(client.name, "-")
        if not self.watchers:
            return
        # All watchers look at one moment: they ask once.
        self._sampled = self.holders()
        try:
            for watcher in self.watchers:
                watcher.sample()
        finally:
            self._sampled = None


def settle(watchers: Iterable[Watcher]) -> None:
    """Asks all checkers for their last word. Raises Violation."""
    for watcher in watchers:
        watcher.settle()
