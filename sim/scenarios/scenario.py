"""A scenario, and a run of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import IO

from gossipsa.gateway import Gateway
from sim.checkers import Checker, Patience, Violation, watch
from sim.client import Client
from sim.cluster import Cluster, ClusterSettings, Watcher
from sim.driver import Driver
from sim.faults import Faults
from sim.process import Core
from sim.virtual_clock import SECOND_NS

WARM_UP_NS = 4 * SECOND_NS
"""Until all gateways have joined, and all clients are connected and replicated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a scenario's script works with."""

    cluster: Cluster
    faults: Faults
    random: Random

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Does something so much after the warm-up."""

        def act() -> None:
            action()

        self.cluster.clock.at(SECOND_NS + WARM_UP_NS + int(seconds * SECOND_NS), act)

    def gateways(self) -> list[str]:
        """Names, in an order that the seed decides."""
        names = list(self.cluster.hosts)
        self.random.shuffle(names)
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to a cluster."""

    name: str
    summary: str
    """One line, for people."""
    script: Callable[[Stage], None]
    """Arranges what will happen, before the start."""
    duration_s: float
    """After the warm-up; faults end well before."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    scenario: str
    seed: int
    cluster: Cluster
    checkers: tuple[Checker, ...]
    violation: Violation | None
    reproduction: str
    """Command that repeats this very run."""


def run(
    scenario: Scenario,
    seed: int,
    *,
    gateways: int | None = None,
    clients: int | None = None,
    make_core: Callable[..., Core] = Gateway,
    make_driver: Callable[..., Driver] = Driver,
    make_client: Callable[..., Client] = Client,
    make_watchers: Sequence[Callable[[Cluster], Watcher]] = (),
    copy_trace_to: IO[str] | None = None,
) -> Outcome:
    """Runs a scenario from a seed until it ends or a checker finds something.

    Args:
        make_core, make_driver, make_client: replaced by tests that plant bugs.
        make_watchers: who looks on besides the checkers.
    """
    settings = replace(
        scenario.cluster,
        gateways=gateways or scenario.cluster.gateways,
        clients=scenario.cluster.clients if clients is None else clients,
    )
    cluster = Cluster(
        settings,
        seed=seed,
        make_core=make_core,
        make_driver=make_driver,
        make_client=make_client,
        copy_trace_to=copy_trace_to,
    )
    checkers = watch(cluster, scenario.patience)
    cluster.watchers[:0] = [make_watcher(cluster) for make_watcher in make_watchers]
    stage = Stage(cluster=cluster, faults=Faults(cluster), random=cluster.streams.stream("script"))
    scenario.script(stage)
    violation = None
    try:
        cluster.start()
        cluster.run_for(WARM_UP_NS + int(scenario.duration_s * SECOND_NS))
        for checker in checkers:
            checker.settle()
    except Violation as found:
        violation = found
    except (
        Exception
    ):  # The core must take whatever comes: an exception out of it is a finding like any other.
        violation = Violation("NothingRaises", cluster.clock.now_ns, traceback.format_exc(limit=-3))
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        cluster=cluster,
        checkers=checkers,
        violation=violation,
        reproduction=(
            f"python -m sim {scenario.name} --seed {seed} "
            f"--gateways {settings.gateways} --clients {settings.clients}"
        ),
    )
