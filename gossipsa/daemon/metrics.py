"""Metrics in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gossipsa.status import GatewayStatus

_PREFIX = "gossipsa"


def render_metrics(
    status: GatewayStatus,
    *,
    events: Mapping[str, int],
    driver: Iterable[tuple[str, int]],
    gauges: Mapping[str, int],
) -> str:
    """All metrics of one gateway.

    Args:
        events: how often each event was reported.
        driver: numbers of the driver that only grow.
        gauges: numbers of the driver as they are now.
    """
    lines: list[str] = []
    members = Counter(member.state for member in status.members)
    round_trips = {
        member.name: round(member.round_trip_ms / 1000, 6)
        for member in status.members
        if member.round_trip_ms is not None
    }
    closed = Counter(way for member in status.members for way in member.closed)
    estimates = {
        member.name: round(member.estimate_ms / 1000, 6)
        for member in status.members
        if member.estimate_ms is not None
    }
    for family in (
        _Family("members", "gauge", "Gateways of the mesh by state.", "state", members),
        _Family("closed_ways", "gauge", "Live gateways to which a way is closed.", "way", closed),
        _Family("clients", "gauge", "Clients whose record is here, by role.", "role", status.roles),
        _Family("copies", "gauge", "Own clients by acknowledged copies.", "copies", status.copies),
        _Family("round_trip_seconds", "gauge", "Round-trip time to a gateway.", "gateway", round_trips),
        _Family(
            "round_trip_estimate_seconds",
            "gauge",
            "Round-trip time to a gateway as network coordinates tell it.",
            "gateway",
            estimates,
        ),
        _Family("events_total", "counter", "Reported events by name.", "event", events),
    ):
        lines.extend(family.render())
    _single(lines, "members_flapping", "gauge", sum(member.flapping for member in status.members))
    _single(lines, "name_lost", "gauge", int(status.name_lost))
    for name, number in driver:
        _single(lines, f"{name}_total", "counter", number)
    lines.append(f"# HELP {_PREFIX}_short_of_copies_seconds Age of the oldest lack of copies; 0 without.")
    _single(lines, "short_of_copies_seconds", "gauge", status.short_since_s or 0)
    for name, number in gauges.items():
        _single(lines, name, "gauge", number)
    return "\n".join(lines) + "\n"


class _Family(NamedTuple):
    """Values that differ in one label."""

    name: str
    kind: str
    text: str
    label: str
    values: Mapping[str, float]

    def render(self) -> list[str]:
        name = f"{_PREFIX}_{self.name}"
        return [
            f"# HELP {name} {self.text}",
            f"# TYPE {name} {self.kind}",
            *(
                f'{name}{{{self.label}="{_escaped(key)}"}} {value}'
                for key, value in sorted(self.values.items())
            ),
        ]


def _single(lines: list[str], name: str, kind: str, number: float) -> None:
    lines.append(f"# TYPE {_PREFIX}_{name} {kind}")
    lines.append(f"{_PREFIX}_{name} {number}")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
