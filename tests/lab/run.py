"""Run one scenario. This is the job that the lab's kernel runs:

    python -m tests.lab.run SCENARIO --results DIRECTORY

It prints a timeline and writes DIRECTORY/SCENARIO.json and the daemons' logs to DIRECTORY/logs.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.scenarios.bench import bench_200
from tests.lab.scenarios.drain import drain
from tests.lab.scenarios.equipment import equipment
from tests.lab.scenarios.no_move import charon_restarted, gossipsa_killed, mesh_filtered
from tests.lab.scenarios.takeover import takeover_fifty, takeover_one

SCENARIOS: dict[str, Callable[[Path], dict[str, Any]]] = {
    scenario.__name__: scenario
    for scenario in (
        equipment,
        takeover_one,
        takeover_fifty,
        gossipsa_killed,
        mesh_filtered,
        charon_restarted,
        drain,
        bench_200,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    findings = SCENARIOS[arguments.scenario](arguments.results)
    (arguments.results / f"{arguments.scenario}.json").write_text(json.dumps(findings, indent=1))


if __name__ == "__main__":
    main()
