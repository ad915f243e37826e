"""The membership protocol: SWIM (DSN 2002) with Lifeguard (arXiv 1707.00788), as a pure state machine.

How a death becomes known: a gateway that we look after is silent for an interval (`watch`, `circle`), or its
turn comes in the round robin, and a probe starts (`probing`). Several pings and relays later the probe fails,
and the prober suspects the member (`suspicion`). Everybody who hears of it and is asked, or happens to look
after it, probes by itself: failures are independent confirmations and shorten the wait, answers contradict.
The suspect hears of it with every packet sent to it, and refutes by raising its incarnation
(`claims_about_us`). Unrefuted, the suspicion becomes a verdict (`verdict_times`), upon which some look at
others near the dead one. News spreads with every packet, and by packets of its own while there is any
(`dissemination`).

What news missed is found by comparing fingerprints (`digest`), soon after each change and ever more rarely
(`state_exchange`).

How a partition heals: failed members are called one at a time for as long as they are remembered, and several
at once as soon as one of them returns (`reunion_calls`).
A verdict about a member that we do not suspect is doubted: the member is probed and told, and it refutes.

What a member that lies can do: what others say of themselves counts under their own signature only, and what
is testified about them under that of the witness (`verifier`). A verdict needs two witnesses (`evidence`)
and leaves the suspect its time to refute. So a liar can make somebody suspected, who refutes, and a verdict
later by a bounded time; as the other one of two survivors, it can withhold the second testimony.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim.allowance import Allowance, SenderAllowances
from gossipsa.swim.circle import Circle
from gossipsa.swim.claims_about_us import ClaimsAboutUs
from gossipsa.swim.coordinate_map import CoordinateMap
from gossipsa.swim.coordinates import Coordinate
from gossipsa.swim.credentials import Credentials
from gossipsa.swim.dissemination import PiggybackQueue
from gossipsa.swim.evidence import Evidence, words_of
from gossipsa.swim.flapping import Flapping
from gossipsa.swim.health import LocalHealth
from gossipsa.swim.hearing import Hearing
from gossipsa.swim.member import Member, MemberView
from gossipsa.swim.membership import Membership, Ruling
from gossipsa.swim.messages import (
    EVIDENCE_MAX,
    Ack,
    DigestReply,
    DigestRequest,
    Fetch,
    Heard,
    IndirectAck,
    MemberState,
    Message,
    Nack,
    Ping,
    PingRequest,
    StateReply,
    StateRequest,
    StreamAck,
    StreamPing,
    SwimPacket,
    Testimony,
    Update,
    Yielded,
    Yielding,
)
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.outputs import ClaimsForged, Event, Outputs, Stalled, UpdatesRefused
from gossipsa.swim.probe import Probe, Prober
from gossipsa.swim.probing import Probing
from gossipsa.swim.reachability import Reachability, Transport
from gossipsa.swim.refutation import OwnClaim
from gossipsa.swim.reunion import SeedCalls
from gossipsa.swim.reunion_calls import ReunionCalls
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import HOUR_NS, MILLISECOND_NS, SwimSettings
from gossipsa.swim.sites import SiteRings
from gossipsa.swim.state_exchange import StateExchange
from gossipsa.swim.verdict_times import VerdictTimes
from gossipsa.swim.verifier import Verifier
from gossipsa.swim.watch import WatchList
from gossipsa.swim.way_checks import WayChecks
from gossipsa.timers import earliest

DOUBTS_PER_SECOND = 64
"""Verdicts that we doubt, and therefore tell to those whom they are about."""
GOSSIPED_MAX = 32
"""Updates that arrive at one time and are passed on as news: what comes in bulk spreads in bulk."""


def one_site(name: GatewayName) -> str:
    """For a mesh whose members are all near each other."""
    return ""


class Swim:
    """One gateway's view of the mesh.

    Every method that takes `now_ns` expects monotonic nanoseconds. Packets come from authenticated senders.
    """

    def __init__(
        self,
        *,
        settings: SwimSettings,
        name: GatewayName,
        boot: BootId,
        endpoint: Endpoint,
        metadata: bytes,
        random: RandomSource,
        credentials: Credentials,
        site_of: Callable[[GatewayName], str] = one_site,
    ) -> None:
        """Build a member that knows nobody.

        Args:
            site_of: the site of a live member, or of ourselves; asked when it says something new.

        Raises:
            ConfigurationError: the metadata is too long.
        """
        self._settings = settings
        self._name = name
        self._boot = boot
        self._random = random
        self._own = OwnClaim(
            name=name,
            boot=boot,
            endpoint=endpoint,
            metadata=metadata,
            credentials=credentials,
            accusers_max=settings.members_max,
        )
        self._table = Membership(settings)
        self._verifier = Verifier(credentials, members_max=settings.members_max)
        self._evidence = Evidence(
            name=name,
            credentials=credentials,
            verifier=self._verifier,
            table=self._table,
            witnesses_min=settings.witnesses_min,
        )
        self._events: list[Event] = []
        self._flapping = Flapping(settings, self._events)
        self._hearing = Hearing(settings)
        self._verdicts = VerdictTimes(
            settings=settings,
            table=self._table,
            evidence=self._evidence,
            flapping=self._flapping,
            hearing=self._hearing,
        )
        self._prober = Prober(settings)
        self._health = LocalHealth(score_max=settings.health_max)
        self._watch = WatchList(settings, random)
        self._coordinates = CoordinateMap(random, members_max=settings.members_max)
        self._reachability = Reachability()
        self._news = PiggybackQueue(settings)
        self._outbox = Outbox(
            boot,
            settings,
            stream_only=lambda name: not self._reachability.is_open(name, Transport.DATAGRAM),
        )
        self._seeds = SeedCalls(settings)
        self._site_of = site_of
        self._rings = SiteRings(site_of(name), random)
        self._circle = Circle(name, site_of(name))
        self._senders = SenderAllowances(
            per_second=settings.updates_per_second_max,
            burst=4 * settings.members_max,
            senders_max=settings.members_max,
        )
        self._doubts = Allowance(per_second=DOUBTS_PER_SECOND, burst=DOUBTS_PER_SECOND)
        self._about_us = ClaimsAboutUs(
            name=name,
            boot=boot,
            own=self._own,
            credentials=credentials,
            verifier=self._verifier,
            evidence=self._evidence,
            table=self._table,
            rings=self._rings,
            health=self._health,
            news=self._news,
            outbox=self._outbox,
            events=self._events,
        )
        self._ways = WayChecks(
            settings=settings,
            table=self._table,
            reachability=self._reachability,
            prober=self._prober,
            watch=self._watch,
            rings=self._rings,
            outbox=self._outbox,
            events=self._events,
        )
        self._probing = Probing(
            settings=settings,
            name=name,
            boot=boot,
            own=self._own,
            table=self._table,
            prober=self._prober,
            ways=self._ways,
            watch=self._watch,
            coordinates=self._coordinates,
            rings=self._rings,
            health=self._health,
            outbox=self._outbox,
            events=self._events,
        )
        self._calls = ReunionCalls(
            settings=settings,
            table=self._table,
            prober=self._prober,
            reachability=self._reachability,
            outbox=self._outbox,
            random=random,
        )
        self._exchange = StateExchange(
            settings=settings,
            name=name,
            own=self._own,
            table=self._table,
            rings=self._rings,
            senders=self._senders,
            calls=self._calls,
            outbox=self._outbox,
            events=self._events,
            random=random,
        )
        self._now_ns = 0
        self._scheduled_ns: int | None = None
        """When we asked to be called; None before the first turn."""
        self._round_ns = 0
        self._gossip_ns = 0
        self._deadline_ns: int | None = None
        """The next deadline, if nothing changed since it was found."""

    @property
    def members(self) -> Mapping[GatewayName, MemberView]:
        """All other members known, the failed and departed ones included, in order of arrival."""
        return {member.name: self._view(member) for member in self._table}

    @property
    def name(self) -> GatewayName:
        """Our own."""
        return self._name

    @property
    def metadata(self) -> bytes:
        """What we say of ourselves."""
        return self._own.metadata

    @property
    def incarnation(self) -> int:
        """Our own."""
        return self._own.incarnation

    @property
    def name_lost(self) -> bool:
        """True once a newer host has taken our name over: we stay silent."""
        return self._about_us.name_lost

    @property
    def health_score(self) -> int:
        """0 if we are well; up to `health_max` if we were stalled or seem cut off."""
        return self._health.score

    @property
    def joined(self) -> bool:
        """True once the full state of another member has arrived."""
        return self._seeds.joined

    def member(self, name: GatewayName) -> MemberView | None:
        member = self._table.get(name)
        return None if member is None else self._view(member)

    @property
    def live_count(self) -> int:
        """How many other members are alive or suspected."""
        return self._table.live_count

    def is_live(self, name: GatewayName) -> bool:
        """True for a member that is alive or suspected."""
        return self._table.live(name)

    def _view(self, member: Member) -> MemberView:
        return member.view(
            flapping=self._flapping.flaps(member.name), closed=self._reachability.closed(member.name)
        )

    def coordinate(self, name: GatewayName) -> Coordinate | None:
        """Where a member, or we, are in the space of round-trip times; None if it never said so."""
        return self._coordinates.own if name == self._name else self._coordinates.get(name)

    def estimate_rtt_ns(self, one: GatewayName, other: GatewayName) -> int | None:
        """How long a round trip between two gateways takes; we may be one of them.

        Returns:
            None if one of them never said where it is.
        """
        here, there = self.coordinate(one), self.coordinate(other)
        if here is None or there is None:
            return None
        return 0 if one == other else int(here.distance_ms(there) * MILLISECOND_NS)

    def join(self, seeds: Sequence[GatewayName], *, now_ns: int) -> Outputs:
        """Ask seeds for the full state, each until it answers or is known from others.

        Raises:
            ConfigurationError: more than `seeds_max`. Nothing changed.
        """
        self._begin(now_ns)
        others = [seed for seed in seeds if seed != self._name]
        self._seeds.add(self._in_any_order(others), now_ns=self._now_ns)
        self._news.push(self._own.update())
        self._call_seeds()
        return self._end()

    def handle(self, sender: GatewayName, packet: SwimPacket, *, now_ns: int) -> Outputs:
        """Take in a packet of an authenticated sender."""
        if self._about_us.name_lost:
            return ()
        self._begin(now_ns)
        if sender == self._name:
            if packet.boot != self._boot:
                self._about_us.tell_clash(packet.boot)
                self._take_in(packet.updates, sender, quiet=False)
            return self._end()
        if self._table.expelled(sender):
            return self._end()
        if self._table.live(sender):
            self._hearing.heard(now_ns=self._now_ns)
        # The state that a newcomer asked for is known to the others already.
        quiet = len(packet.updates) > GOSSIPED_MAX or (
            not self._seeds.joined and any(isinstance(message, StateReply) for message in packet.messages)
        )
        self._take_in(packet.updates, sender, quiet=quiet)
        self._note_sender(sender, packet)
        for message in packet.messages:
            self._handle_message(sender, packet.boot, message)
        return self._end()

    def handle_tick(self, *, now_ns: int) -> Outputs:
        """Do what is due at `now_ns`. Calling early or often does no harm."""
        if self._about_us.name_lost:
            return ()
        self._begin(now_ns)
        if not self._own.left:
            self._step_probes()
            self._pass_verdicts()
            self._start_round()
            self._probing.probe_watched(now_ns=self._now_ns)
            self._call_seeds()
            self._calls.call_next(now_ns=self._now_ns)
            self._exchange.compare_in_turn(now_ns=self._now_ns)
        return self._end()

    def next_deadline_ns(self) -> int:
        """When `handle_tick` wants to be called, at the latest; may lie in the past."""
        if self._about_us.name_lost:
            return self._now_ns + HOUR_NS
        if self._scheduled_ns is None:
            return self._now_ns
        if self._deadline_ns is None:
            self._deadline_ns = self._find_deadline_ns()
        return self._deadline_ns

    def _find_deadline_ns(self) -> int:
        gossip_ns = self._gossip_ns if len(self._news) and self._table.live_count else None
        if self._own.left:
            return self._now_ns + HOUR_NS if gossip_ns is None else gossip_ns
        due_ns = earliest(
            gossip_ns,
            self._round_ns,
            self._exchange.next_deadline_ns(),
            self._verdicts.next_deadline_ns(),
            self._probing.next_deadline_ns(),
            self._seeds.next_deadline_ns(),
            self._calls.next_deadline_ns(),
        )
        assert due_ns is not None, "rounds never end"
        return due_ns

    def watch(self, names: Collection[GatewayName]) -> None:
        """Probe these at the watch interval, and nobody else; the first `watched_max` of them."""
        self._deadline_ns = None
        self._watch.replace([name for name in names if name != self._name], now_ns=self._now_ns)

    def check_streams(self, names: Collection[GatewayName]) -> None:
        """State is shared with these over streams: find out when those of the first few stop to work."""
        self._ways.share_streams(names)

    def reached(self, name: GatewayName, *, now_ns: int, boot: BootId | None = None) -> None:
        """Other authenticated traffic of this gateway arrived: it is alive.

        Args:
            boot: the boot that sent it, if known: a new boot is no sign of life of the old one.
        """
        self._now_ns = max(now_ns, self._now_ns)
        member = self._table.get(name)
        if member is not None and boot in (None, member.boot):
            self._note_life(member)

    def set_metadata(self, metadata: bytes, *, now_ns: int) -> None:
        """Say something else of ourselves; it spreads from the next tick on, which is due at once.

        Raises:
            ConfigurationError: longer than METADATA_BYTES_MAX. Nothing changed.
        """
        if self._own.describe(metadata):
            self._now_ns = max(now_ns, self._now_ns)
            self._deadline_ns = None
            self._news.push(self._own.update())

    def reintroduce(self, *, now_ns: int) -> None:
        """Our credentials have a new identity: it spreads from the next tick on, which is due at once."""
        self._own.reintroduce()
        self._now_ns = max(now_ns, self._now_ns)
        self._deadline_ns = None
        self._news.push(self._own.update())

    def expel(self, name: GatewayName, *, now_ns: int) -> Outputs:
        """Take a gateway for failed, for good: what it says and what is said of it counts no more.

        As many expelled ones are remembered as there may be members; beyond that it is up to the credentials
        to admit none of them. One that got other credentials is to be readmitted.
        """
        self._begin(now_ns)
        if name != self._name:
            self._events += self._table.expel(name)
            self._verdicts.discard(name)
            self._prober.cancel(name)
            self._rings.discard(name)
            self._circle.discard(name)
            self._news.drop(name)
            self._flapping.forget(name)
        return self._end()

    def readmit(self, name: GatewayName) -> None:
        """Whatever a gateway was expelled for, its credentials count now."""
        self._table.readmit(name)

    def leave(self, *, now_ns: int) -> Outputs:
        """Say goodbye, directly to as many as possible; ticks go on spreading it, and do nothing else."""
        self._begin(now_ns)
        self._own.leave()
        goodbye = self._own.update()
        self._news.push(goodbye)
        for name in self._rings.told(self._settings.goodbyes_max, self._table.live):
            self._outbox.tell(name, goodbye)
        return self._end()

    # A turn: every call begins by looking at the clock and ends by collecting what is to be sent.

    def _begin(self, now_ns: int) -> None:
        self._now_ns = max(now_ns, self._now_ns)
        self._deadline_ns = None
        self._about_us.begin(now_ns=self._now_ns)
        if self._scheduled_ns is None:
            # Members started together spread over the intervals.
            self._scheduled_ns = self._gossip_ns = self._now_ns
            self._round_ns = self._now_ns + int(self._settings.probe_interval_ns * self._random.random())
            self._exchange.begin(now_ns=self._now_ns)
            self._ways.begin(now_ns=self._now_ns)
        elif 0 < self._settings.stall_ns < self._now_ns - self._scheduled_ns:
            late_ns = self._now_ns - max(self._scheduled_ns, self._find_deadline_ns())
            if late_ns > self._settings.stall_ns and not self._own.left:
                self._recover_from_stall(late_ns)

    def _end(self) -> Outputs:
        self._verdicts.look_if_few()
        if self._circle.changed:
            self._circle.changed = False
            self._watch.surround(self._circle.following(self._settings.neighbours), now_ns=self._now_ns)
        peers = self._table.live_count
        gossiping = len(self._news) > 0 and peers > 0 and self._now_ns >= self._gossip_ns
        if gossiping:
            for name in self._rings.told(self._settings.gossip_fanout, self._table.live):
                self._outbox.open(name)
        sends = self._outbox.drain(
            accusation=self._accusation,
            news=lambda to, bytes_max: self._news.take(to, bytes_max=bytes_max, peers=peers),
        )
        if gossiping:
            self._news.end_round(peers=peers)
            self._gossip_ns = self._now_ns + self._settings.gossip_interval_ns
        # What was due in the past became due only now: no reason to think that we were late.
        self._scheduled_ns = max(self._now_ns, self.next_deadline_ns())
        for sender, count in self._verifier.take_forgeries().items():
            self._events.append(ClaimsForged(sender=sender, count=count))
        if not self._events:
            return tuple(sends)
        events = tuple(self._events)
        self._events.clear()
        return (*events, *sends)

    def _recover_from_stall(self, late_ns: int) -> None:
        # Answers may wait unread while the deadlines passed: nobody is to blame for our own absence.
        self._events.append(Stalled(late_ns=late_ns))
        self._health.worsen()
        self._prober.restart(now_ns=self._now_ns)
        self._reachability.forgive()
        for suspect in self._table.in_state(MemberState.SUSPECT):
            if suspect.suspicion is not None:
                suspect.suspicion.postpone(late_ns)

    # Claims about members.

    def _take_in(self, updates: Sequence[Update], sender: GatewayName, *, quiet: bool) -> None:
        allowed = self._senders.take(sender, len(updates), self._now_ns) if updates else 0
        refused = len(updates) - allowed
        # Who bears witness may be known from the same packet.
        for update in sorted(updates[:allowed], key=lambda update: bool(update.evidence)):
            if update.member == self._name:
                self._about_us.answer(update, sender, now_ns=self._now_ns)
            elif not self._take_in_claim(update, sender, quiet=quiet):
                refused += 1
        if refused:
            self._events.append(UpdatesRefused(sender=sender, count=refused))

    def _take_in_claim(self, update: Update, sender: GatewayName, *, quiet: bool) -> bool:
        if update.accuses and self._failed(sender):
            # It may hear nobody, and believe that everybody is silent.
            return True
        match self._table.rule(update):
            case Ruling.ADOPT:
                return self._adopt(update, sender, quiet=quiet)
            case Ruling.WEIGH:
                self._weigh(update, sender, quiet=quiet)
            case Ruling.BURY:
                known = self._identity_of(update.member)
                if not self._verifier.speaks(words_of(update), sender, identity=known, now_ns=self._now_ns):
                    return False
                if self._evidence.buries(update, sender, now_ns=self._now_ns):
                    self._accept(update, sender, quiet=quiet)
            case Ruling.MISSING:
                self._exchange.fetch(update.member, sender, now_ns=self._now_ns)
            case Ruling.OUTDATED:
                self._calls.call_back(update.member, now_ns=self._now_ns)
            case Ruling.REFUSE:
                return False
            case Ruling.STALE:
                pass
        return True

    def _failed(self, name: GatewayName) -> bool:
        member = self._table.get(name)
        return member is not None and member.state is MemberState.FAILED

    def _identity_of(self, name: GatewayName) -> bytes:
        member = self._table.get(name)
        return b"" if member is None else member.identity

    def _adopt(self, update: Update, sender: GatewayName, *, quiet: bool) -> bool:
        words = words_of(update)
        known = self._identity_of(update.member)
        if not self._verifier.speaks(words, sender, identity=known, now_ns=self._now_ns):
            return False
        self._accept(words, sender, quiet=quiet)
        if update.accuses:
            self._weigh(update, sender, quiet=quiet)
        return True

    def _weigh(self, accusation: Update, sender: GatewayName, *, quiet: bool) -> None:
        """Somebody suspects or failed a member that we take for alive."""
        member = self._table.get(accusation.member)
        assert member is not None, "ruled WEIGH"
        verdict = accusation.state is MemberState.FAILED
        if verdict and not self._settings.second_look:
            proven = self._evidence.proven(accusation, sender, now_ns=self._now_ns)
            if len(proven) >= self._settings.witnesses_min:
                self._accept(member.accused(MemberState.FAILED, proven), sender, quiet=quiet)
            return
        if verdict and (member.suspicion is None or member.heard_since_suspicion):
            self._doubt(member, accusation, sender)
            return
        suspicion = member.suspicion
        counted = () if suspicion is None else suspicion.witnesses
        if suspicion is None or any(suspicion.wants(said.witness) for said in accusation.evidence):
            proven = self._evidence.proven(accusation, sender, counted=counted, now_ns=self._now_ns)
            if suspicion is not None:
                for testimony in proven:
                    self._confirm(member, testimony)
            elif len(proven) >= self._settings.witnesses_min or any(
                not self._flapping.cries_wolf(said.witness) for said in proven
            ):
                self._accept(member.accused(MemberState.SUSPECT, proven), sender, quiet=quiet)
        if verdict and suspicion is not None and self._evidence.convicts(member, alone=False):
            suspicion.hear_verdict(now_ns=self._now_ns)
            self._verdicts.look(member)

    def _doubt(self, member: Member, verdict: Update, sender: GatewayName) -> None:
        if not self._doubts.take(1, self._now_ns):
            return
        if member.rumour is None or verdict.incarnation > member.rumour.incarnation:
            proven = self._evidence.proven(verdict, sender, now_ns=self._now_ns)
            if not proven:
                return
            member.rumour = member.accused(MemberState.FAILED, proven)
        # The rumour goes with this packet, whether or not a probe is under way.
        self._outbox.open(member.name)
        self._probing.probe(member, accuse=False, now_ns=self._now_ns)

    # Beliefs about others.

    def _accept(self, update: Update, sender: GatewayName | None, *, quiet: bool = False) -> None:
        known = self._table.get(update.member)
        returned = known is not None and known.state is MemberState.FAILED
        if known is None or (known.boot, known.state.live) != (update.boot, update.state.live):
            self._exchange.hurry(now_ns=self._now_ns)
        suspicion = None if known is None else known.suspicion
        events = self._table.accept(update, now_ns=self._now_ns)
        self._events += events
        self._flapping.note(events, returned=returned, suspicion=suspicion, now_ns=self._now_ns)
        if not quiet:
            self._news.push(update)
        if not update.state.live:
            if update.state is MemberState.FAILED:
                self._look_at_neighbours(update.member)
            self._prober.cancel(update.member)
            self._rings.discard(update.member)
            self._circle.discard(update.member)
            self._verdicts.discard(update.member)
            if self._reachability.is_open(update.member, Transport.DATAGRAM):
                self._reachability.forget(update.member)
            self._table.disregard(update.member)
            return
        site = self._site_of(update.member)
        self._rings.add(update.member, site)
        self._circle.add(update.member, site)
        self._coordinates.want(update.member)
        member = self._table.get(update.member)
        if member is not None and member.suspicion is not None:
            self._verdicts.look(member)
            self._form_opinion(update.member)
            return
        self._verdicts.discard(update.member)
        if returned:
            # It was cut off, and so were others perhaps: call them, and compare all we know.
            self._calls.call_others(now_ns=self._now_ns)
            if sender == update.member:
                self._exchange.compare(update.member, now_ns=self._now_ns)

    def _confirm(self, member: Member, testimony: Testimony) -> None:
        events = self._table.confirm(member.name, testimony, now_ns=self._now_ns)
        if not events:
            return
        self._events += events
        self._verdicts.look(member)
        coalesce = self._flapping.flaps(member.name)
        evidence = member.testimonies if coalesce else (testimony,)
        self._news.push(member.accused(MemberState.SUSPECT, evidence), coalesce=coalesce)

    def _form_opinion(self, name: GatewayName) -> None:
        """Somebody suspects this member: agree if we found it silent just now, else ask it ourselves."""
        if not self._settings.second_look:
            return
        member = self._table.get(name)
        if member is None or member.suspicion is None or self._name in member.suspicion.witnesses:
            return
        silent_for_ns = self._now_ns - member.silent_ns
        if silent_for_ns < self._settings.suspicion_max_ns and member.heard_ns < member.silent_ns:
            self._witness(member)
            return
        # Enough members to confirm, however large the mesh; a member that flaps is not worth them.
        chance = self._settings.second_opinions / max(1, self._table.live_count)
        neighbour = name in self._watch and not self._health.score
        asked = neighbour or self._random.random() < chance
        if name in self._watch.close or (asked and not self._flapping.flaps(name)):
            self._probing.probe(member, accuse=False, now_ns=self._now_ns)

    def _witness(self, member: Member) -> Update:
        """Suspect a member first hand, or confirm the suspicion of others."""
        testimony = self._evidence.testify(member)
        suspicion = member.accused(MemberState.SUSPECT, (testimony,))
        if member.suspicion is not None:
            self._confirm(member, testimony)
        else:
            self._accept(suspicion, None)
        return suspicion

    def _look_at_neighbours(self, failed: GatewayName) -> None:
        """Deaths come in company: perhaps a site is dark, or the mesh is cut in two right through it."""
        if self._random.random() >= self._settings.second_opinions * self._rings.company(failed):
            return
        for name in self._rings.neighbour(failed, self._table.live):
            member = self._table.get(name)
            if member is not None:
                self._probing.probe(member, accuse=True, now_ns=self._now_ns)

    def _pass_verdicts(self) -> None:
        if not self._verdicts.is_due(now_ns=self._now_ns):
            return
        if not self._verdicts.we_listen(now_ns=self._now_ns):
            # It may be we who are deaf, or were: whoever answers us now tells that it is not so.
            self._hearing.wait(now_ns=self._now_ns)
            self._probing.ask_some(now_ns=self._now_ns)
            return
        for name in self._verdicts.take_due(now_ns=self._now_ns):
            suspect = self._table.get(name)
            if suspect is None or suspect.suspicion is None:
                continue
            if self._verdicts.falls(suspect, now_ns=self._now_ns):
                evidence = self._verdicts.proof(suspect)
                if evidence:
                    self._accept(suspect.accused(MemberState.FAILED, evidence), None)
                    continue
                suspect.suspicion.ask_again(self._now_ns)
                self._probing.probe(suspect, accuse=True, now_ns=self._now_ns)
            self._verdicts.look(suspect)

    def _accusation(self, name: GatewayName) -> Update | None:
        member = self._table.get(name)
        if member is None or (member.state is MemberState.SUSPECT and not self._settings.buddy):
            return None
        return member.accusation(now_ns=self._now_ns)

    # Signs of life.

    def _note_sender(self, sender: GatewayName, packet: SwimPacket) -> None:
        member = self._table.get(sender)
        if member is None:
            introduced = (StateRequest, StateReply, DigestRequest, DigestReply)
            if not any(isinstance(message, introduced) for message in packet.messages):
                self._exchange.compare(sender, now_ns=self._now_ns)
        elif member.boot != packet.boot:
            # It learns with our next packet as what it is known, and outbids it.
            member.spoken_boot = packet.boot
            self._outbox.open(sender)
        else:
            member.spoken_boot = None
            self._note_life(member)
            self._about_us.pass_on_farewell(member)
            if member.state is MemberState.FAILED:
                self._outbox.open(sender)

    def _note_life(self, member: Member) -> None:
        member.heard_ns = self._now_ns
        if member.suspicion is not None:
            member.suspicion.heard_by(self._name)

    def _contradict(self, suspect: Member | None) -> None:
        """It answered us: tell those who suspect it."""
        if suspect is None or not self._settings.second_look:
            return
        if suspect.suspicion is None or suspect.suspicion.contradicted:
            return
        suspect.suspicion.contradicted = True
        heard = Heard(member=suspect.name, boot=suspect.boot, incarnation=suspect.incarnation)
        for witness in suspect.suspicion.witnesses:
            if witness != self._name and self._table.live(witness):
                self._outbox.post(witness, heard)

    # Messages.

    def _handle_message(self, sender: GatewayName, boot: BootId, message: Message) -> None:
        match message:
            case Ping():
                self._probing.handle_ping(sender, message, now_ns=self._now_ns)
            case Ack():
                self._contradict(self._probing.handle_ack(sender, boot, message, now_ns=self._now_ns))
            case StreamPing():
                self._ways.handle_stream_ping(sender, message, now_ns=self._now_ns)
            case StreamAck():
                self._contradict(self._probing.handle_stream_ack(sender, boot, message, now_ns=self._now_ns))
            case PingRequest():
                self._probing.handle_ping_request(sender, message, now_ns=self._now_ns)
            case IndirectAck():
                self._probing.handle_indirect_ack(sender, message, now_ns=self._now_ns)
            case Nack():
                self._probing.handle_nack(sender, message)
            case Heard():
                self._handle_heard(sender, message)
            case StateRequest():
                self._exchange.handle_state_request(sender, message, now_ns=self._now_ns)
            case StateReply():
                self._seeds.answered(sender, part=message.part, parts=message.parts)
            case DigestRequest():
                self._exchange.handle_digest_request(sender, message, now_ns=self._now_ns)
            case DigestReply():
                self._exchange.handle_digest_reply(sender, message, now_ns=self._now_ns)
            case Fetch():
                self._exchange.handle_fetch(sender, message, now_ns=self._now_ns)
            case Yielding():
                self._about_us.handle_yielding(sender, boot, message)
            case Yielded():
                self._about_us.handle_yielded(sender, message, now_ns=self._now_ns)

    def _handle_heard(self, sender: GatewayName, heard: Heard) -> None:
        member = self._table.get(heard.member)
        if (
            member is not None
            and member.suspicion is not None
            and (member.boot, member.incarnation) == (heard.boot, heard.incarnation)
            and self._table.live(sender)
        ):
            member.suspicion.heard_by(sender)

    # Timers.

    def _step_probes(self) -> None:
        for probe in self._probing.step(now_ns=self._now_ns):
            self._handle_silence(probe)
        self._ways.judge(now_ns=self._now_ns)

    def _handle_silence(self, probe: Probe) -> None:
        member = self._table.get(probe.target)
        if member is None or not member.state.live:
            return
        if probe.relays and not probe.nacks:
            self._health.worsen()
        member.silent_ns = self._now_ns
        if member.rumour is not None:
            self._believe(member, member.rumour)
        elif probe.accuse or member.state is MemberState.SUSPECT:
            suspicion = self._witness(member)
            # The relays have looked for themselves meanwhile: theirs are the first confirmations.
            for relay in probe.relays if self._settings.second_look else ():
                self._outbox.tell(relay, suspicion)

    def _believe(self, member: Member, rumour: Update) -> None:
        """Others passed the verdict, and now we know it first hand."""
        ours = self._evidence.testify(member)
        others = tuple(said for said in rumour.evidence if said.witness != self._name)
        if len(others) >= self._settings.witnesses_min and self._verdicts.we_listen(now_ns=self._now_ns):
            self._accept(member.accused(MemberState.FAILED, (ours, *others)[:EVIDENCE_MAX]), None)
            return
        # With us it is two; but who was alone with it did not give the suspect its time, or we hear nobody.
        for testimony in (ours, *others):
            if member.suspicion is None:
                self._accept(member.accused(MemberState.SUSPECT, (testimony,)), None)
            else:
                self._confirm(member, testimony)

    def _start_round(self) -> None:
        if self._now_ns < self._round_ns:
            return
        self._round_ns = self._now_ns + self._settings.probe_interval_ns
        self._health.end_round()
        for name in self._flapping.release(now_ns=self._now_ns):
            member = self._table.get(name)
            if member is not None:
                self._verdicts.look(member)
        self._probing.probe_in_turn(now_ns=self._now_ns)
        self._ways.check(now_ns=self._now_ns)

    def _call_seeds(self) -> None:
        for seed in self._seeds.due(
            known=lambda name: self._table.get(name) is not None or self._table.expelled(name),
            now_ns=self._now_ns,
        ):
            self._outbox.request_state(seed, 0, self._own.update())
            if self._seeds.is_unanswered(seed):
                self._outbox.request_state(seed, 0, self._own.update(), over_stream=True)

    def _in_any_order(self, names: list[GatewayName]) -> list[GatewayName]:
        """Many newcomers with the same seeds do not all ask the same ones first."""
        if len(names) > self._settings.join_parallel:
            return sorted(names, key=lambda name: self._random.random())
        return names
