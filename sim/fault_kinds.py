"""Every kind of fault that a schedule can name: how its arguments are drawn, and how it is done.

Arguments are words. One that names nodes that a smaller cluster does not have is done without them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from gossipsa.kernel.memory_sad import Operation
from sim.cluster import Cluster
from sim.faults import Faults
from sim.network import ALL_TRAFFIC, Traffic, Weather
from sim.schedule import Fault, Schedule, ScheduleError
from sim.virtual_clock import MILLISECOND_NS

Words = tuple[str, ...]

_RETURN_MIN_MS, _RETURN_MAX_MS = 1_000, 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault is done with."""

    cluster: Cluster
    faults: Faults
    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One kind of fault."""

    weight: int
    """How often the standard campaign draws it, against the others."""
    lasts_ms: tuple[int, int] | None
    """Shortest and longest duration; None for what is done at once."""
    draw: Callable[[Random, Sequence[str], Sequence[str]], Words]
    """Draws arguments from a random source, names of gateways and names of clients."""
    inflict: Callable[[Scene, Words, int], None]
    """Does it, for so many nanoseconds."""


def draw_fault(
    random: Random, kind: str, at_ms: int, gateways: Sequence[str], clients: Sequence[str]
) -> Fault:
    """Draws one fault of a kind."""
    described = KINDS[kind]
    arguments = described.draw(random, gateways, clients)
    lasts_ms = random.randrange(*described.lasts_ms) if described.lasts_ms is not None else 0
    return Fault(at_ms, kind, arguments, lasts_ms)


def inflict(scene: Scene, fault: Fault) -> None:
    """Does what the schedule says.

    Raises:
        ScheduleError: no such kind, or its arguments make no sense.
    """
    try:
        KINDS[fault.kind].inflict(scene, fault.arguments, fault.lasts_ms * MILLISECOND_NS)
    except (KeyError, ValueError, IndexError) as error:
        raise ScheduleError(f"no fault {fault.kind} with {' '.join(fault.arguments)}: {error}") from error


# Drawing.


def _gateway(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    return (random.choice(gateways),)


def _client(random: Random, _: Sequence[str], clients: Sequence[str]) -> Words:
    return (random.choice(clients),)


def _some(random: Random, names: Sequence[str]) -> list[str]:
    return random.sample(names, random.randrange(1, len(names)) if len(names) > 1 else len(names))


def _halves(random: Random, gateways: Sequence[str], clients: Sequence[str]) -> Words:
    names = [*gateways, *clients]
    side = _some(random, gateways) + _some(random, clients)
    return (",".join(side) + "|" + ",".join(name for name in names if name not in side),)


def _one_way(random: Random, gateways: Sequence[str], clients: Sequence[str]) -> Words:
    traffic = random.choice(("all", "all", "mesh", "stream", "mesh,stream", "ike", "esp"))
    return (",".join(_some(random, gateways)), ",".join(_some(random, [*gateways, *clients])), traffic)


def _cut_off(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    traffic = random.choice(("all", "mesh", "stream", "mesh,stream"))
    return (random.choice(gateways), traffic)


def _weather(random: Random, _: Sequence[str], __: Sequence[str]) -> Words:
    words = {
        "loss": random.choice((0, 1, 3, 8, 20)),
        "double": random.choice((0, 5, 15)),
        "late": random.choice((0, 10, 30)),
        "late_ms": random.choice((80, 500, 2_000)),
        "corrupt": random.choice((0, 1, 5)),
    }
    return tuple(f"{name}={value}" for name, value in words.items() if value)


def _slow(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    return (random.choice(gateways), str(random.choice((2, 10, 40))))


def _jump(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    return (random.choice(gateways), str(random.choice((150, 600, 2_500, 30_000))))


def _drift(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    return (random.choice(gateways), str(random.choice((-20_000, -500, 500, 20_000))))


def _refusal(random: Random, gateways: Sequence[str], _: Sequence[str]) -> Words:
    operation = random.choice(list(_REFUSABLE))
    error = random.choice(("ENOMEM", "EEXIST", "ESRCH", "EAGAIN"))
    return (random.choice(gateways), operation, error, str(random.randrange(1, 6)))


def _rekey(random: Random, _: Sequence[str], clients: Sequence[str]) -> Words:
    return (random.choice(clients), random.choice(("ike", "esp")))


def _burst(random: Random, _: Sequence[str], clients: Sequence[str]) -> Words:
    return (random.choice(clients), str(random.randrange(1 << random.choice((16, 22, 27)))))


def _reconnection(random: Random, gateways: Sequence[str], clients: Sequence[str]) -> Words:
    return (random.choice(clients), random.choice(gateways))


def _return(random: Random, _: Sequence[str], __: Sequence[str]) -> Words:
    return (str(random.choice((1_000, 2_500, 6_000))),)


# Doing.

_REFUSABLE: Mapping[str, Operation] = MappingProxyType(
    {
        "add": Operation.ADD_SAS,
        "numbers": Operation.SET_NUMBERS,
        "limits": Operation.SET_PACKET_LIMITS,
        "block": Operation.BLOCK_OUTBOUND,
    }
)


def _until_restart(
    breaks: Callable[[Faults, str], None], repairs: Callable[[Faults, str], None]
) -> Callable[[Scene, Words, int], None]:
    def inflict_it(scene: Scene, words: Words, lasts_ns: int) -> None:
        (name,) = words
        if name in scene.schedule.nodes:
            breaks(scene.faults, name)
            scene.cluster.clock.after(lasts_ns, lambda: repairs(scene.faults, name))

    return inflict_it


def _for_a_node(
    done: Callable[[Faults, str, Words, int], None],
) -> Callable[[Scene, Words, int], None]:
    """Something done to one node, if there is such a one."""

    def inflict_it(scene: Scene, words: Words, lasts_ns: int) -> None:
        name, *others = words
        if name in scene.schedule.nodes:
            done(scene.faults, name, tuple(others), lasts_ns)

    return inflict_it


def _names(scene: Scene, text: str) -> list[str]:
    return [name for name in text.split(",") if name in scene.schedule.nodes]


def _traffic(text: str) -> frozenset[Traffic]:
    return ALL_TRAFFIC if text == "all" else frozenset(Traffic(word) for word in text.split(","))


def _divide(scene: Scene, words: Words, lasts_ns: int) -> None:
    sides = [_names(scene, side) for side in words[0].split("|")]
    cuts = scene.faults.partition(*sides)
    scene.cluster.clock.after(lasts_ns, lambda: scene.faults.mend(cuts))


def _cut_one_way(scene: Scene, words: Words, lasts_ns: int) -> None:
    sources, destinations, traffic = words
    cuts = scene.faults.partition_one_way(
        _names(scene, sources), _names(scene, destinations), _traffic(traffic)
    )
    scene.cluster.clock.after(lasts_ns, lambda: scene.faults.mend(cuts))


def _cut_gateway_off(scene: Scene, words: Words, lasts_ns: int) -> None:
    name, traffic = words
    if name not in scene.schedule.nodes:
        return
    others = [other for other in scene.cluster.hosts if other != name]
    cuts = [
        *scene.faults.partition_one_way([name], others, _traffic(traffic)),
        *scene.faults.partition_one_way(others, [name], _traffic(traffic)),
    ]
    scene.cluster.clock.after(lasts_ns, lambda: scene.faults.mend(cuts))


def _change_weather(scene: Scene, words: Words, lasts_ns: int) -> None:
    values = {name: int(value) for name, value in (word.split("=") for word in words)}
    scene.faults.weather(
        Weather(
            loss=values.get("loss", 0) / 100,
            duplication=values.get("double", 0) / 100,
            lateness=values.get("late", 0) / 100,
            late_ns=values.get("late_ms", 80) * MILLISECOND_NS,
            corruption=values.get("corrupt", 0) / 100,
        )
    )
    scene.cluster.clock.after(lasts_ns, lambda: scene.faults.weather(Weather()))


def _reconnect(scene: Scene, words: Words, _: int) -> None:
    client, gateway = words
    if {client, gateway} <= scene.schedule.nodes:
        scene.faults.reconnect(client, gateway)


def _give_clients_back(_: Scene, __: Words, ___: int) -> None:
    """Nothing at its time: gateways are started with it, by `returns_after_ns`."""


def returns_after_ns(schedule: Schedule) -> int:
    """How long a gateway must be well to get its clients back: what the first `return` says; 0 for never.

    Raises:
        ScheduleError: it is no number of milliseconds.
    """
    fault = next((fault for fault in schedule.faults if fault.kind == "return"), None)
    if fault is None:
        return 0
    text = " ".join(fault.arguments)
    if not text.isdecimal() or not _RETURN_MIN_MS <= int(text) <= _RETURN_MAX_MS:
        raise ScheduleError(f"a return names {_RETURN_MIN_MS} to {_RETURN_MAX_MS} ms, not {text!r}")
    return int(text) * MILLISECOND_NS


def _drain(scene: Scene, words: Words, lasts_ns: int) -> None:
    (name,) = words
    if name in scene.schedule.nodes:
        scene.faults.drain(name)
        scene.cluster.clock.after(lasts_ns, lambda: scene.faults.undrain(name))


def _refuse(faults: Faults, name: str, words: Words, _: int) -> None:
    operation, error, requests = words
    faults.refuse(name, _REFUSABLE[operation], getattr(errno, error), int(requests))


KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "crash": FaultKind(
            weight=6,
            lasts_ms=(500, 9_000),
            draw=_gateway,
            inflict=_until_restart(Faults.crash_host, Faults.restart_host),
        ),
        "kill": FaultKind(
            weight=4,
            lasts_ms=(100, 5_000),
            draw=_gateway,
            inflict=_until_restart(Faults.kill_gossipsa, Faults.start_gossipsa),
        ),
        "charon": FaultKind(
            weight=2,
            lasts_ms=(100, 4_000),
            draw=_gateway,
            inflict=_until_restart(Faults.kill_ike_daemon, Faults.start_ike_daemon),
        ),
        "leave": FaultKind(
            weight=2,
            lasts_ms=(800, 6_000),
            draw=_gateway,
            inflict=_for_a_node(lambda faults, name, _, lasts_ns: faults.leave(name, lasts_ns)),
        ),
        "drain": FaultKind(weight=2, lasts_ms=(500, 9_000), draw=_gateway, inflict=_drain),
        "return": FaultKind(weight=1, lasts_ms=None, draw=_return, inflict=_give_clients_back),
        "pause": FaultKind(
            weight=2,
            lasts_ms=(50, 6_000),
            draw=_gateway,
            inflict=_for_a_node(lambda faults, name, _, lasts_ns: faults.pause_host(name, lasts_ns)),
        ),
        "suspend": FaultKind(
            weight=2,
            lasts_ms=(50, 6_000),
            draw=_gateway,
            inflict=_for_a_node(
                lambda faults, name, _, lasts_ns: faults.pause_host(name, lasts_ns, clock_stands=True)
            ),
        ),
        "stall": FaultKind(
            weight=2,
            lasts_ms=(50, 5_000),
            draw=_gateway,
            inflict=_for_a_node(lambda faults, name, _, lasts_ns: faults.pause_gossipsa(name, lasts_ns)),
        ),
        "slow": FaultKind(
            weight=2,
            lasts_ms=(500, 6_000),
            draw=_slow,
            inflict=_for_a_node(
                lambda faults, name, words, lasts_ns: faults.slow_gossipsa(
                    name, int(words[0]) * MILLISECOND_NS, lasts_ns
                )
            ),
        ),
        "jump": FaultKind(
            weight=1,
            lasts_ms=None,
            draw=_jump,
            inflict=_for_a_node(
                lambda faults, name, words, _: faults.jump_clock(name, int(words[0]) * MILLISECOND_NS)
            ),
        ),
        "drift": FaultKind(
            weight=1,
            lasts_ms=None,
            draw=_drift,
            inflict=_for_a_node(lambda faults, name, words, _: faults.drift_clock(name, int(words[0]))),
        ),
        "divide": FaultKind(weight=3, lasts_ms=(300, 8_000), draw=_halves, inflict=_divide),
        "oneway": FaultKind(weight=3, lasts_ms=(300, 8_000), draw=_one_way, inflict=_cut_one_way),
        "cutoff": FaultKind(weight=3, lasts_ms=(300, 8_000), draw=_cut_off, inflict=_cut_gateway_off),
        "weather": FaultKind(weight=3, lasts_ms=(1_000, 9_000), draw=_weather, inflict=_change_weather),
        "refuse": FaultKind(weight=2, lasts_ms=None, draw=_refusal, inflict=_for_a_node(_refuse)),
        "roam": FaultKind(
            weight=2,
            lasts_ms=None,
            draw=_client,
            inflict=_for_a_node(lambda faults, name, _, __: faults.roam(name)),
        ),
        "rekey": FaultKind(
            weight=3,
            lasts_ms=None,
            draw=_rekey,
            inflict=_for_a_node(lambda faults, name, words, _: faults.rekey(name, ike=words[0] == "ike")),
        ),
        "burst": FaultKind(
            weight=4,
            lasts_ms=None,
            draw=_burst,
            inflict=_for_a_node(lambda faults, name, words, _: faults.burst(name, int(words[0]))),
        ),
        "replay": FaultKind(
            weight=2,
            lasts_ms=None,
            draw=_client,
            inflict=_for_a_node(lambda faults, name, _, __: faults.replay_traffic(name)),
        ),
        "reconnect": FaultKind(weight=1, lasts_ms=None, draw=_reconnection, inflict=_reconnect),
    }
)
