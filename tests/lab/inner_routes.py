"""The inner network's side of a takeover: the server learns which gateway serves a virtual address.

Gossipsa puts a host route under its own routing protocol number into the kernel of the gateway that
serves a client; a routing daemon of the site would announce it. Here one thread stands in for that:
it listens to every gateway's routing events and moves the server's host route.
"""

import dataclasses
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence

from tests.lab import topology
from tests.lab.namespaces import socket_in

GOSSIPSA_ROUTE_PROTOCOL = 118

_RTM_NEWROUTE = 24
_RTMGRP_IPV4_ROUTE = 0x40
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NLMSG = struct.Struct("=IHHII")
# linux/rtnetlink.h, struct rtmsg: family, destination and source bits, tos, table, protocol, scope, type,
# flags.
_RTMSG = struct.Struct("=8BI")
_REQUEST_CREATE_REPLACE = 0x1 | 0x400 | 0x100
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST = 254, 4, 0, 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RouteMove:
    """The server's route to a virtual address was pointed at a gateway.

    Attributes:
        wall_ns: when, in nanoseconds of the wall clock, as packet captures count.
        address: the virtual address.
        gateway: name of the gateway.
    """

    wall_ns: int
    address: str
    gateway: str


class InnerRoutes:
    """Follows the gateways' routes until closed. `moves` grows while it runs."""

    def __init__(self, gateways: Sequence[topology.Gateway]) -> None:
        self.moves: list[RouteMove] = []
        self._gateway_of = {
            socket_in(gateway.name, lambda: _route_socket(_RTMGRP_IPV4_ROUTE)): gateway
            for gateway in gateways
        }
        self._server = socket_in(topology.SERVER, lambda: _route_socket(0))
        self._index_of = {
            gateway.name: _interface_index(topology.SERVER, topology.towards(gateway.name))
            for gateway in gateways
        }
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for route_socket in (*self._gateway_of, self._server):
            route_socket.close()

    def _follow(self) -> None:
        while not self._closing.is_set():
            ready, _, _ = select.select(list(self._gateway_of), [], [], 0.1)
            for route_socket in ready:
                for address in _host_routes(route_socket.recv(65536)):
                    self._move(address, self._gateway_of[route_socket])

    def _move(self, address: bytes, gateway: topology.Gateway) -> None:
        attributes = (
            _attribute(_RTA_DST, address)
            + _attribute(_RTA_GATEWAY, socket.inet_aton(gateway.inner_address))
            + _attribute(_RTA_OIF, struct.pack("=I", self._index_of[gateway.name]))
            + _attribute(_RTA_PREFSRC, socket.inet_aton(topology.SERVER_ADDRESS))
        )
        route = _RTMSG.pack(
            socket.AF_INET, 32, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST, 0
        )
        body = route + attributes
        self._server.send(
            _NLMSG.pack(_NLMSG.size + len(body), _RTM_NEWROUTE, _REQUEST_CREATE_REPLACE, 0, 0) + body
        )
        self.moves.append(
            RouteMove(wall_ns=time.time_ns(), address=socket.inet_ntoa(address), gateway=gateway.name)
        )


def _route_socket(groups: int) -> socket.socket:
    route_socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    route_socket.bind((0, groups))
    return route_socket


def _interface_index(namespace: str, name: str) -> int:
    return int(topology.in_namespace(namespace, ["cat", f"/sys/class/net/{name}/ifindex"]))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data


def _host_routes(events: bytes) -> list[bytes]:
    """Return the destinations of gossipsa's new IPv4 host routes in a batch of netlink messages."""
    found = []
    at = 0
    while at + _NLMSG.size <= len(events):
        length, kind, _, _, _ = _NLMSG.unpack_from(events, at)
        if kind == _RTM_NEWROUTE:
            family, bits, _, _, _, protocol, _, _, _ = _RTMSG.unpack_from(events, at + _NLMSG.size)
            if family == socket.AF_INET and bits == 32 and protocol == GOSSIPSA_ROUTE_PROTOCOL:
                found.append(_destination(events[at + _NLMSG.size + _RTMSG.size : at + length]))
        at += (length + 3) & ~3
    return found


def _destination(attributes: bytes) -> bytes:
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if kind == _RTA_DST:
            return attributes[at + 4 : at + length]
        at += (length + 3) & ~3
    raise ValueError("a host route has a destination")
