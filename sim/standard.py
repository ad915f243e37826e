"""The standard campaign: random schedules of all faults with checkers on, then healing, and rest in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import IO, Any

import msgspec

from sim.checkers import Patience
from sim.cluster import ClusterSettings
from sim.fault_kinds import KINDS, Scene, draw_fault, inflict, returns_after_ns
from sim.random_streams import RandomStreams
from sim.scenarios.scenario import Outcome, Scenario, Stage, run
from sim.schedule import Fault, Schedule
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS

FAULTS_MS = 12_000
"""Faults begin within so much time after the warm-up."""
_BETWEEN_MS = 1_500
_WORST_MOMENT_MS = 1_500
"""What happens so soon after a death happens before the verdict, or during claim and redirect."""
_REST_S = 30
_PATIENCE = Patience(served_again_ns=20 * SECOND_NS, settled_ns=24 * SECOND_NS, may_lose_clients=True)
_CLUSTER = ClusterSettings(packet_interval_ns=150 * MILLISECOND_NS)
_DEATHS = frozenset({"crash", "cutoff", "divide", "pause", "suspend"})
_WORST = (
    "rekey",
    "rekey",
    "roam",
    "crash",
    "leave",
    "kill",
    "drain",
    "replay",
    "refuse",
    "charon",
    "reconnect",
)


def draw_schedule(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = RandomStreams(seed).stream("schedule")
    gateways, clients = random.randrange(3, 6), random.randrange(2, 6)
    names = [f"g{number}" for number in range(1, gateways + 1)]
    peers = [f"c{number}" for number in range(1, clients + 1)]
    kinds = list(KINDS)
    weights = [KINDS[kind].weight for kind in kinds]
    faults: list[Fault] = []
    at_ms = 0.0
    while at_ms < FAULTS_MS:
        fault = draw_fault(random, random.choices(kinds, weights)[0], int(at_ms), names, peers)
        faults.append(fault)
        if fault.kind in _DEATHS and random.random() < 0.6:
            faults.append(_at_the_worst_moment(random, fault, names, peers))
        at_ms += random.expovariate(1 / _BETWEEN_MS)
    return Schedule(gateways, clients, tuple(sorted(faults, key=lambda fault: fault.at_ms)))


def run_schedule(
    schedule: Schedule, seed: int, *, copy_trace_to: IO[str] | None = None, **planted: Any
) -> Outcome:
    """Runs a schedule; the seed decides everything else.

    Args:
        planted: as for `sim.scenarios.scenario.run`.
    """
    takeover = msgspec.structs.replace(_CLUSTER.takeover, return_after_ns=returns_after_ns(schedule))
    scenario = Scenario(
        name="standard",
        summary=str(schedule),
        script=_script(schedule),
        duration_s=schedule.healed_ms / 1_000 + _REST_S,
        cluster=replace(_CLUSTER, gateways=schedule.gateways, clients=schedule.clients, takeover=takeover),
        patience=_PATIENCE,
    )
    outcome = run(scenario, seed, copy_trace_to=copy_trace_to, **planted)
    return replace(outcome, reproduction=f"python -m sim replay '{schedule}' --seed {seed}")


def _at_the_worst_moment(random: Random, death: Fault, gateways: list[str], clients: list[str]) -> Fault:
    at_ms = max(0, death.at_ms + random.randrange(-100, _WORST_MOMENT_MS))
    return draw_fault(random, random.choice(_WORST), at_ms, gateways, clients)


def _script(schedule: Schedule) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        scene = Scene(cluster=stage.cluster, faults=stage.faults, schedule=schedule)

        def inflicting(fault: Fault) -> Callable[[], None]:
            return lambda: inflict(scene, fault)

        for fault in schedule.faults:
            stage.after(fault.at_ms / 1_000, inflicting(fault))
        stage.after(schedule.healed_ms / 1_000, stage.faults.heal)

    return arrange
