"""What we do about claims about ourselves: refute them, outbid other boots of our name, or yield to one."""

from __future__ import annotations

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim import statements
from gossipsa.swim.credentials import Credentials
from gossipsa.swim.dissemination import PiggybackQueue
from gossipsa.swim.evidence import Evidence, words_of
from gossipsa.swim.health import LocalHealth
from gossipsa.swim.member import Member
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import Update, Yielded, Yielding
from gossipsa.swim.name_rivals import Answer, NameRivals
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.outputs import Event, MemberYielded, NameClash, NameLost
from gossipsa.swim.refutation import OwnClaim
from gossipsa.swim.sites import SiteRings
from gossipsa.swim.verifier import Verifier

YIELDING_TOLD_MAX = 8
"""Members told that we yield our name; each tells the host that keeps it."""
FAREWELL_PASSES = 4
"""How often each tells it: packets get lost, and some still go to the host that is silent now."""


class ClaimsAboutUs:
    """Answers what others say of us, and what another host says in our name."""

    def __init__(
        self,
        *,
        name: GatewayName,
        boot: BootId,
        own: OwnClaim,
        credentials: Credentials,
        verifier: Verifier,
        evidence: Evidence,
        table: Membership,
        rings: SiteRings,
        health: LocalHealth,
        news: PiggybackQueue,
        outbox: Outbox,
        events: list[Event],
    ) -> None:
        """Args:
        events: what is to be reported is added to it.
        """
        self._name = name
        self._boot = boot
        self._own = own
        self._credentials = credentials
        self._verifier = verifier
        self._evidence = evidence
        self._table = table
        self._rings = rings
        self._health = health
        self._news = news
        self._outbox = outbox
        self._events = events
        self._rivals = NameRivals(boot)

    @property
    def name_lost(self) -> bool:
        """True once we have yielded our name to another boot."""
        return self._rivals.successor is not None

    def begin(self, *, now_ns: int) -> None:
        """A turn begins; with the first one our youth does."""
        self._rivals.begin(now_ns)

    def answer(self, claim: Update, sender: GatewayName, *, now_ns: int) -> None:
        """Somebody claims something about us."""
        ours = self._own.update()
        if self.name_lost:
            return
        if claim.boot != self._boot and claim.complete and claim.incarnation >= ours.incarnation:
            self._answer_rival(claim, sender, now_ns)
        elif claim.boot != self._boot or (claim.accuses and claim.incarnation < ours.incarnation):
            # Out of date already: the sender missed our answer.
            self._outbox.tell(sender, ours)
        elif claim.accuses and claim.incarnation == ours.incarnation:
            self._answer_accusation(claim, sender, now_ns)

    def tell_clash(self, boot: BootId) -> None:
        """Report, once, that another boot of our name is alive."""
        if self._rivals.clashes(boot):
            self._events.append(NameClash(boot=boot))

    def handle_yielding(self, sender: GatewayName, boot: BootId, farewell: Yielding) -> None:
        """A host gave its name up: the one that keeps it is to be told that there was another one.

        Not at once: our session under this name may be the one with the host that gave it up.
        """
        member = self._table.get(sender)
        if member is not None and member.boot != boot:
            self._events.append(MemberYielded(name=sender, boot=boot))
            member.rival, member.rival_passes = Yielded(boot=boot, signature=farewell.signature), 0

    def pass_on_farewell(self, member: Member) -> None:
        """A packet of the boot that keeps its name arrived: it is there, and hears us."""
        if member.rival is not None and member.rival.boot != member.boot:
            self._outbox.post(member.name, member.rival)
            member.rival_passes += 1
            if member.rival_passes == FAREWELL_PASSES:
                member.rival = None

    def handle_yielded(self, sender: GatewayName, yielded: Yielded, *, now_ns: int) -> None:
        """Another boot of our name gave way to us."""
        statement = statements.yielding(self._name, yielded.boot, self._boot)
        if self._rivals.is_told(yielded.boot):
            return
        if self._verifier.signed(self._name, statement, yielded.signature, sender, now_ns=now_ns):
            self.tell_clash(yielded.boot)

    def _answer_accusation(self, accusation: Update, sender: GatewayName, now_ns: int) -> None:
        if not self._evidence.accuses_us(accusation, sender, now_ns=now_ns):
            return
        if self._own.refute(accusation, sender, now_ns=now_ns):
            self._news.push(self._own.update())
            self._health.worsen()
        self._outbox.tell(sender, self._own.update())

    def _answer_rival(self, claim: Update, sender: GatewayName, now_ns: int) -> None:
        """Another boot of our name: our last run, or somebody else."""
        ours, words = self._own.update(), words_of(claim)
        if (words.incarnation, words.boot) < (ours.incarnation, ours.boot):
            self._outbox.tell(sender, ours)
            return
        statement = statements.own_words(words)
        if self._own.left or not self._verifier.signed(
            self._name, statement, words.signature, sender, now_ns=now_ns
        ):
            return
        answer = self._rivals.answer(words, now_ns=now_ns)
        if answer in (Answer.CLASH, Answer.YIELD):
            self.tell_clash(words.boot)
        if answer is Answer.YIELD:
            self._yield_name(words.boot)
        elif self._own.outbid(words, succeeding=answer is not Answer.OUTBID, now_ns=now_ns):
            self._news.push(self._own.update())
            self._outbox.tell(sender, self._own.update())

    def _yield_name(self, successor: BootId) -> None:
        self._events.append(NameLost(successor=successor))
        self._news.clear()
        farewell = Yielding(
            successor=successor,
            signature=self._credentials.sign(statements.yielding(self._name, self._boot, successor)),
        )
        for name in self._rings.told(YIELDING_TOLD_MAX, self._table.live):
            self._outbox.post(name, farewell)
