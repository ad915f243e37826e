"""One gateway's parts, wired together, from the first input to the farewell."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager

import trio

from gossipsa.config import Configuration
from gossipsa.daemon.admin import AdminActions, AdminRequests, AdminServer
from gossipsa.daemon.backends import Backends
from gossipsa.daemon.client_installer import ClientInstaller
from gossipsa.daemon.client_keeper import ClientKeeper
from gossipsa.daemon.clock import monotonic_ns
from gossipsa.daemon.counters import CounterReader
from gossipsa.daemon.counts import Counts
from gossipsa.daemon.effect_dispatch import EffectDispatch
from gossipsa.daemon.event_log import EventLog
from gossipsa.daemon.ike_messages import IkeMessages
from gossipsa.daemon.ike_probe import IkeProber
from gossipsa.daemon.installer import Installer
from gossipsa.daemon.metrics import render_metrics
from gossipsa.daemon.number_keeper import NumberKeeper
from gossipsa.daemon.run_loop import RunLoop
from gossipsa.daemon.single_frames import SingleFrames
from gossipsa.daemon.state_keeper import StateKeeper
from gossipsa.daemon.stream_listener import StreamLimits, StreamListener, open_listener
from gossipsa.daemon.stream_sender import SenderLimits, StreamSender
from gossipsa.daemon.udp import MeshSocket, open_udp
from gossipsa.effects import Report
from gossipsa.gateway import Gateway
from gossipsa.identifiers import BOOT_ID_BYTES, BootId
from gossipsa.ike_daemon import IkeDaemon
from gossipsa.inputs import (
    ClientChanged,
    ClientDeleted,
    ClientsAdopted,
    DrainRequested,
    IkeDaemonStarted,
    Input,
    LeaveRequested,
    PacketLimitReached,
    Started,
    TrustListGiven,
)
from gossipsa.kernel.backend import Kernel
from gossipsa.kernel.direct_install import DirectInstall
from gossipsa.state_files import read_members
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.trust import TrustError, decode_trust_list

_FAREWELL_S = 0.5
"""How long a farewell may take to get out."""
_FINISH_S = 3.0
"""How long clients that are half installed or half removed may take to be done."""
_SEED_BYTES = 16


class Service:
    """A gateway: its core, and everything around it. Build it with `open_service`.

    Attributes:
        gateway: the core, to be looked at and not to be touched.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        keyring: Keyring,
        kernel: Kernel,
        ike: IkeDaemon,
        log: EventLog,
        counts: Counts,
        more_counts: Callable[[], Mapping[str, int]],
        resources: ExitStack,
    ) -> None:
        self._kernel, self._ike = kernel, ike
        self._log = log
        self._counts = counts
        self._more_counts = more_counts
        self._leaves_on_stop = configuration.leave_on_stop
        self._keyring = keyring
        self.gateway = Gateway(
            settings=configuration.gateway,
            keyring=keyring,
            boot=BootId(os.urandom(BOOT_ID_BYTES)),
            random=random.Random(os.urandom(_SEED_BYTES)),
            entropy=os.urandom,
            remembered=read_members(configuration.state_directory),
        )
        self._state = StateKeeper(configuration.state_directory, report=log.report)
        udp = resources.enter_context(open_udp(configuration.listen))
        tcp = resources.enter_context(open_listener(configuration.listen))
        self._mesh = MeshSocket(udp, counts=counts)
        limits = StreamLimits(connections_max=2 * configuration.gateway.swim.members_max + 16)
        self._listener = StreamListener(tcp, limits=limits, counts=counts, report=log.report)
        self._streams = StreamSender(limits=SenderLimits(), counts=counts)
        self._single_frames = SingleFrames(counts=counts)
        self._prober = IkeProber(
            port=configuration.ike_probe_port, entropy=os.urandom, clock_ns=monotonic_ns, counts=counts
        )
        resources.callback(self._prober.close)
        self._ike_messages = IkeMessages(kernel, counts=counts)
        self._build_installer(configuration)
        dispatch = EffectDispatch(
            mesh=self._mesh,
            streams=self._streams,
            single_frames=self._single_frames,
            prober=self._prober,
            ike_messages=self._ike_messages,
            installer=self._installer,
            counters=self._counters,
            state=self._state,
            report=log.report,
        )
        self._loop = RunLoop(self.gateway, carry_out=dispatch.carry_out, clock_ns=monotonic_ns)
        self._leave_wanted = trio.Event()
        actions = AdminActions(
            status=lambda: self.gateway.status(now_ns=monotonic_ns()),
            metrics=self._metrics,
            leave=self._leave_wanted.set,
            trust=self._take_trust,
            drain=self._drain,
            offer=ike.offer if isinstance(ike, DirectInstall) else None,
        )
        self._admin = AdminServer(configuration.admin_socket, AdminRequests(actions, counts=counts))
        resources.callback(self._admin.close)

    def _build_installer(self, configuration: Configuration) -> None:
        backends = Backends(self._kernel, self._ike)
        clients = ClientInstaller(backends, report=self._log.report)
        numbers = NumberKeeper(backends, report=self._log.report)
        self._ike_daemon_seen = trio.Event()
        self._installer = Installer(
            clients=clients,
            keeper=ClientKeeper(backends, clients, report=self._log.report),
            numbers=numbers,
            answer=self._take_answer,
            ike_daemon_seen=self._ike_daemon_seen,
            report=self._log.report,
        )
        self._counters = CounterReader(
            backends,
            numbers,
            interval_s=configuration.counters_interval_s,
            counts=self._counts,
            report=self._log.report,
        )

    async def run(
        self, stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stop` is set, or the operator has the gateway leave.

        Clients stay where they are: without gossipsa a gateway goes on serving its own.
        """
        inputs = self._loop.inputs
        async with trio.open_nursery() as nursery:
            for part in (
                self._installer.run,
                self._streams.run,
                self._single_frames.run,
                self._loop.run,
                self._admin.run,
                self._state.run,
            ):
                nursery.start_soon(part)
            nursery.start_soon(self._ike_messages.send_waiting)
            for source in (
                self._mesh.receive,
                self._listener.run,
                self._ike_messages.receive,
                self._prober.run,
                self._counters.run,
                self._follow_limits,
                self._follow_ike_daemon,
            ):
                nursery.start_soon(source, inputs)
            await inputs.send(Started())
            await nursery.start(self._ike.run)
            self._log.report(Report(event="daemon-started"))
            task_status.started()
            leaves = await self._wait_for_end(stop)
            self._log.report(Report(event="daemon-stopping", detail="leaving the mesh" if leaves else ""))
            if leaves:
                await inputs.send(LeaveRequested())
                await trio.sleep(_FAREWELL_S)
            with trio.move_on_after(_FINISH_S):
                await self._installer.idle()
            nursery.cancel_scope.cancel()

    async def _drain(self, draining: bool) -> None:
        await self._loop.inputs.send(DrainRequested(draining=draining))

    async def _wait_for_end(self, stop: trio.Event) -> bool:
        """Return when it is time; whether to say goodbye."""
        async with trio.open_nursery() as nursery:
            for event in (stop, self._leave_wanted):
                nursery.start_soon(_cancel_after, event, nursery.cancel_scope)
        return self._leaves_on_stop or self._leave_wanted.is_set()

    async def _follow_ike_daemon(self, inputs: trio.MemorySendChannel[Input]) -> None:
        async for event in self._ike.events():
            match event:
                case IkeDaemonStarted():
                    self._ike_daemon_seen.set()
                case ClientChanged(client=client, state=state):
                    self._counters.follow(client, state)
                case ClientDeleted(client=client):
                    self._counters.forget(client)
            await inputs.send(event)

    async def _follow_limits(self, inputs: trio.MemorySendChannel[Input]) -> None:
        async for event in self._kernel.limit_events():
            await inputs.send(
                PacketLimitReached(
                    outbound_spi=event.id.spi, destination=event.id.destination, hard=event.hard
                )
            )

    async def _take_answer(self, answer: Input) -> None:
        if isinstance(answer, ClientsAdopted):
            for client in answer.absent:
                self._counters.forget(client)
        await self._loop.inputs.send(answer)

    async def _take_trust(self, trust_list: bytes) -> None:
        """The operator hands over a trust list. Raises GossipsaError if it cannot be gone by."""
        trust, newer = self._keyring.trust, decode_trust_list(trust_list)
        if newer == trust:
            return
        if not trust.accepts(newer):
            raise TrustError(
                f"version {newer.version} of mesh {newer.mesh} does not follow from "
                f"version {trust.version} of mesh {trust.mesh}"
            )
        await self._loop.inputs.send(TrustListGiven(trust_list=trust_list))

    def _metrics(self) -> str:
        return render_metrics(
            self.gateway.status(now_ns=monotonic_ns(), with_clients=False),
            events=self._log.counts,
            driver=[*self._counts.items(), *self._more_counts().items()],
            gauges={
                "inputs_waiting": self._loop.waiting(),
                "effects_waiting": self._installer.waiting(),
                "frames_waiting": self._streams.waiting_frames(),
                "streams_outgoing": self._streams.connected(),
                "streams_incoming": self._listener.open_connections(),
            },
        )


@asynccontextmanager
async def open_service(
    configuration: Configuration,
    *,
    keyring: Keyring,
    kernel: Kernel,
    ike: IkeDaemon,
    log: EventLog,
    counts: Counts,
    more_counts: Callable[[], Mapping[str, int]] = dict,
) -> AsyncIterator[Service]:
    """Open the sockets of a gateway, and close them when the block ends.

    Args:
        more_counts: numbers of kernel and IKE daemon that only grow, for metrics.

    Raises:
        ConfigurationError: an address cannot be bound, a file cannot be used.
    """
    with ExitStack() as resources:
        yield Service(
            configuration,
            keyring=keyring,
            kernel=kernel,
            ike=ike,
            log=log,
            counts=counts,
            more_counts=more_counts,
            resources=resources,
        )


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
