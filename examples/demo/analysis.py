"""The verdict: pure functions from what the clients saw to figures and failures.

Only clients are asked. A gateway that believes to have done well proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from examples.demo.observation import ClientObservation, PacketSeen
from gossipsa.identifiers import Endpoint


class FailureKind(Enum):
    """What must not happen to a client. The values end the sentence "a client ..."."""

    NOTHING_AT_STAKE = "of the killed gateway is what it takes, and there is none"
    NEVER_SERVED = "was not served even before the kill"
    CUT_OFF = "did not carry on: no packet near the end of the run"
    NUMBER_REUSED = "received a sequence number twice under one key"
    IV_REUSED = "received an initialisation vector twice under one key"
    UNINVITED = "received ESP from a gateway that it does not use"
    TWO_GATEWAYS = "was served by a gateway again after another one had taken over"
    SERVED_AFTER_KILL = "received ESP from the killed gateway long after its death"
    MOVED_FOR_NOTHING = "was moved away from a gateway that was alive"
    MOVED_TWICE = "was moved more than once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One client's misfortune."""

    kind: FailureKind
    client: str
    """Empty if it is about none in particular."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """When things happened, in nanoseconds of CLOCK_MONOTONIC."""

    killed: Endpoint
    """The IKE endpoint of the gateway that was killed."""
    started_at_ns: int
    """Every client was served by then."""
    killed_at_ns: int
    ended_at_ns: int
    """The clients stopped sending."""
    served_within_ns: int
    """A client that is served receives a packet at least this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The longest time for which one client received nothing."""

    client: str
    begins_at_ns: int
    ends_at_ns: int

    @property
    def length_ns(self) -> int:
        return self.ends_at_ns - self.begins_at_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, 99th percentile and maximum (nearest rank) of some durations."""

    median_ns: int
    p99_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the clients' evidence comes to."""

    failures: tuple[Failure, ...]
    moved: tuple[Silence, ...]
    """Silence of each client of the killed gateway."""
    undisturbed: tuple[Silence, ...]
    """Silence of each client of the other gateways: their rhythm, if nothing happened to them."""
    packets: int

    @property
    def is_success(self) -> bool:
        return not self.failures


def judge(observations: Sequence[ClientObservation], run: Run) -> Verdict:
    """Judge a run by what its clients saw."""
    failures = [
        Failure(kind=kind, client=observation.client, detail=detail)
        for observation in observations
        for check in _CHECKS
        for kind, detail in check(observation, run)
    ]
    orphans = [each for each in observations if each.first_gateway == run.killed]
    if not orphans:
        failures.append(Failure(kind=FailureKind.NOTHING_AT_STAKE, client="", detail=str(run.killed)))
    others = [each for each in observations if each.first_gateway != run.killed]
    return Verdict(
        failures=tuple(failures),
        moved=tuple(longest_silence(each, run) for each in orphans),
        undisturbed=tuple(longest_silence(each, run) for each in others),
        packets=sum(len(each.packets) for each in observations),
    )


def longest_silence(observation: ClientObservation, run: Run) -> Silence:
    """The longest gap between two packets, or between a packet and the start or end of the run."""
    received = [
        packet.at_ns for packet in observation.packets if run.started_at_ns < packet.at_ns < run.ended_at_ns
    ]
    marks = [run.started_at_ns, *received, run.ended_at_ns]
    begins_at_ns, ends_at_ns = max(pairwise(marks), key=lambda gap: gap[1] - gap[0])
    return Silence(client=observation.client, begins_at_ns=begins_at_ns, ends_at_ns=ends_at_ns)


def spread(silences: Sequence[Silence]) -> Spread | None:
    """How the lengths spread; None if there are none."""
    if not silences:
        return None
    lengths_ns = sorted(silence.length_ns for silence in silences)

    def rank(percent: int) -> int:
        return lengths_ns[-(-percent * len(lengths_ns) // 100) - 1]

    return Spread(median_ns=rank(50), p99_ns=rank(99), max_ns=lengths_ns[-1])


Finding = tuple[FailureKind, str]


def _served(observation: ClientObservation, run: Run) -> Iterator[Finding]:
    packets = observation.packets
    if not any(packet.at_ns < run.killed_at_ns for packet in packets):
        yield FailureKind.NEVER_SERVED, f"{len(packets)} packets in all"
    if not any(run.ended_at_ns - run.served_within_ns <= packet.at_ns for packet in packets):
        last_ns = max((packet.at_ns for packet in packets), default=run.started_at_ns)
        yield FailureKind.CUT_OFF, f"silent for {(run.ended_at_ns - last_ns) / 1e9:.1f} s at the end"


def _numbers_used_once(observation: ClientObservation, run: Run) -> Iterator[Finding]:
    numbers: set[tuple[int, int]] = set()
    vectors: set[tuple[int, bytes]] = set()
    for packet in observation.packets:
        origin = f"SPI {packet.spi:08x}, number {packet.sequence}, from {packet.gateway}"
        if (packet.spi, packet.sequence) in numbers:
            yield FailureKind.NUMBER_REUSED, origin
        if (packet.spi, packet.iv) in vectors:
            yield FailureKind.IV_REUSED, origin
        numbers.add((packet.spi, packet.sequence))
        vectors.add((packet.spi, packet.iv))


def _one_gateway_at_a_time(observation: ClientObservation, run: Run) -> Iterator[Finding]:
    # ESP may come from a gateway only once the client has answered it, and never from one that it left.
    uninvited = [
        packet for packet in observation.packets if packet.gateway != _gateway_at(observation, packet.at_ns)
    ]
    if uninvited:
        first = uninvited[0]
        yield FailureKind.UNINVITED, f"{len(uninvited)} packets, the first from {first.gateway}"
    turns = _turns(observation.packets)
    if len(set(turns)) < len(turns):
        yield FailureKind.TWO_GATEWAYS, " then ".join(str(gateway) for gateway in turns)
    late_ns = run.killed_at_ns + run.served_within_ns
    if any(packet.gateway == run.killed and packet.at_ns > late_ns for packet in observation.packets):
        yield FailureKind.SERVED_AFTER_KILL, str(run.killed)


def _moved_with_reason(observation: ClientObservation, run: Run) -> Iterator[Finding]:
    for move in observation.moves:
        if move.origin != run.killed or move.at_ns < run.killed_at_ns:
            yield FailureKind.MOVED_FOR_NOTHING, f"from {move.origin} to {move.destination}"
    if len(observation.moves) > 1:
        yield FailureKind.MOVED_TWICE, " then ".join(str(move.destination) for move in observation.moves)


def _gateway_at(observation: ClientObservation, at_ns: int) -> Endpoint:
    """Which gateway the client used at a time; from the moment of a move on, the new one."""
    gateway = observation.first_gateway
    for move in observation.moves:
        if move.at_ns <= at_ns:
            gateway = move.destination
    return gateway


def _turns(packets: Sequence[PacketSeen]) -> list[Endpoint]:
    """The gateways that served, each time another one did."""
    turns: list[Endpoint] = []
    for packet in packets:
        if not turns or turns[-1] != packet.gateway:
            turns.append(packet.gateway)
    return turns


_CHECKS: tuple[Callable[[ClientObservation, Run], Iterator[Finding]], ...] = (
    _served,
    _numbers_used_once,
    _one_gateway_at_a_time,
    _moved_with_reason,
)
