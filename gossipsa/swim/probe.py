"""Probing: several pings spaced over the waiting time, then relays, then silence is a fact.

A probe ends with the first answer to any of its pings, its own or a relay's. The gaps between pings are run
time of this daemon, not of the clock: after a late timer the next ping waits a whole gap again, so that a
stall uses up one attempt and not the probe.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import IndirectAck, Message, Nack, Ping, PingRequest, StreamPing
from gossipsa.swim.reachability import Transport
from gossipsa.swim.settings import SwimSettings
from gossipsa.timers import earliest

OUTSTANDING_MAX = 8_192
"""Sequences for which an answer is still recognised."""
RESTARTS_MAX = 2
"""Times that one probe starts again after stalls."""
REQUESTERS_MAX = 16
"""Members for which one probe is made at once."""

Post = tuple[GatewayName, Message]
"""A message and whom it goes to."""


class Probe(msgspec.Struct, kw_only=True):
    """One target, asked until it answers or the attempts are used up."""

    target: GatewayName
    ack_wait_ns: int
    gap_ns: int
    accuse: bool
    """True if it is our own: then relays are asked, and its failure raises a suspicion."""
    locate: bool = False
    """True if the answers are to say where the target is."""
    stream_attempt: int = 0
    """The attempt with which the stream is asked too; 0: never."""
    attempts: int = 0
    """Pings sent since it started, or started again."""
    next_step_ns: int = 0
    restarts: int = 0
    """How often it started again because we were stalled."""
    extended: bool = False
    """It was given a second run, because no relay was heard in the first."""
    relays: list[GatewayName] = msgspec.field(default_factory=list)
    """Relays asked."""
    nacks: dict[GatewayName, None] = msgspec.field(default_factory=dict)
    """Relays that said they got no answer: they hear us, and we hear them."""
    requesters: dict[GatewayName, int] = msgspec.field(default_factory=dict)
    """Members that asked us for this probe, with their sequences."""
    nack_ns: int | None = None
    """When the requesters are to be told that there is no answer yet."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an Ack was the answer to."""

    rtt_ns: int
    transport: Transport
    probe: Probe | None
    """The probe it ended; None if that had ended before, or the ping was no part of one."""


class _Outstanding(msgspec.Struct, frozen=True, kw_only=True):
    target: GatewayName
    asked: GatewayName
    """The target itself, or a relay."""
    sent_ns: int
    transport: Transport = Transport.DATAGRAM


