"""A mesh is cut in two, each half fails the other, and the cut heals: until all see all again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from gossipsa.swim.settings import SECOND_NS
from sim.mesh.experiment import SIZES, Sample, settled, sites_of, table_of

_PATIENCE_NS = 30 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """Of one size of mesh, in several runs."""

    members: int
    detected: Sample
    """From the cut until everybody failed everybody of the other half."""
    healed: Sample
    payload_bytes: float
    """Sent by each member from the end of the cut until then, on average."""


def measure(members: int, *, seeds: Iterable[int], loss: float = 0.0) -> Healing:
    """Cut between sites, half of them on each side.

    Raises:
        RuntimeError: not detected, or not healed, within 30 s.
    """
    runs = [_run(members, seed=seed, loss=loss) for seed in seeds]
    return Healing(
        members=members,
        detected=Sample(tuple(run[0] for run in runs)),
        healed=Sample(tuple(run[1] for run in runs)),
        payload_bytes=sum(run[2] for run in runs) / len(runs) / members,
    )


def _run(members: int, *, seed: int, loss: float) -> tuple[int, int, int]:
    half = members // 2
    apart = half * (half - 1) + (members - half) * (members - half - 1)
    network = settled(members, seed=seed, loss=loss)
    network.partition(network.names[:half], network.names[half:])
    detected_ns = network.run(_PATIENCE_NS, until=lambda: network.live_pairs == apart)
    network.run(5 * SECOND_NS)
    network.heal()
    network.forget()
    healed_ns = network.run(_PATIENCE_NS, until=lambda: network.live_pairs == members * (members - 1))
    if max(detected_ns, healed_ns) >= _PATIENCE_NS:
        raise RuntimeError(f"{members} members were not whole again within 30 s")
    return detected_ns, healed_ns, sum(host.sent.payload_bytes for host in network.hosts.values())


def table(*, sizes: Sequence[int] = SIZES, seeds: Sequence[int] = range(3)) -> Table:
    """Ratios to the smallest mesh."""
    found = [measure(members, seeds=seeds) for members in sizes]
    return table_of(
        f"Half and half cut apart: seconds, median (least to most) of {len(seeds)} simulated runs",
        ("members", "all detected", "all healed", f"healed of N = {sizes[0]}", "kB sent by each"),
        [
            (
                f"{healing.members} at {sites_of(healing.members)} sites",
                str(healing.detected),
                str(healing.healed),
                f"{healing.healed.median_ns / found[0].healed.median_ns:.2f}",
                f"{healing.payload_bytes / 1e3:.1f}",
            )
            for healing in found
        ],
    )
