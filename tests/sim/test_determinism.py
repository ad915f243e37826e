"""A seed decides a run, byte for byte; nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sim.random_streams import RandomStreams
from sim.scenarios import SCENARIOS
from sim.scenarios.scenario import run

_PROGRAM = """
from sim.scenarios import SCENARIOS
from sim.scenarios.scenario import run
for name in ("lossy_kill", "torn"):
    cluster = run(SCENARIOS[name], 7).cluster
    print(name, cluster.clock.steps, cluster.trace.digest())
"""


def _digests(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_two_processes_with_different_hash_seeds_see_the_same_bytes() -> None:
    first = _digests("1")
    assert first == _digests("2")
    assert first.count("\n") == 2


def test_same_seed_gives_the_same_trace_twice_and_another_seed_another() -> None:
    digests = [run(SCENARIOS["kill"], seed).cluster.trace.digest() for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("other", [("g2", "choices"), ("g1", "entropy"), ("g1", "choices", 1)])
def test_random_streams_of_different_names_differ(other: tuple[object, ...]) -> None:
    streams = RandomStreams(1)
    assert streams.stream("g1", "choices").random() == streams.stream("g1", "choices").random()
    assert streams.stream("g1", "choices").random() != streams.stream(*other).random()
    assert streams.stream("g1", "choices").random() != RandomStreams(2).stream("g1", "choices").random()
