"""One life of a gossipsa daemon: the real core, its inputs and its timer.

Inputs are handled one after the other as they come. A paused process keeps them, up to a bound, and handles
them when it goes on, its overdue timer last: as the run loop of the real daemon does. A slow one takes its
time for each, and those that come meanwhile wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from gossipsa.effects import Effect
from gossipsa.identifiers import BootId
from gossipsa.inputs import DatagramReceived, Input, TimerDue
from gossipsa.status import ClientStatus, GatewayStatus
from sim.host_clock import HostClock
from sim.virtual_clock import MICROSECOND_NS, Scheduled, VirtualClock

BACKLOG_MAX = 4096
_TIMER_LATENESS_NS = 500 * MICROSECOND_NS
"""A healthy host wakes a process this late at most."""


class Core(Protocol):
    """The part of `gossipsa.gateway.Gateway` that a driver uses."""

    def handle(self, event: Input, *, now_ns: int) -> tuple[Effect, ...]: ...

    def next_deadline_ns(self) -> int | None: ...

    def status(self, *, now_ns: int) -> GatewayStatus: ...

    def client_statuses(self) -> tuple[ClientStatus, ...]: ...


class Process:
    """A running daemon, until `kill`.

    Args:
        host_clock: all the time that the core knows.
        carry_out: begins an effect; never calls back into the process before it returns.
    """

    def __init__(
        self,
        core: Core,
        *,
        boot: BootId,
        clock: VirtualClock,
        host_clock: HostClock,
        random: Random,
        carry_out: Callable[[Effect], None],
    ) -> None:
        self.core = core
        self.boot = boot
        self.is_alive = True
        self.dropped = 0
        self.handling_ns = 0
        """How long it takes over one input."""
        self._clock = clock
        self._host_clock = host_clock
        self._random = random
        self._carry_out = carry_out
        self._paused = False
        self._backlog: deque[Input] = deque()
        self._free_ns = 0
        self._draining: Scheduled | None = None
        self._timer: Scheduled | None = None
        self._deadline_ns: int | None = None

    @property
    def is_running(self) -> bool:
        """Alive and not paused."""
        return self.is_alive and not self._paused

    @property
    def backlog(self) -> int:
        """Inputs that wait."""
        return len(self._backlog)

    def feed(self, event: Input) -> None:
        """Gives the core an input, now or when the process comes to it."""
        if not self.is_alive:
            return
        if not self._paused and not self._backlog and self._clock.now_ns >= self._free_ns:
            self._handle(event)
        elif len(self._backlog) < BACKLOG_MAX or not isinstance(event, DatagramReceived):
            self._backlog.append(event)
            self._drain()
        else:
            self.dropped += 1

    def pause(self) -> None:
        """Stops scheduling the process."""
        self._paused = True

    def go_on(self) -> None:
        """Schedules it again."""
        self._paused = False
        self._drain()
        self.clock_changed()

    def clock_changed(self) -> None:
        """The host's clock is not what it was: what is due by it comes at another time."""
        deadline_ns = self.core.next_deadline_ns()
        if self.is_running and deadline_ns is not None and deadline_ns <= self._host_clock.now_ns:
            self._wake()
        elif self.is_alive:
            self._deadline_ns = None
            self._arm()

    def kill(self) -> None:
        """The process is gone; effects under way are left half done."""
        self.is_alive = False
        for scheduled in (self._timer, self._draining):
            if scheduled is not None:
                scheduled.cancel()

    def status(self) -> GatewayStatus:
        return self.core.status(now_ns=self._host_clock.now_ns)

    def client_statuses(self) -> tuple[ClientStatus, ...]:
        return self.core.client_statuses()

    def _drain(self) -> None:
        while self._backlog and self.is_running:
            if self._clock.now_ns < self._free_ns:
                if self._draining is None:
                    self._draining = self._clock.at(self._free_ns, self._drain_on)
                return
            self._handle(self._backlog.popleft())

    def _drain_on(self) -> None:
        self._draining = None
        self._drain()

    def _handle(self, event: Input) -> None:
        self._free_ns = self._clock.now_ns + self.handling_ns
        for effect in self.core.handle(event, now_ns=self._host_clock.now_ns):
            self._carry_out(effect)
        self._arm()

    def _arm(self) -> None:
        deadline_ns = self.core.next_deadline_ns()
        if deadline_ns == self._deadline_ns and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._deadline_ns = deadline_ns
        if deadline_ns is not None:
            late_ns = self._random.randrange(_TIMER_LATENESS_NS)
            self._timer = self._clock.at(self._host_clock.at_ns(deadline_ns) + late_ns, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._deadline_ns = None
        if not self.is_running:
            return
        if self._clock.now_ns < self._free_ns:
            self._timer = self._clock.at(self._free_ns, self._wake)
        else:
            self._handle(TimerDue())
