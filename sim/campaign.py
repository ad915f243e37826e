"""Many seeds of the standard campaign, on several processes; what fails is made short and kept."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sim.schedule import Schedule
from sim.shrink import shrink
from sim.standard import draw_schedule, run_schedule
from sim.timeline import draw_timeline
from sim.virtual_clock import SECOND_NS

_SEEDS_A_TASK = 4
_say = partial(print, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one seed."""

    seed: int
    simulated_ns: int
    checker: str | None
    """The promise that was broken."""
    violation: str
    reproduction: str


def run_seed(seed: int) -> Result:
    """Draws and runs the schedule of a seed."""
    outcome = run_schedule(draw_schedule(seed), seed)
    return Result(
        seed=seed,
        simulated_ns=outcome.cluster.clock.now_ns,
        checker=outcome.violation.checker if outcome.violation is not None else None,
        violation=str(outcome.violation or ""),
        reproduction=outcome.reproduction,
    )


def run_seeds(seeds: Iterable[int], *, jobs: int, seconds_max: float | None = None) -> Iterator[Result]:
    """Runs seeds, on `jobs` processes, as long as there is time; results come as they are done."""
    started_s = time.monotonic()

    def remaining() -> Iterator[int]:
        for seed in seeds:
            if seconds_max is not None and time.monotonic() - started_s > seconds_max:
                return
            yield seed

    if jobs == 1:
        yield from map(run_seed, remaining())
        return
    with multiprocessing.Pool(jobs) as pool:
        # Without a limit, the pool draws all seeds at once; with one, only as many as it has hands for.
        if seconds_max is None:
            yield from pool.imap_unordered(run_seed, seeds, chunksize=_SEEDS_A_TASK)
            return
        waiting = remaining()
        while batch := [seed for seed, _ in zip(waiting, range(_SEEDS_A_TASK * jobs), strict=False)]:
            yield from pool.imap_unordered(run_seed, batch)


def shrink_seed(schedule: Schedule, seed: int, checker: str, *, runs_max: int = 150) -> Schedule:
    """The shortest schedule found in which the same promise is broken."""

    def fails(candidate: Schedule) -> bool:
        violation = run_schedule(candidate, seed).violation
        return violation is not None and violation.checker == checker

    return shrink(schedule, fails, runs_max=runs_max)


def campaign(
    seeds: Iterable[int],
    *,
    jobs: int,
    seconds_max: float | None = None,
    shrunk_max: int = 1,
    keep: Path | None = None,
    say: Callable[[str], None] = _say,
) -> int:
    """Runs a campaign and says how it goes.

    Args:
        shrunk_max: so many of the failing seeds are made short.
        keep: directory that gets a file for each of those, for `tests/sim/test_found_schedules.py`.

    Returns:
        How many seeds failed.
    """
    started_s = time.monotonic()
    count = simulated_ns = 0
    failed: list[Result] = []
    for result in run_seeds(seeds, jobs=jobs, seconds_max=seconds_max):
        count += 1
        simulated_ns += result.simulated_ns
        if result.checker is not None:
            failed.append(result)
            say(f"seed {result.seed} VIOLATED {result.violation}\n  again: {result.reproduction}")
    took_s = time.monotonic() - started_s
    speed = simulated_ns / SECOND_NS / max(took_s, 1e-9)
    say(
        f"standard campaign: {count} seeds, {len(failed)} violations, {took_s:.1f} s on {jobs} of "
        f"{os.cpu_count()} cores, {simulated_ns / SECOND_NS:.0f} s simulated ({speed:.0f} a second)"
    )
    failed.sort(key=lambda result: result.seed)
    for result in failed[:shrunk_max]:
        say("\n".join(_explained(result, keep)))
    if failed:
        say("failing seeds: " + " ".join(f"{result.seed}:{result.checker}" for result in failed))
    return len(failed)


def _explained(result: Result, keep: Path | None) -> Iterator[str]:
    assert result.checker is not None
    schedule = shrink_seed(draw_schedule(result.seed), result.seed, result.checker)
    yield f"\nseed {result.seed} made short:"
    yield from draw_timeline(schedule, result.seed)
    if keep is not None:
        path = keep / f"{_words(result.checker)}_{result.seed}.schedule"
        path.write_text(f"{result.seed}: {schedule}\n")
        yield f"kept as {path}"


def _words(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
