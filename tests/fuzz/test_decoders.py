"""Mutated input raises nothing but what a decoder declares, and costs no more memory than it may."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutator import Mutator
from tests.fuzz.registry import all_targets
from tests.fuzz.target import Syntax, Target, outcome

EXAMPLES = 60
MEMORY_FIXED_BYTES = 1 << 18
"""What decoding may cost whatever the input: caches, tables, text of errors."""

targets = pytest.mark.parametrize("target", all_targets().values(), ids=lambda target: target.name)


@targets
def test_seeds_are_valid(target: Target) -> None:
    assert "accepted" in {outcome(target, seed) for seed in target.seeds}


@targets
@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_mutated_input_raises_only_what_is_declared(target: Target, seed: int) -> None:
    outcome(target, Mutator(target, Random(seed)).make())


@targets
@settings(max_examples=20, derandomize=True, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise_raises_only_what_is_declared(target: Target, data: bytes) -> None:
    outcome(target, data)


def largest(target: Target) -> list[bytes]:
    """Input of the greatest length, in the shapes that cost most."""
    size = target.input_bytes_max
    seed = max(target.seeds, key=len)
    found = [seed * (size // len(seed) + 1), bytes(size), b"\xff" * size, seed + bytes(size)]
    if target.syntax is Syntax.MESSAGEPACK:
        # Arrays of as many of the smallest values as fit, and as deep as they go.
        found += [b"\xdd" + (size - 5).to_bytes(4, "big") + bytes(size - 5), b"\x91" * size]
        found += [mutant for number in range(40) if (mutant := Mutator(target, Random(number)).make())]
    elif target.syntax is Syntax.TEXT:
        found += [b"[" * size, b"a = " + b"[" * size, b'"' + b"\\n" * (size // 2), b"{" * size]
    return [data[:size] for data in found]


@targets
def test_largest_input_costs_bounded_memory(target: Target) -> None:
    for data in largest(target):
        outcome(target, data)
        tracemalloc.start()
        try:
            outcome(target, data)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes <= MEMORY_FIXED_BYTES + target.growth * len(data)
