"""Runs Spin (https://spinroot.com) on the model of takeover."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("takeover.pml")
RULES = (
    "REMOVAL",
    "BURNING",
    "ONCE",
    "BOOTS",
    "BLOCK",
    "FENCE",
    "CREATOR_FENCE",
    "EPOCH_OWNER",
)
"""What the model can be told to leave out: `#ifndef WITHOUT_...` says where each of them matters."""

_DEPTH_MAX = 1_000_000
_STATES = re.compile(r"^\s*([\d.e+]+) states, stored", re.MULTILINE)
_VIOLATION = re.compile(r"assertion violated (.*?) \(at depth (\d+)\)")
_DEPTH = re.compile(r"depth reached (\d+), errors: (\d+)")


class SpinError(Exception):
    """Spin or the compiler refused the model, or the search did not end: nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What an exhaustive search of all states within some bounds found."""

    states: int
    depth: int
    violation: str | None
    """The assertion that does not hold, and after how many steps; None if all hold in every state."""


def missing_programs() -> tuple[str, ...]:
    """Programs that a search needs and this machine lacks."""
    return tuple(name for name in ("spin", "cc") if shutil.which(name) is None)


def search(
    *, without: str | None = None, bounds: Mapping[str, int] | None = None, timeout_s: float
) -> Search:
    """Visits every state of the model that can be reached, until an assertion fails.

    Args:
        without: one of RULES to leave out.
        bounds: of the model, by name (EPOCHS, CRASHES, SLOTS, LANES, BLOCKS) where not as the model has them.

    Raises:
        SpinError: no result.
    """
    definitions = [f"-D{name}={value}" for name, value in (bounds or {}).items()]
    definitions += [f"-DWITHOUT_{without}"] if without is not None else []
    with tempfile.TemporaryDirectory(prefix="gossipsa-spin-") as directory:
        for command in (
            ["spin", "-a", *definitions, str(MODEL)],
            ["cc", "-O1", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"],
        ):
            _run(command, directory, timeout_s)
        output = _run(["./pan", f"-m{_DEPTH_MAX}", "-w24"], directory, timeout_s)
    return _read(output)


def _run(command: list[str], directory: str, timeout_s: float) -> str:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpinError(str(error)) from None
    if done.returncode != 0:
        raise SpinError(f"{command[0]} ended with status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _read(output: str) -> Search:
    states, depth = _STATES.search(output), _DEPTH.search(output)
    if states is None or depth is None or ("Search not completed" in output and depth[2] == "0"):
        raise SpinError(f"the search did not end: {output}")
    violation = _VIOLATION.search(output)
    if (violation is None) != (depth[2] == "0"):
        raise SpinError(f"an error that is no assertion: {output}")
    return Search(
        states=int(float(states[1])),
        depth=int(depth[1]),
        violation=None if violation is None else f"{violation[1].strip()} after {violation[2]} steps",
    )
