"""All measurements of the `state` table, one after the other."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from tests.bench.state.anti_entropy import measure_anti_entropy
from tests.bench.state.figures import StateFigures
from tests.bench.state.floor import measure_floor
from tests.bench.state.planning import measure_planning
from tests.bench.state.three_processes import measure_replication

RECORDS = 20_000
RECORDS_MIN = 1_000
_AUDITED_MAX = 50_000
_DIFFERENCES = 100
_PLANNED_MAX = 10_000
_UPDATES_MAX = 100_000
_FLOOR_MAX = 20_000


def measure(records: int, results: Path) -> StateFigures:
    """Results stay in `results` as state.json. Progress goes to standard error."""
    planned, audited = min(records, _PLANNED_MAX), min(records, _AUDITED_MAX)
    _say("floor")
    floor = measure_floor(
        records=min(records, _FLOOR_MAX),
        differences=_DIFFERENCES,
        claims=planned,
        gateway=IPv4Address("10.0.0.1"),
    )
    _say(f"{records} records in three processes")
    replication = measure_replication(records=records, updates=min(records, _UPDATES_MAX))
    _say(f"{_DIFFERENCES} differences in {audited} records")
    anti_entropy = measure_anti_entropy(records=audited, differences=_DIFFERENCES)
    _say(f"takeover of {planned} clients")
    planning = measure_planning(planned)
    figures = StateFigures(floor=floor, replication=replication, anti_entropy=anti_entropy, planning=planning)
    results.mkdir(parents=True, exist_ok=True)
    (results / "state.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return figures


def _say(what: str) -> None:
    print(f"state: {what}", file=sys.stderr, flush=True)
