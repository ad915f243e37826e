"""The measurements: what is done to a mesh, and what its members say then."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from tests.bench.mesh.agent import Agent
from tests.bench.mesh.figures import Death, Idle, Joined, Loss, Split, Stall
from tests.bench.mesh.network import Network
from tests.bench.mesh.observation import Observation
from tests.bench.mesh.process_cost import cpu_s, pss_bytes
from tests.bench.mesh.sighting import News, episodes

_NS_PER_S = 1_000_000_000
_START_TIMEOUT_S = 60.0
_TIMEOUT_S = 90.0
"""Serf looks for a failed member every 30 s, one at random."""
_AFTERMATH_S = 2.0
"""How long after a stall its verdicts may come."""


class RunningMesh:
    """Agents that all see each other, and what may happen to them."""

    def __init__(self, agents: list[Agent], observation: Observation, network: Network) -> None:
        self.agents = agents
        self.names = [agent.name for agent in agents]
        self._observation = observation
        self._network = network
        self._victims = 0

    async def start_in_turn(self) -> Joined:
        """Each when its predecessor runs; counted from the last start."""
        for agent in self.agents:
            await self._start(agent)
        return await self._joined(self.agents[-1].started_ns)

    async def start_at_once(self) -> Joined:
        """The first one, then all others; counted from then."""
        first, *others = self.agents
        await self._start(first)
        start_ns = time.monotonic_ns()
        for agent in others:
            await agent.start()
        return await self._joined(start_ns)

    async def _joined(self, start_ns: int) -> Joined:
        seen_ns = await self.all_seen()
        running_ns = max(
            self._observation.running_ns(agent.name, since_ns=agent.started_ns) or start_ns
            for agent in self.agents
        )
        return Joined(running_s=_s(running_ns - start_ns), all_seen_s=_s(seen_ns - start_ns))

    async def all_seen(self) -> int:
        """When all see all, in the end."""
        return await self._until(
            lambda: self._observation.all_seen_ns(self.names),
            lambda: f"all see all; unseen: {self._observation.unseen(self.names)}",
        )

    async def kill(self) -> Death:
        """One agent dies, and starts again when all know."""
        victim = self._next_victim()
        know_s, told_s = await self._know_death(victim, await victim.kill())
        running_ns = await self._start(victim)
        seen_ns = await self.all_seen()
        return Death(
            all_know_s=know_s,
            all_told_s=told_s,
            back_s=_s(seen_ns - victim.started_ns),
            back_from_running_s=_s(seen_ns - running_ns),
        )

    async def stop(self) -> Death:
        """One agent falls silent, and goes on when all know."""
        victim = self._next_victim()
        know_s, told_s = await self._know_death(victim, victim.stop())
        resumed_ns = victim.resume()
        back_s = _s(await self.all_seen() - resumed_ns)
        return Death(all_know_s=know_s, all_told_s=told_s, back_s=back_s, back_from_running_s=back_s)

    async def split(self) -> Split:
        """No packet passes between the halves until all know; then every packet does."""
        halves = [[host.name for host in self._network.half(which)] for which in (0, 1)]
        begin_ns = time.monotonic_ns()
        self._network.separate()

        def detected_ns() -> int | None:
            there = self._observation.all_say_ns(News.FAILED, subjects=halves[1], observers=halves[0])
            back = self._observation.all_say_ns(News.FAILED, subjects=halves[0], observers=halves[1])
            return None if there is None or back is None else max(there, back)

        try:
            split_ns = await self._until(detected_ns, "each half holds the other for failed")
        finally:
            self._network.restore()
        end_ns = time.monotonic_ns()
        return Split(detected_s=_s(split_ns - begin_ns), healed_s=_s(await self.all_seen() - end_ns))

    async def stall(self, stall_s: float) -> Stall:
        """One agent is stopped, whatever the others say of it."""
        victim = self._next_victim()
        stopped_ns = victim.stop()
        await trio.sleep(stall_s)
        resumed_ns = victim.resume()
        await trio.sleep(_AFTERMATH_S)
        seen_ns = await self.all_seen()
        said = self._observation.since(stopped_ns)
        return Stall(
            stalled_s=stall_s,
            suspicions=episodes(said, News.SUSPECTED),
            verdicts=episodes(said, News.FAILED),
            back_s=max(0.0, _s(seen_ns - resumed_ns)),
        )

    async def lose(self, share: float, *, lasting_s: float) -> Loss:
        """Packets are lost, and nothing else happens."""
        begin_ns = time.monotonic_ns()
        self._network.lose(share)
        await trio.sleep(lasting_s)
        sent = self._network.sent()
        self._network.restore()
        said = self._observation.since(begin_ns)
        await self.all_seen()
        return Loss(
            share=share,
            lasted_s=lasting_s,
            suspicions=episodes(said, News.SUSPECTED),
            verdicts=episodes(said, News.FAILED),
            suspicion_reports=sum(sighting.news is News.SUSPECTED for sighting in said),
            verdict_reports=sum(sighting.news is News.FAILED for sighting in said),
            octets_a_second=sum(host.octets for host in sent.values()) / len(sent) / lasting_s,
        )

    async def rest(self, lasting_s: float) -> Idle:
        """Nothing happens."""
        begin = [cpu_s(agent.pid) for agent in self.agents]
        # Counts from zero.
        self._network.restore()
        begin_ns = time.monotonic_ns()
        await trio.sleep(lasting_s)
        lasted_s = _s(time.monotonic_ns() - begin_ns)
        sent = self._network.sent()
        used_s = sum(cpu_s(agent.pid) for agent in self.agents) - sum(begin)
        count = len(self.agents)
        return Idle(
            lasted_s=lasted_s,
            cpu_ms_a_second=1000 * used_s / count / lasted_s,
            pss_bytes=sum(pss_bytes(agent.pid) for agent in self.agents) / count,
            octets_a_second=sum(host.octets for host in sent.values()) / count / lasted_s,
            packets_a_second=sum(host.packets for host in sent.values()) / count / lasted_s,
        )

    async def _know_death(self, victim: Agent, died_ns: int) -> tuple[float, float]:
        others = [name for name in self.names if name != victim.name]
        know_ns = await self._until(
            lambda: self._observation.all_say_ns(News.FAILED, subjects=[victim.name], observers=others),
            f"all know that {victim.name} failed",
        )
        told_ns = await self._until(
            lambda: self._observation.all_told_ns(others, since_ns=died_ns), "every application was told"
        )
        return _s(know_ns - died_ns), _s(told_ns - died_ns)

    async def _start(self, agent: Agent) -> int:
        await agent.start()
        return await self._until(
            lambda: self._observation.running_ns(agent.name, since_ns=agent.started_ns),
            f"{agent.name} takes part",
            timeout_s=_START_TIMEOUT_S,
        )

    async def _until(
        self,
        reached: Callable[[], int | None],
        what: str | Callable[[], str],
        *,
        timeout_s: float = _TIMEOUT_S,
    ) -> int:
        return await self._observation.until(reached, timeout_s=timeout_s, what=what)

    def _next_victim(self) -> Agent:
        # From the last one backwards: the first is who others joined by.
        self._victims += 1
        return self.agents[-1 - (self._victims - 1) % (len(self.agents) - 1)]


def _s(duration_ns: int) -> float:
    return duration_ns / _NS_PER_S
