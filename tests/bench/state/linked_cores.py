"""Cores of gateways in one process, on a network that loses nothing: sealed bytes, and a clock of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from ipaddress import IPv4Address
from random import Random

from gossipsa.effects import AdoptClients, Effect, SendDatagram, SendFrame
from gossipsa.gateway import Gateway
from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.inputs import (
    ClientsAdopted,
    DatagramReceived,
    FrameReceived,
    IkeDaemonStarted,
    Input,
    Started,
    TimerDue,
)
from gossipsa.settings import GatewaySettings
from gossipsa.swim.settings import SwimSettings
from gossipsa.wire.keyring import Keyring
from tests.authorities import NOW_S, TRUST, identity_of, keys_of

_MESH_PORT = 7946
_DELAY_NS = 100_000
"""Of every message."""
_LOOK_INTERVAL_NS = 100_000_000


class Step:
    """One input that a core handled."""

    __slots__ = ("begun_ns", "cpu_ns", "effects", "event", "name")

    def __init__(
        self, name: GatewayName, event: Input, effects: tuple[Effect, ...], *, begun_ns: int, cpu_ns: int
    ) -> None:
        self.name = name
        self.event = event
        self.effects = effects
        self.begun_ns = begun_ns
        self.cpu_ns = cpu_ns

    @property
    def ended_ns(self) -> int:
        return self.begun_ns + self.cpu_ns


class LinkedCores:
    """Cores as on machines of their own: each is busy for the CPU time that an input really takes.

    Effects are out when their input was handled, and what comes meanwhile waits. What comes goes before what
    is due, as in the daemon's loop.

    Args:
        cost_ns: taken for what every input costs, in place of the CPU time; may be set anew.
    """

    def __init__(self, names: tuple[str, ...], *, cost_ns: int | None = None) -> None:
        self.cost_ns = cost_ns
        self.now_ns = 1_000_000_000
        self._random = Random(7)
        self._endpoints = {
            GatewayName(name): Endpoint(IPv4Address(f"10.0.0.{1 + index}"), _MESH_PORT)
            for index, name in enumerate(names)
        }
        self._names = {endpoint: name for name, endpoint in self._endpoints.items()}
        self.cores: dict[GatewayName, Gateway] = {}
        self._free_ns: dict[GatewayName, int] = {}
        self._arrivals: dict[GatewayName, list[tuple[int, int, Input]]] = {}
        self._sent = 0
        for name in self._endpoints:
            self.cores[name] = self._core(name)
            self._free_ns[name] = self.now_ns
            self._arrivals[name] = []
            self._put(name, Started(), self.now_ns)

    def give(self, name: GatewayName, event: Input) -> Step:
        """Has a core handle an input now, or as soon as it can."""
        begun_ns = self.now_ns = max(self.now_ns, self._free_ns[name])
        cpu_ns = time.process_time_ns()
        effects = self.cores[name].handle(event, now_ns=begun_ns)
        cpu_ns = time.process_time_ns() - cpu_ns if self.cost_ns is None else self.cost_ns
        step = Step(name, event, effects, begun_ns=begun_ns, cpu_ns=cpu_ns)
        self._free_ns[name] = step.ended_ns
        for effect in effects:
            self._carry_out(name, effect, step.ended_ns)
        return step

    def kill(self, name: GatewayName) -> None:
        """It is silent from now on."""
        del self.cores[name]

    def run(self, *, for_ns: int) -> Iterator[Step]:
        """Lets time pass; yields what happens."""
        end_ns = self.now_ns + for_ns
        while True:
            start_ns, name = min((self._start_ns(name, end_ns), name) for name in self.cores)
            if start_ns >= end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = max(self.now_ns, start_ns)
            arrivals = self._arrivals[name]
            if arrivals and arrivals[0][0] <= start_ns:
                yield self.give(name, heappop(arrivals)[2])
            else:
                yield self.give(name, TimerDue())

    def run_until(self, holds: Callable[[], bool], *, within_ns: int) -> None:
        """Lets time pass until something holds. Raises RuntimeError if it does not."""
        end_ns = self.now_ns + within_ns
        while not holds():
            if self.now_ns >= end_ns:
                raise RuntimeError("the cores did not come to it")
            for _ in self.run(for_ns=_LOOK_INTERVAL_NS):
                pass

    def _start_ns(self, name: GatewayName, end_ns: int) -> int:
        """When a core does its next work."""
        deadline_ns = self.cores[name].next_deadline_ns()
        waiting_ns = end_ns if deadline_ns is None else deadline_ns
        if self._arrivals[name]:
            waiting_ns = min(waiting_ns, self._arrivals[name][0][0])
        return max(waiting_ns, self._free_ns[name])

    def _carry_out(self, name: GatewayName, effect: Effect, at_ns: int) -> None:
        match effect:
            case SendDatagram(destination=destination, data=data) if destination in self._names:
                received = DatagramReceived(source=self._endpoints[name], data=data)
                self._put(self._names[destination], received, at_ns)
            case SendFrame(destination=destination, data=data) if destination in self._names:
                self._put(self._names[destination], FrameReceived(data=data), at_ns)
            case AdoptClients():
                self._put(name, ClientsAdopted(clients=(), absent=(), counters=()), at_ns)
                self._put(name, IkeDaemonStarted(resumed=False), at_ns)

    def _put(self, name: GatewayName, event: Input, at_ns: int) -> None:
        self._sent += 1
        heappush(self._arrivals[name], (at_ns + _DELAY_NS, self._sent, event))

    def _core(self, name: GatewayName) -> Gateway:
        own = self._endpoints[name]
        return Gateway(
            settings=GatewaySettings(
                ike_addresses=(own.address,),
                mesh_endpoint=own,
                seeds=tuple(self._endpoints.values()),
                swim=SwimSettings(),
            ),
            keyring=Keyring(
                keys=keys_of(name),
                identity=identity_of(name, site=name, zone=name),
                trust=TRUST,
                unix_s=NOW_S,
            ),
            boot=BootId(hashlib.blake2b(name.encode(), digest_size=16).digest()),
            random=self._random,
            entropy=self._random.randbytes,
        )
