"""What the daemons reported: their event files, followed while they grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from examples.demo.mesh_files import GatewayFiles
from gossipsa.daemon.event_log import EventLine

_DECODER = msgspec.json.Decoder(EventLine)
_STATE_AFTER = {
    "gateway-alive": "alive",
    "gateway-refuted": "alive",
    "gateway-restarted": "alive",
    "gateway-suspected": "suspected",
    "gateway-failed": "failed",
    "gateway-left": "left",
}


class EventFiles:
    """Reads what was added to the event files since the last look, and keeps it.

    Attributes:
        happenings: all of it, in the order in which it was read.
    """

    def __init__(self, gateways: Sequence[GatewayFiles]) -> None:
        self._offsets = {gateway.events: 0 for gateway in gateways}
        self.happenings: list[EventLine] = []

    def look(self) -> None:
        """Read on."""
        for file, offset in self._offsets.items():
            fresh, self._offsets[file] = _complete_lines(file, offset)
            self.happenings.extend(map(_DECODER.decode, fresh))

    def opinions_about(self, gateway: str) -> Counter[str]:
        """How many of the other gateways now take it for alive, suspected, failed or left."""
        latest: dict[str, str] = {}
        for happening in self.happenings:
            if happening.gateway == gateway and happening.event in _STATE_AFTER:
                latest[happening.own] = _STATE_AFTER[happening.event]
        return Counter(latest.values())

    def times_of(self, event: str, *, gateway: str, since_ns: int) -> list[int]:
        """When an event about a gateway was reported, by whomever, ascending.

        Times are of CLOCK_MONOTONIC, which all processes of a host share.
        """
        return sorted(
            happening.monotonic_ns
            for happening in self.happenings
            if happening.event == event
            and happening.gateway == gateway
            and happening.monotonic_ns >= since_ns
        )


def _complete_lines(file: Path, offset: int) -> tuple[list[bytes], int]:
    """The lines that end after `offset`, and where the next one begins."""
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            added = opened.read()
    except FileNotFoundError:
        return [], offset
    # A daemon killed in the middle of a line leaves half of one.
    complete = added[: added.rfind(b"\n") + 1]
    return complete.splitlines(), offset + len(complete)
