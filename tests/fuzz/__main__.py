"""`python -m tests.fuzz TARGET|all --executions N`: a campaign, and a table of what was run and found."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.target import Target

_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+)")


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
    if not guided:
        print("atheris is not installed: mutation without coverage", file=sys.stderr)
    targets = _load(guided=guided)
    if options.target == "list":
        print("\n".join(targets))
        return 0
    names = list(targets) if options.target == "all" else [options.target]
    print(
        f"| target | {'atheris' if guided else 'mutation'}, executions | edges | found |\n|{'---|' * 4}",
        flush=True,
    )
    return max([_run(targets[name], options, guided=guided) for name in names])


def _load(*, guided: bool) -> dict[str, Target]:
    """The registry loads the whole product, instrumented for coverage."""
    if guided:
        import atheris  # noqa: PLC0415 - an optional dependency

        with atheris.instrument_imports(include=["gossipsa"], enable_loader_override=False):
            from tests.fuzz.registry import all_targets  # noqa: PLC0415
    else:
        from tests.fuzz.registry import all_targets  # noqa: PLC0415
    return all_targets()


def _run(target: Target, options: argparse.Namespace, *, guided: bool) -> int:
    """Runs one target in a process of its own, which libFuzzer ends. Returns 0 if nothing was found."""
    log = options.out / f"{target.name}.log"
    child = os.fork()
    if child == 0:
        with log.open("wb") as opened:
            os.dup2(opened.fileno(), sys.stderr.fileno())
        status = 1
        try:
            run = campaign.run_guided if guided else campaign.run_unguided
            run(
                target,
                executions=options.executions,
                seconds=options.seconds,
                seed=options.seed,
                findings=options.out,
            )
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, wait_status = os.waitpid(child, 0)
    text = log.read_text(errors="replace")
    executed, covered = _EXECUTED.findall(text), _COVERED.findall(text)
    found = 0 if wait_status == 0 else 1
    print(
        f"| {target.name} | {int(executed[-1]) if executed else 0:,} | {covered[-1] if covered else '-'} "
        f"| {f'see {log}' if found else 'nothing'} |",
        flush=True,
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
