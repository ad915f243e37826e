"""One life of a gossipsa daemon: the real core, its inputs and its timer.

Inputs are handled one after the other as they come. A paused process keeps them, up to a bound, and handles
them when it goes on, its overdue timer last: as the run loop of the real daemon does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from gossipsa.effects import Effect
from gossipsa.identifiers import BootId
from gossipsa.inputs import DatagramReceived, Input, TimerDue
from gossipsa.status import GatewayStatus
from sim.virtual_clock import MICROSECOND_NS, Scheduled, VirtualClock

_BACKLOG_MAX = 4096
_TIMER_LATENESS_NS = 500 * MICROSECOND_NS
"""A healthy host wakes a process this late at most."""


class Core(Protocol):
    """The part of `gossipsa.gateway.Gateway` that a driver uses."""

    def handle(self, event: Input, *, now_ns: int) -> tuple[Effect, ...]: ...

    def next_deadline_ns(self) -> int | None: ...

    def status(self, *, now_ns: int) -> GatewayStatus: ...


class Process:
    """A running daemon, until `kill`.

    Args:
        carry_out: begins an effect; never calls back into the process before it returns.
    """

    def __init__(
        self,
        core: Core,
        *,
        boot: BootId,
        clock: VirtualClock,
        random: Random,
        carry_out: Callable[[Effect], None],
    ) -> None:
        self.core = core
        self.boot = boot
        self.is_alive = True
        self.dropped = 0
        self._clock = clock
        self._random = random
        self._carry_out = carry_out
        self._paused = False
        self._backlog: deque[Input] = deque()
        self._timer: Scheduled | None = None
        self._deadline_ns: int | None = None

    @property
    def is_running(self) -> bool:
        """Alive and not paused."""
        return self.is_alive and not self._paused

    def feed(self, event: Input) -> None:
        """Gives the core an input, now or when the process goes on."""
        if not self.is_alive:
            return
        if not self._paused:
            self._handle(event)
        elif len(self._backlog) < _BACKLOG_MAX or not isinstance(event, DatagramReceived):
            self._backlog.append(event)
        else:
            self.dropped += 1

    def pause(self) -> None:
        """Stops scheduling the process."""
        self._paused = True

    def go_on(self) -> None:
        """Schedules it again."""
        self._paused = False
        while self._backlog and self.is_running:
            self._handle(self._backlog.popleft())
        deadline_ns = self.core.next_deadline_ns()
        if self.is_running and deadline_ns is not None and deadline_ns <= self._clock.now_ns:
            self._handle(TimerDue())

    def kill(self) -> None:
        """The process is gone; effects under way are left half done."""
        self.is_alive = False
        if self._timer is not None:
            self._timer.cancel()

    def status(self) -> GatewayStatus:
        return self.core.status(now_ns=self._clock.now_ns)

    def _handle(self, event: Input) -> None:
        for effect in self.core.handle(event, now_ns=self._clock.now_ns):
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
            self._timer = self._clock.at(max(deadline_ns, self._clock.now_ns) + late_ns, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._deadline_ns = None
        if self.is_running:
            self._handle(TimerDue())
