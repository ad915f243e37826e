"""The network breaks in two, or a gateway looks dead and is not."""

from __future__ import annotations

from sim.checkers import Patience
from sim.cluster import ClusterSettings
from sim.scenarios.scenario import Scenario, Stage
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS


def _partition_and_heal(stage: Stage) -> None:
    """Gateways and clients are divided at random; later everything is well again."""

    def divide() -> None:
        gateways = stage.gateways()
        clients = list(stage.cluster.clients)
        stage.random.shuffle(clients)
        at = stage.random.randrange(1, len(gateways))
        middle = stage.random.randrange(len(clients) + 1)
        cuts = stage.faults.partition(
            [*gateways[:at], *clients[:middle]], [*gateways[at:], *clients[middle:]]
        )
        lasts_ns = stage.random.randrange(2_000, 15_000) * MILLISECOND_NS
        stage.cluster.clock.after(lasts_ns, lambda: stage.faults.mend(cuts))

    stage.after(1, divide)
    stage.after(26, divide)


def _one_way(stage: Stage) -> None:
    """One gateway is not heard any more by the other gateways, or hears none of them."""
    victim, *others = stage.gateways()
    deaf = stage.random.random() < 0.5

    def cut() -> None:
        ends = (others, [victim]) if deaf else ([victim], others)
        cuts = stage.faults.partition_one_way(*ends)
        lasts_ns = stage.random.randrange(2_000, 12_000) * MILLISECOND_NS
        stage.cluster.clock.after(lasts_ns, lambda: stage.faults.mend(cuts))

    stage.after(1, cut)


def _cut_off(stage: Stage) -> None:
    """One gateway is cut off from all others, but every client still reaches everybody."""
    victim, *others = stage.gateways()

    def cut() -> None:
        cuts = stage.faults.partition([victim], others)
        lasts_ns = stage.random.randrange(4_000, 20_000) * MILLISECOND_NS
        stage.cluster.clock.after(lasts_ns, lambda: stage.faults.mend(cuts))

    stage.after(1, cut)


def _stalled_host(stage: Stage) -> None:
    """A virtual machine stands still, long enough to lose its clients, and goes on as if nothing had been."""
    victim = stage.gateways()[0]
    stall_ns = stage.random.choice((100, 400, 1_500, 6_000)) * MILLISECOND_NS
    stage.after(1, lambda: stage.faults.pause_host(victim, stall_ns))


def _torn(stage: Stage) -> None:
    """A host dies while the mesh is in two halves that clients reach alike: both take its clients over.

    A client obeys one half and then the other; afterwards only one gateway may believe that it serves it.
    """
    victim, *others = stage.gateways()
    at = stage.random.randrange(1, len(others))
    lasts_s = stage.random.uniform(3, 14)

    def tear() -> None:
        cuts = stage.faults.partition(others[:at], others[at:])
        stage.cluster.clock.after(int(lasts_s * SECOND_NS), lambda: stage.faults.mend(cuts))

    stage.after(1, tear)
    stage.after(1 + stage.random.uniform(-0.5, 0.5), lambda: stage.faults.crash_host(victim))
    stage.after(20, lambda: stage.faults.restart_host(victim))


PARTITION_AND_HEAL = Scenario(
    name="partition_and_heal",
    summary="gateways and clients are divided in two, twice",
    script=_partition_and_heal,
    duration_s=60,
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=12 * SECOND_NS),
)

ONE_WAY = Scenario(
    name="one_way",
    summary="a gateway is not heard by the others, or hears none of them",
    script=_one_way,
    duration_s=34,
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=12 * SECOND_NS),
)

CUT_OFF = Scenario(
    name="cut_off",
    summary="a gateway is cut off from the mesh, clients reach everybody",
    script=_cut_off,
    duration_s=40,
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=12 * SECOND_NS),
)

STALLED_HOST = Scenario(
    name="stalled_host",
    summary="a host stands still for a while and goes on",
    script=_stalled_host,
    duration_s=30,
    patience=Patience(served_again_ns=4 * SECOND_NS, settled_ns=12 * SECOND_NS),
)

TORN = Scenario(
    name="torn",
    summary="a host dies while the mesh is in two halves, and both halves take its clients over",
    script=_torn,
    duration_s=42,
    cluster=ClusterSettings(gateways=5),
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=12 * SECOND_NS),
)
