"""`python -m tests.fuzz TARGET|all --executions N`: a campaign, and a table of what was run and found."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import campaign

_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_ONE = "GOSSIPSA_FUZZ_ONE"
"""Set in the process that runs one target: libFuzzer ends it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", help="name of a target, or all, or list")
    parser.add_argument("--executions", type=int, default=100_000, help="of each target")
    parser.add_argument("--seconds", type=int, default=0, help="at most so long a target; 0 for no limit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="where findings go")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    guided = importlib.util.find_spec("atheris") is not None
    if os.environ.get(_ONE):
        run = campaign.run_guided if guided else campaign.run_unguided
        run(
            options.target,
            executions=options.executions,
            seconds=options.seconds,
            seed=options.seed,
            findings=options.out,
        )
        return 0
    if not guided:
        print("atheris is not installed: mutation without coverage", file=sys.stderr)
    return _run_each(options, "atheris" if guided else "mutation")


def _run_each(options: argparse.Namespace, engine: str) -> int:
    from tests.fuzz.registry import all_targets  # noqa: PLC0415 - the processes that fuzz load it themselves

    names = list(all_targets()) if options.target in ("all", "list") else [options.target]
    if options.target == "list":
        print("\n".join(names))
        return 0
    print(f"| target | engine | executions | branches | seconds | found |\n|{'---|' * 6}", flush=True)
    worst = 0
    for name in names:
        arguments = [sys.executable, "-m", "tests.fuzz", name, "--out", str(options.out)]
        for key in ("executions", "seconds", "seed"):
            arguments += [f"--{key}", str(getattr(options, key))]
        begun_s = time.monotonic()
        done = subprocess.run(
            arguments, env={**os.environ, _ONE: "1"}, stderr=subprocess.PIPE, text=True, errors="replace",
            check=False,
        )  # fmt: skip
        executed = _EXECUTED.findall(done.stderr)
        covered = _COVERED.findall(done.stderr)
        found = "" if done.returncode == 0 else f"exit status {done.returncode}, see {options.out}/{name}.log"
        if done.returncode:
            (options.out / f"{name}.log").write_text(done.stderr)
            worst = 1
        print(
            f"| {name} | {engine} | {int(executed[-1]) if executed else 0:,} "
            f"| {covered[-1] if covered else '-'} | {time.monotonic() - begun_s:.0f} | {found} |",
            flush=True,
        )
    return worst


if __name__ == "__main__":
    sys.exit(main())
