"""`python -m sim SCENARIO --seed N`: one run with its timeline. `python -m sim all --seeds 0..49`: many."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sim.scenarios import SCENARIOS, Scenario
from sim.scenarios.scenario import Outcome, run
from sim.virtual_clock import SECOND_NS


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if no checker found anything."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"], help="what happens to the cluster")
    parser.add_argument("--seed", type=int, help="one run, with its timeline")
    parser.add_argument("--seeds", type=_seeds, default=range(10), metavar="FIRST..LAST", help="many runs")
    parser.add_argument("--gateways", type=int, help="number of gateways, as the scenario has it if left out")
    parser.add_argument("--clients", type=int, help="number of clients")
    parser.add_argument("--trace", type=Path, help="write every event of a single run to this file")
    options = parser.parse_args(arguments)
    scenarios = list(SCENARIOS.values()) if options.scenario == "all" else [SCENARIOS[options.scenario]]
    if options.seed is not None:
        return max(_run_one(scenario, options) for scenario in scenarios)
    return max(_run_many(scenario, options) for scenario in scenarios)


def _run_one(scenario: Scenario, options: argparse.Namespace) -> int:
    if options.trace is None:
        outcome = run(scenario, options.seed, gateways=options.gateways, clients=options.clients)
    else:
        with options.trace.open("w") as copy:
            outcome = run(
                scenario,
                options.seed,
                gateways=options.gateways,
                clients=options.clients,
                copy_trace_to=copy,
            )
    trace = outcome.cluster.trace
    print(f"{scenario.name}: {scenario.summary}\n")
    print("\n".join(trace.lines()))
    print("\n" + "\n".join(trace.chart()))
    print(
        "\nclients: which gateway serves them, - for nobody; gateways: # up, x off, z stands still, "
        "g without gossipsa, i without IKE daemon"
    )
    print(f"trace {trace.digest()}, {outcome.cluster.clock.steps} events")
    return _judge(outcome)


def _run_many(scenario: Scenario, options: argparse.Namespace) -> int:
    started_s = time.perf_counter()
    simulated_ns = failures = 0
    for seed in options.seeds:
        outcome = run(scenario, seed, gateways=options.gateways, clients=options.clients)
        simulated_ns += outcome.cluster.clock.now_ns
        failures += _judge(outcome, quiet=True)
    took_s = time.perf_counter() - started_s
    speed = simulated_ns / SECOND_NS / took_s
    print(
        f"{scenario.name:<20} {len(options.seeds)} seeds, {failures} violations, {took_s:.1f} s "
        f"({speed:.0f} simulated seconds a second)"
    )
    return 1 if failures else 0


def _judge(outcome: Outcome, *, quiet: bool = False) -> int:
    if outcome.violation is not None:
        print(f"VIOLATED {outcome.violation}\n  again: {outcome.reproduction}")
        return 1
    if not quiet:
        print("nothing violated")
    return 0


def _seeds(text: str) -> range:
    first, separator, last = text.partition("..")
    try:
        return range(int(first), int(last if separator else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError("seeds are FIRST..LAST") from None


if __name__ == "__main__":
    sys.exit(main())
