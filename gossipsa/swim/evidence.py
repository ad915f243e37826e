"""What testimonies are worth: who may bear witness against whom, and how many it takes.

One member's word is a suspicion, whatever it claims. A verdict needs two witnesses that are members, are not
failed, and are not the accused; we count as one if we found it silent ourselves.
"""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim import statements
from gossipsa.swim.credentials import Credentials
from gossipsa.swim.member import Member
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import EVIDENCE_MAX, MemberState, Testimony, Update
from gossipsa.swim.verifier import Verifier


class Evidence:
    """Judges testimonies by the table of members."""

    def __init__(
        self,
        *,
        name: GatewayName,
        credentials: Credentials,
        verifier: Verifier,
        table: Membership,
        witnesses_min: int,
    ) -> None:
        self._name = name
        self._credentials = credentials
        self._verifier = verifier
        self._table = table
        self._witnesses_min = witnesses_min

    def testify(self, member: Member) -> Testimony:
        """That we found this member silent, signed."""
        if member.suspicion is not None:
            for testimony in member.suspicion.testimonies:
                if testimony.witness == self._name:
                    return testimony
        statement = statements.suspicion(member.name, member.boot, member.incarnation)
        return Testimony(witness=self._name, signature=self._credentials.sign(statement))

    def proven(
        self, accusation: Update, sender: GatewayName, *, counted: tuple[GatewayName, ...] = (), now_ns: int
    ) -> tuple[Testimony, ...]:
        """The testimonies that are true, and of others who may bear witness.

        Args:
            counted: witnesses of whom we know already.
        """
        found: dict[GatewayName, Testimony] = {}
        for testimony in accusation.evidence:
            witness = testimony.witness
            if witness in counted or witness in found or witness == accusation.member:
                continue
            # What we ourselves found we know; what others bring may be what an earlier boot of ours found.
            if not self._table.live(witness):
                continue
            if self._verifier.testifies(testimony, accusation, sender, now_ns=now_ns):
                found[witness] = testimony
        return tuple(found.values())

    def buries(self, verdict: Update, sender: GatewayName, *, now_ns: int) -> bool:
        """True if a verdict about one whom we do not take for alive is to be believed.

        Its witnesses may have died since, and we may be one of them: in an earlier boot.
        """
        witnesses = set()
        for testimony in verdict.evidence:
            witness = testimony.witness
            if witness in witnesses or witness == verdict.member:
                continue
            known = witness == self._name or self._table.get(witness) is not None
            if known and self._verifier.testifies(testimony, verdict, sender, now_ns=now_ns):
                witnesses.add(witness)
        return len(witnesses) >= self._witnesses_min

    def convicts(self, suspect: Member, *, alone: bool) -> tuple[Testimony, ...]:
        """The testimonies that make a verdict, as many as travel; none if they do not suffice.

        Args:
            alone: we are the only one left who could find it silent.
        """
        if suspect.suspicion is None:
            return ()
        valid = tuple(
            testimony
            for testimony in suspect.suspicion.testimonies
            if testimony.witness == self._name or self._table.live(testimony.witness)
        )
        if len(valid) >= self._witnesses_min:
            return valid[:EVIDENCE_MAX]
        ours = tuple(testimony for testimony in valid if testimony.witness == self._name)
        return ours if alone else ()

    def accuses_us(self, accusation: Update, sender: GatewayName, *, now_ns: int) -> bool:
        """True if somebody seems to suspect us: then silence would be worse than an answer too many."""
        for testimony in accusation.evidence:
            if testimony.witness == self._name:
                continue
            if self._table.get(testimony.witness) is None:
                return True
            if self._verifier.testifies(testimony, accusation, sender, now_ns=now_ns):
                return True
        return False


def words_of(update: Update) -> Update:
    """What the member itself says in a complete update, without what others add."""
    if not update.accuses:
        return update
    return Update(
        member=update.member,
        boot=update.boot,
        incarnation=update.incarnation,
        state=MemberState.ALIVE,
        address=update.address,
        port=update.port,
        metadata=update.metadata,
        succeeds=update.succeeds,
        identity=update.identity,
        signature=update.signature,
    )
