from __future__ import annotations

import errno
import ipaddress

import msgspec
import pytest

from gossipsa.daemon.client_parts import UnblockableError, outbound_blocks
from gossipsa.effects import RouteClient
from gossipsa.inputs import ClientActivated, ClientFailed, ClientInstalled, ClientRemoved
from gossipsa.ipsec.security_association import ClientState
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.kernel.memory_sad import Operation
from tests.daemon.recorders import (
    EPOCH,
    FIRST,
    LAST,
    Bench,
    activate_of,
    install_of,
    make_client,
    remove_of,
)


async def test_installed_client_is_fenced_and_silent() -> None:
    bench = Bench()
    client, state = bench.client(1)

    answers = await bench.installer.install([install_of(client, state)])

    assert answers == (ClientInstalled(client=client, epoch=EPOCH),)
    assert bench.kernel.calls == [
        "block",
        "import",
        "add_sas",
        "delete_sas",
        "set_packet_limits",
        "set_numbers",
    ]
    assert bench.escaped(state) == []
    assert bench.outbound(state).sent == FIRST - 1
    assert bench.outbound(state).packet_limit == LAST
    assert bench.inbound(state).received == 500


async def test_activated_client_goes_on_with_the_first_number_of_its_own() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    bench.kernel.calls.clear()

    answers = await bench.activate(activate_of(client, state))

    assert answers == (ClientActivated(client=client, epoch=EPOCH),)
    assert bench.kernel.calls == ["unblock", "add_routes", "activate"]
    assert bench.escaped(state)[0] == FIRST
    assert bench.sad.routes() == state.ike_sa.virtual_addresses
    assert client in bench.ike.active


async def test_traffic_flows_although_the_ike_daemon_refuses_to_activate() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    bench.ike.refuses.add("activate")

    answers = await bench.activate(activate_of(client, state))

    assert answers == (ClientFailed(client=client, epoch=EPOCH, reason="told to refuse activate"),)
    assert bench.escaped(state)[0] == FIRST
    assert bench.sad.routes() == state.ike_sa.virtual_addresses


async def test_refused_route_is_reported_and_stops_nothing() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    bench.sad.refuse_next(Operation.ADD_ROUTES, errno.ENETUNREACH)

    answers = await bench.activate(activate_of(client, state))

    assert answers == (ClientActivated(client=client, epoch=EPOCH),)
    assert [report.event for report in bench.reports] == ["route-refused"]


REFUSED_STEPS = {
    "block": lambda bench: bench.sad.refuse_next(Operation.BLOCK_OUTBOUND, errno.ENOMEM),
    "import": lambda bench: bench.ike.refuses.add("import"),
    "outbound SA": lambda bench: bench.sad.refuse_next(Operation.ADD_SAS, errno.EEXIST),
    "packet limit": lambda bench: bench.sad.refuse_next(Operation.SET_PACKET_LIMITS, errno.ESRCH),
    "numbers": lambda bench: bench.sad.refuse_next(Operation.SET_NUMBERS, errno.EINVAL),
}


@pytest.mark.parametrize("step", REFUSED_STEPS)
async def test_whatever_is_refused_leaves_nothing_behind(step: str) -> None:
    bench = Bench()
    client, state = bench.client(1)
    other, other_state = bench.client(2)
    REFUSED_STEPS[step](bench)

    failed, *rest = await bench.installer.install([install_of(client, state)])

    assert isinstance(failed, ClientFailed)
    assert failed.reason
    assert rest == []
    assert bench.escaped(state) == []
    assert bench.sad.sas() == ()
    assert bench.ike.holds == {}
    assert bench.backends.blocks_held() == 0

    # And the address is not blocked any more: another client may have it.
    bench.ike.refuses.clear()
    await bench.installer.install([install_of(other, other_state)])
    await bench.activate(activate_of(other, other_state))
    assert bench.escaped(other_state)[0] == FIRST


async def test_one_failing_client_does_not_hold_up_the_rest_of_its_batch() -> None:
    bench = Bench()
    clients = [bench.client(seed) for seed in range(1, 5)]
    bench.sad.refuse_next(Operation.SET_PACKET_LIMITS, errno.ENOENT)

    answers = await bench.installer.install([install_of(*client) for client in clients])

    assert [type(answer) for answer in answers] == [ClientFailed, *[ClientInstalled] * 3]
    assert len(bench.sad.sas()) == 2 * 3
    assert set(bench.ike.holds) == {client for client, _ in clients[1:]}


async def test_sa_that_cannot_be_deleted_again_stays_blocked() -> None:
    bench = Bench()
    client, state = bench.client(1)
    bench.ike.refuses.add("forget")
    bench.sad.refuse_next(Operation.SET_NUMBERS, errno.EINVAL)
    bench.sad.refuse_next(Operation.DELETE_SAS, errno.EPERM)

    await bench.installer.install([install_of(client, state)])
    bench.kernel.send_traffic()

    assert bench.escaped(state) == []
    assert [report.event for report in bench.reports] == ["undo-incomplete"]


