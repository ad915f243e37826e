"""Events are coalesced a client, and keep their order otherwise."""

from __future__ import annotations

import trio
import trio.testing

from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import (
    ClientChanged,
    ClientDeleted,
    IkeDaemonEvent,
    IkeDaemonStarted,
    IkeDaemonStopped,
)
from gossipsa.ipsec.security_association import ClientState, IkeSa
from gossipsa.strongswan.event_outbox import EventOutbox
from gossipsa.strongswan.sa_translation import ike_sa_added
from tests.strongswan.charon_messages import ike_add, spis

A, B = ClientId(b"a" * 16), ClientId(b"b" * 16)


def changed(client: ClientId, number: int) -> ClientChanged:
    sa: IkeSa = ike_sa_added(ike_add(spis(number)))
    return ClientChanged(client=client, state=ClientState(ike_sas=(sa,)))


async def delivered(*events: IkeDaemonEvent) -> list[IkeDaemonEvent]:
    outbox = EventOutbox()
    for event in events:
        outbox.put(event)
    received = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.pump)
        await trio.testing.wait_all_tasks_blocked()
        while True:
            with trio.move_on_after(0.01) as scope:
                received.append(await outbox.receive.receive())
            if scope.cancelled_caught:
                break
        nursery.cancel_scope.cancel()
    return received


async def test_only_the_latest_event_of_a_client_is_delivered() -> None:
    assert await delivered(changed(A, 1), changed(B, 1), changed(A, 2)) == [changed(B, 1), changed(A, 2)]
    assert await delivered(changed(A, 1), ClientDeleted(client=A)) == [ClientDeleted(client=A)]


async def test_news_of_a_client_does_not_overtake_news_of_charon() -> None:
    stopped, started = IkeDaemonStopped(), IkeDaemonStarted(resumed=False)
    assert await delivered(changed(A, 1), stopped, started, changed(A, 2)) == [
        stopped,
        started,
        changed(A, 2),
    ]
    assert await delivered(changed(A, 1), stopped, stopped) == [changed(A, 1), stopped, stopped]


async def test_events_put_later_are_delivered_too() -> None:
    outbox = EventOutbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.pump)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            outbox.put(changed(A, number))
            assert await outbox.receive.receive() == changed(A, number)
        nursery.cancel_scope.cancel()
