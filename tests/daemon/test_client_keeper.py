from __future__ import annotations

import errno
import itertools
from collections.abc import Sequence

import msgspec
import pytest

from gossipsa.daemon.client_keeper import SENT_MARGIN
from gossipsa.daemon.client_parts import outbound_id
from gossipsa.daemon.packet_limits import CREATOR_LAST
from gossipsa.effects import AdoptClients, RestoreClient
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ImportClient
from gossipsa.inputs import ClientFailed, ClientRestored, ClientsAdopted
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import SetNumbers, SetPacketLimit
from gossipsa.kernel.memory_sad import Operation
from tests.daemon.recorders import EPOCH, FIRST, LAST, Bench, activate_of, install_of


async def _serving(bench: Bench, seed: int) -> tuple[ClientId, ClientState]:
    """A client that this gateway serves."""
    client, state = bench.client(seed)
    await bench.installer.install([install_of(client, state)])
    await bench.activate(activate_of(client, state))
    bench.kernel.calls.clear()
    return client, state


def _restore_of(client: ClientId, state: ClientState) -> RestoreClient:
    return RestoreClient(client=client, epoch=EPOCH, state=state)


async def test_restored_client_goes_on_above_every_number_that_it_used() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.restart()

    answers = await bench.keeper.restore([_restore_of(client, state)])
    bench.kernel.send_traffic()

    assert answers == (ClientRestored(client=client, epoch=EPOCH),)
    assert bench.kernel.calls == [
        "await_configured",
        "block",
        "delete_policies",
        "delete_sas",
        "import",
        "add_sas",
        "delete_sas",
        "set_packet_limits",
        "set_numbers",
        "unblock",
        "activate",
    ]
    numbers = bench.escaped(state)
    steps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    # One number after the other, but for one gap.
    assert [step for step in steps if step != 1] == [SENT_MARGIN + 1]
    assert bench.outbound(state).packet_limit == LAST
    assert bench.inbound(state).received == 500


async def test_nothing_is_touched_before_the_ike_daemon_is_configured() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.restart()
    bench.ike.refuses.add("await_configured")

    (answer,) = await bench.keeper.restore([_restore_of(client, state)])
    before = len(bench.escaped(state))
    bench.kernel.send_traffic()

    assert answer == ClientFailed(client=client, epoch=EPOCH, reason="told to refuse await_configured")
    assert bench.kernel.calls == ["await_configured"]
    assert len(bench.escaped(state)) == before + 1


async def test_restored_creator_keeps_the_fence_of_creators() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    sa_id = outbound_id(state, state.children[0])
    bench.sad.delete_sas([sa_id])
    await bench.ike.forget_clients([client])
    await bench.ike.offer(client, state)
    bench.sad.set_packet_limits([SetPacketLimit(id=sa_id, soft=2**29, hard=2**30 - 1)])
    bench.ike.restart()

    await bench.keeper.restore([_restore_of(client, state)])

    assert bench.outbound(state).packet_limit == 2**30 - 1
    assert bench.outbound(state).sent < 2**29


async def test_client_without_kernel_sas_is_not_restored_from_zero() -> None:
    bench = Bench()
    client, state = bench.client(1)

    (answer,) = await bench.keeper.restore([_restore_of(client, state)])

    assert isinstance(answer, ClientFailed)
    assert "import" not in bench.kernel.calls
    assert bench.backends.blocks_held() == 0


async def test_child_that_the_kernel_lost_is_left_out() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.restart()
    (child,) = state.children
    gone = msgspec.structs.replace(child, inbound_spi=1000, outbound_spi=1001)
    with_gone = msgspec.structs.replace(state, children=(gone, child))

    (answer,) = await bench.keeper.restore([_restore_of(client, with_gone)])

    assert isinstance(answer, ClientRestored)
    assert bench.ike.holds[client].children == (child,)


@pytest.mark.parametrize("operation", [Operation.BLOCK_OUTBOUND, Operation.DELETE_OUTBOUND_POLICIES])
async def test_what_fails_before_anything_was_deleted_leaves_traffic_flowing(operation: Operation) -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.restart()
    bench.sad.refuse_next(operation, errno.ENOMEM)

    (answer,) = await bench.keeper.restore([_restore_of(client, state)])
    before = len(bench.escaped(state))
    bench.kernel.send_traffic()

    assert isinstance(answer, ClientFailed)
    assert len(bench.escaped(state)) == before + 1
    assert bench.backends.blocks_held() == 0


