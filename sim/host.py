"""A gateway host: a kernel, an IKE daemon and a gossipsa process, which die alone or all together.

The kernel's SAs and the IKE daemon outlive a gossipsa process; nothing outlives the host.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from gossipsa import inputs
from gossipsa.errors import PeerError
from gossipsa.identifiers import BOOT_ID_BYTES, BootId, Endpoint, GatewayName, IpAddress
from gossipsa.ikev2.header import HEADER_BYTES, decode_header
from gossipsa.ikev2.liveness import is_sign_of_life
from gossipsa.ikev2.registry import PayloadType
from gossipsa.ipsec.esp import peek_esp
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.kernel.backend import SaId
from gossipsa.kernel.memory_sad import InboundDrop, Opened, Operation
from gossipsa.wire.trust import TrustList
from sim.client import SERIAL_BYTES
from sim.host_clock import HostClock
from sim.ike_daemon import DaemonSession, SimulatedIkeDaemon
from sim.kernel import SimulatedKernel
from sim.mesh_authority import Enrolment
from sim.observations import ClientForgotten, EspAccepted, EspSent, FaultInjected, IkeSealed, Observation
from sim.process import Process
from sim.trace import Trace
from sim.virtual_clock import MICROSECOND_NS, SECOND_NS, VirtualClock

COUNTER_INTERVAL_NS = SECOND_NS
_EVENT_DELAY_NS = 400 * MICROSECOND_NS
"""From the IKE daemon, over the HA socket, to the core."""
_PROBES_MAX = 256
BACKLOG_MAX = 4096
_UPTIME_MAX_NS = 3_600 * SECOND_NS
_SK_HEADER_BYTES = 4
_IV_BYTES = 8


class HostWorld(Protocol):
    """What a host does to the world."""

    def send_mesh(self, host: Host, destination: Endpoint, data: bytes) -> None: ...

    def send_frame(self, host: Host, destination: Endpoint, data: bytes) -> None: ...

    def send_to_client_or_gateway(
        self, host: Host, destination: IpAddress, data: bytes, *, source: Endpoint, is_ike: bool
    ) -> None: ...

    def observe(self, observation: Observation) -> None: ...

    def start_process(self, host: Host, boot: BootId) -> Process:
        """Makes core and driver of a new process."""

    def client_heard(self, client: str, host: Host) -> None:
        """The kernel accepted an ESP packet of the client."""

    def break_streams(self, host: Host) -> None: ...

    def may_carry(self, host: Host, virtual_address: IpAddress) -> None:
        """From now on, packets for that address may leave the host."""


class Host:
    """One gateway. `name` is the gateway's name too."""

    def __init__(
        self,
        name: str,
        *,
        ike_address: IpAddress,
        mesh: Endpoint,
        world: HostWorld,
        clock: VirtualClock,
        trace: Trace,
        random_stream: Callable[..., Random],
    ) -> None:
        self.name = GatewayName(name)
        self.ike_address = ike_address
        self.mesh = mesh
        self.clock = clock
        self.is_up = False
        self.is_paused = False
        self.host_clock = HostClock(clock, uptime_ns=random_stream(name, "uptime").randrange(_UPTIME_MAX_NS))
        self.kernel: SimulatedKernel
        self.ike_daemon: SimulatedIkeDaemon | None = None
        self.process: Process | None = None
        self.boots = 0
        self.enrolment: Enrolment | None = None
        self.trust: TrustList | None = None
        """The list kept on disk, if there is one."""
        self.members: tuple[Endpoint, ...] = ()
        """Where members were, as kept on disk."""
        self._world = world
        self._trace = trace
        self._random_stream = random_stream
        self._backlog: list[Callable[[], None]] = []
        self._signs_awaited: OrderedDict[bytes, GatewayName] = OrderedDict()
        self._serial = 0
        self._powered = 0
        self._ike_daemons = 0
        self.refusals: dict[Operation, deque[int]] = {}
        """What the kernel will answer to the next requests of gossipsa: by operation, errors to come."""

    def random_stream(self, *purpose: object) -> Random:
        """This host's stream for a purpose."""
        return self._random_stream(self.name, *purpose)

    @property
    def backlog(self) -> int:
        """Arrivals that a paused host has not looked at."""
        return len(self._backlog)

    def note(self, text: str) -> None:
        self._trace.note(self.name, text)

    @property
    def symbol(self) -> str:
        """The host's state in one character, for charts."""
        if not self.is_up:
            return "x"
        if self.is_paused or (self.process is not None and not self.process.is_running):
            return "z"
        if self.ike_daemon is None:
            return "i"
        return "#" if self.process is not None else "g"

    # Faults.

    def power_on(self) -> None:
        """The host boots: kernel empty, IKE daemon and gossipsa new."""
        self._powered += 1
        self.is_up = True
        uptime_ns = self.random_stream("uptime", self._powered).randrange(SECOND_NS, _UPTIME_MAX_NS)
        self.host_clock = HostClock(self.clock, uptime_ns=uptime_ns)
        self.refusals.clear()
        self.kernel = SimulatedKernel(
            random_bytes=self.random_stream("kernel", self._powered).randbytes,
            carries=lambda address: self._world.may_carry(self, address),
        )
        self.start_ike_daemon()
        self.start_process()

    def power_off(self) -> None:
        """Everything is gone at once."""
        self.kill_process()
        self.kill_ike_daemon()
        self.is_up = False
        self.is_paused = False
        self._backlog.clear()
        self._broke("host-crashed")

    def start_process(self) -> None:
        """A new gossipsa process, with a boot id of its own. It finds the IKE daemon as that is."""
        if self.process is not None or not self.is_up:
            return
        self.boots += 1
        boot = BootId(self.random_stream("boot", self.boots).randbytes(BOOT_ID_BYTES))
        self.process = process = self._world.start_process(self, boot)
        if self.is_paused:
            process.pause()
        self._broke("gossipsa-started")
        process.feed(inputs.Started())
        if self.ike_daemon is not None:
            resumed = any(True for _ in self.ike_daemon)
            process.feed(inputs.IkeDaemonStarted(resumed=resumed))
            # The supervisor's socket kept what the daemon said of clients that came meanwhile.
            for known in self.ike_daemon:
                if known.told is None:
                    self.client_changed(known)
        self._read_counters_every(process)

    def kill_process(self) -> None:
        """gossipsa dies alone."""
        if self.process is not None:
            self.process.kill()
            self.process = None
            self._world.break_streams(self)
            self._broke("gossipsa-killed")

    def start_ike_daemon(self) -> None:
        """A new IKE daemon without clients."""
        if self.ike_daemon is not None or not self.is_up:
            return
        self._ike_daemons += 1
        self.ike_daemon = SimulatedIkeDaemon(
            world=self,
            kernel=self.kernel,
            clock=self.clock,
            random=self.random_stream("ike", self._ike_daemons),
        )
        self._broke("ike-daemon-started")
        if self.process is not None:
            self._feed_soon(inputs.IkeDaemonStarted(resumed=False))

    def kill_ike_daemon(self) -> None:
        """The IKE daemon dies alone; the kernel goes on."""
        if self.ike_daemon is None:
            return
        self.ike_daemon.stop()
        self.ike_daemon = None
        self._broke("ike-daemon-killed")
        if self.process is not None:
            self._feed_soon(inputs.IkeDaemonStopped())

    def pause(self, *, clock_stands: bool = False) -> None:
        """The whole host stands still, as a virtual machine does; its clock goes on, or does not."""
        self.is_paused = True
        if clock_stands:
            self.host_clock.stand()
        if self.process is not None:
            self.process.pause()
        self._broke("host-paused")

    def go_on(self) -> None:
        """The host goes on, with what its network card still holds."""
        if not self.is_up or not self.is_paused:
            return
        self.is_paused = False
        self.host_clock.go_on()
        self._broke("host-resumed")
        backlog, self._backlog = self._backlog, []
        for arrival in backlog:
            arrival()
        if self.process is not None:
            self.process.go_on()

    def clock_jumps(self, forward_ns: int) -> None:
        """The monotonic clock shows later all at once."""
        self.host_clock.jump(forward_ns)
        self._clock_changed("clock-jumped")

    def clock_drifts(self, ppm: int) -> None:
        """The monotonic clock runs too fast, or too slow."""
        self.host_clock.drift(ppm)
        self._clock_changed("clock-drifts")

    def _clock_changed(self, what: str) -> None:
        if self.process is not None:
            self.process.clock_changed()
        self._broke(what)

    def leave(self) -> None:
        """The operator stops gossipsa in good order: it tells the mesh."""
        self._feed(inputs.LeaveRequested())
        self._broke("gossipsa-leaves")

    def _broke(self, what: str) -> None:
        self.note(what)
        self._trace.mark(self.name, self.symbol)
        self._world.observe(FaultInjected(fault=what, node=self.name))

    # What arrives from the network.

    def receive_mesh(self, data: bytes, source: Endpoint) -> None:
        self._receive(lambda: self._feed(inputs.DatagramReceived(source=source, data=data)))

    def receive_frame(self, data: bytes) -> None:
        self._receive(lambda: self._feed(inputs.FrameReceived(data=data)))

    def receive_ike(self, data: bytes, source: Endpoint, destination: Endpoint) -> None:
        self._receive(lambda: self._receive_ike(data, source, destination))

    def receive_esp(self, packet: bytes, source: Endpoint) -> None:
        self._receive(lambda: self._receive_esp(packet, source))

    def _receive(self, arrival: Callable[[], None]) -> None:
        if not self.is_up:
            return
        if not self.is_paused:
            arrival()
        elif len(self._backlog) < BACKLOG_MAX:
            self._backlog.append(arrival)

    def _receive_ike(self, data: bytes, source: Endpoint, destination: Endpoint) -> None:
        spi = data[:8]
        if spi in self._signs_awaited and is_sign_of_life(data, spi_i=spi):
            self._feed(inputs.IkeProbeAnswered(gateway=self._signs_awaited.pop(spi)))
            return
        self._feed(inputs.IkeReceived(source=source, destination=destination, data=data))
        if self.ike_daemon is not None:
            self.ike_daemon.receive(data, source, destination)

    def _receive_esp(self, packet: bytes, source: Endpoint) -> None:
        opened = self.kernel.open_inbound(packet, destination=self.ike_address, source=source)
        if isinstance(opened, Opened):
            client = opened.payload[SERIAL_BYTES:].decode()
            self._world.client_heard(client, self)
            self._world.observe(EspAccepted(gateway=self.name, client=client, packet=packet))
        elif opened is InboundDrop.EXPIRED:
            self._tell_limits()

    # What the core, the daemon and the kernel send.

    def send_mesh(self, destination: Endpoint, data: bytes) -> None:
        self._world.send_mesh(self, destination, data)

    def send_frame(self, destination: Endpoint, data: bytes) -> None:
        self._world.send_frame(self, destination, data)

    def send_ike_message(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """From core or daemon: both speak from the IKE port."""
        if not self.is_up or self.is_paused:
            return
        try:
            header = decode_header(data)
        except PeerError:
            header = None
        if header is not None and header.next_payload == PayloadType.SK:
            offset = HEADER_BYTES + _SK_HEADER_BYTES
            digest = hashlib.blake2b(data, digest_size=8).digest()
            self._world.observe(
                IkeSealed(
                    gateway=self.name,
                    key=(header.spi_i + header.spi_r).hex(),
                    iv=data[offset : offset + _IV_BYTES],
                    digest=digest,
                )
            )
        self._world.send_to_client_or_gateway(self, destination.address, data, source=source, is_ike=True)

    def send_inner(self, client: str, virtual_address: IpAddress) -> None:
        """A packet for the client came from the inner network: it leaves if the kernel has an SA for it."""
        if not self.is_up or self.is_paused:
            return
        self._serial += 1
        serial = (int.from_bytes(self.name.encode()[-3:], "big") << 40) + self._serial
        sealed = self.kernel.seal_outbound(virtual_address, serial.to_bytes(SERIAL_BYTES, "big"))
        self._tell_limits()
        if sealed is None:
            return
        header = peek_esp(sealed.packet)
        sa_id = SaId(header.spi, sealed.destination.address)
        self._world.observe(
            EspSent(
                gateway=self.name,
                client=client,
                key=self.kernel.key_name(sa_id),
                first=header.sequence_low,
                last=header.sequence_low,
            )
        )
        self._world.send_to_client_or_gateway(
            self,
            sealed.destination.address,
            sealed.packet,
            source=Endpoint(self.ike_address, 4500),
            is_ike=False,
        )

    def burst(self, client: str, remote: IpAddress, virtual_address: IpAddress, packets: int) -> None:
        """So many packets for the client leave at once, as far as the kernel lets them. None arrives."""
        if not self.is_up or self.is_paused or not self.kernel.serves(remote, virtual_address):
            return
        sa = self.kernel.outbound_sas(remote)[-1]
        last = self.kernel.use_up(sa, packets)
        if last > sa.sent:
            self._world.observe(
                EspSent(
                    gateway=self.name,
                    client=client,
                    key=self.kernel.key_name(sa.id),
                    first=sa.sent + 1,
                    last=last,
                )
            )

    def _tell_limits(self) -> None:
        for event in self.kernel.take_limit_events():
            self._feed_soon(
                inputs.PacketLimitReached(
                    outbound_spi=event.id.spi, destination=event.id.destination, hard=event.hard
                )
            )

    # What the IKE daemon tells.

    def client_changed(self, daemon_session: DaemonSession) -> None:
        state = daemon_session.state_told
        if self.process is None or daemon_session.told == state or not state.children:
            return
        known_before = daemon_session.told is not None
        if not known_before:
            daemon_session.follower = self.process.boot
        if daemon_session.follower != self.process.boot:
            return
        daemon_session.told = state
        self._feed_soon(inputs.ClientChanged(client=daemon_session.client, state=state))
        if not known_before:
            self.note(f"client-connected {daemon_session.name}")

    def client_deleted(self, daemon_session: DaemonSession) -> None:
        self.note(f"client-deleted {daemon_session.name}")
        self._world.observe(ClientForgotten(client=daemon_session.name, gateway=self.name))
        if self.process is not None and daemon_session.follower == self.process.boot:
            self._feed_soon(inputs.ClientDeleted(client=daemon_session.client))

    def expect_sign_of_life(self, spi: bytes, gateway: GatewayName) -> None:
        """An answer to the probe with this SPI is a sign of life of `gateway`."""
        self._signs_awaited[spi] = gateway
        while len(self._signs_awaited) > _PROBES_MAX:
            self._signs_awaited.popitem(last=False)

    # What the driver reads.

    def read_counters(self) -> tuple[SaCounters, ...]:
        """Sequence numbers of all CHILD_SAs in the kernel, also of those whose IKE daemon died."""
        counters = []
        sas = {sa.id: sa for sa in self.kernel.sas()}
        for sa_id, sa in sas.items():
            inbound = self.kernel.reverse_of(sa_id)
            if sa_id.destination == self.ike_address or inbound is None:
                continue
            counters.append(
                SaCounters(
                    outbound_spi=sa_id.spi,
                    inbound_spi=inbound.spi,
                    sent=sa.sent,
                    received=sas[inbound].received,
                    window_bitmap=sas[inbound].window_bitmap,
                )
            )
        return tuple(counters)

    def _read_counters_every(self, process: Process) -> None:
        def read() -> None:
            if not process.is_alive:
                return
            counters = self.read_counters()
            if counters and process.is_running:
                process.feed(inputs.CountersRead(counters=counters))
            self.clock.after(COUNTER_INTERVAL_NS, read)

        self.clock.after(self.random_stream("counters", self.boots).randrange(COUNTER_INTERVAL_NS), read)

    def _feed(self, event: inputs.Input) -> None:
        if self.process is not None:
            self.process.feed(event)

    def _feed_soon(self, event: inputs.Input) -> None:
        process = self.process
        if process is not None:
            self.clock.after(_EVENT_DELAY_NS, lambda: process.feed(event))
