"""Which ways to a living member are open: half-dead members are found, and said.

A member may answer on streams and not by datagrams, or the other way round, or hear us and not be heard. Each
kind of ping is a trial of its way: answered, or lapsed. A way closes after many trials in a row that lapsed
and opens again after a few that were answered, so that loss closes nothing. What a datagram's way lacks, the
way there or the way back, follows from what else was heard: datagrams of the member itself, and its word, on
the stream, that ours reach it.

A half-dead member stays alive. A dead one is no concern of this module: the verdict is swim's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.settings import SECOND_NS


class Way(Enum):
    """A way between us and another, as an operator calls it."""

    DATAGRAMS_OUT = "datagrams to it"
    DATAGRAMS_IN = "datagrams from it"
    STREAM = "stream"


class Transport(Enum):
    """What a trial tried: there and back."""

    DATAGRAM = "datagram"
    STREAM = "stream"


class Standing(Enum):
    """What is believed of one transport to one member."""

    OPEN = "open"
    DOUBTED = "doubted"
    """The last trials lapsed; not enough of them."""
    CLOSED = "closed"
    RETURNING = "returning"
    """The last trials were answered; not enough of them."""


TRANSITIONS: Mapping[tuple[Standing, bool], tuple[Standing, Standing]] = {
    (Standing.OPEN, True): (Standing.OPEN, Standing.OPEN),
    (Standing.OPEN, False): (Standing.DOUBTED, Standing.CLOSED),
    (Standing.DOUBTED, True): (Standing.OPEN, Standing.OPEN),
    (Standing.DOUBTED, False): (Standing.DOUBTED, Standing.CLOSED),
    (Standing.CLOSED, True): (Standing.RETURNING, Standing.OPEN),
    (Standing.CLOSED, False): (Standing.CLOSED, Standing.CLOSED),
    (Standing.RETURNING, True): (Standing.RETURNING, Standing.OPEN),
    (Standing.RETURNING, False): (Standing.CLOSED, Standing.CLOSED),
}
"""By standing, and whether a trial was answered: the standing then, and that after enough alike in a row."""

LAPSES_TO_CLOSE: Mapping[Transport, int] = {Transport.DATAGRAM: 16, Transport.STREAM: 4}
"""At 25 % loss each way, 16 pings in a row are lost once in half a million; streams repeat by themselves."""
ANSWERS_TO_OPEN = 3
LAPSES_TO_CHECK: Mapping[Transport, int] = {Transport.DATAGRAM: 4, Transport.STREAM: 1}
"""Lapses in a row from which on a way is tried each round, whoever's turn it is."""
RECENT_NS = 5 * SECOND_NS
"""How long a one-way sign counts. While a way is doubted, both sides try it much more often."""

_NEVER_NS = -(1 << 62)


class _Trials(msgspec.Struct):
    standing: Standing = Standing.OPEN
    run: int = 0
    """Trials alike, in a row."""
    answered: bool = True
    """How the last one ended."""
    doubted_ns: int = 0
    """When the first trial lapsed since it was open."""

    def end(self, *, answered: bool, lapses_max: int, now_ns: int) -> None:
        if self.standing is Standing.OPEN and not answered:
            self.doubted_ns = now_ns
        self.run = self.run + 1 if answered is self.answered else 1
        self.answered = answered
        enough = self.run >= (ANSWERS_TO_OPEN if answered else lapses_max)
        self.standing = TRANSITIONS[(self.standing, answered)][enough]


class _Ways(msgspec.Struct):
    trials: dict[Transport, _Trials] = msgspec.field(
        default_factory=lambda: {transport: _Trials() for transport in Transport}
    )
    heard_ns: int = _NEVER_NS
    """Last datagram from it."""
    heard_us_ns: int = _NEVER_NS
    """Its last word that our datagrams reach it."""
    told: frozenset[Way] = frozenset()


