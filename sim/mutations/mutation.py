"""A planted bug, and the search for a seed that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from sim.scenarios import SCENARIOS
from sim.scenarios.scenario import Outcome, run
from sim.schedule import parse_schedule
from sim.standard import draw_schedule, run_schedule

STANDARD = "standard"
"""In place of a scenario: the standard campaign."""
SEEDS_MAX = 24

Planted = Callable[[], AbstractContextManager[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One bug."""

    name: str
    summary: str
    """What is wrong, in one line."""
    where: str
    """Name of a scenario, STANDARD, or a schedule."""
    checker: str
    """The promise that is expected to be seen broken first."""
    plant: Planted
    """While entered, the bug is there; gives arguments for `run`."""
    first_seed: int = 0
    """Where the search of the test begins, so that it is short; the table always begins at 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a planted bug."""

    checker: str | None
    """The promise that was seen broken; None if no seed did."""
    seeds: int
    """How many were run until then."""
    violation: str


def search(mutation: Mutation, *, first_seed: int = 0, seeds_max: int = SEEDS_MAX) -> Finding:
    """Runs one seed after the other until a checker finds the bug."""
    with mutation.plant() as planted:
        for seed in range(first_seed, first_seed + seeds_max):
            violation = _run(mutation.where, seed, planted).violation
            if violation is not None:
                return Finding(
                    checker=violation.checker, seeds=seed - first_seed + 1, violation=str(violation)
                )
    return Finding(checker=None, seeds=seeds_max, violation="")


@contextmanager
def patched(owner: Any, name: str, value: object, **planted: Any) -> Iterator[Mapping[str, Any]]:
    """Replaces an attribute of a class or module for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield planted
    finally:
        setattr(owner, name, before)


@contextmanager
def planted(**arguments: Any) -> Iterator[Mapping[str, Any]]:
    """A bug that needs nothing but other parts: `make_driver` and the like."""
    yield arguments


@contextmanager
def both(
    one: AbstractContextManager[Mapping[str, Any]], other: AbstractContextManager[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Two bugs at once."""
    with one as first, other as second:
        yield {**first, **second}


def _run(where: str, seed: int, planted: Mapping[str, Any]) -> Outcome:
    if where == STANDARD:
        return run_schedule(draw_schedule(seed), seed, **planted)
    if where in SCENARIOS:
        return run(SCENARIOS[where], seed, **planted)
    return run_schedule(parse_schedule(where), seed, **planted)