async def test_child_without_numbers_of_its_own_is_never_installed() -> None:
    bench = Bench()
    client, state = bench.client(1)
    effect = msgspec.structs.replace(install_of(client, state), numbers=())

    (answer,) = await bench.installer.install([effect])

    assert isinstance(answer, ClientFailed)
    assert bench.kernel.calls == []


async def test_removed_client_loses_its_sas_before_anything_else() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    await bench.activate(activate_of(client, state))
    bench.kernel.calls.clear()
    sent = len(bench.escaped(state))

    (answer,) = await bench.remove(remove_of(client, state))

    assert isinstance(answer, ClientRemoved)
    assert (answer.client, answer.epoch) == (client, EPOCH)
    # The last numbers are what closes the replay windows of a gateway that the client was moved to.
    assert [counters.outbound_spi for counters in answer.counters] == [
        child.outbound_spi for child in state.children
    ]
    assert bench.kernel.calls[:3] == ["block", "delete_sas", "forget"]
    # One packet tries just before the block comes.
    assert len(bench.escaped(state)) == sent + 1
    assert bench.sad.sas() == ()
    assert bench.sad.routes() == ()
    assert bench.backends.blocks_held() == 0


async def test_client_that_is_not_there_counts_as_removed() -> None:
    bench = Bench()
    client, state = bench.client(1)

    answers = await bench.remove(remove_of(client, state))

    assert answers == (ClientRemoved(client=client, epoch=EPOCH),)


async def test_sas_are_gone_even_if_the_ike_daemon_is_not_there() -> None:
    bench = Bench()
    client, state = bench.client(1)
    await bench.installer.install([install_of(client, state)])
    bench.ike.refuses.add("forget")

    (answer,) = await bench.remove(remove_of(client, state))

    assert isinstance(answer, ClientFailed)
    assert bench.sad.sas() == ()


async def test_clients_behind_one_address_share_its_block() -> None:
    bench = Bench()
    first, first_state = bench.client(1)
    second, second_state = bench.client(2)
    shared = first_state.ike_sa.virtual_addresses
    second_state = _with_remote(second_state, first_state.children[0].remote_selectors)
    await bench.installer.install([install_of(first, first_state), install_of(second, second_state)])

    await bench.remove(remove_of(first, first_state))
    bench.kernel.send_traffic()

    assert shared
    assert bench.kernel.escaped == {}


async def test_route_stays_while_another_client_has_the_address() -> None:
    bench = Bench()
    gone, state = make_client(1)
    here, _ = make_client(2)
    await bench.installer.route([RouteClient(client=gone, state=state, present=True)])
    await bench.installer.route([RouteClient(client=here, state=state, present=True)])

    await bench.installer.route([RouteClient(client=gone, state=state, present=False)])
    assert bench.sad.routes() == state.ike_sa.virtual_addresses

    await bench.installer.route([RouteClient(client=here, state=state, present=False)])
    assert bench.sad.routes() == ()


def test_wide_selectors_are_blocked_with_their_sources_only() -> None:
    _, state = make_client(1)
    everywhere = _range("0.0.0.0", "255.255.255.255")
    blocks = outbound_blocks(_with_remote(state, (everywhere,)))

    assert [(len(block.sources), block.destinations[0].end) for block in blocks] == [
        (0, state.ike_sa.virtual_addresses[0]),
        (1, everywhere.end),
    ]


def test_everything_to_everything_is_not_blocked() -> None:
    _, state = make_client(1)
    everywhere = _range("0.0.0.0", "255.255.255.255")
    (child,) = state.children
    child = msgspec.structs.replace(child, local_selectors=(everywhere,), remote_selectors=(everywhere,))
    with pytest.raises(UnblockableError):
        outbound_blocks(msgspec.structs.replace(state, children=(child,)))


async def test_client_that_cannot_be_blocked_is_not_installed() -> None:
    bench = Bench()
    client, state = bench.client(1)
    everywhere = _range("0.0.0.0", "255.255.255.255")
    (child,) = state.children
    child = msgspec.structs.replace(child, local_selectors=(everywhere,), remote_selectors=(everywhere,))
    state = msgspec.structs.replace(state, children=(child,))

    (answer,) = await bench.installer.install([install_of(client, state)])

    assert isinstance(answer, ClientFailed)
    assert bench.kernel.calls == []


def _with_remote(state: ClientState, selectors: tuple[TrafficSelector, ...]) -> ClientState:
    (child,) = state.children
    return msgspec.structs.replace(
        state, children=(msgspec.structs.replace(child, remote_selectors=selectors),)
    )


def _range(first: str, last: str) -> TrafficSelector:
    return TrafficSelector(
        protocol=0,
        from_port=0,
        to_port=65535,
        start=ipaddress.ip_address(first),
        end=ipaddress.ip_address(last),
    )
