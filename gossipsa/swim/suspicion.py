"""A suspicion: who holds it, who contradicts it, and when it becomes a verdict.

The timeout shrinks with independent confirmations from the maximum to the minimum, logarithmically
(Lifeguard, arXiv 1707.00788 section IV.B). Counter-evidence takes confirmations back. A suspicion that nobody
confirms becomes no verdict: others are asked, at growing intervals.
"""

from __future__ import annotations

from math import log

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import Testimony
from gossipsa.swim.settings import SwimSettings

ASK_DOUBLINGS_MAX = 4
"""How often the interval at which others are asked is doubled."""


class Suspicion:
    """The suspicion of one incarnation of one member, as one observer sees it."""

    __slots__ = (
        "_asked",
        "_grace_ns",
        "_hearers",
        "_postponed_ns",
        "_settings",
        "_testimonies",
        "ask_ns",
        "contradicted",
        "started_ns",
        "verdict_heard",
    )

    def __init__(self, *, testimony: Testimony, now_ns: int, settings: SwimSettings) -> None:
        self._settings = settings
        self._testimonies = {testimony.witness: testimony}
        self._asked = 0
        self._grace_ns = now_ns
        self._hearers: dict[GatewayName, None] = {}
        self._postponed_ns = 0
        self.started_ns = now_ns
        self.contradicted = False
        """True once the witnesses were told that the suspect answered us."""
        self.verdict_heard = False
        """See `hear_verdict`."""
        self.ask_ns = now_ns
        """When others are asked next, as long as there is one witness only."""

    @property
    def witnesses(self) -> tuple[GatewayName, ...]:
        """Who suspects, first hand, the first one first."""
        return tuple(self._testimonies)

    @property
    def testimonies(self) -> tuple[Testimony, ...]:
        """What they signed, in the same order."""
        return tuple(self._testimonies.values())

    def wants(self, witness: GatewayName) -> bool:
        """False if this witness was counted already, or enough are known."""
        return witness not in self._testimonies and len(self._testimonies) <= self._settings.confirmations

    def confirm(self, testimony: Testimony, *, now_ns: int) -> bool:
        """Count a witness; False if it is not wanted."""
        if not self.wants(testimony.witness):
            return False
        self._testimonies[testimony.witness] = testimony
        self._give_grace(now_ns)
        return True

    def hear_verdict(self, *, now_ns: int) -> None:
        """Another member passed the verdict, and we have no reason to doubt it."""
        if not self.verdict_heard:
            self.verdict_heard = True
            self._give_grace(now_ns)

    def _give_grace(self, now_ns: int) -> None:
        """An old suspicion that somebody shares only now: the suspect gets its time from now on."""
        overdue_ns = self.started_ns + self._postponed_ns + self._settings.suspicion_max_ns
        if self._settings.second_look and now_ns > overdue_ns:
            self._grace_ns = now_ns + self._settings.suspicion_min_ns

    def disregard(self, witness: GatewayName) -> None:
        """It can bear witness no more; the last one stays, since there is a suspicion."""
        if len(self._testimonies) > 1:
            self._testimonies.pop(witness, None)

    def ask_again(self, now_ns: int) -> None:
        """Others are being asked; not again before a while."""
        self.ask_ns = now_ns + (self._settings.suspicion_max_ns << self._asked)
        self._asked = min(self._asked + 1, ASK_DOUBLINGS_MAX)

    def heard_by(self, hearer: GatewayName) -> None:
        """Count somebody whom the suspect answered after the suspicion arose."""
        if self._settings.second_look and len(self._hearers) <= self._settings.confirmations:
            self._hearers[hearer] = None

    def postpone(self, late_ns: int) -> None:
        """Give back the time during which we ourselves were stalled, up to one maximal timeout in all."""
        given_ns = min(late_ns, self._settings.suspicion_max_ns - self._postponed_ns)
        self._postponed_ns += given_ns

    def deadline_ns(self, *, others: int, patient: bool = False) -> int:
        """When the verdict falls, if it is to fall.

        Args:
            others: live members that are not suspected themselves, ourselves included, the suspect not.
            patient: confirmations do not shorten the wait.
        """
        timeout_ns = self._timeout_ns(others)
        if patient:
            timeout_ns = max(timeout_ns, self._settings.suspicion_max_ns)
        return max(self.started_ns + self._postponed_ns + timeout_ns, self._grace_ns)

    def _timeout_ns(self, others: int) -> int:
        minimum_ns, maximum_ns = self._settings.suspicion_min_ns, self._settings.suspicion_max_ns
        if self.verdict_heard:
            # Who lies about a verdict can take no more of the suspect's time than witnesses can.
            return minimum_ns
        balance = len(self._testimonies) - 1 - len(self._hearers)
        if balance < 0:
            # Bounded: a suspect that answers but never refutes is no working member.
            return 2 * maximum_ns
        # Nobody waits for more confirmations than there are members to give them, but one is always needed.
        wanted = max(1, min(self._settings.confirmations, others - 1))
        if balance >= wanted:
            return minimum_ns
        return maximum_ns - int((maximum_ns - minimum_ns) * log(balance + 1) / log(wanted + 1))
