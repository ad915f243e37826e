"""What membership costs each member while nothing happens, as the mesh grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from gossipsa.swim.settings import SECOND_NS
from sim.mesh.experiment import SIZES, settled, sites_of, table_of

MEASURED_NS = 20 * SECOND_NS
SETTLE_NS = 30 * SECOND_NS
"""After a change, comparisons of tables fall back to their longest interval within this time."""
LOCATE_NS = SECOND_NS // 4
"""For each member: they ask out of turn where each other one is, four a second, until they know all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Of one member in one second, on average; bytes are those of packets before sealing."""

    members: int
    packets: float
    payload_bytes: float
    packets_most: float
    """Of the member that sends most."""
    streams: int
    """Packets of all members that needed a stream."""


def measure(members: int, *, watched: int = 0, seed: int = 1) -> Idle:
    """When all that followed the start is over."""
    network = settled(members, seed=seed, watched=watched)
    network.run(SETTLE_NS + members * LOCATE_NS)
    network.forget()
    network.run(MEASURED_NS)
    sent = [host.sent for host in network.hosts.values()]
    seconds = MEASURED_NS / SECOND_NS
    return Idle(
        members=members,
        packets=sum(traffic.packets for traffic in sent) / members / seconds,
        payload_bytes=sum(traffic.payload_bytes for traffic in sent) / members / seconds,
        packets_most=max(traffic.packets for traffic in sent) / seconds,
        streams=sum(traffic.streams for traffic in sent),
    )


def table(*, sizes: Sequence[int] = SIZES, seeds: Sequence[int] = (1,)) -> Table:
    """Ratios to the smallest mesh."""
    found = [measure(members, seed=seeds[0]) for members in sizes]
    return table_of(
        "Idle: each member, each second",
        ("members", "packets", "bytes", "packets of the busiest", f"packets of N = {sizes[0]}", "bytes"),
        [
            (
                f"{idle.members} at {sites_of(idle.members)} sites",
                f"{idle.packets:.1f}",
                f"{idle.payload_bytes:.0f}",
                f"{idle.packets_most:.1f}",
                f"{idle.packets / found[0].packets:.2f}",
                f"{idle.payload_bytes / found[0].payload_bytes:.2f}",
            )
            for idle in found
        ],
    )
