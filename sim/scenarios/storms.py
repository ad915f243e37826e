"""Everything at once, and keys that are nearly used up."""

from __future__ import annotations

from collections.abc import Callable

from sim.checkers import Patience
from sim.cluster import ClusterSettings
from sim.network import MESH_TRAFFIC, Traffic, Weather
from sim.scenarios.scenario import Scenario, Stage
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS

_STORM_S = 40.0


def _storm(stage: Stage) -> None:
    """Random faults, some of them at the same time; then all is healed, and the mesh must come to rest."""
    random, faults = stage.random, stage.faults

    def any_gateway() -> str:
        return random.choice(list(stage.cluster.hosts))

    def some(names: list[str]) -> list[str]:
        return random.sample(names, random.randrange(1, len(names)))

    def crash() -> None:
        victim = any_gateway()
        faults.crash_host(victim)
        stage.cluster.clock.after(_milliseconds(500, 9_000), lambda: faults.restart_host(victim))

    def kill_gossipsa() -> None:
        victim = any_gateway()
        faults.kill_gossipsa(victim)
        stage.cluster.clock.after(_milliseconds(100, 5_000), lambda: faults.start_gossipsa(victim))

    def pause() -> None:
        faults.pause_host(any_gateway(), _milliseconds(50, 5_000))

    def pause_gossipsa() -> None:
        faults.pause_gossipsa(any_gateway(), _milliseconds(50, 5_000))

    def divide() -> None:
        gateways, clients = list(stage.cluster.hosts), list(stage.cluster.clients)
        side = some(gateways) + some(clients)
        cuts = faults.partition(side, [name for name in gateways + clients if name not in side])
        stage.cluster.clock.after(_milliseconds(300, 8_000), lambda: faults.mend(cuts))

    def cut_one_way() -> None:
        gateways, clients = list(stage.cluster.hosts), list(stage.cluster.clients)
        cuts = faults.partition_one_way(some(gateways), some(gateways + clients))
        stage.cluster.clock.after(_milliseconds(300, 8_000), lambda: faults.mend(cuts))

    def filter_mesh() -> None:
        cuts = faults.partition_one_way(
            some(list(stage.cluster.hosts)), some(list(stage.cluster.hosts)), MESH_TRAFFIC
        )
        stage.cluster.clock.after(_milliseconds(300, 8_000), lambda: faults.mend(cuts))

    def burst() -> None:
        faults.burst(random.choice(list(stage.cluster.clients)), random.randrange(1 << 27))

    def change_weather() -> None:
        faults.weather(
            Weather(
                loss=random.uniform(0, 0.25), duplication=random.uniform(0, 0.1), lateness=random.random() / 3
            )
        )

    def _milliseconds(low: int, high: int) -> int:
        return random.randrange(low, high) * MILLISECOND_NS

    kinds: tuple[tuple[int, Callable[[], None]], ...] = (
        (3, crash),
        (3, kill_gossipsa),
        (2, pause),
        (2, pause_gossipsa),
        (3, divide),
        (3, cut_one_way),
        (2, filter_mesh),
        (4, burst),
        (1, change_weather),
    )
    weights = [weight for weight, _ in kinds]
    at_s = 0.0
    while at_s < _STORM_S:
        stage.after(at_s, random.choices([kind for _, kind in kinds], weights)[0])
        at_s += random.expovariate(1 / 2.0)
    stage.after(_STORM_S + 1, faults.heal)


def _busy_kill(stage: Stage) -> None:
    """Clients so busy that a taker's lanes last a second or two, while no IKE passes, so no rekey either.

    It must raise its numbers in time, or its kernel stop at the limit if gossipsa is dead. Then it dies as
    well, and another goes on under the same keys.
    """
    cluster, faults = stage.cluster, stage.faults
    victim = stage.gateways()[0]
    moved_s = 3.0
    rekeys_prevented_s = stage.random.uniform(1.0, 4.0)

    def burst() -> None:
        for name in cluster.clients:
            faults.burst(name, stage.random.randrange(600_000))

    def prevent_rekeys() -> None:
        cuts = faults.partition_one_way(cluster.hosts, cluster.clients, frozenset({Traffic.IKE}))
        cluster.clock.after(int(rekeys_prevented_s * SECOND_NS), lambda: faults.mend(cuts))

    def at_taker(fault: Callable[[str], None]) -> None:
        takers = [
            cluster.gateway_of(client).name
            for name, client in cluster.clients.items()
            if cluster.started_at[name] == victim and cluster.gateway_of(client).name != victim
        ]
        for name in takers[:1]:
            fault(name)

    for tenth in range(160):
        stage.after(tenth / 10, burst)
    stage.after(2, lambda: faults.crash_host(victim))
    stage.after(moved_s, prevent_rekeys)
    if stage.random.random() < 0.5:
        stage.after(moved_s, lambda: at_taker(faults.kill_gossipsa))
    stage.after(moved_s + rekeys_prevented_s - 0.2, lambda: at_taker(faults.crash_host))
    stage.after(18, faults.heal)


STORM = Scenario(
    name="storm",
    summary="forty seconds of random faults, then all is healed",
    script=_storm,
    duration_s=_STORM_S + 40,
    cluster=ClusterSettings(gateways=5, clients=8, rekey_interval_ns=7 * SECOND_NS),
    patience=Patience(served_again_ns=20 * SECOND_NS, settled_ns=24 * SECOND_NS, may_lose_clients=True),
)

BUSY_KILL = Scenario(
    name="busy_kill",
    summary="two hosts die while clients use up sequence numbers by the million",
    script=_busy_kill,
    duration_s=34,
    cluster=ClusterSettings(gateways=5),
    patience=Patience(served_again_ns=4 * SECOND_NS),
)