class Reachability:
    """The ways to each member that was ever tried; forgotten with the member."""

    def __init__(self) -> None:
        self._ways: dict[GatewayName, _Ways] = {}
        self._troubled: dict[GatewayName, None] = {}
        """Those with a way that is not open."""
        self._touched: dict[GatewayName, None] = {}

    def closed(self, name: GatewayName) -> frozenset[Way]:
        """The ways that were told to be closed."""
        ways = self._ways.get(name)
        return frozenset() if ways is None else ways.told

    def is_open(self, name: GatewayName, transport: Transport) -> bool:
        """False once a way is closed, until it is open again for certain."""
        ways = self._ways.get(name)
        return ways is None or ways.trials[transport].standing in (Standing.OPEN, Standing.DOUBTED)

    def silent_ns(self, name: GatewayName, *, now_ns: int) -> int:
        """Since a datagram of this member reached us last; very long if none ever did."""
        ways = self._ways.get(name)
        return now_ns - (_NEVER_NS if ways is None else ways.heard_ns)

    def heard(self, name: GatewayName, *, now_ns: int) -> None:
        """A datagram of the member arrived."""
        self._of(name).heard_ns = now_ns

    def heard_us(self, name: GatewayName, *, at_ns: int) -> None:
        """The member says, on the stream, when a datagram of ours reached it last."""
        self._of(name).heard_us_ns = at_ns

    def tried(self, name: GatewayName, transport: Transport, *, answered: bool, now_ns: int) -> None:
        """A trial ended."""
        ways = self._of(name)
        ways.trials[transport].end(answered=answered, lapses_max=LAPSES_TO_CLOSE[transport], now_ns=now_ns)
        if all(trials.standing is Standing.OPEN for trials in ways.trials.values()):
            self._troubled.pop(name, None)
            if not ways.told:
                return
        else:
            self._troubled[name] = None
        self._touched[name] = None

    def forget(self, name: GatewayName) -> None:
        """It failed or left: what was known is of no use."""
        for table in (self._ways, self._troubled, self._touched):
            table.pop(name, None)

    def forgive(self) -> None:
        """We were stalled: lapses may be answers that wait unread."""
        for name in tuple(self._troubled):
            for trials in self._ways[name].trials.values():
                if not trials.answered:
                    trials.run = 0
                if trials.standing is Standing.DOUBTED:
                    trials.standing, trials.answered = Standing.OPEN, True

    def take_checks(self, transport: Transport, count: int) -> list[GatewayName]:
        """Members whose way is to be tried now, in turn."""
        taken: list[GatewayName] = []
        for name in tuple(self._troubled):
            if len(taken) == count:
                break
            trials = self._ways[name].trials[transport]
            lapsed = trials.standing is Standing.DOUBTED and trials.run >= LAPSES_TO_CHECK[transport]
            if lapsed or trials.standing in (Standing.CLOSED, Standing.RETURNING):
                self._troubled[name] = self._troubled.pop(name)
                taken.append(name)
        return taken

    def take_changes(self, *, now_ns: int) -> list[tuple[GatewayName, frozenset[Way]]]:
        """Members of which something else is to be told than was: the ways that are closed now."""
        touched, self._touched = self._touched, {}
        changes = []
        for name in touched:
            ways = self._ways[name]
            closed = self._closed(ways, now_ns)
            if closed != ways.told:
                ways.told = closed
                changes.append((name, closed))
        return changes

    def _of(self, name: GatewayName) -> _Ways:
        ways = self._ways.get(name)
        if ways is None:
            ways = self._ways[name] = _Ways()
        return ways

    def _closed(self, ways: _Ways, now_ns: int) -> frozenset[Way]:
        closed = set(ways.told)
        if ways.trials[Transport.STREAM].standing is Standing.CLOSED:
            closed.add(Way.STREAM)
        elif ways.trials[Transport.STREAM].standing is not Standing.RETURNING:
            closed.discard(Way.STREAM)
        datagrams = ways.trials[Transport.DATAGRAM]
        if datagrams.standing is not Standing.RETURNING:
            closed -= {Way.DATAGRAMS_OUT, Way.DATAGRAMS_IN}
        if datagrams.standing is Standing.CLOSED:
            # One direction at least, and both unless there is a younger sign of one.
            since_ns = max(now_ns - RECENT_NS, datagrams.doubted_ns)
            out_open, in_open = ways.heard_us_ns >= since_ns, ways.heard_ns >= since_ns
            if in_open or not out_open:
                closed.add(Way.DATAGRAMS_OUT)
            if out_open or not in_open:
                closed.add(Way.DATAGRAMS_IN)
        return frozenset(closed)
