"""The course of a run: mesh up, clients in, packets flowing, a gateway killed, everybody judged."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio
from rich.console import Console
from rich.live import Live

from examples.demo.analysis import Run, Verdict, judge
from examples.demo.client import Client
from examples.demo.client_states import invent_client
from examples.demo.gateway_processes import GatewayProcess, run_gateways
from examples.demo.happenings import EventFiles
from examples.demo.mesh_files import LoopbackAddresses, write_mesh
from examples.demo.picture import draw_picture
from examples.demo.report import report, summary_of
from examples.demo.screen import render
from examples.demo.stage import Stage
from examples.demo.timeline import client_timeline, reported_timeline
from examples.demo.traffic import ClientSockets, exchange_packets
from gossipsa.errors import GossipsaError
from gossipsa.identifiers import ClientId, Endpoint
from gossipsa.ipsec.security_association import ClientState

_NS_PER_S = 1_000_000_000
_START_TIMEOUT_S = 45.0
_COPIES_TIMEOUT_S = 30.0
_TAKEOVER_TIMEOUT_S = 20.0
_POLL_INTERVAL_S = 0.1
_SCREEN_INTERVAL_S = 0.2
_BEFORE_START_S = 1.0
_SILENT_PACKETS = 3
_COPIES = 2
_SERVED_WITHIN_NS = 2 * _NS_PER_S


class DemoError(GossipsaError):
    """The run could not be brought to its point: nothing was shown, neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line says."""

    clients: int
    gateways: int
    packets_a_second: float
    """Of each client."""
    picture: Path
    """File to write, in a directory that exists."""
    before_kill_s: float = 4.0
    """For how long packets flow undisturbed."""
    after_takeover_s: float = 8.0
    """For how long the clients are watched after the last of them moved."""


async def run_demo(options: DemoOptions, *, console: Console) -> Verdict:
    """Run it all and write the picture.

    Raises:
        DemoError: the mesh did not come up, or did not get hold of its clients.
        GatewayDiedError: a daemon ended by itself.
    """
    interval_s = 1 / options.packets_a_second
    addresses = LoopbackAddresses(os.urandom)
    with tempfile.TemporaryDirectory(prefix="gossipsa-demo-") as directory, ClientSockets() as sockets:
        places = write_mesh(Path(directory), count=options.gateways, addresses=addresses, draw=os.urandom)
        states: list[tuple[ClientId, ClientState]] = []
        for index in range(options.clients):
            home = await sockets.open(addresses.client(index))
            gateway = places[index % len(places)].ike
            states.append(invent_client(index=index, client=home, gateway=gateway, draw=os.urandom))
        async with run_gateways(places) as gateways:
            stage = Stage(
                gateways=gateways,
                clients=[Client(client=client, state=state) for client, state in states],
                events=EventFiles(places),
                silent_after_ns=round(_SILENT_PACKETS * interval_s * _NS_PER_S),
            )
            with Live(console=console, auto_refresh=False, transient=True) as live:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_keep_screen, stage, live)
                    nursery.start_soon(_watch_processes, gateways)
                    await _bring_up(stage, states)
                    with _no_garbage_collection():
                        nursery.start_soon(exchange_packets, stage.clients, sockets.sockets, interval_s)
                        run = await _kill_one(stage, options)
                    nursery.cancel_scope.cancel()
            # The story so far makes way for the whole timeline.
            console.print(render(replace(stage.look(now_ns=time.monotonic_ns()), happenings=())))
    return _conclude(stage, run, options, console)


async def _bring_up(stage: Stage, states: list[tuple[ClientId, ClientState]]) -> None:
    """Start the mesh and give it the clients. Raises DemoError."""
    gateways = tuple(stage.gateways.values())
    stage.phase = f"Starting {len(gateways)} gateways"
    await _demand(partial(_know_each_other, gateways), "gateways that all see each other", _START_TIMEOUT_S)
    stage.phase = f"Handing {len(states)} clients to their first gateways"
    for client, state in states:
        await stage.gateways[state.ike_sa.local].offer(client, state)
    stage.phase = "Replicating the clients"
    await _demand(partial(_have_copies, gateways), "two copies of every client", _COPIES_TIMEOUT_S)


async def _kill_one(stage: Stage, options: DemoOptions) -> Run:
    """Let packets flow, kill the first gateway, and wait until its clients moved, or ought to have."""
    stage.phase = "Packets flow"
    await trio.sleep(_BEFORE_START_S)
    started_at_ns = time.monotonic_ns()
    await trio.sleep(options.before_kill_s)
    victim_at, victim = next(iter(stage.gateways.items()))
    killed_at_ns = time.monotonic_ns()
    victim.kill()
    stage.killed = (victim_at, killed_at_ns)
    stage.phase = f"{victim.files.name} was killed"
    if await _comes_true(partial(_has_left, victim_at, stage.clients), _TAKEOVER_TIMEOUT_S):
        stage.phase = f"{victim.files.name} was killed, and its clients were taken over"
    await trio.sleep(options.after_takeover_s)
    return Run(
        killed=victim_at,
        started_at_ns=started_at_ns,
        killed_at_ns=killed_at_ns,
        ended_at_ns=time.monotonic_ns(),
        served_within_ns=_SERVED_WITHIN_NS,
    )


def _conclude(stage: Stage, run: Run, options: DemoOptions, console: Console) -> Verdict:
    observations = [client.observation() for client in stage.clients]
    verdict = judge(observations, run)
    killed = stage.legend.names[run.killed]
    timeline = (
        *reported_timeline(stage.events, name=killed, killed_at_ns=run.killed_at_ns),
        *client_timeline(observations, run),
    )
    console.print(report(verdict, timeline=timeline, killed=killed))
    draw_picture(
        options.picture,
        title=summary_of(verdict, killed=killed),
        observations=observations,
        run=run,
        timeline=timeline,
        legend=stage.legend,
        packet_interval_ns=round(_NS_PER_S / options.packets_a_second),
    )
    console.print(f"picture: {options.picture}")
    return verdict


async def _know_each_other(gateways: Sequence[GatewayProcess]) -> bool:
    for gateway in gateways:
        status = await gateway.status()
        alive = [member for member in status.members if member.state == "alive"]
        if len({member.name for member in alive} | {status.name}) < len(gateways):
            return False
    return True


async def _have_copies(gateways: Sequence[GatewayProcess]) -> bool:
    for gateway in gateways:
        copies = (await gateway.status()).copies
        if any(int(count) < _COPIES and clients for count, clients in copies.items()):
            return False
    return True


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection pauses all clients at once, and would be measured as their gateways' silence."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def _has_left(gateway: Endpoint, clients: Sequence[Client]) -> bool:
    return all(client.gateway != gateway for client in clients)


async def _demand(holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
    if not await _comes_true(holds, timeout_s):
        raise DemoError(f"waited {timeout_s:.0f} s in vain for {what}")


async def _comes_true(holds: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
    with trio.move_on_after(timeout_s):
        while True:
            with suppress(OSError):  # A daemon that is starting does not listen yet.
                if await holds():
                    return True
            await trio.sleep(_POLL_INTERVAL_S)
    return False


async def _keep_screen(stage: Stage, live: Live) -> None:
    while True:
        live.update(render(stage.look(now_ns=time.monotonic_ns())), refresh=True)
        await trio.sleep(_SCREEN_INTERVAL_S)


async def _watch_processes(gateways: Sequence[GatewayProcess]) -> None:
    while True:
        for gateway in gateways:
            gateway.check_alive()
        await trio.sleep(_POLL_INTERVAL_S)
