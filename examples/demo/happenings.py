"""What the daemons reported: their event files, followed while they grow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.demo.mesh_files import GatewayFiles

_STATE_AFTER = {
    "gateway-alive": "alive",
    "gateway-refuted": "alive",
    "gateway-restarted": "alive",
    "gateway-suspected": "suspected",
    "gateway-failed": "failed",
    "gateway-left": "left",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of an event file."""

    at_ns: int
    """CLOCK_MONOTONIC of the host, which all its processes share."""
    observer: str
    """The gateway that reports."""
    event: str
    gateway: str | None
    """The gateway that it is about, if it is about one."""
    client: str | None


class EventFiles:
    """Reads what was added to the event files since the last look, and keeps it.

    Attributes:
        happenings: all of it, in the order in which it was read.
    """

    def __init__(self, gateways: Sequence[GatewayFiles]) -> None:
        self._offsets = {(gateway.name, gateway.events): 0 for gateway in gateways}
        self.happenings: list[Happening] = []

    def look(self) -> None:
        """Read on."""
        for (name, file), offset in self._offsets.items():
            fresh, self._offsets[name, file] = _complete_lines(file, offset)
            self.happenings.extend(read_happening(name, line) for line in fresh)

    def opinions_about(self, gateway: str) -> Counter[str]:
        """How many of the other gateways now take it for alive, suspected, failed or left."""
        latest: dict[str, str] = {}
        for happening in self.happenings:
            if happening.gateway == gateway and happening.event in _STATE_AFTER:
                latest[happening.observer] = _STATE_AFTER[happening.event]
        return Counter(latest.values())

    def times_of(self, event: str, *, gateway: str, since_ns: int) -> list[int]:
        """When an event about a gateway was reported, by whomever, ascending."""
        return sorted(
            happening.at_ns
            for happening in self.happenings
            if happening.event == event and happening.gateway == gateway and happening.at_ns >= since_ns
        )


def read_happening(observer: str, line: str) -> Happening:
    """Read one line of an event file."""
    values = json.loads(line)
    return Happening(
        at_ns=values["monotonic_ns"],
        observer=observer,
        event=values["event"],
        gateway=values.get("gateway"),
        client=values.get("client"),
    )


def _complete_lines(file: Path, offset: int) -> tuple[list[str], int]:
    """The lines that end after `offset`, and where the next one begins."""
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            added = opened.read()
    except FileNotFoundError:
        return [], offset
    # A daemon killed in the middle of a line leaves half of one.
    complete = added[: added.rfind(b"\n") + 1]
    return complete.decode().splitlines(), offset + len(complete)
