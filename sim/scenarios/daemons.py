"""Parts of a gateway die, or fall silent, while its IKE daemon answers: no client may move."""

from __future__ import annotations

from functools import partial

from sim.scenarios.scenario import Scenario, Stage
from sim.virtual_clock import MILLISECOND_NS


def _gossipsa_killed(stage: Stage) -> None:
    """One gossipsa dies and is started again, much later or at once; then another, then the first again."""
    first, second = stage.gateways()[:2]
    for start_s, victim in ((0.5, first), (12.0, second), (22.0, first)):
        away_s = stage.random.choice((0.3, 2.0, 6.0))
        stage.after(start_s, partial(stage.faults.kill_gossipsa, victim))
        stage.after(start_s + away_s, partial(stage.faults.start_gossipsa, victim))


def _gossipsa_stalled(stage: Stage) -> None:
    """The process gets no time for a while; the host is well."""
    for index, name in enumerate(stage.gateways()):
        stall_ns = stage.random.choice((150, 800, 4_000)) * MILLISECOND_NS
        stage.after(index * 6, partial(stage.faults.pause_gossipsa, name, stall_ns))


def _mesh_filtered(stage: Stage) -> None:
    """A firewall rule cuts one gateway from the mesh for a while."""
    victim = stage.gateways()[0]

    def filter_mesh() -> None:
        cuts = stage.faults.filter_mesh(victim)
        stage.cluster.clock.after(
            stage.random.randrange(3_000, 12_000) * MILLISECOND_NS, lambda: stage.faults.mend(cuts)
        )

    stage.after(1, filter_mesh)


def _ike_daemon_killed(stage: Stage) -> None:
    """The IKE daemon dies and is started again. The kernel forwards all the while."""
    victim = stage.gateways()[0]
    stage.after(1, lambda: stage.faults.kill_ike_daemon(victim))
    stage.after(1 + stage.random.choice((0.5, 3.0)), lambda: stage.faults.start_ike_daemon(victim))


GOSSIPSA_KILLED = Scenario(
    name="gossipsa_killed",
    summary="gossipsa dies alone and is started again: nobody moves",
    script=_gossipsa_killed,
    duration_s=42,
)

GOSSIPSA_STALLED = Scenario(
    name="gossipsa_stalled",
    summary="gossipsa gets no time for up to four seconds: nobody moves",
    script=_gossipsa_stalled,
    duration_s=38,
)

MESH_FILTERED = Scenario(
    name="mesh_filtered",
    summary="a firewall drops the mesh's port at one gateway: nobody moves",
    script=_mesh_filtered,
    duration_s=28,
)

IKE_DAEMON_KILLED = Scenario(
    name="ike_daemon_killed",
    summary="the IKE daemon dies alone and is started again: nobody moves, everybody stays served",
    script=_ike_daemon_killed,
    duration_s=24,
)
