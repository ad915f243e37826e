"""Clocks that jump: the wall clock means nothing, the monotonic one may do what it should not."""

from __future__ import annotations

import ast
import io
import json
import time
from pathlib import Path

import pytest

import gossipsa
from gossipsa.config import LogConfiguration
from gossipsa.daemon.counts import Counts
from gossipsa.daemon.event_log import EventLog
from gossipsa.daemon.line_writer import LineWriter
from gossipsa.effects import Report
from gossipsa.identifiers import GatewayName
from sim.cluster import Cluster, ClusterSettings
from sim.virtual_clock import SECOND_NS

ROOT = Path(gossipsa.__file__).parent
HOUR_NS = 3_600 * SECOND_NS
GATEWAYS = 4
MAY_ASK_FOR_THE_DATE = {
    "daemon/event_log.py": "lines of the log",
    "kernel/xfrm/security_associations.py": "when an SA was made, for those who look at it",
    "authority_commands.py": "from when to when an identity is valid",
    "cli.py": "whether an identity is valid",
    "daemon/main.py": "whether identities are valid",
}
DATES = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
STEPS = {
    "forward by a second": SECOND_NS,
    "forward by four hours": 4 * HOUR_NS,
    "forward by a month": 720 * HOUR_NS,
    "back by a second": -SECOND_NS,
    "back by four hours": -4 * HOUR_NS,
}


def settled() -> Cluster:
    cluster = Cluster(ClusterSettings(gateways=GATEWAYS, clients=0), seed=1)
    cluster.start()
    cluster.run_for(5 * SECOND_NS)
    assert views(cluster) == whole(cluster)
    return cluster


def views(cluster: Cluster) -> dict[str, dict[str, str]]:
    return {
        name: {member.name: member.state for member in status.members}
        for name, status in cluster.statuses().items()
    }


def whole(cluster: Cluster) -> dict[str, dict[str, str]]:
    names = list(cluster.hosts)
    return {name: {other: "alive" for other in names if other != name} for name in names}


@pytest.mark.parametrize("step_ns", STEPS.values(), ids=STEPS)
def test_host_whose_clock_jumps_is_failed_by_nobody_for_longer_than_an_exchange(step_ns: int) -> None:
    cluster = settled()
    cluster.hosts["g1"].clock_jumps(step_ns)
    # Sessions may have grown too old: one handshake, and one exchange.
    cluster.run_for(3 * SECOND_NS)
    for _ in range(20):
        cluster.run_for(SECOND_NS // 4)
        assert views(cluster) == whole(cluster)


def test_clock_that_jumps_again_and_again_partitions_nobody() -> None:
    cluster = settled()
    for number in range(12):
        cluster.hosts[f"g{number % 2 + 1}"].clock_jumps(list(STEPS.values())[number % len(STEPS)])
        cluster.run_for(SECOND_NS)
    cluster.run_for(4 * SECOND_NS)
    assert views(cluster) == whole(cluster)


def test_host_suspended_for_hours_is_taken_back_at_once() -> None:
    cluster = settled()
    host = cluster.hosts["g1"]
    host.pause()
    cluster.run_for(300 * SECOND_NS)
    host.go_on()
    cluster.run_for(4 * SECOND_NS)
    assert views(cluster) == whole(cluster)


def test_date_is_asked_for_only_to_be_shown() -> None:
    asking = set()
    for file in ROOT.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
        if DATES & {ast.unparse(call.func) for call in calls}:
            asking.add(str(file.relative_to(ROOT)))
    assert asking <= set(MAY_ASK_FOR_THE_DATE)


def test_wall_clock_that_jumps_changes_the_time_of_lines_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = [1.7e9, 0.0, 4e9, -5.0, 1.7e9]
    waiting = list(moments)
    monkeypatch.setattr(time, "time", lambda: waiting.pop(0))
    lines = LineWriter(counts=Counts())
    stream = io.StringIO()
    log = EventLog(LogConfiguration(format="json"), own=GatewayName("a"), lines=lines, stream=stream)
    for _ in moments:
        log.report(Report(event="gateway-alive"))
    lines.close()
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["time"] for line in written] == moments
    monotonic = [line["monotonic_ns"] for line in written]
    assert monotonic == sorted(monotonic)
    assert log.counts["gateway-alive"] == len(moments)
