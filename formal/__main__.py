"""`python -m formal [--bound EPOCHS=3 ...]`: check the model, then show that each of its rules is needed."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from formal.spin import RULES, Search, SpinError, missing_programs, search


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if the model holds, and fails without any of its rules."""
    parser = argparse.ArgumentParser(prog="python -m formal", description=__doc__)
    parser.add_argument(
        "--bound", type=_bound, action="append", default=[], metavar="NAME=NUMBER", help="a larger model"
    )
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="for one search")
    options = parser.parse_args(arguments)
    missing = missing_programs()
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    table = Table(title="every state of the model of takeover, and of the model without each rule")
    for heading in ("without", "states", "depth", "seconds", "found"):
        table.add_column(heading, justify="left" if heading in ("without", "found") else "right")
    is_good = True
    for rule in (None, *RULES):
        started_s = time.perf_counter()
        try:
            found = search(without=rule, bounds=dict(options.bound), timeout_s=options.timeout)
        except SpinError as error:
            print(f"{rule or 'the model'}: {error}", file=sys.stderr)
            return 2
        table.add_row(*_row(rule, found, time.perf_counter() - started_s))
        is_good &= (found.violation is None) == (rule is None)
    Console().print(table)
    return 0 if is_good else 1


def _row(rule: str | None, found: Search, took_s: float) -> tuple[str, ...]:
    without = "nothing" if rule is None else rule.replace("_", " ").lower()
    return (
        without,
        f"{found.states:,}",
        str(found.depth),
        f"{took_s:.1f}",
        escape(found.violation or "all assertions hold"),
    )


def _bound(text: str) -> tuple[str, int]:
    name, separator, number = text.partition("=")
    if not separator or not name.isidentifier() or not number.isdigit():
        raise argparse.ArgumentTypeError("a bound is NAME=NUMBER")
    return name, int(number)


if __name__ == "__main__":
    sys.exit(main())
