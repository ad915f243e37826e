"""``python -m examples.demo [--clients 200] [--gateways 5] [--out DIR]``.

Exit status: 0 if everything that must hold was seen to hold, 1 if something did not, 2 if the run could not
be brought to its point.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from examples.demo.analysis import Verdict
from examples.demo.mesh_files import CLIENTS_MAX, GATEWAYS_MAX
from examples.demo.run import DemoOptions, run_demo
from gossipsa.errors import GossipsaError

_GATEWAYS_MIN = 3  # A gateway and the two that hold copies of its clients.
_PACKETS_A_SECOND_MAX = 100.0
_EXIT_NOT_RUN = 2
_EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    options = _parse(arguments)
    console = Console()
    verdict: Verdict | None = None
    exit_status = _EXIT_NOT_RUN
    try:
        verdict = trio.run(partial(run_demo, options, console=console))
    except* GossipsaError as group:
        for error in _leaves(group):
            console.print(f"The demo did not run: {error}", style="red", markup=False, highlight=False)
    except* KeyboardInterrupt:
        exit_status = _EXIT_INTERRUPTED
    if verdict is None:
        return exit_status
    return 0 if verdict.is_success else 1


def _parse(arguments: Sequence[str] | None) -> DemoOptions:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Kill a gateway under its clients, and see whether they carry on.",
    )
    parser.add_argument("--clients", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--gateways", type=int, default=5, help="how many (default: 5)")
    parser.add_argument(
        "--rate", type=float, default=10.0, help="packets a second of each client (default: 10)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="for the picture (default: out/demo)"
    )
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the picture")
    parsed = parser.parse_args(arguments)
    if not _GATEWAYS_MIN <= parsed.gateways <= GATEWAYS_MAX:
        parser.error(f"--gateways must be {_GATEWAYS_MIN} to {GATEWAYS_MAX}")
    if not parsed.gateways <= parsed.clients <= CLIENTS_MAX:
        parser.error(f"--clients must be {parsed.gateways} (one a gateway) to {CLIENTS_MAX}")
    if not 1 <= parsed.rate <= _PACKETS_A_SECOND_MAX:
        parser.error(f"--rate must be 1 to {_PACKETS_A_SECOND_MAX:.0f}")
    try:
        parsed.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out: {parsed.out}: {error.strerror}")
    if not os.access(parsed.out, os.W_OK):
        parser.error(f"--out: {parsed.out} cannot be written to")
    return DemoOptions(
        clients=parsed.clients,
        gateways=parsed.gateways,
        packets_a_second=parsed.rate,
        picture=parsed.out / f"takeover.{parsed.format}",
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
