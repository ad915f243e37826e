"""All experiments by name, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from sim.mesh import detection, healing, idle, starvation

BENCH_SIZES = (8, 32, 100)

EXPERIMENTS: dict[str, Callable[[Sequence[int], Sequence[int]], Table]] = {
    "detection": lambda sizes, seeds: detection.table(sizes=sizes, seeds=seeds),
    "idle": lambda sizes, seeds: idle.table(sizes=sizes, seeds=seeds),
    "healing": lambda sizes, seeds: healing.table(sizes=sizes, seeds=seeds),
    "starvation": lambda sizes, seeds: starvation.table(seeds=seeds),
}
"""Each takes the sizes of the mesh and the seeds of its runs."""


def tables(*, sizes: Sequence[int] = BENCH_SIZES, seeds: Sequence[int] = range(2)) -> Iterator[Table]:
    """The tables for `make bench`, one after the other as they are ready; some minutes in all.

    With `sim.mesh.experiment.SIZES` up to 1,000 members, which takes most of an hour.
    """
    for experiment in EXPERIMENTS.values():
        yield experiment(sizes, seeds)