@pytest.mark.parametrize("operation", [Operation.ADD_SAS, Operation.SET_PACKET_LIMITS, Operation.SET_NUMBERS])
async def test_what_fails_later_leaves_no_sa_with_numbers_from_zero(operation: Operation) -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.restart()
    bench.sad.refuse_next(operation, errno.EINVAL)

    (answer,) = await bench.keeper.restore([_restore_of(client, state)])
    bench.kernel.send_traffic()

    assert isinstance(answer, ClientFailed)
    assert bench.sad.sas() == ()
    assert min(bench.escaped(state)) == FIRST
    assert bench.backends.blocks_held() == 0


async def test_adoption_tells_who_is_still_here_and_how_far_they_are() -> None:
    bench = Bench()
    here, here_state = await _serving(bench, 1)
    gone, gone_state = bench.client(2)
    bench.ike.restart()

    (answer,) = await bench.keeper.adopt(AdoptClients(clients=((gone, gone_state), (here, here_state))))

    assert isinstance(answer, ClientsAdopted)
    assert answer.clients == (here,)
    assert answer.absent == (gone,)
    (counters,) = answer.counters
    # `>=`: traffic goes on while the kernel is read.
    assert bench.outbound(here_state).sent >= counters.sent >= FIRST
    assert counters.received == 500
    assert here in bench.ike.active


async def test_block_that_a_dead_boot_left_is_lifted_by_adoption() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    reborn = Bench(bench.kernel)

    await reborn.keeper.adopt(AdoptClients(clients=((client, state),)))
    bench.kernel.send_traffic()

    assert bench.escaped(state)[0] == FIRST


async def test_sa_beyond_the_creators_numbers_without_a_limit_is_dropped() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.ike.offer(client, state)
    bench.sad.set_numbers([SetNumbers(id=outbound_id(state, state.children[0]), sent=FIRST)])
    bench.ike.restart()

    (answer,) = await bench.keeper.adopt(AdoptClients(clients=((client, state),)))

    assert isinstance(answer, ClientsAdopted)
    assert answer.absent == (client,)
    assert bench.sad.sas() == ()
    assert [report.event for report in bench.reports] == ["unfenced-client-dropped"]


async def test_ike_daemon_that_cannot_be_asked_holds_nobody() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)
    bench.ike.refuses.add("adopt")

    (answer,) = await bench.keeper.adopt(AdoptClients(clients=((client, state),)))

    assert answer == ClientsAdopted(clients=(), absent=(client,), counters=())
    assert [report.event for report in bench.reports] == ["adoption-failed"]


async def test_client_whose_keys_were_all_replaced_meanwhile_is_still_here() -> None:
    bench = Bench()
    client, state = await _serving(bench, 1)

    async def hold_all(clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        return tuple(each.client for each in clients)

    bench.ike.adopt_clients = hold_all  # type: ignore[method-assign]
    (child,) = state.children
    old = msgspec.structs.replace(child, inbound_spi=1000, outbound_spi=1001)
    outdated = msgspec.structs.replace(state, children=(old,))

    (answer,) = await bench.keeper.adopt(AdoptClients(clients=((client, outdated),)))

    assert answer == ClientsAdopted(clients=(client,), absent=(), counters=())


async def test_key_that_was_not_fenced_yet_is_fenced_by_adoption() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.ike.offer(client, state)
    bench.ike.restart()

    await bench.keeper.adopt(AdoptClients(clients=((client, state),)))

    assert bench.outbound(state).packet_limit == CREATOR_LAST


async def test_fence_of_a_taker_at_the_first_lane_is_no_creators() -> None:
    bench = Bench()
    client, state = bench.client(1)
    effect = install_of(client, state)
    first_lane = msgspec.structs.replace(effect.numbers[0], sent=2**30 - 1, packet_limit=2**30 + 2**20 - 1)
    await bench.installer.install([msgspec.structs.replace(effect, numbers=(first_lane,))])
    bench.kernel.destinations.clear()
    bench.ike.restart()

    await bench.keeper.adopt(AdoptClients(clients=((client, state),)))

    assert bench.outbound(state).packet_limit == 2**30 + 2**20 - 1


@pytest.mark.parametrize("sent", [2**29 + 5, 2**30 - 2 - SENT_MARGIN // 2])
async def test_unfenced_creator_is_restored_below_the_shared_region(sent: int) -> None:
    bench = Bench()
    client, state = bench.client(1)
    bench.kernel.destinations.clear()
    await bench.ike.offer(client, state)
    bench.sad.set_numbers([SetNumbers(id=outbound_id(state, state.children[0]), sent=sent)])
    bench.ike.restart()

    (answer,) = await bench.keeper.restore([_restore_of(client, state)])

    assert isinstance(answer, ClientRestored)
    assert bench.outbound(state).packet_limit == CREATOR_LAST
    assert sent < bench.outbound(state).sent < CREATOR_LAST
