"""200 clients moved to another gateway, against 200 clients connecting anew, in one lab run."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab import kernel

_SCENARIO = "bench_200"
_TIMEOUT_S = 400.0
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOrConnect:
    """What one run measured, in seconds."""

    clients: int
    connect_s: float
    """From the first IKE_SA_INIT until the last CHILD_SA stood."""
    detect_s: float
    """From the power cut until the first gateway declared the dead one failed."""
    move_s: float
    """From there until the last client answered its new gateway."""
    cpu_s: dict[str, float]
    """CPU time of each daemon from the power cut until all clients had moved."""


def measure(results: Path) -> MoveOrConnect:
    """Runs the scenario; its findings and logs stay in `results`.

    Raises:
        RuntimeError: no lab on this machine, or not every client moved.
    """
    reason = kernel.why_unavailable()
    if reason is not None:
        raise RuntimeError(f"the lab cannot run: {reason}")
    results.mkdir(parents=True, exist_ok=True)
    job = [sys.executable, "-m", "tests.lab.run", _SCENARIO, "--results", str(results)]
    done = kernel.run_job(job, results=results, directory=_REPOSITORY, timeout_s=_TIMEOUT_S)
    (results / "console.txt").write_text(done.console)
    if done.exit_status != 0:
        raise RuntimeError(f"{_SCENARIO} ended with status {done.exit_status}: see {results}")
    findings = json.loads((results / f"{_SCENARIO}.json").read_text())
    if not findings["all_moved"] or findings["moved"] != findings["clients"] or findings["new_connections"]:
        raise RuntimeError(f"not every client was moved: see {results}")
    return MoveOrConnect(
        clients=findings["clients"],
        connect_s=findings["connected_anew_s"],
        detect_s=findings["detected_s"],
        move_s=findings["moved_after_detection_s"],
        cpu_s={name: used_s for name, used_s in findings["cpu_s"].items() if used_s > 0},
    )
