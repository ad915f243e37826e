"""All experiments by name, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from gossipsa.swim.settings import SECOND_NS
from sim.mesh import detection, healing, idle, starvation

BENCH_SIZES = (8, 32, 64)

EXPERIMENTS: dict[str, Callable[[Sequence[int], Sequence[int]], Table]] = {
    "detection": lambda sizes, seeds: detection.table(sizes=sizes, seeds=seeds),
    "idle": lambda sizes, seeds: idle.table(sizes=sizes, seeds=seeds),
    "healing": lambda sizes, seeds: healing.table(sizes=sizes, seeds=seeds),
    "starvation": lambda sizes, seeds: starvation.table(seeds=seeds),
}
"""Each takes the sizes of the mesh and the seeds of its runs."""


def tables(*, sizes: Sequence[int] = BENCH_SIZES, full: bool = False) -> Iterator[Table]:
    """The tables for `make bench`, one after the other as they are ready; some minutes in all.

    With `sim.mesh.experiment.SIZES` up to 1,000 members, which takes an hour or more.

    Args:
        full: more runs of each size, and Lifeguard's experiment with as many members as it had.
    """
    seeds = range(3 if full else 1)
    yield detection.table(sizes=sizes, seeds=seeds)
    yield idle.table(sizes=sizes)
    yield healing.table(sizes=sizes, seeds=seeds)
    yield (
        starvation.table()
        if full
        else starvation.table(members=32, still_ms=(16_384,), run_ns=60 * SECOND_NS)
    )
