"""Prints the benchmark tables: ratios of two things measured in one run, since machines differ.

    python -m tests.bench [TABLE ...] [--results DIRECTORY]
    python -m tests.bench mesh [--sizes 8,16,32] [--repetitions 5] [--quick]
    python -m tests.bench state [--records 20000]
    python -m tests.bench simmesh [--full]

move: clients moved by gossipsa, against connecting anew. Boots a kernel with ESP and stock strongSwan.
mesh: gossipsa's mesh, against Serf's (Debian's package `serf`). Needs iproute2 and iptables.
state: the state of many clients, against plain MessagePack and PyNaCl in one process.
simmesh: membership in simulated meshes over many sites, and Lifeguard's experiment.

The first two need root. Raw results stay in the directory of results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from sim.mesh.experiment import SIZES
from sim.mesh.tables import BENCH_SIZES, tables
from tests.bench import move_or_connect
from tests.bench.mesh import beside_serf
from tests.bench.mesh.plan import QUICK, Plan
from tests.bench.mesh.table import mesh_table
from tests.bench.move_table import move_table
from tests.bench.state import measure as state
from tests.bench.state.measure import RECORDS, RECORDS_MIN
from tests.bench.state.table import state_table


def main() -> int:
    options = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    for name in options.tables or _TABLES:
        for table in _TABLES[name](options):
            console.print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", choices=[*_TABLES], help="all of them by default"
    )
    parser.add_argument("--results", type=Path, default=Path("out/bench"))
    mesh = parser.add_argument_group("mesh")
    mesh.add_argument("--quick", action="store_true", help="some minutes, for the shape")
    mesh.add_argument("--sizes", type=_sizes, metavar="N,N,...", help="numbers of agents")
    mesh.add_argument(
        "--repetitions", type=int, metavar="N", help="of kills, stops, splits, boots and stalls"
    )
    state = parser.add_argument_group("state")
    state.add_argument(
        "--records", type=_records, default=RECORDS, metavar="N", help="clients of one gateway"
    )
    simulated = parser.add_argument_group("simmesh")
    simulated.add_argument("--full", action="store_true", help="up to 1,000 members, which takes an hour")
    return parser


def _move(options: argparse.Namespace) -> Iterator[Table]:
    yield move_table(move_or_connect.measure(options.results.resolve()))


def _mesh(options: argparse.Namespace) -> Iterator[Table]:
    plan = QUICK if options.quick else Plan()
    if options.sizes:
        at = plan.faults_at if plan.faults_at in options.sizes else options.sizes[0]
        plan = msgspec.structs.replace(plan, sizes=options.sizes, faults_at=at)
    if options.repetitions:
        times = options.repetitions
        plan = msgspec.structs.replace(plan, repetitions=times, boots=times, stalls=times)
    yield mesh_table(beside_serf.measure(plan, options.results.resolve()))


def _state(options: argparse.Namespace) -> Iterator[Table]:
    yield state_table(state.measure(options.records, options.results.resolve()))


def _simulated_mesh(options: argparse.Namespace) -> Iterator[Table]:
    return tables(sizes=SIZES if options.full else BENCH_SIZES, full=options.full)


_TABLES: dict[str, Callable[[argparse.Namespace], Iterator[Table]]] = {
    "move": _move,
    "mesh": _mesh,
    "state": _state,
    "simmesh": _simulated_mesh,
}


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(","))
    if not all(2 <= size <= 200 for size in sizes):
        raise argparse.ArgumentTypeError("a mesh has 2 to 200 agents here")
    return sizes


def _records(text: str) -> int:
    records = int(text)
    if not RECORDS_MIN <= records <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{RECORDS_MIN} to 1000000 records")
    return records


if __name__ == "__main__":
    sys.exit(main())
