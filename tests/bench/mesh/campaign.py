"""Everything that is measured of a system, by a plan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import trio

from tests.bench.mesh.agent import Agent, Mesh
from tests.bench.mesh.figures import Joined, Split, SystemFigures
from tests.bench.mesh.network import Host, Network
from tests.bench.mesh.observation import NeverSeenError, Observation
from tests.bench.mesh.plan import Plan
from tests.bench.mesh.running_mesh import RunningMesh

MeshMaker = Callable[[Sequence[Host], Path], Mesh]
T = TypeVar("T")


@asynccontextmanager
async def new_mesh(make: MeshMaker, network: Network) -> AsyncIterator[RunningMesh]:
    """Agents that are not started yet; they are killed when the block ends."""
    observation = Observation()
    with TemporaryDirectory(prefix="mesh-") as directory:
        mesh = make(network.hosts, Path(directory))
        async with trio.open_nursery() as nursery:
            agents = [
                Agent(host, index, mesh, observation, nursery) for index, host in enumerate(network.hosts)
            ]
            try:
                yield RunningMesh(agents, observation, network)
            finally:
                with trio.CancelScope(shield=True):
                    for agent in agents:
                        await agent.end()
                nursery.cancel_scope.cancel()


class Campaign:
    """Measures one system with one number of agents.

    Args:
        make: of the system.
        network: with as many hosts as there are to be agents.
        progress: is told what goes on.

    Attributes:
        figures: what was found so far.
    """

    def __init__(
        self, system: str, make: MeshMaker, network: Network, plan: Plan, progress: Callable[[str], None]
    ) -> None:
        self.figures = SystemFigures(system=system, agents=len(network.hosts))
        self._make = make
        self._network = network
        self._plan = plan
        self._progress = progress

    async def run(self) -> None:
        """Measure all that the plan asks for. What does not happen in time is noted, and the rest goes on."""
        plan, figures = self._plan, self.figures
        boots = plan.boots if figures.agents == plan.faults_at else plan.repetitions
        await self._repeat("boot in turn", boots, self._boot_in_turn, figures.boots_in_turn)
        await self._repeat("boot at once", plan.repetitions, self._boot_at_once, figures.boots_at_once)
        await self._attempt("deaths", self._deaths)
        if figures.agents == plan.faults_at:
            await self._attempt("loss and stalls", self._loss_and_stalls)
            await self._repeat("split", plan.repetitions, self._split, figures.splits)

    async def _deaths(self) -> None:
        plan, figures = self._plan, self.figures
        async with self._settled() as mesh:
            figures.idle = await self._attempt("idle", lambda: mesh.rest(plan.idle_s))
            await self._repeat("kill", plan.repetitions, mesh.kill, figures.kills)
            await self._repeat("stop", plan.repetitions, mesh.stop, figures.stops)

    async def _loss_and_stalls(self) -> None:
        plan, figures = self._plan, self.figures
        async with self._settled() as mesh:
            figures.loss = await self._attempt("loss", lambda: mesh.lose(plan.loss, lasting_s=plan.loss_s))
            for stall_s in plan.stalls_s:
                what = f"stall of {stall_s:g} s"
                await self._repeat(what, plan.stalls, partial(mesh.stall, stall_s), figures.stalls)

    async def _split(self) -> Split:
        # Each in a mesh of its own: a mesh that is cut in two again and again has reason to be patient.
        async with self._settled() as mesh:
            return await mesh.split()

    async def _boot_in_turn(self) -> Joined:
        async with new_mesh(self._make, self._network) as mesh:
            return await mesh.start_in_turn()

    async def _boot_at_once(self) -> Joined:
        async with new_mesh(self._make, self._network) as mesh:
            return await mesh.start_at_once()

    @asynccontextmanager
    async def _settled(self) -> AsyncIterator[RunningMesh]:
        """Agents that run and see each other."""
        async with new_mesh(self._make, self._network) as mesh:
            await mesh.start_in_turn()
            await trio.sleep(self._plan.settle_s)
            yield mesh

    async def _repeat(
        self, what: str, times: int, measure: Callable[[], Awaitable[T]], found: list[T]
    ) -> None:
        for turn in range(times):
            figure = await self._attempt(f"{what} {turn + 1}/{times}", measure)
            if figure is not None:
                found.append(figure)

    async def _attempt(self, what: str, measure: Callable[[], Awaitable[T]]) -> T | None:
        figure = None
        outcome = "never ended"
        try:
            figure = await measure()
            outcome = "done" if figure is None else str(figure)
        except* NeverSeenError as errors:
            outcome = ", ".join(map(str, errors.exceptions))
            self.figures.unfinished.append(f"{what}: {outcome}")
        self._progress(f"{self.figures.system}, {self.figures.agents} agents: {what}: {outcome}")
        return figure
