"""A campaign against one target: guided by coverage with atheris, by mutation alone without it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

from tests.fuzz.mutator import Mutator
from tests.fuzz.target import Target, outcome

INPUT_BYTES_MAX = 1 << 16
"""Longer input finds nothing new and costs executions; `test_decoders.py` tries the largest."""
_MUTATIONS_BY_LIBFUZZER = 3
"""One in so many inputs is mutated by libFuzzer, which knows what comparisons were tried."""
_LONG_S = 86_400


def run_guided(target: Target, *, executions: int, seconds: int, seed: int, findings: Path) -> None:
    """Never returns: libFuzzer ends the process, with a status that is not 0 if it found something."""
    import atheris  # noqa: PLC0415 - an optional dependency

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.randrange(_MUTATIONS_BY_LIBFUZZER) == 0:
            mutated: bytes = atheris.Mutate(data, max_size)
            return mutated
        # libFuzzer starts with an empty input, and keeps of the corpus what reaches new code.
        base = data if len(data) > 1 else random.choice(target.seeds)
        return Mutator(target, random).mutate(base)[:max_size]

    def run_one(data: bytes) -> None:
        outcome(target, data)

    corpus = findings / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(data[:INPUT_BYTES_MAX])
    arguments = [
        sys.argv[0],
        f"-runs={executions}",
        f"-max_total_time={seconds}",
        f"-seed={seed + 1}",
        f"-max_len={min(target.input_bytes_max, INPUT_BYTES_MAX)}",
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={findings}/{target.name}-",
        str(corpus),
    ]
    atheris.Setup(arguments, run_one, custom_mutator=mutate)
    atheris.Fuzz()


def run_unguided(target: Target, *, executions: int, seconds: int, seed: int, findings: Path) -> None:
    """The same without coverage."""
    mutator = Mutator(target, Random(seed))
    end_s = time.monotonic() + (seconds or _LONG_S)
    done = 0
    while done < executions and time.monotonic() < end_s:
        done += 1
        data = mutator.make()
        try:
            outcome(target, data)
        except Exception:
            (findings / f"{target.name}-crash").write_bytes(data)
            raise
    print(f"stat::number_of_executed_units: {done}", file=sys.stderr)
