"""Runs the measurements of the `mesh` table in namespaces of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from tests.bench.mesh import network
from tests.bench.mesh.figures import SystemFigures
from tests.bench.mesh.plan import Plan
from tests.bench.mesh.serf import SerfMesh

_REPOSITORY = Path(__file__).resolve().parents[3]


def measure(plan: Plan, results: Path) -> list[SystemFigures]:
    """The figures of both systems; they stay in `results` as mesh.json. Progress goes to standard error.

    Raises:
        RuntimeError: this machine cannot, or an agent ended by itself.
    """
    reason = network.why_unavailable() or SerfMesh.why_unavailable()
    if reason is not None:
        raise RuntimeError(f"the meshes cannot be measured: {reason}")
    results.mkdir(parents=True, exist_ok=True)
    file = results / "mesh.json"
    command = [sys.executable, "-m", "tests.bench.mesh", msgspec.json.encode(plan).decode(), str(file)]
    done = subprocess.run(network.in_own_namespaces(command), cwd=_REPOSITORY, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"the measurements ended with status {done.returncode}; what they found is in {file}"
        )
    return msgspec.json.decode(file.read_bytes(), type=list[SystemFigures])
