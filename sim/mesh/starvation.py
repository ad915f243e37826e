"""Lifeguard's own experiment: some members are starved of CPU again and again; who is wrongly taken for dead?

After arXiv 1707.00788 section V (its interval experiment): 128 members, some of which all at once process no
messages for a while, neither those to be sent nor those received, process all that has piled up, and stop
again, for two minutes; their timers run. A false positive is a verdict about a member that is not among them,
counted at every member that comes to hold it; "at healthy members" leaves out what the starved ones hold.

Ours are the grid, a part of the ranges of the paper, the virtual network (0.3 ms one way, no loss), how much
a socket holds meanwhile, and that a run ends after exactly two minutes. The figures of Lifeguard are those
that it published for its own grid, on real hosts: the shares compare, the counts do not.

Plain SWIM is our own core, with all that Lifeguard and we add switched off, at the timing of memberlist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import log10

from rich.table import Table

from gossipsa.identifiers import GatewayName
from gossipsa.swim.outputs import MemberFailed
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS, SwimSettings
from sim.mesh.experiment import table_of
from sim.mesh.network import Network

MEMBERS = 128
RUN_NS = 120 * SECOND_NS
QUIET_NS = 15 * SECOND_NS
STARVED = (4, 16)
STILL_MS = (8_192, 16_384, 32_768)
RUNNING_MS = (64, 4_096)
"""A part of the paper's grid: standstills that are shorter harm neither."""

_SUSPICION_NS = int(5 * log10(MEMBERS) * SECOND_NS)

PLAIN_SWIM = SwimSettings(
    probe_interval_ns=1 * SECOND_NS,
    watched_max=0,
    neighbours=0,
    ping_attempts=2,
    relay_attempts=(2,),
    stream_attempt=0,
    ack_wait_initial_ns=500 * MILLISECOND_NS,
    ack_wait_min_ns=500 * MILLISECOND_NS,
    ack_wait_max_ns=500 * MILLISECOND_NS,
    late_ack_ns=6 * _SUSPICION_NS,
    stream_check_interval_ns=7 * _SUSPICION_NS,
    suspicion_min_ns=_SUSPICION_NS,
    suspicion_max_ns=_SUSPICION_NS,
    gossip_interval_ns=200 * MILLISECOND_NS,
    exchange_interval_ns=30 * SECOND_NS,
    witnesses_min=1,
    second_look=False,
    buddy=False,
    stall_ns=0,
    health_max=0,
    # Out of reach: nobody is damped.
    flap_suppress_max_ns=64 * LAN.flap_half_life_ns,
    flap_suppress_penalty=1 << 60,
)
"""SWIM (DSN 2002) with memberlist's timing: 500 ms for an answer, 500 ms for relays, 5 log10(N) s to refute.

The second ping of a probe stands for memberlist's over a stream."""

PATIENT = replace(
    LAN,
    probe_interval_ns=PLAIN_SWIM.probe_interval_ns,
    late_ack_ns=PLAIN_SWIM.late_ack_ns,
    stream_check_interval_ns=PLAIN_SWIM.stream_check_interval_ns,
    suspicion_min_ns=_SUSPICION_NS,
    suspicion_max_ns=6 * _SUSPICION_NS,
    gossip_interval_ns=PLAIN_SWIM.gossip_interval_ns,
    exchange_interval_ns=PLAIN_SWIM.exchange_interval_ns,
)
"""Ours, as patient as Lifeguard was in its experiment."""

LIFEGUARD = (0.0153, 0.0189, 1.106, 0.980)
"""Lifeguard's share of SWIM's: false positives, at healthy members, messages, bytes (its tables)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """Sums over all runs."""

    false_positives: int = 0
    at_healthy: int = 0
    packets: int = 0
    payload_bytes: int = 0

    def __add__(self, other: Starvation) -> Starvation:
        return Starvation(
            false_positives=self.false_positives + other.false_positives,
            at_healthy=self.at_healthy + other.at_healthy,
            packets=self.packets + other.packets,
            payload_bytes=self.payload_bytes + other.payload_bytes,
        )


def measure(
    settings: SwimSettings,
    *,
    starved: int,
    still_ms: int,
    running_ms: int,
    seed: int,
    members: int = MEMBERS,
    run_ns: int = RUN_NS,
) -> Starvation:
    """One run: `starved` members process no message for `still_ms`, run for `running_ms`, and so on."""
    network = Network(members, seed=seed, settings=settings)
    network.start_settled()
    network.run(QUIET_NS)
    network.forget()
    slow = network.random.sample(network.names, starved)
    end_ns = network.now_ns + run_ns
    while network.now_ns < end_ns:
        for name in slow:
            network.hold(name)
        network.run(min(still_ms * MILLISECOND_NS, end_ns - network.now_ns))
        for name in slow:
            network.release(name)
        network.run(min(running_ms * MILLISECOND_NS, end_ns - network.now_ns))
    return _count(network, set(slow))


def _count(network: Network, slow: set[GatewayName]) -> Starvation:
    false = [
        told for told in network.told if isinstance(told.event, MemberFailed) and told.event.name not in slow
    ]
    sent = [host.sent for host in network.hosts.values()]
    return Starvation(
        false_positives=len(false),
        at_healthy=sum(told.observer not in slow for told in false),
        packets=sum(traffic.packets for traffic in sent),
        payload_bytes=sum(traffic.payload_bytes for traffic in sent),
    )


def table(
    *,
    seeds: Sequence[int] = (0,),
    members: int = MEMBERS,
    still_ms: Sequence[int] = STILL_MS,
    run_ns: int = RUN_NS,
) -> Table:
    """All combinations of starved members, standstill and run, for each of the three.

    Args:
        members: fewer are as many fewer that are starved.
    """
    starved = [count * members // MEMBERS for count in STARVED]
    sums = {}
    for name, settings in (("SWIM", PLAIN_SWIM), ("as patient", PATIENT), ("lan", LAN)):
        sums[name] = sum(
            (
                measure(
                    settings,
                    starved=count,
                    still_ms=still,
                    running_ms=running,
                    seed=seed,
                    members=members,
                    run_ns=run_ns,
                )
                for count, still, running, seed in product(starved, still_ms, RUNNING_MS, seeds)
            ),
            Starvation(),
        )
    swim = sums["SWIM"]
    rows = [
        ("SWIM, simulated", str(swim.false_positives), str(swim.at_healthy), "1.00", "1.00"),
        ("Lifeguard, published", *(f"{share:.2%}" for share in LIFEGUARD[:2]), *map(str, LIFEGUARD[2:])),
    ]
    for name in ("as patient", "lan"):
        ours = sums[name]
        rows.append(
            (
                f"gossipsa, {name}",
                f"{ours.false_positives / max(1, swim.false_positives):.2%}",
                f"{ours.at_healthy / max(1, swim.at_healthy):.2%}",
                f"{ours.packets / swim.packets:.2f}",
                f"{ours.payload_bytes / swim.payload_bytes:.2f}",
            )
        )
    return table_of(
        f"Some of {members} members starved of CPU: healthy members taken for dead, as shares of SWIM's",
        ("", "false positives", "at healthy members", "packets", "bytes"),
        rows,
    )
