"""Whose word it is: checks signatures, remembers identities, and makes those pay who pass on forgeries.

Signatures are checked last, for claims that would change something. What that costs is bounded for each
sender, and much more tightly for one whose claims prove false.
"""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim import statements
from gossipsa.swim.allowance import SenderAllowances
from gossipsa.swim.credentials import Credentials
from gossipsa.swim.messages import Testimony, Update

VERIFICATIONS_PER_SECOND = 500
"""Claims of one sender that are verified each second, beyond the burst: some 5 % of a processor."""
VERIFICATIONS_BURST_MIN = 256
"""A small mesh's burst; of a larger one, four times its greatest size: several full states of strangers."""
FORGERIES_PER_SECOND = 10
FORGERIES_BURST = 50
"""Claims of one sender that may prove false; beyond that, none of its claims is looked at for a while."""


class Verifier:
    """Verifies on behalf of one member. The sender of a claim answers for what it passes on."""

    def __init__(self, credentials: Credentials, *, members_max: int) -> None:
        self._credentials = credentials
        self._allowances = SenderAllowances(
            per_second=VERIFICATIONS_PER_SECOND,
            burst=max(VERIFICATIONS_BURST_MIN, 4 * members_max),
            senders_max=members_max,
        )
        self._forgeries = SenderAllowances(
            per_second=FORGERIES_PER_SECOND, burst=FORGERIES_BURST, senders_max=members_max
        )
        self._forged: dict[GatewayName, int] = {}
        """Claims that proved false since this was emptied last, by sender."""

    def speaks(self, update: Update, sender: GatewayName, *, identity: bytes, now_ns: int) -> bool:
        """True if a complete update holds the member's own words.

        Args:
            identity: the identity under which the member is known; empty if it is not.
        """
        if not self._may_look(sender, now_ns):
            return False
        known = bool(identity) and update.identity == identity
        if not known and not self._credentials.admit(update.member, update.identity):
            return self._judged(sender, False)
        statement = statements.own_words(update)
        return self._judged(sender, self._credentials.verify(update.member, statement, update.signature))

    def testifies(
        self, testimony: Testimony, accusation: Update, sender: GatewayName, *, now_ns: int
    ) -> bool:
        """True if the witness signed that the accusation's member was silent."""
        statement = statements.suspicion(accusation.member, accusation.boot, accusation.incarnation)
        return self.signed(testimony.witness, statement, testimony.signature, sender, now_ns=now_ns)

    def signed(
        self, signer: GatewayName, statement: bytes, signature: bytes, sender: GatewayName, *, now_ns: int
    ) -> bool:
        """True if somebody whom we know signed a statement that `sender` passes on."""
        if not self._may_look(sender, now_ns):
            return False
        return self._judged(sender, self._credentials.verify(signer, statement, signature))

    def take_forgeries(self) -> dict[GatewayName, int]:
        """Claims that proved false since the last call, by sender."""
        forged, self._forged = self._forged, {}
        return forged

    def _may_look(self, sender: GatewayName, now_ns: int) -> bool:
        return bool(self._forgeries.take(sender, 1, now_ns) and self._allowances.take(sender, 1, now_ns))

    def _judged(self, sender: GatewayName, is_true: bool) -> bool:
        if is_true:
            self._forgeries.give_back(sender, 1)
        else:
            self._forged[sender] = self._forged.get(sender, 0) + 1
        return is_true
