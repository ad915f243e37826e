"""Hosts die: the reason for everything."""

from __future__ import annotations

from functools import partial

from sim.checkers import Patience
from sim.cluster import ClusterSettings
from sim.network import Weather
from sim.scenarios.scenario import Scenario, Stage
from sim.virtual_clock import SECOND_NS

_BAD_WEATHER = Weather(loss=0.1, duplication=0.1, lateness=0.2)


def _kill(stage: Stage) -> None:
    victim = stage.gateways()[0]
    stage.after(stage.random.uniform(0, 2), lambda: stage.faults.crash_host(victim))
    stage.after(16, lambda: stage.faults.restart_host(victim))


def _second_failover(stage: Stage) -> None:
    """The victim dies, and then whoever took one of its clients over."""
    victim = stage.gateways()[0]
    first = stage.random.uniform(0, 2)
    stage.after(first, lambda: stage.faults.crash_host(victim))

    def kill_taker() -> None:
        cluster = stage.cluster
        moved = [
            cluster.gateway_of(client).name
            for client in cluster.clients.values()
            if cluster.started_at[client.name] == victim and cluster.gateway_of(client).name != victim
        ]
        if moved:
            stage.faults.crash_host(stage.random.choice(moved))

    # From in the middle of the first takeover's aftermath until long after it.
    stage.after(first + stage.random.choice((2.0, 3.5, 6.0)), kill_taker)
    stage.after(20, stage.faults.heal)


def _rolling_restart(stage: Stage) -> None:
    """One host after the other is restarted, as for a new kernel."""
    for index, name in enumerate(stage.gateways()):
        down_s = index * 12 + stage.random.uniform(0, 1)
        stage.after(down_s, partial(stage.faults.crash_host, name))
        stage.after(down_s + 5, partial(stage.faults.restart_host, name))


def _reconnect(stage: Stage) -> None:
    """A host dies, and one of its clients cannot be told: after a while it connects anew, to any gateway.

    Nobody may go on trying to take it over, let alone take it away from where it is now.
    """
    victim, *others = stage.gateways()
    cluster, faults = stage.cluster, stage.faults

    def lost_client() -> str:
        return min(name for name, gateway in cluster.started_at.items() if gateway == victim)

    def lose() -> None:
        cuts = faults.partition_one_way(others, [lost_client()])
        cluster.clock.after(6 * SECOND_NS, lambda: faults.mend(cuts))
        faults.crash_host(victim)

    def begin_anew() -> None:
        client = lost_client()
        faults.reconnect(client, stage.random.choice(others))

    stage.after(1, lose)
    stage.after(1 + stage.random.uniform(7.0, 12.0), begin_anew)
    stage.after(40, lambda: faults.restart_host(victim))


KILL = Scenario(
    name="kill",
    summary="one host loses power, and comes back empty",
    script=_kill,
    duration_s=26,
    patience=Patience(served_again_ns=2 * SECOND_NS),
)


def _lossy_kill(stage: Stage) -> None:
    _kill(stage)
    stage.after(26, stage.faults.heal)


LOSSY_KILL = Scenario(
    name="lossy_kill",
    summary="one host loses power while the network loses, doubles and delays packets; clients rekey",
    script=_lossy_kill,
    duration_s=44,
    cluster=ClusterSettings(weather=_BAD_WEATHER, rekey_interval_ns=5 * SECOND_NS),
    patience=Patience(served_again_ns=8 * SECOND_NS, settled_ns=16 * SECOND_NS),
)

SECOND_FAILOVER = Scenario(
    name="second_failover",
    summary="one host dies, then the one that took its clients",
    script=_second_failover,
    duration_s=34,
    cluster=ClusterSettings(gateways=5),
)

ROLLING_RESTART = Scenario(
    name="rolling_restart",
    summary="every host is restarted, one after the other",
    script=_rolling_restart,
    duration_s=4 * 12 + 14,
    patience=Patience(served_again_ns=3 * SECOND_NS),
)

RECONNECT = Scenario(
    name="reconnect",
    summary="a host dies, and a client that could not be told connects anew",
    script=_reconnect,
    duration_s=54,
    patience=Patience(served_again_ns=6 * SECOND_NS, settled_ns=10 * SECOND_NS),
)
