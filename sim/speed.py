"""How fast the simulator is: simulated seconds a real second, for a mesh of any size, without checkers."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sim.cluster import Cluster, ClusterSettings
from sim.faults import Faults
from sim.shared_crypto import shared_crypto
from sim.virtual_clock import SECOND_NS

_PACKET_INTERVAL_NS = 10 * SECOND_NS
_PEER_CHECK_INTERVAL_NS = 30 * SECOND_NS
_SETTLING_NS = 4 * SECOND_NS
_ASKED = 16
"""Gateways asked whom they know."""
_say = partial(print, flush=True)


def measure(
    *, gateways: int, clients: int, simulated_s: float, seed: int = 0, say: Callable[[str], None] = _say
) -> float:
    """Runs a mesh in which one gateway dies, and tells how long that took.

    Clients send and get a packet every ten seconds, and check their gateway every thirty: what is measured is
    gossipsa, not ESP.

    Returns:
        Simulated seconds a real second, from when all gateways and clients are there.
    """
    settings = ClusterSettings(
        gateways=gateways,
        clients=clients,
        packet_interval_ns=_PACKET_INTERVAL_NS,
        peer_check_interval_ns=_PEER_CHECK_INTERVAL_NS,
    )
    with shared_crypto(), _no_collections():
        return _measure(Cluster(settings, seed=seed), simulated_s, say)


def _measure(cluster: Cluster, simulated_s: float, say: Callable[[str], None]) -> float:
    gateways, clients = cluster.settings.gateways, cluster.settings.clients
    started_s = time.process_time()
    cluster.start()
    cluster.run_for(_SETTLING_NS)
    settled_s = time.process_time()
    steps = cluster.clock.steps
    known = [len(status.members) for status in cluster.statuses(_ASKED).values()]
    say(
        f"{gateways} gateways and {clients} clients: the first {_SETTLING_NS // SECOND_NS} s, in which all "
        f"start and connect, took {settled_s - started_s:.1f} s of one core; a gateway knows "
        f"{sum(known) / len(known):.0f} others"
    )
    Faults(cluster).crash_host("g1")
    cluster.run_for(int(simulated_s * SECOND_NS))
    took_s = time.process_time() - settled_s
    victims = [name for name, gateway in cluster.started_at.items() if gateway == "g1"]
    moved = sum(cluster.gateway_of(cluster.clients[name]).name != "g1" for name in victims)
    say(
        f"{simulated_s:g} s after that, with one gateway dead, {moved} of its {len(victims)} clients moved: "
        f"{took_s:.1f} s of one core, {cluster.clock.steps - steps} events, "
        f"{simulated_s / took_s:.2f} simulated seconds a second"
    )
    return simulated_s / took_s


@contextmanager
def _no_collections() -> Iterator[None]:
    """Looks for no garbage cycles: there are few, and to look through a thousand gateways takes seconds."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
