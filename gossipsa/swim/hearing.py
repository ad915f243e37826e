"""Whether we hear anybody at all: who hears nobody has no business to call others silent.

A host that is starved of CPU, or whose datagrams wait unread, finds everybody silent, as behind a cut.
As long as there are members left that it does not suspect, it asks some of them before it passes a verdict,
and passes none until somebody is heard. Those who hear others do so all the time: it costs them nothing.

Who suspects everybody may be the lone survivor. The more it lost at once, the less likely that is.
"""

from __future__ import annotations

from gossipsa.swim.member import NEVER_NS
from gossipsa.swim.settings import SwimSettings

LOST_MAX = 60
"""Members lost at once for each of which a lone survivor waits longer."""


class Hearing:
    """When we heard a live member last, and until when verdicts wait because we heard none."""

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._silence_max_ns = min(settings.suspicion_min_ns, settings.probe_interval_ns)
        self._heard_ns = NEVER_NS
        self.wait_until_ns = NEVER_NS

    def works(self, *, now_ns: int) -> bool:
        """True if somebody was heard just now."""
        return not self._settings.second_look or now_ns - self._heard_ns <= self._silence_max_ns

    def lone_ns(self, *, lost: int) -> int:
        """When we may take ourselves for the lone survivor of so many, if nobody is heard until then."""
        if not self._settings.second_look:
            return NEVER_NS
        return self._heard_ns + min(lost, LOST_MAX) * self._settings.suspicion_max_ns

    def heard(self, *, now_ns: int) -> None:
        """A packet of a live member was taken in."""
        if now_ns < self.wait_until_ns and not self.works(now_ns=now_ns):
            # What else waits to be read may be the answer of a suspect.
            self.wait_until_ns = now_ns + self._settings.ack_wait_min_ns
        self._heard_ns = now_ns

    def wait(self, *, now_ns: int) -> None:
        """Verdicts are due, and we hear nobody: ask, and look again later."""
        self.wait_until_ns = now_ns + self._settings.ack_wait_initial_ns
