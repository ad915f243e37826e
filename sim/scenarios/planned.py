"""Clients are moved by plan, from gateways that live: nobody loses one, whoever dies in the middle."""

from __future__ import annotations

from gossipsa.settings import TakeoverSettings
from sim.checkers import Patience
from sim.cluster import ClusterSettings
from sim.network import CLIENT_TRAFFIC, Cut, Weather
from sim.scenarios.scenario import Scenario, Stage
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS

_MANY = ClusterSettings(clients=16)


def _drain(stage: Stage) -> None:
    """A gateway is emptied, powered off, and used again."""
    faults, victim = stage.faults, stage.gateways()[0]
    stage.after(stage.random.uniform(0, 2), lambda: faults.drain(victim))
    stage.after(12, lambda: faults.crash_host(victim))
    stage.after(16, lambda: faults.restart_host(victim))


def _undrain(stage: Stage) -> None:
    """The operator changes his mind in the middle, and again."""
    faults, victim = stage.faults, stage.gateways()[0]
    begin = stage.random.uniform(0, 2)
    stage.after(begin, lambda: faults.drain(victim))
    stage.after(begin + stage.random.uniform(0.02, 0.3), lambda: faults.undrain(victim))
    stage.after(10, lambda: faults.drain(victim))
    stage.after(18, lambda: faults.undrain(victim))


def _target_dies(stage: Stage) -> None:
    """One of those that take the clients dies while it does."""
    faults = stage.faults
    victim, target = stage.gateways()[:2]
    stage.after(1, lambda: faults.drain(victim))
    stage.after(1 + stage.random.uniform(0.002, 0.1), lambda: faults.crash_host(target))
    stage.after(18, lambda: faults.undrain(victim))
    stage.after(18, faults.heal)


def _owner_dies(stage: Stage) -> None:
    """The gateway that is being emptied dies before it is empty."""
    faults, victim = stage.faults, stage.gateways()[0]
    stage.after(1, lambda: faults.drain(victim))
    stage.after(1 + stage.random.uniform(0.002, 0.1), lambda: faults.crash_host(victim))
    stage.after(16, faults.heal)


def _owner_restarts(stage: Stage) -> None:
    """Only its gossipsa dies, and forgets that it was to empty the gateway."""
    faults, victim = stage.faults, stage.gateways()[0]
    killed = 1 + stage.random.uniform(0.002, 0.1)
    stage.after(1, lambda: faults.drain(victim))
    stage.after(killed, lambda: faults.kill_gossipsa(victim))
    stage.after(killed + stage.random.choice((0.3, 2.0)), lambda: faults.start_gossipsa(victim))
    stage.after(14, faults.heal)


def _lossy(stage: Stage) -> None:
    _drain(stage)
    stage.after(20, stage.faults.heal)


def _cut(stage: Stage) -> None:
    """Owner and targets lose each other, and both reach the clients."""
    faults, victim = stage.faults, stage.gateways()[0]

    def cut() -> None:
        cuts = faults.filter_mesh(victim)
        stage.cluster.clock.after(
            stage.random.randrange(1_000, 8_000) * MILLISECOND_NS, lambda: faults.mend(cuts)
        )

    stage.after(1, lambda: faults.drain(victim))
    stage.after(1 + stage.random.uniform(0.002, 0.1), cut)
    stage.after(20, lambda: faults.undrain(victim))


def _unreachable(stage: Stage) -> None:
    """The clients hear the gateways that are to take them, or not even that, and are never heard by them."""
    faults = stage.faults
    victim, *others = stage.gateways()
    cuts: list[Cut] = []

    def lose() -> None:
        clients = [name for name, at in stage.cluster.started_at.items() if at == victim]
        if stage.random.random() < 0.5:
            cuts.extend(faults.partition_one_way(clients, others, CLIENT_TRAFFIC))
        else:
            for other in others:
                cuts.extend(faults.cut_clients(other, clients))

    stage.after(0.5, lose)
    stage.after(1, lambda: faults.drain(victim))
    stage.after(1 + stage.random.uniform(18, 22), lambda: faults.mend(cuts))


def _return(stage: Stage) -> None:
    """A gateway dies and comes back; once it has been well for a while, its clients come back."""
    faults, victim = stage.faults, stage.gateways()[0]
    stage.after(1, lambda: faults.crash_host(victim))
    stage.after(8, lambda: faults.restart_host(victim))


DRAIN = Scenario(
    name="drain",
    summary="a gateway is emptied by plan while clients talk and rekey, then powered off",
    script=_drain,
    duration_s=28,
    cluster=ClusterSettings(clients=16, rekey_interval_ns=7 * SECOND_NS),
    patience=Patience(served_again_ns=2 * SECOND_NS),
)

UNDRAIN = Scenario(
    name="undrain",
    summary="emptying a gateway is called off in the middle, begun again, and undone",
    script=_undrain,
    duration_s=30,
    cluster=_MANY,
    patience=Patience(served_again_ns=2 * SECOND_NS),
)

DRAIN_TARGET_DIES = Scenario(
    name="drain_target_dies",
    summary="a gateway that takes clients of one that is being emptied dies meanwhile",
    script=_target_dies,
    duration_s=36,
    cluster=_MANY,
    patience=Patience(served_again_ns=6 * SECOND_NS, settled_ns=12 * SECOND_NS),
)

DRAIN_OWNER_DIES = Scenario(
    name="drain_owner_dies",
    summary="a gateway dies while it is being emptied",
    script=_owner_dies,
    duration_s=32,
    cluster=_MANY,
    patience=Patience(settled_ns=12 * SECOND_NS),
)

DRAIN_OWNER_RESTARTS = Scenario(
    name="drain_owner_restarts",
    summary="the gossipsa of a gateway that is being emptied dies and is started again",
    script=_owner_restarts,
    duration_s=30,
    cluster=_MANY,
    patience=Patience(settled_ns=12 * SECOND_NS),
)

LOSSY_DRAIN = Scenario(
    name="lossy_drain",
    summary="a gateway is emptied while the network loses, doubles and delays packets",
    script=_lossy,
    duration_s=40,
    cluster=ClusterSettings(
        clients=16,
        weather=Weather(loss=0.1, duplication=0.1, lateness=0.2),
        rekey_interval_ns=7 * SECOND_NS,
    ),
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=16 * SECOND_NS),
)

DRAIN_CUT_OFF = Scenario(
    name="drain_cut_off",
    summary="a gateway that is being emptied loses the mesh meanwhile; clients hear both sides",
    script=_cut,
    duration_s=34,
    cluster=_MANY,
    patience=Patience(settled_ns=12 * SECOND_NS),
)

DRAIN_UNREACHABLE = Scenario(
    name="drain_unreachable",
    summary="the clients of a gateway that is being emptied do not reach the others: they move later",
    script=_unreachable,
    duration_s=60,
    cluster=_MANY,
    patience=Patience(served_again_ns=20 * SECOND_NS, settled_ns=20 * SECOND_NS),
)

RETURN = Scenario(
    name="return",
    summary="a gateway dies and comes back, and gets its clients back, one by one",
    script=_return,
    duration_s=30,
    cluster=ClusterSettings(
        clients=16,
        takeover=TakeoverSettings(
            hold_retry_ns=4 * SECOND_NS, rekey_delay_ns=2 * SECOND_NS, return_after_ns=4 * SECOND_NS
        ),
    ),
    patience=Patience(served_again_ns=2 * SECOND_NS),
)
