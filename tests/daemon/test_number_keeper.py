from __future__ import annotations

import errno

import msgspec
import pytest

from gossipsa.daemon.client_parts import outbound_id
from gossipsa.daemon.packet_limits import CREATOR_LAST
from gossipsa.effects import CloseWindow, FenceCreator, MoveNumbers, OutboundNumbers, RekeyChild
from gossipsa.identifiers import ClientId
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.kernel.backend import UNLIMITED_PACKETS, SetPacketLimit
from gossipsa.kernel.memory_sad import Operation
from tests.daemon.recorders import FIRST, LAST, Bench, activate_of, install_of

NEXT = LAST + 1 + 7 * 2**20


def _fence_of(client: ClientId, state: ClientState) -> FenceCreator:
    spis = tuple(child.outbound_spi for child in state.children)
    return FenceCreator(client=client, state=state, outbound_spis=spis)


def _move_of(client: ClientId, state: ClientState, *, sent: int, limit: int) -> MoveNumbers:
    (child,) = state.children
    numbers = OutboundNumbers(
        outbound_spi=child.outbound_spi,
        inbound_spi=child.inbound_spi,
        sent=sent,
        packet_limit=limit,
        received=0,
        window_bitmap=(),
    )
    return MoveNumbers(client=client, state=state, numbers=numbers)


async def _serving(bench: Bench) -> tuple[ClientId, ClientState]:
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    await bench.activate(activate_of(client, state))
    bench.kernel.calls.clear()
    return client, state


async def test_creators_key_ends_before_the_shared_region() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.ike.offer(client, state)

    await bench.numbers.fence([_fence_of(client, state)])
    await bench.numbers.fence_those_in(await bench.backends.kernel_sas())

    assert bench.outbound(state).packet_limit == CREATOR_LAST
    assert bench.inbound(state).packet_limit == UNLIMITED_PACKETS


async def test_key_that_the_kernel_gets_later_is_fenced_then() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.numbers.fence([_fence_of(client, state)])
    await bench.ike.offer(client, state)

    await bench.numbers.fence_those_in(await bench.backends.kernel_sas())

    assert bench.outbound(state).packet_limit == CREATOR_LAST


async def test_lower_limit_of_the_ike_daemon_stays() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.ike.offer(client, state)
    own = SetPacketLimit(id=outbound_id(state, state.children[0]), soft=900_000, hard=1_000_000)
    bench.sad.set_packet_limits([own])

    await bench.numbers.fence([_fence_of(client, state)])
    await bench.numbers.fence_those_in(await bench.backends.kernel_sas())

    assert bench.outbound(state).packet_limit == 1_000_000
    assert bench.kernel.calls == ["add_sas", "delete_sas"]


async def test_key_that_never_comes_is_not_looked_for_forever() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.numbers.fence([_fence_of(client, state)])
    for _ in range(100):
        await bench.numbers.fence_those_in({})

    await bench.ike.offer(client, state)
    await bench.numbers.fence_those_in(await bench.backends.kernel_sas())

    assert bench.outbound(state).packet_limit == UNLIMITED_PACKETS


async def test_jump_uses_no_number_between_the_ranges() -> None:
    bench = Bench()
    client, state = await _serving(bench)

    await bench.numbers.move([_move_of(client, state, sent=NEXT - 1, limit=NEXT + 999)])
    bench.kernel.send_traffic()

    numbers = bench.escaped(state)
    assert bench.kernel.calls == ["block", "set_numbers", "set_packet_limits", "unblock"]
    assert [number for number in numbers if LAST < number < NEXT] == []
    assert NEXT in numbers
    assert bench.outbound(state).packet_limit == NEXT + 999
    assert bench.reports == []


@pytest.mark.parametrize(
    "operation", [Operation.BLOCK_OUTBOUND, Operation.SET_NUMBERS, Operation.SET_PACKET_LIMITS]
)
async def test_jump_that_fails_half_way_uses_no_number_that_is_not_ours(operation: Operation) -> None:
    bench = Bench()
    client, state = await _serving(bench)
    bench.sad.refuse_next(operation, errno.EINVAL)

    await bench.numbers.move([_move_of(client, state, sent=NEXT - 1, limit=NEXT + 999)])
    bench.kernel.send_traffic()

    assert all(FIRST <= number <= LAST for number in bench.escaped(state))
    assert [report.event for report in bench.reports] == ["move-refused"]
    assert bench.backends.blocks_held() == 0


async def test_raised_limit_leaves_the_numbers_alone() -> None:
    bench = Bench()
    client, state = await _serving(bench)

    await bench.numbers.move([_move_of(client, state, sent=FIRST - 1, limit=LAST + 2**20)])

    assert bench.kernel.calls == ["set_packet_limits"]
    assert bench.outbound(state).packet_limit == LAST + 2**20


async def test_window_goes_on_from_what_the_former_owner_received() -> None:
    bench = Bench()
    client, state = await _serving(bench)
    (child,) = state.children
    received = bench.inbound(state).received + 100
    counters = SaCounters(
        outbound_spi=child.outbound_spi, inbound_spi=child.inbound_spi, sent=7, received=received
    )
    unknown = msgspec.structs.replace(counters, inbound_spi=child.inbound_spi + 1)

    await bench.numbers.close_windows([CloseWindow(client=client, state=state, counters=(counters, unknown))])

    assert bench.inbound(state).received == received
    assert bench.kernel.calls == ["set_numbers"]
    assert bench.reports == []


async def test_window_that_cannot_be_closed_is_reported() -> None:
    bench = Bench()
    client, state = await _serving(bench)
    (child,) = state.children
    bench.sad.refuse_next(Operation.SET_NUMBERS, errno.EINVAL)
    counters = SaCounters(
        outbound_spi=child.outbound_spi, inbound_spi=child.inbound_spi, sent=7, received=10_000
    )

    await bench.numbers.close_windows([CloseWindow(client=client, state=state, counters=(counters,))])

    assert [report.event for report in bench.reports] == ["window-open"]


async def test_range_below_the_numbers_used_is_refused() -> None:
    bench = Bench()
    client, state = await _serving(bench)

    await bench.numbers.move([_move_of(client, state, sent=10, limit=1000)])

    assert [report.event for report in bench.reports] == ["move-refused"]
    assert bench.outbound(state).packet_limit == LAST


async def test_refused_rekey_is_reported() -> None:
    bench = Bench()
    client, state = await _serving(bench)

    await bench.numbers.rekey(
        [RekeyChild(client=client, state=state, outbound_spi=state.children[0].outbound_spi)]
    )

    assert [report.event for report in bench.reports] == ["rekey-refused"]
