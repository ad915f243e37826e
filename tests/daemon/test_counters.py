from __future__ import annotations

import msgspec

from gossipsa.daemon.counters import CounterReader
from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.packet_limits import CREATOR_LAST
from gossipsa.effects import FenceCreator
from gossipsa.errors import KernelError
from gossipsa.kernel.backend import KernelSa
from tests.daemon.recorders import FIRST, Bench, activate_of, install_of


def _reader(bench: Bench, counts: Counts | None = None) -> CounterReader:
    return CounterReader(
        bench.backends,
        bench.numbers,
        interval_s=1.0,
        counts=counts or Counts(),
        report=bench.reports.append,
    )


async def test_only_what_changed_is_told() -> None:
    bench = Bench()
    reader = _reader(bench)
    busy, idle = bench.client(1), bench.client(2)
    for client in (busy, idle):
        await bench.installer.install([install_of(*client)])
        await bench.activate(activate_of(*client))
        reader.follow(*client)
    bench.kernel.destinations.clear()
    first = await reader.read()
    bench.sad.seal_outbound(busy[1].ike_sa.virtual_addresses[0], b"payload")
    second = await reader.read()
    third = await reader.read()

    spis = {child.outbound_spi for _, state in (busy, idle) for child in state.children}
    assert {entry.outbound_spi for entry in first[0].counters} == spis
    assert [entry.outbound_spi for entry in second[0].counters] == [busy[1].children[0].outbound_spi]
    assert second[0].counters[0].sent == bench.outbound(busy[1]).sent > FIRST
    assert third == []


async def test_forgotten_client_is_not_read() -> None:
    bench = Bench()
    reader = _reader(bench)
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    reader.follow(client, state)
    reader.forget(client)

    assert await reader.read() == []


async def test_reading_fences_keys_that_came_late() -> None:
    bench = Bench()
    reader = _reader(bench)
    client, state = bench.client(1)
    spis = (state.children[0].outbound_spi,)
    await bench.numbers.fence([FenceCreator(client=client, state=state, outbound_spis=spis)])
    await bench.ike.offer(client, state)
    await reader.read()

    assert bench.outbound(state).packet_limit == CREATOR_LAST


async def test_kernel_that_cannot_be_read_is_reported_once() -> None:
    bench = Bench()
    counts = Counts()
    reader = _reader(bench, counts)

    async def refuse() -> tuple[KernelSa, ...]:
        raise KernelError("no buffer space", errno=105)

    readable, bench.kernel.sas = bench.kernel.sas, refuse  # type: ignore[method-assign]
    assert await reader.read() == []
    assert await reader.read() == []
    assert counts[Count.COUNTER_DUMPS_FAILED] == 2
    assert [report.event for report in bench.reports] == ["counters-unread"]

    bench.kernel.sas = readable  # type: ignore[method-assign]
    await reader.read()
    assert counts[Count.COUNTER_DUMPS] == 1


async def test_packets_that_lag_behind_the_numbers_are_reported_once() -> None:
    bench = Bench()
    reader = _reader(bench)
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    await reader.read()
    assert bench.reports == []

    honest = bench.kernel.sas

    async def offloaded() -> tuple[KernelSa, ...]:
        return tuple(msgspec.structs.replace(sa, packets=0) for sa in await honest())

    bench.kernel.sas = offloaded  # type: ignore[method-assign]
    await reader.read()
    await reader.read()
    assert [report.event for report in bench.reports] == ["fence-inexact"]
