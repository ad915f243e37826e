"""Sockets on this host for tests."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import trio

from gossipsa.daemon.stream_listener import open_listener
from gossipsa.daemon.udp import open_udp
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import Input

HERE = IPv4Address("127.0.0.1")
ANY_PORT = Endpoint(HERE, 0)


def endpoint_of_socket(bound: socket.socket) -> Endpoint:
    return Endpoint(HERE, bound.getsockname()[1])


def udp_socket() -> tuple[socket.socket, Endpoint]:
    bound = open_udp(ANY_PORT)
    return bound, endpoint_of_socket(bound)


def tcp_listener() -> tuple[socket.socket, Endpoint]:
    bound = open_listener(ANY_PORT)
    return bound, endpoint_of_socket(bound)


def unused_endpoint() -> Endpoint:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind((str(HERE), 0))
        return endpoint_of_socket(probe)


def input_channel(
    size: int = 100,
) -> tuple[trio.MemorySendChannel[Input], trio.MemoryReceiveChannel[Input]]:
    return trio.open_memory_channel[Input](size)
