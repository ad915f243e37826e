"""What happened after the kill, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from examples.demo.analysis import Run
from examples.demo.happenings import EventFiles
from examples.demo.observation import ClientObservation

_NS_PER_S = 1e9
_REPORTS = {
    "gateway-suspected": "the first gateway suspects it",
    "gateway-failed": "detected: the first gateway takes it for dead",
    "takeover-begun": "takeover begins",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One moment."""

    after_kill_ns: int
    text: str

    def __str__(self) -> str:
        return f"{self.after_kill_ns / _NS_PER_S:+.3f} s  {self.text}"


def reported_timeline(events: EventFiles, *, name: str, killed_at_ns: int) -> tuple[TimelineEntry, ...]:
    """The kill, and what the other gateways said about it first."""
    entries = [TimelineEntry(after_kill_ns=0, text=f"{name} is killed with SIGKILL")]
    for event, text in _REPORTS.items():
        times = events.times_of(event, gateway=name, since_ns=killed_at_ns)
        entries += [TimelineEntry(after_kill_ns=at_ns - killed_at_ns, text=text) for at_ns in times[:1]]
    return tuple(entries)


def client_timeline(observations: Sequence[ClientObservation], run: Run) -> tuple[TimelineEntry, ...]:
    """What the clients of the killed gateway went through."""
    orphans = [each for each in observations if each.first_gateway == run.killed]
    answered_ns = sorted(move.at_ns for each in orphans for move in each.moves[:1])
    served_ns = sorted(
        next(packet.at_ns for packet in each.packets if packet.gateway != run.killed)
        for each in orphans
        if any(packet.gateway != run.killed for packet in each.packets)
    )
    moments: list[tuple[int, str]] = []
    if answered_ns:
        moments += [
            (answered_ns[0], "the first client answers its redirect"),
            (median_low(answered_ns), "half of the clients have answered"),
            (answered_ns[-1], f"the last of {len(answered_ns)} clients answers"),
        ]
    if served_ns:
        moments.append((served_ns[-1], f"taken over: {len(served_ns)} of {len(orphans)} clients are served"))
    return tuple(TimelineEntry(after_kill_ns=at_ns - run.killed_at_ns, text=text) for at_ns, text in moments)
