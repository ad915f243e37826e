"""A suspicion: who holds it, who contradicts it, and when it becomes a verdict.

The timeout shrinks with independent confirmations from the maximum to the minimum, logarithmically
(Lifeguard, arXiv 1707.00788 section IV.B). Counter-evidence takes confirmations back.
"""

from __future__ import annotations

from math import log

from gossipsa.identifiers import GatewayName
from gossipsa.swim.settings import SwimSettings


class Suspicion:
    """The suspicion of one incarnation of one member, as one observer sees it."""

    __slots__ = ("_hearers", "_postponed_ns", "_settings", "_witnesses", "contradicted", "started_ns")

    def __init__(self, *, witness: GatewayName, now_ns: int, settings: SwimSettings) -> None:
        self._settings = settings
        self._witnesses = {witness: None}
        self._hearers: dict[GatewayName, None] = {}
        self._postponed_ns = 0
        self.started_ns = now_ns
        self.contradicted = False
        """True once the witnesses were told that the suspect answered us."""

    @property
    def witnesses(self) -> tuple[GatewayName, ...]:
        """Who suspects, first hand, the first one first."""
        return tuple(self._witnesses)

    def confirm(self, witness: GatewayName) -> bool:
        """Count a witness; False if it was counted already or enough are known."""
        if witness in self._witnesses or len(self._witnesses) > self._settings.confirmations:
            return False
        self._witnesses[witness] = None
        return True

    def heard_by(self, hearer: GatewayName) -> None:
        """Count somebody whom the suspect answered after the suspicion arose."""
        if len(self._hearers) <= self._settings.confirmations:
            self._hearers[hearer] = None

    def postpone(self, late_ns: int) -> None:
        """Give back the time during which we ourselves were stalled, up to one maximal timeout in all."""
        given_ns = min(late_ns, self._settings.suspicion_max_ns - self._postponed_ns)
        self._postponed_ns += given_ns

    def deadline_ns(self, *, others: int) -> int:
        """When the verdict falls.

        Args:
            others: live members that are not suspected themselves, ourselves included, the suspect not.
        """
        return self.started_ns + self._postponed_ns + self._timeout_ns(others)

    def _timeout_ns(self, others: int) -> int:
        minimum_ns, maximum_ns = self._settings.suspicion_min_ns, self._settings.suspicion_max_ns
        balance = len(self._witnesses) - 1 - len(self._hearers)
        if balance < 0:
            # Bounded: a suspect that answers but never refutes is no working member.
            return 2 * maximum_ns
        # Nobody waits for more confirmations than there are members to give them, but one is always needed.
        wanted = max(1, min(self._settings.confirmations, others - 1))
        if balance >= wanted:
            return minimum_ns
        return maximum_ns - int((maximum_ns - minimum_ns) * log(balance + 1) / log(wanted + 1))
