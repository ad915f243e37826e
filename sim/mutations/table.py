"""The table of planted bugs: which checker found each, and after how many seeds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sim.mutations.catalogue import MUTATIONS
from sim.mutations.mutation import Finding, search

_BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
_say = partial(print, flush=True)


def print_table(names: Sequence[str], *, jobs: int, seeds_max: int, say: Callable[[str], None] = _say) -> int:
    """Searches for all planted bugs, or for those named.

    Returns:
        How many were not found, or by another checker than they should be.
    """
    chosen = [name for name in _BY_NAME if not names or name in names]
    say(f"{'planted bug':<28} {'found by':<22} {'seeds':>5}  what is wrong")
    missed = 0
    for name, finding in zip(chosen, _search_all(chosen, jobs=jobs, seeds_max=seeds_max), strict=True):
        mutation = _BY_NAME[name]
        as_expected = finding.checker == mutation.checker
        missed += not as_expected
        found = finding.checker or "NOBODY"
        say(
            f"{name:<28} {found:<22} {finding.seeds:>5}  {mutation.summary}"
            + ("" if as_expected else f" (expected: {mutation.checker}; {finding.violation})")
        )
    say(f"{len(chosen) - missed} of {len(chosen)} planted bugs found")
    return missed


def _search_all(names: Sequence[str], *, jobs: int, seeds_max: int) -> Iterator[Finding]:
    searching = partial(_search_named, seeds_max=seeds_max)
    if jobs == 1:
        yield from map(searching, names)
        return
    with multiprocessing.Pool(jobs) as pool:
        yield from pool.imap(searching, names)


def _search_named(name: str, *, seeds_max: int) -> Finding:
    # By name: what plants a bug is code, and stays in its process.
    return search(_BY_NAME[name], seeds_max=seeds_max)
