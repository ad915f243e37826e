"""The network between gateways and clients: datagrams that get lost, late, twice, changed, or never; streams.

Nothing here looks into what passes. Cuts say which node cannot send which traffic to which other, each
direction for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from sim.random_streams import RandomStreams
from sim.trace import Trace
from sim.virtual_clock import MILLISECOND_NS, VirtualClock

_RETRANSMISSION_NS = 200 * MILLISECOND_NS
_RETRANSMISSIONS_MAX = 12
_CORRUPTED_KEPT_MAX = 1024


class Traffic(Enum):
    """What passes."""

    MESH = "mesh"
    """Datagrams between the gossipsa daemons."""
    STREAM = "stream"
    """Streams between the gossipsa daemons."""
    IKE = "ike"
    ESP = "esp"


ALL_TRAFFIC = frozenset(Traffic)
CLIENT_TRAFFIC = frozenset({Traffic.IKE, Traffic.ESP})
MESH_TRAFFIC = frozenset({Traffic.MESH, Traffic.STREAM})
DATAGRAM_TRAFFIC = frozenset({Traffic.MESH})
STREAM_TRAFFIC = frozenset({Traffic.STREAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Traffic that does not pass, one way."""

    sources: frozenset[str]
    destinations: frozenset[str]
    traffic: frozenset[Traffic] = ALL_TRAFFIC

    def holds(self, source: str, destination: str, traffic: Traffic) -> bool:
        return source in self.sources and destination in self.destinations and traffic in self.traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad the network is, for all links alike. Probabilities are of one packet, one way."""

    loss: float = 0.0
    duplication: float = 0.0
    lateness: float = 0.0
    """Probability that a packet is delayed by up to `late_ns` on top: it is overtaken then."""
    late_ns: int = 80 * MILLISECOND_NS
    corruption: float = 0.0
    """Probability that one bit of a datagram is turned over: whoever receives it must refuse it."""


@dataclass(slots=True)
class _Link:
    """One direction between two nodes."""

    latency_ns: int
    jitter_ns: int
    random: Random


@dataclass(slots=True)
class _Stream:
    """One direction of a reliable connection; `generation` rises when it breaks."""

    generation: int = 0
    arrived_ns: int = 0


@dataclass(slots=True, kw_only=True)
class NetworkCounts:
    """What became of the packets."""

    sent: int = 0
    sent_mesh: int = 0
    """Of these, between gossipsa daemons."""
    lost: int = 0
    cut: int = 0
    duplicated: int = 0
    corrupted: int = 0
    frames: int = 0
    frames_lost: int = 0


@dataclass(slots=True)
class Network:
    """All links. Nodes are known by name only; what arrives is handed to the callback of the sender."""

    clock: VirtualClock
    streams: RandomStreams
    trace: Trace
    weather: Weather = field(default_factory=Weather)
    cuts: list[Cut] = field(default_factory=list)
    counts: NetworkCounts = field(default_factory=NetworkCounts)
    corrupted: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """The last datagrams that were changed on their way, as they arrive."""
    _links: dict[tuple[str, str], _Link] = field(default_factory=dict)
    _connections: dict[tuple[str, str], _Stream] = field(default_factory=dict)
    _neighbours: dict[str, dict[str, None]] = field(default_factory=dict)
    """By node, to and from whom streams lead."""

    def cut(
        self, sources: Iterable[str], destinations: Iterable[str], traffic: frozenset[Traffic] = ALL_TRAFFIC
    ) -> Cut:
        """Cuts one direction until `mend`."""
        cut = Cut(sources=frozenset(sources), destinations=frozenset(destinations), traffic=traffic)
        self.cuts.append(cut)
        return cut

    def mend(self, cut: Cut) -> None:
        """Nothing happens if it is mended already."""
        if cut in self.cuts:
            self.cuts.remove(cut)

    def is_cut(self, source: str, destination: str, traffic: Traffic) -> bool:
        for cut in self.cuts:  # noqa: SIM110 - most of the time there is none, and this is asked all the time
            if cut.holds(source, destination, traffic):
                return True
        return False

    def passes(self, one: str, other: str, traffic: Traffic) -> bool:
        """True if neither direction is cut."""
        if not self.cuts:
            return True
        return not self.is_cut(one, other, traffic) and not self.is_cut(other, one, traffic)

    def latency_ns(self, source: str, destination: str) -> int:
        """One way, without jitter."""
        return self._link(source, destination).latency_ns

    def send(
        self, source: str, destination: str, traffic: Traffic, data: bytes, deliver: Callable[[bytes], None]
    ) -> None:
        """Sends a datagram: `deliver` is called never, once or twice."""
        self.counts.sent += 1
        self.counts.sent_mesh += traffic is Traffic.MESH
        link = self._link(source, destination)
        # All draws are made whatever they decide, so that a cut changes nobody's luck later.
        lost = link.random.random() < self.weather.loss
        duplicated = link.random.random() < self.weather.duplication
        corrupted = link.random.random() < self.weather.corruption
        delays_ns = (self._delay_ns(link), self._delay_ns(link))
        self.trace.record(source, f"{traffic.value} to {destination}", data)
        if self.is_cut(source, destination, traffic):
            self.counts.cut += 1
            return
        if lost:
            self.counts.lost += 1
            return
        self.counts.duplicated += duplicated
        if corrupted:
            data = self._corrupt(data, link)
        for delay_ns in delays_ns[: 1 + duplicated]:
            self.clock.after(delay_ns, lambda: self._arrive(source, destination, traffic, data, deliver))

    def send_frame(
        self, source: str, destination: str, data: bytes, deliver: Callable[[bytes], None]
    ) -> None:
        """Sends a frame over a reliable ordered stream: lost only if the stream breaks."""
        self.counts.frames += 1
        link = self._link(source, destination)
        stream = self._stream(source, destination)
        retransmissions = 0
        while retransmissions < _RETRANSMISSIONS_MAX and link.random.random() < self.weather.loss:
            retransmissions += 1
        delay_ns = self._delay_ns(link) + retransmissions * _RETRANSMISSION_NS
        self.trace.record(source, f"frame to {destination}", data)
        if not self.passes(source, destination, Traffic.STREAM) or retransmissions == _RETRANSMISSIONS_MAX:
            self.break_streams(source, destination)
            self.counts.frames_lost += 1
            return
        stream.arrived_ns = max(self.clock.now_ns + delay_ns, stream.arrived_ns)
        generation = stream.generation

        def arrive() -> None:
            if stream.generation != generation or not self.passes(source, destination, Traffic.STREAM):
                self.counts.frames_lost += 1
                return
            self.trace.record(destination, f"frame from {source}", data)
            deliver(data)

        self.clock.at(stream.arrived_ns, arrive)

    def break_streams(self, one: str, other: str | None = None) -> None:
        """Breaks the streams between two nodes, or all of one node: what is under way on them is lost."""
        for neighbour in self._neighbours.get(one, ()) if other is None else (other,):
            for ends in ((one, neighbour), (neighbour, one)):
                stream = self._connections.get(ends)
                if stream is not None:
                    stream.generation += 1
                    stream.arrived_ns = 0

    def _arrive(
        self, source: str, destination: str, traffic: Traffic, data: bytes, deliver: Callable[[bytes], None]
    ) -> None:
        if self.is_cut(source, destination, traffic):
            self.counts.cut += 1
            return
        self.trace.record(destination, f"{traffic.value} from {source}", data)
        deliver(data)

    def _corrupt(self, data: bytes, link: _Link) -> bytes:
        self.counts.corrupted += 1
        bit = link.random.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        self.corrupted[bytes(changed)] = None
        while len(self.corrupted) > _CORRUPTED_KEPT_MAX:
            self.corrupted.popitem(last=False)
        return bytes(changed)

    def _delay_ns(self, link: _Link) -> int:
        delay_ns = link.latency_ns + link.random.randrange(link.jitter_ns + 1)
        if link.random.random() < self.weather.lateness:
            delay_ns += link.random.randrange(self.weather.late_ns + 1)
        return delay_ns

    def _stream(self, source: str, destination: str) -> _Stream:
        stream = self._connections.get((source, destination))
        if stream is None:
            stream = self._connections[source, destination] = _Stream()
            self._neighbours.setdefault(source, {})[destination] = None
            self._neighbours.setdefault(destination, {})[source] = None
        return stream

    def _link(self, source: str, destination: str) -> _Link:
        link = self._links.get((source, destination))
        if link is None:
            # Both directions of a path are about equally long.
            one, other = sorted((source, destination))
            latency_ns = self.streams.stream("latency", one, other).randrange(
                1 * MILLISECOND_NS, 25 * MILLISECOND_NS
            )
            link = _Link(latency_ns, latency_ns // 8, self.streams.stream("link", source, destination))
            self._links[source, destination] = link
        return link
