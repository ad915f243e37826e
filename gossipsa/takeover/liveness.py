"""Is a silent gateway's IKE daemon alive? Asked while suspicion runs, so that the answer costs no time.

A sidecar's death is no gateway's death: as long as the IKE daemon answers, nobody touches its clients.
"""

from __future__ import annotations

from enum import Enum

from gossipsa.effects import ProbeIke
from gossipsa.identifiers import GatewayName, IpAddress
from gossipsa.settings import TakeoverSettings

_PATIENT_FACTOR = 10
"""A gateway that is declared dead and yet answers is asked less often."""


class IkeVerdict(Enum):
    """What is known of a gateway's IKE daemon."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNDECIDED = "undecided"
    """Asked, and there is still time to answer."""


class IkeLiveness:
    """The questions to one gateway. Begins when the gateway is suspected, ends when it is well or emptied."""

    def __init__(
        self, gateway: GatewayName, addresses: tuple[IpAddress, ...], *, settings: TakeoverSettings
    ) -> None:
        self._gateway = gateway
        self._addresses = addresses
        self._settings = settings
        self._first_unanswered_ns: int | None = None
        self._answered_ns: int | None = None
        self._due_ns: int | None = None

    def tick(self, *, now_ns: int) -> tuple[ProbeIke, ...]:
        """Asks, if it is time to."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return ()
        interval_ns = self._settings.ike_probe_interval_ns
        if self._answered_ns is not None and self._first_unanswered_ns is None:
            interval_ns = min(_PATIENT_FACTOR * interval_ns, self._settings.ike_veto_ns // 3)
        self._due_ns = now_ns + interval_ns
        if self._first_unanswered_ns is None:
            self._first_unanswered_ns = now_ns
        return tuple(ProbeIke(gateway=self._gateway, address=address) for address in self._addresses)

    def hear_answer(self, *, now_ns: int) -> None:
        self._answered_ns = now_ns
        self._first_unanswered_ns = None

    def verdict(self, *, round_trip_ns: int, now_ns: int) -> IkeVerdict:
        """Judges by what was answered and by how long questions stay unanswered."""
        if self._answered_ns is not None and now_ns - self._answered_ns < self._settings.ike_veto_ns:
            return IkeVerdict.ANSWERS
        if not self._addresses:
            return IkeVerdict.SILENT
        asked_ns = self._first_unanswered_ns
        wait_ns = 2 * round_trip_ns + self._settings.ike_probe_wait_ns
        if asked_ns is not None and now_ns - asked_ns >= wait_ns:
            return IkeVerdict.SILENT
        return IkeVerdict.UNDECIDED

    def next_deadline_ns(self, *, round_trip_ns: int, now_ns: int) -> int:
        """When to ask, or to judge, next."""
        deadlines = [now_ns if self._due_ns is None else self._due_ns]
        if self._first_unanswered_ns is not None:
            wait_ns = 2 * round_trip_ns + self._settings.ike_probe_wait_ns
            deadlines.append(self._first_unanswered_ns + wait_ns)
        if self._answered_ns is not None:
            deadlines.append(self._answered_ns + self._settings.ike_veto_ns)
        return min((due_ns for due_ns in deadlines if due_ns > now_ns), default=now_ns)
