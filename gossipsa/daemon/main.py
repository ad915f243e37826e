"""The daemon as a process: hardening, inherited sockets, signals, and what it runs on."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgspec
import trio

from gossipsa.config import Configuration
from gossipsa.daemon.counts import Counts
from gossipsa.daemon.event_log import EventLog, EventLogHandler
from gossipsa.daemon.hardening import harden_process
from gossipsa.daemon.line_writer import LineWriter
from gossipsa.daemon.service import Service, open_service
from gossipsa.daemon.supervisor import HA_SOCKET_NAME, inherited_sockets, notify_supervisor
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.ike_daemon import IkeDaemon
from gossipsa.kernel.backend import Kernel
from gossipsa.kernel.direct_install import DirectInstall
from gossipsa.kernel.memory import MemoryKernelSettings, open_memory_kernel
from gossipsa.wire.keyring import Keyring

logger = logging.getLogger(__name__)


def run_daemon(configuration: Configuration) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: something that the configuration names cannot be used.
        KernelError: the kernel cannot be worked on.
    """
    inherited = inherited_sockets(os.environ, pid=os.getpid())
    refused = harden_process()
    keyring = configuration.keyring(unix_s=int(time.time()))
    counts = Counts()
    lines = LineWriter(counts=counts)
    log = EventLog(configuration.log, own=keyring.name, lines=lines, stream=sys.stderr)
    handler = EventLogHandler(log)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(configuration.log.level.upper())
    try:
        for complaint in refused:
            logger.warning("%s", complaint)
        trio.run(_run, configuration, keyring, inherited, log, counts)
    finally:
        root.removeHandler(handler)
        lines.close()
        log.close()


async def _run(
    configuration: Configuration,
    keyring: Keyring,
    inherited: Mapping[str, socket.socket],
    log: EventLog,
    counts: Counts,
) -> None:
    stop = trio.Event()
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(open_kernel(configuration))
        ike = open_ike_daemon(configuration, kernel, inherited)
        service = await stack.enter_async_context(
            open_service(
                configuration,
                keyring=keyring,
                kernel=kernel,
                ike=ike,
                log=log,
                counts=counts,
                more_counts=partial(_counts_of, kernel, ike),
            )
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(_wait_for_signal, stop)
            await nursery.start(_serve, service, stop, nursery.cancel_scope)
            notify_supervisor(os.environ, "READY=1")


async def _serve(
    service: Service,
    stop: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await service.run(stop, task_status=task_status)
    notify_supervisor(os.environ, "STOPPING=1")
    everything.cancel()


async def _wait_for_signal(
    stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stop.set()
            return


@asynccontextmanager
async def open_kernel(configuration: Configuration) -> AsyncIterator[Kernel]:
    """The kernel that the configuration asks for. Raises KernelError."""
    if configuration.xfrm is None:
        listen = Endpoint(configuration.gateway.ike_addresses[0], configuration.gateway.ike_port)
        async with open_memory_kernel(MemoryKernelSettings(listen=listen)) as memory:
            yield memory
        return
    # Loads pyroute2, which the in-memory kernel does without.
    from gossipsa.kernel.xfrm.kernel import open_xfrm_kernel  # noqa: PLC0415
    from gossipsa.kernel.xfrm.preload import preload_ciphers  # noqa: PLC0415

    # The first SA of a cipher stalls the SAD for seconds: now, and not in a takeover.
    for missing in await preload_ciphers():
        logger.info("this kernel has no cipher %s", missing)
    async with open_xfrm_kernel(configuration.xfrm) as xfrm:
        yield xfrm


def open_ike_daemon(
    configuration: Configuration, kernel: Kernel, inherited: Mapping[str, socket.socket]
) -> IkeDaemon:
    """The IKE daemon that the configuration asks for.

    Raises:
        ConfigurationError: the HA socket cannot be opened.
    """
    if configuration.charon is None:
        return DirectInstall(kernel)
    from gossipsa.strongswan.adapter import Charon  # noqa: PLC0415

    ha_socket = inherited.get(HA_SOCKET_NAME)
    if ha_socket is None:
        logger.warning(
            "no supervisor holds the HA socket: while gossipsa is down, any local process may take %s "
            "and read keys; see examples/gossipsa.socket",
            configuration.charon.ha_local,
        )
    try:
        if ha_socket is not None:
            # systemd binds; connecting keeps everybody but charon out.
            remote = configuration.charon.ha_remote
            ha_socket.connect((str(remote.address), remote.port))
        return Charon.open(configuration.charon, inherited=ha_socket)
    except OSError as error:
        raise ConfigurationError(
            f"{configuration.file}: ike.ha_local: {configuration.charon.ha_local}: {error.strerror}"
        ) from None


def _counts_of(kernel: Kernel, ike: IkeDaemon) -> dict[str, int]:
    """Numbers that kernel and IKE daemon keep, by names fit for metrics."""
    kept: list[tuple[str, object]] = [("kernel", getattr(kernel, "counters", None))]
    kept.append(("ike", getattr(ike, "counters", None)))
    counts: dict[str, int] = {}
    for prefix, counters in kept:
        if isinstance(counters, msgspec.Struct):
            counters = msgspec.structs.asdict(counters)  # noqa: PLW2901
        if isinstance(counters, dict):
            counts.update((f"{prefix}_{name}", n) for name, n in counters.items() if isinstance(n, int))
    return counts
