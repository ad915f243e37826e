"""How failed members are called: one at a time in turn, and several when one of them seems to be back."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim.allowance import Allowance
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import MemberState
from gossipsa.swim.outbox import Outbox
from gossipsa.swim.probe import Prober
from gossipsa.swim.reachability import Reachability, Transport
from gossipsa.swim.reunion import ReunionBeat
from gossipsa.swim.ring import RandomSource
from gossipsa.swim.settings import SwimSettings

RETURN_CALLS = 4
"""Failed members called when another one returns: they were cut off together perhaps."""


class ReunionCalls:
    """Pings to members that failed; an answer brings the packet from which both sides learn."""

    def __init__(
        self,
        *,
        settings: SwimSettings,
        table: Membership,
        prober: Prober,
        reachability: Reachability,
        outbox: Outbox,
        random: RandomSource,
    ) -> None:
        self._table = table
        self._prober = prober
        self._reachability = reachability
        self._outbox = outbox
        self._random = random
        self._beat = ReunionBeat(settings, random)
        self._callbacks = Allowance(per_second=settings.reunion_burst, burst=settings.reunion_burst)

    def next_deadline_ns(self) -> int | None:
        """When the next one is to be called; None while nobody failed."""
        return self._beat.next_deadline_ns() if self._table.count(MemberState.FAILED) else None

    def call_next(self, *, now_ns: int) -> None:
        """Call the member whose turn it is, if it is time."""
        if now_ns < self._beat.next_deadline_ns():
            return
        name = self._beat.due(self._failed(), live=self._table.live_count, now_ns=now_ns)
        if name is not None:
            self._ping(name, now_ns)
            if not self._reachability.is_open(name, Transport.DATAGRAM):
                # Nothing but the stream reached it when it failed.
                self._outbox.post(*self._prober.stream_ping(name, now_ns=now_ns))

    def call_back(self, name: GatewayName, *, now_ns: int) -> None:
        """Call one that seems to have returned, at a bounded rate."""
        if self._callbacks.take(1, now_ns):
            self._ping(name, now_ns)

    def call_others(self, *, now_ns: int) -> None:
        """One returned: call some of the others."""
        calls = self._callbacks.take(min(RETURN_CALLS, self._table.count(MemberState.FAILED)), now_ns)
        if calls:
            failed = self._failed()
            for name in {failed[self._random.randrange(len(failed))]: None for _ in range(calls)}:
                self._ping(name, now_ns)

    def _failed(self) -> list[GatewayName]:
        return [member.name for member in self._table.in_state(MemberState.FAILED)]

    def _ping(self, name: GatewayName, now_ns: int) -> None:
        self._outbox.post(*self._prober.ping(name, now_ns=now_ns))
