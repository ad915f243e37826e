"""`python -m sim.mesh EXPERIMENT`: what membership achieves and costs, as the mesh grows to 1,000 members."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from sim.mesh.experiment import SIZES
from sim.mesh.tables import EXPERIMENTS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.mesh", description=__doc__)
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--sizes", type=_sizes, default=SIZES, metavar="N,N", help="numbers of members")
    parser.add_argument("--seeds", type=int, default=3, metavar="RUNS", help="runs of each size")
    options = parser.parse_args(arguments)
    chosen = EXPERIMENTS if options.experiment == "all" else [options.experiment]
    for name in chosen:
        Console().print(EXPERIMENTS[name](options.sizes, range(options.seeds)))
    return 0


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("sizes are numbers with commas between them") from None


if __name__ == "__main__":
    sys.exit(main())
