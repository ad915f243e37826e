"""How the lab's tests get their findings: one kernel a scenario, booted when a test first asks."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kernel

LAB_ENVIRONMENT_NAME = "GOSSIPSA_LAB"
REPOSITORY = Path(__file__).resolve().parents[2]

Findings = dict[str, Any]
RunScenario = Callable[..., Findings]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the lab out unless it is asked for: by `-m lab`, or by GOSSIPSA_LAB=1 or =required.

    With =required a machine that cannot run it fails, so that no CI passes by skipping.
    """
    asked_for = "lab" in str(config.getoption("markexpr")) or os.environ.get(LAB_ENVIRONMENT_NAME)
    if asked_for:
        return
    skip = pytest.mark.skip(reason=f"the lab runs with -m lab or {LAB_ENVIRONMENT_NAME}=1")
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def run_scenario(tmp_path_factory: pytest.TempPathFactory) -> RunScenario:
    """Return a function that runs a scenario in a kernel of its own and returns its findings.

    A scenario runs once a session, however many tests ask for it. GOSSIPSA_LAB_RESULTS names a
    directory that keeps findings and logs.
    """
    kept: dict[str, Findings] = {}

    def run(name: str, *, timeout_s: float) -> Findings:
        reason = kernel.why_unavailable()
        if reason is not None:
            if os.environ.get(LAB_ENVIRONMENT_NAME) == "required":
                pytest.fail(f"the lab is required and cannot run: {reason}")
            pytest.skip(f"the lab cannot run: {reason}")
        if name not in kept:
            chosen = os.environ.get("GOSSIPSA_LAB_RESULTS")
            results = Path(chosen).resolve() / name if chosen else tmp_path_factory.mktemp(name)
            results.mkdir(parents=True, exist_ok=True)
            job = [sys.executable, "-m", "tests.lab.run", name, "--results", str(results)]
            done = kernel.run_job(job, results=results, directory=REPOSITORY, timeout_s=timeout_s)
            print(done.console)
            (results / "console.txt").write_text(done.console)
            assert done.exit_status == 0, (
                f"{name} ended with status {done.exit_status}:\n{done.console[-4000:]}"
            )
            kept[name] = json.loads((results / f"{name}.json").read_text())
        return kept[name]

    return run
