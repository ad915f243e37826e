"""How long after a death the first member, and then all, hold the dead one for failed, as the mesh grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from gossipsa.swim.outputs import MemberFailed, MemberSuspected
from gossipsa.swim.settings import SECOND_NS
from sim.mesh.experiment import SIZES, Sample, settled, sites_of, table_of

WATCHERS = 6
_PATIENCE_NS = 30 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Of one size of mesh, in several runs: from the death until then."""

    members: int
    watched: int
    first_suspected: Sample
    first_failed: Sample
    all_failed: Sample
    falsely_failed: int
    """Verdicts about members that had not died."""


def measure(members: int, *, watched: int, seeds: Iterable[int]) -> Detection:
    """Kill one member in each run.

    Raises:
        RuntimeError: somebody did not notice within 30 s.
    """
    runs = [_run(members, watched=watched, seed=seed) for seed in seeds]
    return Detection(
        members=members,
        watched=watched,
        first_suspected=Sample(tuple(run[0] for run in runs)),
        first_failed=Sample(tuple(run[1] for run in runs)),
        all_failed=Sample(tuple(run[2] for run in runs)),
        falsely_failed=sum(run[3] for run in runs),
    )


def _run(members: int, *, watched: int, seed: int) -> tuple[int, int, int, int]:
    network = settled(members, seed=seed, watched=watched)
    victim = network.names[(7 * seed + 3) % members]
    began_ns = network.now_ns
    network.kill(victim)
    network.run(_PATIENCE_NS, until=lambda: network.count(MemberFailed) >= members - 1)
    suspected = [told.at_ns for told in network.told if isinstance(told.event, MemberSuspected)]
    verdicts = [told for told in network.told if isinstance(told.event, MemberFailed)]
    true = [told.at_ns for told in verdicts if getattr(told.event, "name", None) == victim]
    if len(true) < members - 1:
        raise RuntimeError(f"{members - 1 - len(true)} of {members} did not notice a death in 30 s")
    return min(suspected) - began_ns, min(true) - began_ns, max(true) - began_ns, len(verdicts) - len(true)


def table(*, sizes: Sequence[int] = SIZES, seeds: Sequence[int] = range(5)) -> Table:
    """Ratios to the smallest mesh of the same kind."""
    rows = []
    for watched in (0, WATCHERS):
        smallest: Detection | None = None
        for members in sizes:
            found = measure(members, watched=watched, seeds=seeds)
            smallest = smallest or found
            rows.append(
                (
                    f"{members} at {sites_of(members)} sites, {watched} watch each",
                    str(found.first_suspected),
                    str(found.first_failed),
                    str(found.all_failed),
                    f"{found.all_failed.median_ns / smallest.all_failed.median_ns:.2f}",
                    str(found.falsely_failed),
                )
            )
    return table_of(
        f"A member dies: seconds, median (least to most) of {len(seeds)} simulated runs",
        ("members", "first suspects", "first failed", "all failed", f"of N = {sizes[0]}", "false"),
        rows,
    )
