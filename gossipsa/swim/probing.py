"""Whom we probe and when, how we answer those who probe, and how we ask on behalf of others.

In every round one member, or one of each site, has its turn; watched members are probed when they are silent
for a short interval. What a failed probe or an answer means for the member is not decided here.
"""

from __future__ import annotations

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.coordinate_map import CoordinateMap
from gossipsa.swim.coordinates import CoordinateRefusedError
from gossipsa.swim.health import LocalHealth
from gossipsa.swim.member import Member
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import Ack, IndirectAck, MemberState, Nack, Ping, PingRequest, StreamAck
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.outputs import CoordinateRefused, Event
from gossipsa.swim.probe import Post, Probe, Prober
from gossipsa.swim.reachability import Transport
from gossipsa.swim.refutation import OwnClaim
from gossipsa.swim.settings import SwimSettings
from gossipsa.swim.sites import SiteRings
from gossipsa.swim.watch import WatchList
from gossipsa.swim.way_checks import WayChecks
from gossipsa.timers import earliest

LOCATED_PER_ROUND = 2
"""Members asked out of turn where they are, each round, as long as there are any who never said it."""
LISTENED_TO = 3
"""Members asked, each time, for a sign that we hear."""


class Probing:
    """Starts probes, and handles the messages of ours and of others'."""

    def __init__(
        self,
        *,
        settings: SwimSettings,
        name: GatewayName,
        boot: BootId,
        own: OwnClaim,
        table: Membership,
        prober: Prober,
        ways: WayChecks,
        watch: WatchList,
        coordinates: CoordinateMap,
        rings: SiteRings,
        health: LocalHealth,
        outbox: Outbox,
        events: list[Event],
    ) -> None:
        """Args:
        events: what is to be reported is added to it.
        """
        self._settings = settings
        self._name = name
        self._boot = boot
        self._own = own
        self._table = table
        self._prober = prober
        self._ways = ways
        self._watch = watch
        self._coordinates = coordinates
        self._rings = rings
        self._health = health
        self._outbox = outbox
        self._events = events

    def next_deadline_ns(self) -> int | None:
        """When a probe goes on, or a watched member is to be probed; None if there are neither."""
        due_ns = self._prober.next_deadline_ns()
        for name in self._watch:
            member = self._idle(name)
            if member is not None:
                due_ns = earliest(due_ns, self._watched_due_ns(member))
        return due_ns

    def probe(self, member: Member, *, accuse: bool, now_ns: int, locate: bool = False) -> None:
        """Probe this one, unless we left.

        Args:
            accuse: suspect it if it is silent, whoever else suspects it.
            locate: ask where it is.
        """
        if self._own.left:
            return
        posts = self._prober.start(
            member.name,
            ack_wait_ns=member.round_trip.ack_wait_ns(self._settings),
            multiplier=self._health.multiplier,
            accuse=accuse,
            now_ns=now_ns,
            locate=locate,
            stream_attempt=self._ways.stream_attempt(member.name),
        )
        self._post(posts)

    def probe_in_turn(self, *, now_ns: int) -> None:
        """A round begins: probe those whose turn it is, and ask some who never said where they are."""
        for name in self._rings.probed(lambda name: self._table.live(name) and name not in self._prober):
            member = self._table.get(name)
            if member is not None:
                self.probe(member, accuse=True, now_ns=now_ns, locate=True)
        for name in self._coordinates.take_wanted(LOCATED_PER_ROUND, self._table.live):
            if name not in self._prober:
                self._post([self._prober.ping(name, now_ns=now_ns, locate=True)])

    def probe_watched(self, *, now_ns: int) -> None:
        """Probe watched members that were silent for the watch interval."""
        for name in self._watch:
            member = self._idle(name)
            if member is not None and now_ns >= self._watched_due_ns(member):
                self._watch.beaten(name, now_ns=now_ns)
                self.probe(member, accuse=True, now_ns=now_ns)

    def ask_some(self, *, now_ns: int) -> None:
        """Ask some whom nobody suspects for a sign that we hear."""
        for name in self._rings.told(LISTENED_TO, self._is_alive):
            self._post([self._prober.ping(name, now_ns=now_ns)])

    def step(self, *, now_ns: int) -> list[Probe]:
        """Go on with the probes under way.

        Returns:
            Those that failed.
        """
        posts, failed = self._prober.due(relays_for=self._relays_for, now_ns=now_ns)
        self._post(posts)
        return failed

    def handle_ping(self, sender: GatewayName, ping: Ping, *, now_ns: int) -> None:
        """Answer, and say where we are if that is asked."""
        self._ways.hear_datagram(sender, now_ns=now_ns)
        coordinate = self._coordinates.own.encode() if ping.locate else b""
        self._outbox.post(sender, Ack(sequence=ping.sequence, coordinate=coordinate))

    def handle_ack(self, sender: GatewayName, boot: BootId, ack: Ack, *, now_ns: int) -> Member | None:
        """Take in an answer.

        Returns:
            The member, if it is the boot we know and we asked.
        """
        self._ways.hear_datagram(sender, now_ns=now_ns)
        answer, posts = self._prober.acked(sender, ack.sequence, boot, now_ns=now_ns)
        self._post(posts)
        member = self._table.get(sender)
        if answer is None or member is None:
            return None
        self._ways.datagram_answered(sender, now_ns=now_ns)
        member.round_trip.sample(answer.rtt_ns)
        if ack.coordinate:
            self._hear_coordinate(sender, ack.coordinate, answer.rtt_ns)
        return member if member.boot == boot else None

    def handle_stream_ack(
        self, sender: GatewayName, boot: BootId, ack: StreamAck, *, now_ns: int
    ) -> Member | None:
        """Take in an answer over the stream; returns as `handle_ack` does."""
        answer, posts = self._prober.acked(
            sender, ack.sequence, boot, now_ns=now_ns, transport=Transport.STREAM
        )
        self._post(posts)
        member = self._table.get(sender)
        if answer is None or member is None or not member.state.live:
            return None
        self._ways.stream_answered(sender, ack, now_ns=now_ns)
        return member if member.boot == boot else None

    def handle_ping_request(self, sender: GatewayName, request: PingRequest, *, now_ns: int) -> None:
        """Ask a member on behalf of another one."""
        if request.target == self._name:
            self._outbox.post(sender, IndirectAck(sequence=request.sequence, boot=self._boot))
            return
        target = self._table.get(request.target)
        if target is None or not target.state.live or self._own.left:
            self._outbox.post(sender, Nack(sequence=request.sequence))
            return
        posts = self._prober.relay(
            target.name,
            requester=sender,
            sequence=request.sequence,
            ack_wait_ns=target.round_trip.ack_wait_ns(self._settings),
            multiplier=self._health.multiplier,
            now_ns=now_ns,
        )
        self._post(posts)

    def handle_indirect_ack(self, relay: GatewayName, ack: IndirectAck, *, now_ns: int) -> None:
        """A relay got an answer of the member that we probe."""
        target = self._prober.relayed(relay, ack.sequence)
        if target is None:
            return
        self._watch.beaten(target, now_ns=now_ns)
        member = self._table.get(target)
        if member is not None and member.suspicion is not None and member.boot == ack.boot:
            member.suspicion.heard_by(relay)

    def handle_nack(self, relay: GatewayName, nack: Nack) -> None:
        """A relay got no answer, but is there itself."""
        self._prober.nacked(relay, nack.sequence)

    def _hear_coordinate(self, sender: GatewayName, encoded: bytes, rtt_ns: int) -> None:
        try:
            self._coordinates.hear(sender, encoded, rtt_ns=rtt_ns)
        except CoordinateRefusedError as error:
            self._events.append(CoordinateRefused(sender=sender, reason=str(error)))

    def _idle(self, name: GatewayName) -> Member | None:
        """A live member that is not probed just now."""
        member = self._table.get(name)
        return member if member is not None and member.state.live and name not in self._prober else None

    def _watched_due_ns(self, member: Member) -> int:
        return self._watch.due_ns(member.name, heard_ns=member.heard_ns, multiplier=self._health.multiplier)

    def _relays_for(self, target: GatewayName) -> list[GatewayName]:
        return self._rings.relays(
            target, self._settings.relays, lambda name: name != target and self._is_alive(name)
        )

    def _is_alive(self, name: GatewayName) -> bool:
        """And not suspected."""
        member = self._table.get(name)
        return member is not None and member.state is MemberState.ALIVE

    def _post(self, posts: list[Post]) -> None:
        for to, message in posts:
            self._outbox.post(to, message)
