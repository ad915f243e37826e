"""Round-trip times of made-up networks: sites on a grid, a line or a tree, each gateway behind a link."""

from __future__ import annotations

from collections.abc import Callable
from math import dist
from random import Random

GAP_MS = 20.0
"""Between neighbouring sites."""
JITTER = 0.1
"""Fraction by which a measured round trip may exceed that of its path."""

Distance = Callable[[int, int], float]
"""Round trip of two gateways, by index, in milliseconds and without jitter."""


def topology(kind: str, *, sites: int, per_site: int, random: Random, height_ms_max: float = 2.0) -> Distance:
    """Gateways 0 to sites * per_site - 1, those of one site side by side.

    Args:
        kind: grid, line, or tree (a binary one: a Euclidean space cannot express it).
        height_ms_max: of the round trip over a gateway's own link.
    """
    heights_ms = [0.1 + height_ms_max * random.random() for _ in range(sites * per_site)]
    between = {"grid": _grid_ms, "line": _line_ms, "tree": _tree_ms}[kind]
    return lambda one, other: (
        between(one // per_site, other // per_site) + heights_ms[one] + heights_ms[other]
    )


def _grid_ms(one: int, other: int) -> float:
    return GAP_MS * dist(divmod(one, 4), divmod(other, 4))


def _line_ms(one: int, other: int) -> float:
    return GAP_MS * abs(one - other)


def _tree_ms(one: int, other: int) -> float:
    one, other, steps = one + 1, other + 1, 0
    while one != other:
        if one > other:
            one //= 2
        else:
            other //= 2
        steps += 1
    return GAP_MS / 2 * steps
