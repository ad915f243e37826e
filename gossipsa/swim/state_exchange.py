"""How members find out what the news missed: they compare fingerprints, and tell each other what differs.

What others ask of us counts against their rate; what is too much is refused, and they ask somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossipsa.identifiers import GatewayName
from gossipsa.swim.allowance import Allowance, SenderAllowances
from gossipsa.swim.digest import TableDigest, tag_of
from gossipsa.swim.exchange import ExchangeBeat
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import DigestReply, DigestRequest, Fetch, StateRequest, Update
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.outputs import Event, UpdatesRefused
from gossipsa.swim.refutation import OwnClaim
from gossipsa.swim.reunion_calls import ReunionCalls
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings
from gossipsa.swim.sites import SiteRings

EXCHANGES_PER_SECOND = 4
EXCHANGES_BURST = 8
"""Comparisons out of turn: with strangers, and with members that return."""
STATES_PER_SECOND = 16
STATES_BURST = 64
"""Full states sent to newcomers; those who are refused ask somebody else."""
VERSIONS_AN_UPDATE = 8
"""Versions that cost a sender as much of its rate as one update."""
FETCHES_PER_SECOND = 64
"""Members' words asked for because they are accused in later ones than we know."""


class StateExchange:
    """Compares what we know with what others know, and answers those who compare themselves with us."""

    def __init__(
        self,
        *,
        settings: SwimSettings,
        name: GatewayName,
        own: OwnClaim,
        table: Membership,
        rings: SiteRings,
        senders: SenderAllowances,
        calls: ReunionCalls,
        outbox: Outbox,
        events: list[Event],
        random: RandomSource,
    ) -> None:
        """Args:
        events: what is to be reported is added to it.
        """
        self._name = name
        self._own = own
        self._table = table
        self._rings = rings
        self._senders = senders
        self._calls = calls
        self._outbox = outbox
        self._events = events
        self._beat = ExchangeBeat(settings, random)
        self._exchanges = Allowance(per_second=EXCHANGES_PER_SECOND, burst=EXCHANGES_BURST)
        self._states = Allowance(per_second=STATES_PER_SECOND, burst=STATES_BURST)
        self._fetches = Allowance(per_second=FETCHES_PER_SECOND, burst=FETCHES_PER_SECOND)

    def begin(self, *, now_ns: int) -> None:
        """Start the beat of comparisons."""
        self._beat.begin(now_ns=now_ns)

    def hurry(self, *, now_ns: int) -> None:
        """Something changed: compare soon."""
        self._beat.hurry(now_ns=now_ns)

    def next_deadline_ns(self) -> int:
        return self._beat.next_deadline_ns()

    def compare_in_turn(self, *, now_ns: int) -> None:
        """Compare with those whose turn it is, if it is time."""
        if not self._beat.due(now_ns=now_ns):
            return
        self._table.forget(now_ns=now_ns)
        for name in self._rings.compared(self._table.live):
            self._request_digest(name)

    def compare(self, name: GatewayName, *, now_ns: int) -> None:
        """Compare with this one out of turn, at a bounded rate."""
        if self._exchanges.take(1, now_ns):
            self._outbox.tell(name, self._own.update())
            self._request_digest(name)

    def fetch(self, member: GatewayName, teller: GatewayName, *, now_ns: int) -> None:
        """Ask for a member's own words, which whoever tells of it should know; at a bounded rate."""
        if self._fetches.take(1, now_ns):
            self._outbox.send_apart(teller, Fetch(tags=(tag_of(member),)))

    def handle_state_request(self, sender: GatewayName, request: StateRequest, *, now_ns: int) -> None:
        """A newcomer asks for all we know."""
        wanted = 1 + len(self._table)
        if not self._allowed(sender, wanted, now_ns) or not self._states.take(1, now_ns):
            self._refuse(sender)
            return
        state = (self._own.update(), *(member.update(now_ns=now_ns) for member in self._table))
        self._outbox.reply_state(sender, request.sequence, state, over_stream=request.over_stream)

    def handle_digest_request(self, sender: GatewayName, request: DigestRequest, *, now_ns: int) -> None:
        """Say in which buckets we differ, and what versions we know there."""
        digest = self._own_digest()
        buckets = digest.differing(request.fingerprints)
        versions = digest.versions(buckets)
        if not self._allowed(sender, 1 + len(versions) // VERSIONS_AN_UPDATE, now_ns):
            self._refuse(sender)
            return
        # Whoever differs from us may not know us.
        us = (self._own.update(),) if buckets else ()
        reply = DigestReply(sequence=request.sequence, buckets=buckets, versions=versions)
        self._outbox.send_apart(sender, reply, *us)

    def handle_digest_reply(self, sender: GatewayName, reply: DigestReply, *, now_ns: int) -> None:
        """Tell what the other one lacks, and ask for what we lack."""
        if not self._beat.answered(sender, reply.sequence) or not reply.buckets:
            return
        difference = self._own_digest().compare(
            reply.buckets, reply.versions, about_us=lambda name: name == self._name
        )
        for name in difference.returned:
            self._calls.call_back(name, now_ns=now_ns)
        self._outbox.send_claims(sender, self._claims_about(difference.lacking, now_ns))
        if difference.wanted:
            self._outbox.send_apart(sender, Fetch(tags=tuple(difference.wanted)))

    def handle_fetch(self, sender: GatewayName, fetch: Fetch, *, now_ns: int) -> None:
        """Tell what the other one found that it lacks."""
        if not self._allowed(sender, 1 + len(fetch.tags), now_ns):
            self._refuse(sender)
            return
        self._outbox.send_claims(sender, self._claims_about(self._own_digest().names(fetch.tags), now_ns))

    def _request_digest(self, name: GatewayName) -> None:
        request = DigestRequest(sequence=self._beat.ask(name), fingerprints=self._own_digest().fingerprints())
        self._outbox.send_apart(name, request)

    def _own_digest(self) -> TableDigest:
        """Of all we know, ourselves included."""
        own = self._own.update()
        self._table.digest.set(own.member, own.boot, own.incarnation, own.state)
        return self._table.digest

    def _claims_about(self, names: Iterable[GatewayName], now_ns: int) -> list[Update]:
        claims = []
        for name in names:
            member = self._table.get(name)
            if name == self._name:
                claims.append(self._own.update())
            elif member is not None:
                claims.append(member.update(now_ns=now_ns))
        return claims

    def _allowed(self, sender: GatewayName, updates: int, now_ns: int) -> bool:
        """Count what a sender asks of us against its rate."""
        return self._senders.take(sender, updates, now_ns) == updates

    def _refuse(self, sender: GatewayName) -> None:
        self._events.append(UpdatesRefused(sender=sender, count=0))