class Prober:
    """All probes under way, at most one a target."""

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._probes: dict[GatewayName, Probe] = {}
        self._outstanding: dict[int, _Outstanding] = {}
        self._lapsed: list[tuple[GatewayName, Transport]] = []
        self._streams_tried: dict[GatewayName, int] = {}
        """The sequence of the last unanswered ping over each stream."""
        self._vouchers: dict[GatewayName, GatewayName] = {}
        """By target: the relay whose word alone ended the last probe of it."""
        self._sequence = 0

    def __contains__(self, target: GatewayName) -> bool:
        return target in self._probes

    def next_deadline_ns(self) -> int | None:
        due_ns: int | None = None
        for probe in self._probes.values():
            due_ns = earliest(due_ns, probe.next_step_ns, probe.nack_ns)
        return due_ns

    def ping(self, target: GatewayName, *, now_ns: int, locate: bool = False) -> Post:
        """A single ping, no part of a probe."""
        return (target, Ping(sequence=self._expect(target, target, now_ns), locate=locate))

    def stream_ping(self, target: GatewayName, *, now_ns: int) -> Post:
        """A single ping over the stream."""
        sequence = self._expect(target, target, now_ns, Transport.STREAM)
        self._streams_tried[target] = sequence
        return (target, StreamPing(sequence=sequence))

    def tries_stream(self, target: GatewayName) -> bool:
        """True while a ping over the stream may still be answered."""
        return target in self._streams_tried

    def take_lapsed(self) -> list[tuple[GatewayName, Transport]]:
        """Targets that left a ping unanswered for `late_ack_ns`, once for each ping."""
        lapsed, self._lapsed = self._lapsed, []
        return lapsed

    def start(
        self,
        target: GatewayName,
        *,
        ack_wait_ns: int,
        multiplier: int,
        accuse: bool,
        now_ns: int,
        locate: bool = False,
        stream_attempt: int = 0,
    ) -> list[Post]:
        """Probe a target now; joins the probe that is under way, if there is one.

        Args:
            ack_wait_ns: time within which this target usually answers.
            multiplier: local health; stretches the waits.
            accuse: see `Probe.accuse`.
            locate: see `Probe.locate`.
            stream_attempt: see `Probe.stream_attempt`.
        """
        probe = self._probes.get(target)
        if probe is not None:
            probe.accuse |= accuse
            if stream_attempt and not probe.stream_attempt:
                probe.stream_attempt = max(stream_attempt, probe.attempts + 1)
            return []
        if len(self._probes) >= self._settings.probes_max:
            return []
        probe = Probe(
            target=target,
            ack_wait_ns=ack_wait_ns * multiplier,
            gap_ns=self._settings.ping_gap_ns * multiplier,
            accuse=accuse,
            locate=locate,
            stream_attempt=stream_attempt,
        )
        self._probes[target] = probe
        return self._attempt(probe, now_ns)

    def relay(
        self,
        target: GatewayName,
        *,
        requester: GatewayName,
        sequence: int,
        ack_wait_ns: int,
        multiplier: int,
        now_ns: int,
    ) -> list[Post]:
        """Probe a target for somebody else."""
        posts = self.start(
            target, ack_wait_ns=ack_wait_ns, multiplier=multiplier, accuse=False, now_ns=now_ns
        )
        probe = self._probes.get(target)
        if probe is None or len(probe.requesters) >= REQUESTERS_MAX:
            return [(requester, Nack(sequence=sequence))]
        probe.requesters[requester] = sequence
        if probe.nack_ns is None:
            probe.nack_ns = now_ns + min(probe.ack_wait_ns, 2 * probe.gap_ns)
        return posts

    def acked(
        self,
        sender: GatewayName,
        sequence: int,
        boot: BootId,
        *,
        now_ns: int,
        transport: Transport = Transport.DATAGRAM,
    ) -> tuple[Answer | None, list[Post]]:
        """A ping was answered; tells those for whom we asked. None if we never asked, or too long ago."""
        asked = self._outstanding.get(sequence)
        if (
            asked is None
            or asked.asked != sender
            or asked.target != sender
            or asked.transport is not transport
        ):
            return None, []
        self._forget(sequence)
        self._vouchers.pop(sender, None)
        probe = self._probes.pop(sender, None)
        posts: list[Post] = []
        if probe is not None:
            posts = [
                (requester, IndirectAck(sequence=theirs, boot=boot))
                for requester, theirs in probe.requesters.items()
            ]
        return Answer(rtt_ns=max(0, now_ns - asked.sent_ns), transport=transport, probe=probe), posts

    def relayed(self, relay: GatewayName, sequence: int) -> GatewayName | None:
        """A relay reports that its target answered; returns the target, None if that counts for nothing.

        It counts for nothing if we did not ask, and if the last probe of a silent target ended by this
        relay's word too while others could be asked: one liar saves a dead member once.
        """
        asked = self._outstanding.get(sequence)
        if asked is None or asked.asked != relay or asked.target == relay:
            return None
        del self._outstanding[sequence]
        probe = self._probes.get(asked.target)
        if probe is None:
            return asked.target
        if len(probe.relays) > 1 and self._vouchers.get(asked.target) == relay:
            return None
        self._vouchers[asked.target] = relay
        if len(self._vouchers) > self._settings.members_max:
            del self._vouchers[next(iter(self._vouchers))]
        del self._probes[asked.target]
        return asked.target

    def nacked(self, relay: GatewayName, sequence: int) -> None:
        """A relay reports that its target has not answered yet."""
        asked = self._outstanding.get(sequence)
        if asked is None or asked.asked != relay:
            return
        probe = self._probes.get(asked.target)
        if probe is not None:
            probe.nacks[relay] = None

    def cancel(self, target: GatewayName) -> None:
        """Its member is gone, or known to be alive."""
        self._probes.pop(target, None)

    def restart(self, *, now_ns: int) -> None:
        """We were stalled: every probe under way starts again, since answers may wait unread."""
        for probe in self._probes.values():
            # Bounded: a host that is always late still has to find the dead.
            if probe.restarts < RESTARTS_MAX:
                probe.restarts += 1
                probe.attempts = 0
                probe.next_step_ns = now_ns

    def due(
        self, *, relays_for: Callable[[GatewayName], list[GatewayName]], now_ns: int
    ) -> tuple[list[Post], list[Probe]]:
        """Take the steps whose time has come.

        Args:
            relays_for: chooses members to ask for an indirect probe of a target.

        Returns:
            The messages to send, and the probes that failed.
        """
        self._expire(now_ns)
        posts: list[Post] = []
        failed: list[Probe] = []
        for probe in tuple(self._probes.values()):
            if probe.nack_ns is not None and now_ns >= probe.nack_ns:
                posts += [(name, Nack(sequence=theirs)) for name, theirs in probe.requesters.items()]
                probe.nack_ns = None
            if now_ns < probe.next_step_ns:
                continue
            if probe.attempts >= self._settings.ping_attempts and not self._extend(probe, relays_for):
                del self._probes[probe.target]
                failed.append(probe)
                continue
            posts += self._attempt(probe, now_ns)
            if probe.accuse and probe.attempts in self._settings.relay_attempts:
                posts += self._ask_relays(probe, relays_for(probe.target), now_ns)
        return posts, failed

    def _extend(self, probe: Probe, relays_for: Callable[[GatewayName], list[GatewayName]]) -> bool:
        """Give a probe a second run if no relay was heard: perhaps it is we who are not."""
        if not probe.accuse or probe.extended or probe.nacks or not self._settings.relay_attempts:
            return False
        if not self._settings.second_look:
            return False
        if not relays_for(probe.target):
            return False
        probe.extended = True
        probe.attempts = self._settings.relay_attempts[0] - 1
        return True

    def _attempt(self, probe: Probe, now_ns: int) -> list[Post]:
        probe.attempts += 1
        patient = probe.attempts in (1, self._settings.ping_attempts)
        probe.next_step_ns = now_ns + (probe.ack_wait_ns if patient else probe.gap_ns)
        posts = [self.ping(probe.target, now_ns=now_ns, locate=probe.locate)]
        if probe.attempts == probe.stream_attempt:
            posts.append(self.stream_ping(probe.target, now_ns=now_ns))
        return posts

    def _ask_relays(self, probe: Probe, relays: list[GatewayName], now_ns: int) -> list[Post]:
        probe.relays += [relay for relay in relays if relay not in probe.relays]
        return [
            (relay, PingRequest(sequence=self._expect(probe.target, relay, now_ns), target=probe.target))
            for relay in relays
        ]

    def _expect(
        self,
        target: GatewayName,
        asked: GatewayName,
        now_ns: int,
        transport: Transport = Transport.DATAGRAM,
    ) -> int:
        self._sequence = (self._sequence + 1) % (1 << 32)
        if len(self._outstanding) >= OUTSTANDING_MAX:
            self._forget(next(iter(self._outstanding)))
        self._outstanding[self._sequence] = _Outstanding(
            target=target, asked=asked, sent_ns=now_ns, transport=transport
        )
        return self._sequence

    def _forget(self, sequence: int) -> None:
        asked = self._outstanding.pop(sequence)
        if self._streams_tried.get(asked.target) == sequence:
            del self._streams_tried[asked.target]

    def _expire(self, now_ns: int) -> None:
        # Insertion order is the order of sending.
        while self._outstanding:
            sequence, oldest = next(iter(self._outstanding.items()))
            if now_ns - oldest.sent_ns <= self._settings.late_ack_ns:
                return
            self._forget(sequence)
            if oldest.asked == oldest.target:
                self._lapsed.append((oldest.target, oldest.transport))
