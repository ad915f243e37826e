from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.udp import MeshSocket, endpoint_of, family_of, open_udp, socket_address
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import DatagramReceived
from gossipsa.wire.sessions import DATAGRAM_BYTES_MAX
from tests.daemon.loopback import HERE, input_channel, udp_socket, unused_endpoint


async def test_datagram_arrives_with_its_source(nursery: trio.Nursery) -> None:
    (one, one_endpoint), (two, two_endpoint) = udp_socket(), udp_socket()
    inputs, arrivals = input_channel()
    with one, two:
        nursery.start_soon(MeshSocket(two, counts=Counts()).receive, inputs)
        MeshSocket(one, counts=Counts()).send(two_endpoint, b"sealed")
        assert await arrivals.receive() == DatagramReceived(source=one_endpoint, data=b"sealed")
        nursery.cancel_scope.cancel()


async def test_oversized_datagram_is_counted_and_dropped(nursery: trio.Nursery) -> None:
    (one, _), (two, two_endpoint) = udp_socket(), udp_socket()
    inputs, arrivals = input_channel()
    counts = Counts()
    with one, two:
        nursery.start_soon(MeshSocket(two, counts=counts).receive, inputs)
        sender = MeshSocket(one, counts=Counts())
        sender.send(two_endpoint, bytes(DATAGRAM_BYTES_MAX + 1))
        sender.send(two_endpoint, bytes(DATAGRAM_BYTES_MAX))
        received = await arrivals.receive()
        nursery.cancel_scope.cancel()

    assert isinstance(received, DatagramReceived)
    assert len(received.data) == DATAGRAM_BYTES_MAX
    assert counts[Count.DATAGRAMS_OVERSIZED] == 1


async def test_nobody_listening_and_nowhere_to_go_stop_nothing(nursery: trio.Nursery) -> None:
    (one, one_endpoint), (two, _) = udp_socket(), udp_socket()
    counts = Counts()
    inputs, arrivals = input_channel()
    with one, two:
        mesh = MeshSocket(one, counts=counts)
        nursery.start_soon(mesh.receive, inputs)
        mesh.send(unused_endpoint(), b"to a closed port")
        mesh.send(Endpoint(IPv6Address("::1"), 9), b"to another family")
        mesh.send(Endpoint(IPv4Address("255.255.255.255"), 9), b"to everybody, without the right to")
        mesh.send(Endpoint(HERE, 9), bytes(70_000))
        MeshSocket(two, counts=Counts()).send(one_endpoint, b"still here")
        received = await arrivals.receive()
        nursery.cancel_scope.cancel()

    assert isinstance(received, DatagramReceived)
    assert received.data == b"still here"
    assert counts[Count.DATAGRAMS_UNSENT] == 3


async def test_full_channel_drops_datagrams_and_never_waits(nursery: trio.Nursery) -> None:
    (one, _), (two, two_endpoint) = udp_socket(), udp_socket()
    inputs, _arrivals = input_channel(2)
    counts = Counts()
    with one, two:
        sender = MeshSocket(one, counts=Counts())
        for number in range(10):
            sender.send(two_endpoint, bytes([number]))
        nursery.start_soon(MeshSocket(two, counts=counts).receive, inputs)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert counts[Count.DATAGRAMS_RECEIVED] == 2
    assert counts[Count.DATAGRAMS_UNREAD] == 8


def test_address_that_is_taken_is_a_configuration_error() -> None:
    bound, endpoint = udp_socket()
    with bound, pytest.raises(ConfigurationError, match=str(endpoint)):
        open_udp(endpoint)


@pytest.mark.parametrize("address", [IPv4Address("192.0.2.7"), IPv6Address("2001:db8::7")])
def test_dual_stack_socket_reaches_both_families(address: IPv4Address | IPv6Address) -> None:
    endpoint = Endpoint(address, 7946)
    mapped = socket_address(endpoint, family_of(Endpoint(IPv6Address("::"), 0)))
    assert endpoint_of(mapped) == endpoint
    assert ":" in mapped[0]
