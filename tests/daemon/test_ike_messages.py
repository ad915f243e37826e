from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.ike_messages import IkeMessages, is_of_interest
from gossipsa.effects import SendIke
from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint
from gossipsa.ikev2.header import Header, encode_header
from gossipsa.ikev2.registry import ExchangeType
from gossipsa.inputs import IkeReceived
from gossipsa.kernel.backend import IkeDatagram
from tests.daemon.loopback import input_channel
from tests.daemon.recorders import RecordingKernel

CLIENT, GATEWAY = Endpoint(IPv4Address("10.0.1.2"), 4500), Endpoint(IPv4Address("10.0.2.2"), 4500)


def _message(exchange: int, *, is_response: bool) -> IkeDatagram:
    header = Header(
        spi_i=b"i" * 8,
        spi_r=b"r" * 8,
        next_payload=0,
        exchange=exchange,
        is_initiator=True,
        is_response=is_response,
        message_id=1,
        length_bytes=28,
    )
    return IkeDatagram(CLIENT, GATEWAY, encode_header(header))


@pytest.mark.parametrize("is_response", [False, True])
@pytest.mark.parametrize("exchange", [*ExchangeType, 99])
def test_only_handshakes_are_ignored(exchange: int, is_response: bool) -> None:
    handshakes = {ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.IKE_INTERMEDIATE}
    wanted = exchange not in handshakes
    assert is_of_interest(_message(exchange, is_response=is_response)) is wanted


def test_what_is_no_ike_is_ignored() -> None:
    assert not is_of_interest(IkeDatagram(CLIENT, GATEWAY, b"not IKE at all"))


async def test_answer_of_a_client_reaches_the_core(nursery: trio.Nursery) -> None:
    kernel, counts = RecordingKernel(), Counts()
    inputs, arrivals = input_channel()
    nursery.start_soon(IkeMessages(kernel, counts=counts).receive, inputs)
    init = _message(ExchangeType.IKE_SA_INIT, is_response=False)
    answer = _message(ExchangeType.INFORMATIONAL, is_response=True)
    for datagram in (init, answer):
        await kernel.incoming_ike.send(datagram)

    assert await arrivals.receive() == IkeReceived(source=CLIENT, destination=GATEWAY, data=answer.data)
    assert counts[Count.IKE_MESSAGES_IGNORED] == 1
    nursery.cancel_scope.cancel()


async def test_message_that_the_kernel_refuses_is_counted_and_all_others_go_out(
    nursery: trio.Nursery,
) -> None:
    kernel, counts = RecordingKernel(), Counts()
    kernel.ike_refusals.append(KernelError("no route", errno=101))
    messages = IkeMessages(kernel, counts=counts)
    nursery.start_soon(messages.send_waiting)
    for number in range(200):
        messages.send(SendIke(source=GATEWAY, destination=CLIENT, data=bytes([number])))
    await wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()

    assert len(set(kernel.sent_ike)) == 199
    assert counts[Count.IKE_MESSAGES_UNSENT] == 1
    assert counts[Count.IKE_MESSAGES_SENT] == 199
