"""Boot a kernel, run one scenario in it, keep its findings:

    python -m tests.lab SCENARIO [--results DIRECTORY]

Needs root. The findings go to DIRECTORY (default out/lab/SCENARIO).
"""

import argparse
import sys
from pathlib import Path

from tests.lab import kernel
from tests.lab.run import SCENARIOS

_REPOSITORY = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--timeout-s", type=float, default=_TIMEOUT_S)
    arguments = parser.parse_args()
    results = (arguments.results or _REPOSITORY / "out" / "lab" / arguments.scenario).resolve()
    results.mkdir(parents=True, exist_ok=True)
    job = [sys.executable, "-m", "tests.lab.run", arguments.scenario, "--results", str(results)]
    done = kernel.run_job(job, results=results, directory=_REPOSITORY, timeout_s=arguments.timeout_s)
    print(done.console)
    print(f"exit status {done.exit_status} after {done.wall_s:.1f} s ({done.kernel}); findings: {results}")
    return done.exit_status


if __name__ == "__main__":
    sys.exit(main())
