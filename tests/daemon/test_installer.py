from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.installer import CLIENT_EFFECTS, ClientEffect, ClientOrder, Installer, Part
from gossipsa.effects import AdoptClients, RemoveClient, RouteClient
from gossipsa.identifiers import ClientId
from gossipsa.inputs import ClientInstalled, ClientRemoved, ClientsAdopted, Input
from tests.daemon.recorders import Bench, activate_of, install_of, make_client, remove_of

CLIENTS = [make_client(seed) for seed in range(4)]
MAKERS = (install_of, activate_of, remove_of)


@given(
    st.lists(st.tuples(st.sampled_from(CLIENTS), st.sampled_from(MAKERS)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_effects_of_a_client_begin_in_their_order_and_one_at_a_time(wanted: list[Any], random: Any) -> None:
    order = ClientOrder()
    effects = [make(*client) for client, make in wanted]
    for effect in effects:
        order.add(effect)
    begun: list[ClientEffect] = []
    running: list[tuple[Part, tuple[ClientEffect, ...]]] = []
    while len(order):
        parts = [(kind, index) for kind in CLIENT_EFFECTS for index in (0, 1)]
        ready = [part for part in parts if order.has_ready(part)]
        if ready and (not running or random.random() < 0.5):
            part = random.choice(ready)
            batch = order.begin(part, random.randint(1, 3))
            assert len({effect.client for effect in batch}) == len(batch)
            busy = {effect.client for _, other in running for effect in other}
            assert not busy & {effect.client for effect in batch}
            if part[1] == 0:
                begun.extend(batch)
            running.append((part, batch))
        else:
            (kind, index), batch = running.pop(random.randrange(len(running)))
            if index == 0 and kind is RemoveClient:
                order.go_on(batch, (kind, 1))
            else:
                order.finish(batch)
    for client, _ in CLIENTS:
        assert [e for e in begun if e.client == client] == [e for e in effects if e.client == client]


def _installer(bench: Bench, answers: list[Input], *, seen: trio.Event | None = None) -> Installer:
    async def answer(event: Input) -> None:
        await trio.lowlevel.checkpoint()
        answers.append(event)

    ike_daemon_seen = trio.Event() if seen is None else seen
    if seen is None:
        ike_daemon_seen.set()
    return Installer(
        clients=bench.installer,
        keeper=bench.keeper,
        numbers=bench.numbers,
        answer=answer,
        ike_daemon_seen=ike_daemon_seen,
        report=bench.reports.append,
    )


async def test_effects_of_a_step_go_as_one_batch(nursery: trio.Nursery) -> None:
    bench = Bench()
    answers: list[Input] = []
    installer = _installer(bench, answers)
    clients = [bench.client(seed) for seed in range(1, 11)]
    for client in clients:
        installer.submit(install_of(*client))
    nursery.start_soon(installer.run)
    await installer.idle()
    await wait_all_tasks_blocked()

    assert bench.kernel.calls.count("import") == 1
    assert [type(answer) for answer in answers] == [ClientInstalled] * 10


async def test_removal_does_not_wait_for_an_import_that_hangs(nursery: trio.Nursery) -> None:
    bench = Bench()
    answers: list[Input] = []
    installer = _installer(bench, answers)
    hangs = trio.Event()

    async def import_slowly(clients: Sequence[Any]) -> tuple[None, ...]:
        await hangs.wait()
        return (None,) * len(clients)

    bench.ike.import_clients = import_slowly  # type: ignore[method-assign]
    installer.submit(install_of(*bench.client(1)))
    nursery.start_soon(installer.run)
    await wait_all_tasks_blocked()
    client, state = bench.client(2)
    installer.submit(remove_of(client, state))
    await wait_all_tasks_blocked()

    assert [type(answer) for answer in answers] == [ClientRemoved]
    hangs.set()
    await installer.idle()


async def test_what_has_begun_is_finished_when_the_daemon_stops() -> None:
    bench = Bench()
    answers: list[Input] = []
    installer = _installer(bench, answers)
    client, state = bench.client(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(installer.run)
        await wait_all_tasks_blocked()
        bench.ike.refuses.add("import")
        installer.submit(install_of(client, state))
        # The worker is woken, begins, and is told to stop at its first step.
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert bench.kernel.calls
        nursery.cancel_scope.cancel()

    assert bench.sad.sas() == ()
    assert bench.backends.blocks_held() == 0


async def test_adoption_waits_for_the_ike_daemon(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    answers: list[Input] = []
    seen = trio.Event()
    installer = _installer(bench, answers, seen=seen)
    nursery.start_soon(installer.run)
    installer.submit(AdoptClients(clients=(make_client(1),)))
    await trio.sleep(5)
    assert answers == []

    seen.set()
    await trio.sleep(1)
    assert [type(answer) for answer in answers] == [ClientsAdopted]


async def test_adoption_does_not_wait_for_ever(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    answers: list[Input] = []
    installer = _installer(bench, answers, seen=trio.Event())
    nursery.start_soon(installer.run)
    first, second = make_client(1), make_client(2)
    installer.submit(AdoptClients(clients=(first,)))
    installer.submit(AdoptClients(clients=(second,)))
    await trio.sleep(60)

    (answer,) = answers
    assert isinstance(answer, ClientsAdopted)
    assert answer.absent == (first[0], second[0])


async def test_routes_wait_for_what_came_before_them(nursery: trio.Nursery) -> None:
    bench = Bench()
    answers: list[Input] = []
    installer = _installer(bench, answers)
    client, state = bench.client(1)
    for present in (True, False, True, False):
        installer.submit(RouteClient(client=ClientId(client), state=state, present=present))
    nursery.start_soon(installer.run)
    await installer.idle()

    assert bench.kernel.calls == ["add_routes", "delete_routes", "add_routes", "delete_routes"]
    assert bench.sad.routes() == ()
