"""Which ways to the members are tried out of turn, and what is told of those that close and open.

Datagrams are tried by every probe; the stream is tried when nothing else is heard, now and then to members
whose state goes over it, and each round where something seems to be closed.
"""

from __future__ import annotations

from collections.abc import Collection

from gossipsa.identifiers import GatewayName
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import SILENT_MS_MAX, StreamAck, StreamPing
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.outputs import Event, MemberHalfDead, MemberWhole
from gossipsa.swim.probe import Prober
from gossipsa.swim.reachability import Reachability, Transport, Way
from gossipsa.swim.settings import MILLISECOND_NS, SwimSettings
from gossipsa.swim.sites import SiteRings
from gossipsa.swim.watch import WatchList

WAYS_CHECKED_PER_ROUND = 4
"""Members asked out of turn each round, over each transport, because it seems to be closed."""
STREAMS_SHARED_MAX = 16
"""Members whose streams are tried at each check because state goes over them; more are ignored."""


class WayChecks:
    """Tries ways, takes in how the trials ended, and reports members that are half dead or whole again."""

    def __init__(
        self,
        *,
        settings: SwimSettings,
        table: Membership,
        reachability: Reachability,
        prober: Prober,
        watch: WatchList,
        rings: SiteRings,
        outbox: Outbox,
        events: list[Event],
    ) -> None:
        """Args:
        events: what is to be reported is added to it.
        """
        self._settings = settings
        self._table = table
        self._reachability = reachability
        self._prober = prober
        self._watch = watch
        self._rings = rings
        self._outbox = outbox
        self._events = events
        self._streams_shared: tuple[GatewayName, ...] = ()
        self._streams_due_ns = 0

    def begin(self, *, now_ns: int) -> None:
        """Start the beat of the checks of streams."""
        self._streams_due_ns = now_ns + self._settings.stream_check_interval_ns

    def share_streams(self, names: Collection[GatewayName]) -> None:
        """State goes over the streams to these; the first STREAMS_SHARED_MAX of them."""
        self._streams_shared = tuple(names)[:STREAMS_SHARED_MAX]

    def stream_attempt(self, name: GatewayName) -> int:
        """With which ping of a probe the stream is tried: the first already, if no datagrams pass."""
        if self._reachability.is_open(name, Transport.DATAGRAM):
            return self._settings.stream_attempt
        return min(1, self._settings.stream_attempt)

    def check(self, *, now_ns: int) -> None:
        """Try the ways that seem to be closed, and now and then the streams that carry state."""
        silent = self._reachability.take_checks(Transport.DATAGRAM, WAYS_CHECKED_PER_ROUND)
        for name in silent:
            if self._table.live(name) and name not in self._prober:
                self._outbox.post(*self._prober.ping(name, now_ns=now_ns))
        # The word of the other side, over the stream, tells which direction is closed.
        tried = [*silent, *self._reachability.take_checks(Transport.STREAM, WAYS_CHECKED_PER_ROUND)]
        if now_ns >= self._streams_due_ns:
            self._streams_due_ns = now_ns + self._settings.stream_check_interval_ns
            tried += [*self._watch.close, *self._streams_shared, *self._rings.compared(self._table.live)]
        for name in dict.fromkeys(tried):
            if self._table.live(name) and not self._prober.tries_stream(name):
                self._outbox.post(*self._prober.stream_ping(name, now_ns=now_ns))

    def handle_stream_ping(self, sender: GatewayName, ping: StreamPing, *, now_ns: int) -> None:
        """Say, over the stream, when a datagram of the sender reached us last."""
        silent_ms = self._reachability.silent_ns(sender, now_ns=now_ns) // MILLISECOND_NS
        self._outbox.post(sender, StreamAck(sequence=ping.sequence, silent_ms=min(silent_ms, SILENT_MS_MAX)))

    def hear_datagram(self, sender: GatewayName, *, now_ns: int) -> None:
        """A ping or an answer arrived as a datagram."""
        if self._table.live(sender):
            self._reachability.heard(sender, now_ns=now_ns)

    def datagram_answered(self, sender: GatewayName, *, now_ns: int) -> None:
        """A trial with a datagram ended well."""
        self._reachability.tried(sender, Transport.DATAGRAM, answered=True, now_ns=now_ns)

    def stream_answered(self, sender: GatewayName, ack: StreamAck, *, now_ns: int) -> None:
        """A trial of the stream ended well, and says whether our datagrams arrive."""
        self._reachability.tried(sender, Transport.STREAM, answered=True, now_ns=now_ns)
        if ack.silent_ms < SILENT_MS_MAX:
            self._reachability.heard_us(sender, at_ns=now_ns - ack.silent_ms * MILLISECOND_NS)

    def judge(self, *, now_ns: int) -> None:
        """Take in the trials that nobody answered, and report what has changed."""
        for name, transport in self._prober.take_lapsed():
            if self._table.live(name):
                self._reachability.tried(name, transport, answered=False, now_ns=now_ns)
        for name, closed in self._reachability.take_changes(now_ns=now_ns):
            member = self._table.get(name)
            if member is None:
                continue
            if closed:
                ordered = tuple(way for way in Way if way in closed)
                self._events.append(MemberHalfDead(name=name, boot=member.boot, closed=ordered))
            else:
                self._events.append(MemberWhole(name=name, boot=member.boot))
