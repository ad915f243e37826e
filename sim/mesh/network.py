"""A deterministic network of members on a virtual clock: loss, partitions, pauses, deaths, restarts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from random import Random

import msgspec

from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim.messages import StateReply, StateRequest, SwimPacket
from gossipsa.swim.outputs import Event, MemberFailed, MemberJoined, MemberLeft, Outputs, Send
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS, SwimSettings
from gossipsa.swim.swim import Swim, one_site
from sim.mesh.credentials import MemberCredentials
from sim.mesh.site_map import SiteMap

NEWCOMER = GatewayName("newcomer")
"""Nobody; only asks members what they say of themselves."""
FIRST_ADDRESS = ip_address("10.0.0.1")
WAITING_MAX = 512
"""Packets that the socket of a paused host holds, each way."""

Latency = Callable[[GatewayName, GatewayName], float]
"""Milliseconds one way."""

STREAM_TIMEOUT_NS = 200 * MILLISECOND_NS
"""TCP's first retransmission timeout; it doubles each time."""
STREAM_RETRANSMISSIONS_MAX = 5


def names(count: int) -> list[GatewayName]:
    return [GatewayName(f"gw{index:02}") for index in range(count)]


def uniform_latency(milliseconds: float) -> Latency:
    return lambda sender, receiver: milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as an observer was told it."""

    at_ns: int
    observer: GatewayName
    event: Event


@dataclass(slots=True, kw_only=True)
class Traffic:
    packets: int = 0
    streams: int = 0
    """Packets among them that needed a stream."""
    payload_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Host:
    """One gateway: its running member, if any, and what has piled up while it is paused."""

    name: GatewayName
    boots: int = 0
    began_ns: int = 0
    """When the present boot started."""
    swim: Swim | None = None
    paused: bool = False
    waiting: list[tuple[GatewayName, bytes]] = field(default_factory=list)
    wake_ns: int | None = None
    """When its timer fires next; None if it is not set."""
    held: bool = False
    unsent: list[Send] = field(default_factory=list)
    sent: Traffic = field(default_factory=Traffic)


class Network:
    """Members that know each other by name only; time passes in `run`."""

    def __init__(
        self,
        count: int,
        *,
        seed: int,
        settings: SwimSettings = LAN,
        latency: Latency | None = None,
        jitter: float = 0.2,
        loss: float = 0.0,
        watched: int = 0,
        sluggish_ms: float = 0.0,
        site_map: SiteMap | None = None,
    ) -> None:
        """Args:
        jitter: fraction by which a packet's latency may exceed that of its path.
        loss: probability that a packet is lost, each way.
        watched: every member watches the next so many.
        sluggish_ms: timers fire, and packets are read, up to this late.
        site_map: sites of the members, and their latencies; one site if None.
        """
        self.random = Random(seed)
        self.settings = settings
        self.now_ns = SECOND_NS
        self.names = names(count)
        self.hosts = {name: Host(name=name) for name in self.names}
        self.index = {name: index for index, name in enumerate(self.names)}
        self.site_map = site_map
        self.latency = latency or (uniform_latency(0.3) if site_map is None else site_map.one_way_ms)
        self.jitter = jitter
        self.loss = loss
        self.watched = watched
        self.sluggish_ms = sluggish_ms
        self.told: list[Told] = []
        """Events since the mesh settled; tests clear it."""
        self.history: list[Told] = []
        """All events ever."""
        self.blocked: Callable[[GatewayName, GatewayName], bool] = lambda sender, receiver: False
        """Whether nothing passes from one to another, neither datagrams nor streams."""
        self.blocked_datagrams: Callable[[GatewayName, GatewayName], bool] = lambda sender, receiver: False
        self.blocked_streams: Callable[[GatewayName, GatewayName], bool] = lambda sender, receiver: False
        self.live_pairs = 0
        """How many take how many for alive, all observers together, as their events tell."""
        self.updates_seen: dict[GatewayName, int] = {}
        """Updates sent about each member, but for full states."""
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._order = 0
        self.decode: Callable[[bytes], SwimPacket] = msgspec.msgpack.Decoder(SwimPacket).decode

    # Faults.

    def start(self, name: GatewayName, *, seeds: Sequence[GatewayName] | None = None) -> Swim:
        """Boot a member; it joins by all the others unless told otherwise, by some of very many."""
        host = self.hosts[name]
        swim = self._boot(host)
        if seeds is None:
            most = self.settings.seeds_max
            seeds = self.names if len(self.names) <= most else self.random.sample(self.names, most)
        self._do(host, swim.join([seed for seed in seeds if seed != name], now_ns=self.now_ns))
        return swim

    def start_settled(self) -> None:
        """Boot everybody as if they had found each other long ago: each is handed the claims of all."""
        claims = []
        for name in self.names:
            swim = self._boot(self.hosts[name])
            asked = SwimPacket(boot=boot_id(name, 0), messages=(StateRequest(sequence=0),))
            answers = swim.handle(NEWCOMER, asked, now_ns=self.now_ns)
            claims += [
                update
                for answer in answers
                if isinstance(answer, Send) and answer.to == NEWCOMER
                for update in answer.packet.updates
                if update.member == name
            ][:1]
        for name, teller in zip(self.names, (*self.names[1:], self.names[0]), strict=True):
            packet = SwimPacket(
                boot=boot_id(teller, 1), messages=(StateReply(sequence=0),), updates=tuple(claims)
            )
            self._do(self.hosts[name], self.swim(name).handle(teller, packet, now_ns=self.now_ns))
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.told.clear()
        self.history.clear()
        for host in self.hosts.values():
            host.sent = Traffic()

    def start_all(self, *, settle_ns: int = 2 * SECOND_NS) -> None:
        """Boot everybody within 50 ms, and let them find each other."""
        for name in self.names:
            self.at(self.now_ns + self.random.randrange(50 * MILLISECOND_NS), partial(self.start, name))
        self.run(settle_ns)
        self.told.clear()
        for host in self.hosts.values():
            host.sent = Traffic()

    def kill(self, name: GatewayName) -> None:
        self.hosts[name].swim = None

    def leave(self, name: GatewayName) -> None:
        host = self.hosts[name]
        self._do(host, self.swim(name).leave(now_ns=self.now_ns))

    def pause(self, name: GatewayName) -> None:
        """SIGSTOP: packets pile up as far as the socket's buffer holds them, timers do not fire."""
        self.hosts[name].paused = True

    def resume(self, name: GatewayName) -> None:
        """SIGCONT: the late timer fires first, then all that piled up is read."""
        host = self.hosts[name]
        host.paused = False
        waiting, host.waiting = host.waiting, []
        if host.swim is not None:
            self._do(host, host.swim.handle_tick(now_ns=self.now_ns))
        for sender, data in waiting:
            self._receive(host, sender, data)

    def hold(self, name: GatewayName) -> None:
        """Messages are processed no more, in neither direction, while timers fire (Lifeguard's anomaly)."""
        self.hosts[name].held = True

    def release(self, name: GatewayName) -> None:
        """What was to be sent goes out, and what arrived is read."""
        host = self.hosts[name]
        host.held = False
        unsent, host.unsent = host.unsent, []
        waiting, host.waiting = host.waiting, []
        for send in unsent:
            self._send(host, send)
        for sender, data in waiting:
            self._receive(host, sender, data)

    def partition(self, *sides: Collection[GatewayName]) -> None:
        side = {name: index for index, members in enumerate(sides) for name in members}
        self.blocked = lambda sender, receiver: side.get(sender) != side.get(receiver)

    def heal(self) -> None:
        self.blocked = self.blocked_datagrams = self.blocked_streams = lambda sender, receiver: False

    # Time.

    def at(self, at_ns: int, action: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (at_ns, self._order, action))

    def run(self, duration_ns: int, *, until: Callable[[], bool] | None = None) -> int:
        """Let time pass, at most so long, or until a condition holds; returns how long it took.

        The condition is looked at every millisecond.
        """
        start_ns = self.now_ns
        end_ns = start_ns + duration_ns
        look_ns = start_ns
        while self._queue and self._queue[0][0] <= end_ns:
            if until is not None and self._queue[0][0] > look_ns:
                if until():
                    return self.now_ns - start_ns
                look_ns = self._queue[0][0] + MILLISECOND_NS
            self.now_ns, _, action = heapq.heappop(self._queue)
            action()
        if until is not None and until():
            return self.now_ns - start_ns
        self.now_ns = end_ns
        return duration_ns

    # Looking.

    def swim(self, name: GatewayName) -> Swim:
        swim = self.hosts[name].swim
        assert swim is not None, f"{name} is not running"
        return swim

    def running(self) -> list[GatewayName]:
        return [name for name, host in self.hosts.items() if host.swim is not None]

    def live_view(self, name: GatewayName) -> set[GatewayName]:
        """Whom a member takes for alive, suspects included."""
        return {view.name for view in self.swim(name).members.values() if view.state.live}

    def agreed(self) -> bool:
        """Everybody running sees everybody running alive, in its present boot, and nobody else."""
        running = set(self.running())
        return all(
            self.live_view(name) == running - {name}
            and all(
                view.boot == boot_id(view.name, self.hosts[view.name].boots)
                for view in self.swim(name).members.values()
                if view.state.live
            )
            for name in running
        )

    def count(self, kind: type[object]) -> int:
        return sum(isinstance(told.event, kind) for told in self.told)

    # Machinery.

    def _do(self, host: Host, outputs: Outputs) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._send(host, output)
            else:
                told = Told(at_ns=self.now_ns, observer=host.name, event=output)
                self.told.append(told)
                self.history.append(told)
                if isinstance(output, MemberJoined):
                    self.live_pairs += 1
                elif isinstance(output, MemberFailed | MemberLeft):
                    self.live_pairs -= 1
        if host.swim is not None:
            self._set_timer(host, host.swim)

    def _set_timer(self, host: Host, swim: Swim) -> None:
        wake_ns = max(self.now_ns, swim.next_deadline_ns())
        if host.wake_ns is not None and host.wake_ns <= wake_ns:
            # It fires early, finds nothing due, and is set again.
            return
        host.wake_ns = wake_ns

        def fire() -> None:
            if host.swim is not swim or host.wake_ns != wake_ns or host.paused:
                return
            host.wake_ns = None
            if swim.next_deadline_ns() > self.now_ns:
                self._set_timer(host, swim)
            else:
                self._do(host, swim.handle_tick(now_ns=self.now_ns))

        self.at(wake_ns + self._late_ns(), fire)

    def _boot(self, host: Host) -> Swim:
        host.boots += 1
        host.began_ns = self.now_ns
        host.paused = host.held = False
        host.waiting, host.unsent = [], []
        host.wake_ns = None
        index, count = self.index[host.name], len(self.names)
        swim = host.swim = Swim(
            settings=self.settings,
            name=host.name,
            boot=boot_id(host.name, host.boots),
            endpoint=Endpoint(FIRST_ADDRESS + index, 4600),
            metadata=b"",
            random=Random(f"{self.random.random()} {host.name} {host.boots}"),
            credentials=MemberCredentials(host.name),
            site_of=one_site if self.site_map is None else self.site_map.site_of,
        )
        swim.watch(
            [self.names[(index + step) % count] for step in range(1, min(self.watched, count - 1) + 1)]
        )
        return swim

    def _send(self, host: Host, send: Send) -> None:
        if host.held:
            if len(host.unsent) < WAITING_MAX:
                host.unsent.append(send)
            return
        data = msgspec.msgpack.encode(send.packet)
        assert send.bulk or len(data) <= self.settings.encoded_bytes_max
        if not any(isinstance(said, StateRequest | StateReply) for said in send.packet.messages):
            for update in send.packet.updates:
                self.updates_seen[update.member] = self.updates_seen.get(update.member, 0) + 1
        host.sent.packets += 1
        host.sent.streams += send.bulk
        host.sent.payload_bytes += len(data)
        if send.to not in self.hosts:
            return
        retransmissions_ns = self._stream_delay_ns(host.name, send.to) if send.bulk else 0
        if retransmissions_ns is None:
            return
        if not send.bulk and self._loses_datagram(host.name, send.to):
            return
        latency_ns = self.latency(host.name, send.to) * MILLISECOND_NS
        delay_ns = int(latency_ns * (1 + self.jitter * self.random.random())) + self._late_ns()
        delay_ns += retransmissions_ns
        self.at(self.now_ns + delay_ns, partial(self._receive, self.hosts[send.to], host.name, data))

    def _loses_datagram(self, sender: GatewayName, receiver: GatewayName) -> bool:
        blocked = self.blocked(sender, receiver) or self.blocked_datagrams(sender, receiver)
        return blocked or self.random.random() < self.loss

    def _stream_delay_ns(self, sender: GatewayName, receiver: GatewayName) -> int | None:
        """What TCP takes to repeat what was lost; None if it gives up. A stream needs both directions."""
        for one, other in ((sender, receiver), (receiver, sender)):
            if self.blocked(one, other) or self.blocked_streams(one, other):
                return None
        for retransmissions in range(STREAM_RETRANSMISSIONS_MAX):
            if self.random.random() >= self.loss:
                return ((1 << retransmissions) - 1) * STREAM_TIMEOUT_NS
        return None

    def _late_ns(self) -> int:
        return int(self.sluggish_ms * MILLISECOND_NS * self.random.random()) if self.sluggish_ms else 0

    def _receive(self, host: Host, sender: GatewayName, data: bytes) -> None:
        if host.swim is None:
            return
        if host.paused or host.held:
            if len(host.waiting) < WAITING_MAX:
                host.waiting.append((sender, data))
            return
        packet = self.decode(data)
        self._do(host, host.swim.handle(sender, packet, now_ns=self.now_ns))


def boot_id(name: GatewayName, number: int) -> BootId:
    """A different one for each boot; successive ones are in no order."""
    return BootId(Random(f"{name} {number}").randbytes(16))
