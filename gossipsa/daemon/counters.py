"""Reads the kernel's sequence numbers at a steady pace, and tells the core of those that changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from gossipsa.daemon.backends import Backends
from gossipsa.daemon.client_parts import counters_in
from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.number_keeper import NumberKeeper
from gossipsa.daemon.packet_limits import is_fenced
from gossipsa.effects import Report
from gossipsa.errors import KernelError
from gossipsa.identifiers import ClientId
from gossipsa.inputs import CountersRead, Input
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.kernel.backend import KernelSa, SaId

_COUNTERS_A_READING_MAX = 1024
_PACKETS_BEHIND_MAX = 4096


class CounterReader:
    """Lists all SAs each interval; one listing is cheaper than an event for each busy SA.

    Args:
        interval_s: between two listings: what a taker's replay windows may be behind.
    """

    def __init__(
        self,
        backends: Backends,
        numbers: NumberKeeper,
        *,
        interval_s: float,
        counts: Counts,
        report: Callable[[Report], None],
    ) -> None:
        self._backends = backends
        self._numbers = numbers
        self._interval_s = interval_s
        self._counts = counts
        self._report = report
        self._clients: dict[ClientId, ClientState] = {}
        self._last: dict[tuple[int, int], tuple[int, int]] = {}
        self._is_failing = False
        self._inexact: set[SaId] = set()

    def follow(self, client: ClientId, state: ClientState) -> None:
        """This gateway serves the client: its numbers count."""
        self._clients[client] = state

    def forget(self, client: ClientId) -> None:
        self._clients.pop(client, None)

    async def run(self, inputs: trio.MemorySendChannel[Input]) -> None:
        """Read until cancelled."""
        while True:
            await trio.sleep(self._interval_s)
            for reading in await self.read():
                await inputs.send(reading)

    async def read(self) -> list[CountersRead]:
        """List the SAs once; the changes since the last time, in parts of a bounded size."""
        try:
            sas = await self._backends.kernel_sas()
        except KernelError as error:
            self._counts.add(Count.COUNTER_DUMPS_FAILED)
            if not self._is_failing:
                self._report(Report(event="counters-unread", detail=str(error)))
            self._is_failing = True
            return []
        self._is_failing = False
        self._counts.add(Count.COUNTER_DUMPS)
        self._compare_with_packets(sas)
        await self._numbers.fence_those_in(sas)
        changed: list[SaCounters] = []
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        for state in self._clients.values():
            for counters in counters_in(sas, state):
                key = (counters.outbound_spi, counters.inbound_spi)
                seen[key] = (counters.sent, counters.received)
                if self._last.get(key) != seen[key]:
                    changed.append(counters)
        self._last = seen
        return [
            CountersRead(counters=tuple(changed[start : start + _COUNTERS_A_READING_MAX]))
            for start in range(0, len(changed), _COUNTERS_A_READING_MAX)
        ]

    def _compare_with_packets(self, sas: Mapping[SaId, KernelSa]) -> None:
        """Warn, once an SA, where the packet limit is no fence: offloading hardware may count otherwise."""
        behind = {
            sa.id for sa in sas.values() if is_fenced(sa) and sa.sent - sa.packets > _PACKETS_BEHIND_MAX
        }
        for sa_id in sorted(behind - self._inexact, key=str):
            self._report(Report(event="fence-inexact", detail=f"SA {sa_id.spi:08x} to {sa_id.destination}"))
        self._inexact = behind
