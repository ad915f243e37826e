"""The one task that owns the core: inputs come by one bounded channel, effects go to who carries them out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from gossipsa.daemon.clock import NS_PER_S
from gossipsa.effects import Effect
from gossipsa.inputs import Input, TimerDue

INPUTS_MAX = 4096
"""Inputs that wait. Readers of lossless sources wait when it is full; datagrams are dropped and counted."""

_BATCH_MAX = 128
_TURN_NS = 10_000_000


class Core(Protocol):
    """The part of `gossipsa.gateway.Gateway` that the loop drives."""

    def handle(self, event: Input, *, now_ns: int) -> tuple[Effect, ...]: ...

    def next_deadline_ns(self) -> int | None: ...


class RunLoop:
    """Drives a core.

    Args:
        carry_out: begins everything in a step's effects without blocking. What it returns are inputs that
            follow at once: refusals of effects that cannot even begin.
        clock_ns: monotonic nanoseconds.

    Attributes:
        inputs: where every source of inputs sends to.
    """

    def __init__(
        self,
        core: Core,
        *,
        carry_out: Callable[[Sequence[Effect]], Sequence[Input]],
        clock_ns: Callable[[], int],
    ) -> None:
        self._core = core
        self._carry_out = carry_out
        self._clock_ns = clock_ns
        self.inputs, self._arrivals = trio.open_memory_channel[Input](INPUTS_MAX)
        self._at_once: deque[Input] = deque()
        self._deadline_ns: int | None = None
        self._deadline_known = False

    def waiting(self) -> int:
        """Inputs that wait to be handled."""
        return self._arrivals.statistics().current_buffer_used + len(self._at_once)

    async def run(self) -> None:
        """Handle inputs and deadlines until cancelled."""
        while True:
            await self._wait()
            self._handle_arrivals()
            if self._is_due():
                # After a stall the answers that would stop this timer lie in sockets: let their readers run
                # before anybody is accused of silence. One checkpoint wakes them, at the next they have run.
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                self._handle_arrivals()
                if self._is_due():
                    self._step(TimerDue())

    async def _wait(self) -> None:
        """Return when there is something to do; at once, but for a checkpoint, if there is already."""
        if self._at_once or self._is_due():
            await trio.lowlevel.checkpoint()
            return
        deadline_ns = self._next_deadline_ns()
        if deadline_ns is None:
            self._at_once.append(await self._arrivals.receive())
            return
        with trio.move_on_after(max(0, deadline_ns - self._clock_ns()) / NS_PER_S):
            self._at_once.append(await self._arrivals.receive())

    def _handle_arrivals(self) -> None:
        """Feed the core what waits, until those must have a turn who carry out its effects."""
        end_ns = self._clock_ns() + _TURN_NS
        for _ in range(_BATCH_MAX):
            if self._at_once:
                self._step(self._at_once.popleft())
            else:
                try:
                    self._step(self._arrivals.receive_nowait())
                except trio.WouldBlock:
                    return
            if self._clock_ns() >= end_ns:
                return

    def _step(self, event: Input) -> None:
        self._deadline_known = False
        effects = self._core.handle(event, now_ns=self._clock_ns())
        if effects:
            self._at_once.extend(self._carry_out(effects))

    def _is_due(self) -> bool:
        deadline_ns = self._next_deadline_ns()
        # The clock goes on while the core is asked.
        return deadline_ns is not None and deadline_ns <= self._clock_ns()

    def _next_deadline_ns(self) -> int | None:
        """The core's, which only an input changes."""
        if not self._deadline_known:
            self._deadline_ns, self._deadline_known = self._core.next_deadline_ns(), True
        return self._deadline_ns
