"""The simulator.

python -m sim --seed N                        one seed of the standard campaign, with its timeline
python -m sim campaign --seeds 0..99 --jobs 2 many seeds; what fails is made short
python -m sim replay 'SCHEDULE' --seed N      a schedule of faults as a campaign prints it
python -m sim mutations                       plants bugs, and says what finds them after how many seeds
python -m sim speed                           simulated seconds a second, with a thousand gateways
python -m sim SCENARIO --seed N               a scripted scenario, with its timeline
python -m sim SCENARIO --seeds 0..49          many seeds of it; `all` for every scenario
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sim.campaign import campaign, shrink_seed
from sim.mutations.mutation import SEEDS_MAX
from sim.mutations.table import print_table
from sim.scenarios import SCENARIOS, Scenario
from sim.scenarios.scenario import Outcome, run
from sim.schedule import Schedule, ScheduleError, parse_schedule
from sim.speed import measure
from sim.standard import draw_schedule, run_schedule
from sim.timeline import LEGEND, Timeline, draw_timeline
from sim.virtual_clock import SECOND_NS


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if no checker found anything."""
    parser = argparse.ArgumentParser(
        prog="python -m sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, dest="standard_seed", help="one seed of the standard campaign")
    commands = parser.add_subparsers(dest="command")
    _add_campaign(commands.add_parser("campaign", help="many seeds of the standard campaign"))
    _add_replay(commands.add_parser("replay", help="a schedule of faults"))
    _add_mutations(commands.add_parser("mutations", help="plant bugs, and see that they are found"))
    _add_speed(commands.add_parser("speed", help="how fast the simulator is"))
    for name in [*SCENARIOS, "all"]:
        summary = SCENARIOS[name].summary if name in SCENARIOS else "every scenario, one after the other"
        _add_scenario(commands.add_parser(name, help=summary))
    options = parser.parse_args(arguments)
    if options.command is None and options.standard_seed is None:
        parser.print_help()
        return 2
    if options.command is None:
        return _draw(draw_schedule(options.standard_seed), options.standard_seed)
    judged: int = options.run(options)
    return judged


def _add_campaign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_seeds, default=range(100), metavar="FIRST..LAST")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seconds", type=float, help="begin no more seeds after so long")
    parser.add_argument("--shrink", type=int, default=1, help="so many failing seeds are made short")
    parser.add_argument(
        "--keep", type=Path, help="directory for the short schedules, such as tests/sim/found"
    )
    parser.set_defaults(run=_run_campaign)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("schedule", type=_schedule)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="make it short first, if it fails")
    parser.set_defaults(run=_run_replay)


def _add_mutations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these bugs, not all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="gives up after so many")
    parser.set_defaults(run=_run_mutations)


def _add_speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10, help="simulated seconds to measure")
    parser.set_defaults(run=_run_speed)


def _add_scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="one run, with its timeline")
    parser.add_argument("--seeds", type=_seeds, default=range(10), metavar="FIRST..LAST", help="many runs")
    parser.add_argument("--gateways", type=int, help="number of gateways, as the scenario has it if left out")
    parser.add_argument("--clients", type=int, help="number of clients")
    parser.add_argument("--trace", type=Path, help="write every event of a single run to this file")
    parser.set_defaults(run=_run_scenarios)


def _run_campaign(options: argparse.Namespace) -> int:
    failed = campaign(
        options.seeds,
        jobs=options.jobs,
        seconds_max=options.seconds,
        shrunk_max=options.shrink,
        keep=options.keep,
    )
    return 1 if failed else 0


def _run_mutations(options: argparse.Namespace) -> int:
    return 1 if print_table(options.only, jobs=options.jobs, seeds_max=options.seeds) else 0


def _run_speed(options: argparse.Namespace) -> int:
    measure(gateways=options.gateways, clients=options.clients, simulated_s=options.seconds)
    return 0


def _run_replay(options: argparse.Namespace) -> int:
    schedule: Schedule = options.schedule
    if options.shrink:
        violation = run_schedule(schedule, options.seed).violation
        if violation is not None:
            schedule = shrink_seed(schedule, options.seed, violation.checker)
    return _draw(schedule, options.seed)


def _draw(schedule: Schedule, seed: int) -> int:
    lines = list(draw_timeline(schedule, seed))
    print("\n".join(lines))
    return 1 if any(line.startswith("VIOLATED") for line in lines) else 0


def _run_scenarios(options: argparse.Namespace) -> int:
    scenarios = list(SCENARIOS.values()) if options.command == "all" else [SCENARIOS[options.command]]
    if options.seed is not None:
        return max(_run_one(scenario, options) for scenario in scenarios)
    return max(_run_many(scenario, options) for scenario in scenarios)


def _run_one(scenario: Scenario, options: argparse.Namespace) -> int:
    sizes = {"gateways": options.gateways, "clients": options.clients}
    if options.trace is None:
        outcome = run(scenario, options.seed, make_watchers=(Timeline,), **sizes)
    else:
        with options.trace.open("w") as copy:
            outcome = run(scenario, options.seed, make_watchers=(Timeline,), copy_trace_to=copy, **sizes)
    trace = outcome.cluster.trace
    print(f"{scenario.name}: {scenario.summary}\n")
    print("\n".join(trace.lines()))
    print("\n" + "\n".join(trace.chart()))
    print("\n" + LEGEND)
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


def _schedule(text: str) -> Schedule:
    try:
        return parse_schedule(text)
    except ScheduleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seeds(text: str) -> range:
    first, separator, last = text.partition("..")
    try:
        return range(int(first), int(last if separator else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError("seeds are FIRST..LAST") from None


if __name__ == "__main__":
    sys.exit(main())
