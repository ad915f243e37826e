"""What one agent says of another, whichever system it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

SAME_EPISODE_NS = 1_000_000_000
"""Reports about one agent that follow each other faster are of one episode: several tell of one suspicion."""


class News(Enum):
    """What is said."""

    RUNNING = "running"
    """By an agent about itself: it takes part."""
    ALIVE = "alive"
    SUSPECTED = "suspected"
    FAILED = "failed"
    FAILURE_TOLD = "failure told"
    """The application was told of failures; Serf holds events back for a second to gather them."""
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One report of one agent."""

    at_ns: int
    """CLOCK_MONOTONIC, which all processes of a host share."""
    observer: str
    subject: str
    """Empty for FAILURE_TOLD."""
    news: News


def episodes(sightings: Iterable[Sighting], news: News) -> int:
    """How many separate times somebody was suspected, or failed, as far as any observer said so."""
    latest_ns: dict[str, int] = {}
    count = 0
    for sighting in sorted(sightings, key=lambda sighting: sighting.at_ns):
        if sighting.news is not news:
            continue
        before_ns = latest_ns.get(sighting.subject)
        if before_ns is None or sighting.at_ns - before_ns >= SAME_EPISODE_NS:
            count += 1
        latest_ns[sighting.subject] = sighting.at_ns
    return count
