"""Host routes for clients' virtual addresses, under a routing protocol number of our own.

A routing daemon on the gateway finds them by that number and announces them.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pyroute2.netlink.rtnl.rtmsg import rtmsg

from gossipsa.errors import KernelError
from gossipsa.identifiers import IpAddress
from gossipsa.kernel.backend import Answer, ClientRoute
from gossipsa.kernel.xfrm.netlink import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    NetlinkFormatError,
    Refusal,
    split_attributes,
)
from gossipsa.kernel.xfrm.pacing import paced
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.uapi import family_of

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_TABLE = 15

_RTN_UNICAST = 1
_SCOPE_UNIVERSE = 0
_SCOPE_LINK = 253
_TABLE_IN_ATTRIBUTE = 252  # RT_TABLE_COMPAT: the number does not fit the header
_RTMSG = struct.Struct("=8BI")


class NextHop(NamedTuple):
    """Where the kernel sends packets for an address."""

    interface_index: int
    gateway: IpAddress | None
    """None if the address is on the link."""


class Routes:
    """Works on one routing table by way of a request socket.

    Args:
        protocol: routing protocol number that marks our routes (rtm_protocol).
        table: routing table.
        metric: of our routes. One that nobody else uses, since a route of the same destination and metric is
            replaced whoever made it.
    """

    def __init__(self, requests: RequestSocket, *, protocol: int, table: int, metric: int) -> None:
        self._requests = requests
        self._protocol = protocol
        self._table = table
        self._metric = metric

    async def add(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        answers: list[Answer] = [None] * len(routes)
        outer = list(dict.fromkeys(route.towards for route in routes))
        found = await self._requests.ask([encode_lookup(address) for address in outer], decode_next_hop)
        next_hops = dict(zip(outer, found, strict=True))
        messages: list[tuple[int, bytearray]] = []
        async for index, route in paced(enumerate(routes)):
            next_hop = next_hops[route.towards]
            if isinstance(next_hop, Refusal):
                answers[index] = next_hop.to_error(f"no route to {route.towards}")
            else:
                messages.append((index, self._encode(RTM_NEWROUTE, route.virtual_address, next_hop)))
        refusals = await self._requests.execute([message for _, message in messages])
        for (index, _), refusal in zip(messages, refusals, strict=True):
            if refusal is not None:
                answers[index] = refusal.to_error(f"add route for {routes[index].virtual_address}")
        return tuple(answers)

    async def delete(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]:
        messages = [self._encode(RTM_DELROUTE, address, None) async for address in paced(addresses)]
        refusals = await self._requests.execute(messages)
        return tuple(
            None
            if refusal is None or refusal.errno == errno.ESRCH
            else refusal.to_error(f"delete route for {address}")
            for address, refusal in zip(addresses, refusals, strict=True)
        )

    async def dump(self) -> tuple[IpAddress, ...]:
        """Addresses that have one of our routes. Raises KernelError."""

        def decode(buffer: memoryview, start: int, end: int) -> IpAddress | None:
            return decode_host_route(buffer, start, end, protocol=self._protocol, table=self._table)

        found: list[IpAddress] = []
        for family in (AF_INET, AF_INET6):
            request = _encode(
                RTM_GETROUTE, {"family": family, "proto": self._protocol}, [("RTA_TABLE", self._table)]
            )
            try:
                found += await self._requests.dump(request, decode, what="cannot list routes")
            except KernelError as error:
                # Strict dumps answer so for a table that has never been used, or no IPv6 at all.
                if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
                    raise
        return tuple(found)

    def _encode(self, message_type: int, address: IpAddress, next_hop: NextHop | None) -> bytearray:
        header: dict[str, Any] = {
            "family": family_of(address),
            "dst_len": address.max_prefixlen,
            "proto": self._protocol,
            "type": _RTN_UNICAST,
        }
        attributes: list[tuple[str, Any]] = [
            ("RTA_DST", str(address)),
            ("RTA_TABLE", self._table),
            ("RTA_PRIORITY", self._metric),
        ]
        if next_hop is None:
            header["scope"] = 255  # RT_SCOPE_NOWHERE: of any scope
            return _encode(message_type, header, attributes)
        attributes.append(("RTA_OIF", next_hop.interface_index))
        # A route of the other address family gets no gateway: XFRM replaces what follows from it anyway.
        gateway = next_hop.gateway
        if gateway is not None and gateway.version == address.version:
            attributes.append(("RTA_GATEWAY", str(gateway)))
            header["scope"] = _SCOPE_UNIVERSE
        else:
            header["scope"] = _SCOPE_LINK if address.version == 4 else _SCOPE_UNIVERSE
        return _encode(message_type, header, attributes, flags=NLM_F_CREATE | NLM_F_REPLACE)


def _encode(
    message_type: int, header: dict[str, Any], attributes: list[tuple[str, Any]], *, flags: int = 0
) -> bytearray:
    message = rtmsg()
    message["header"]["type"] = message_type
    message["header"]["flags"] = flags | NLM_F_REQUEST
    message.update(header)
    message["attrs"] = attributes
    message.encode()
    data: bytearray = message.data
    return data


def encode_lookup(address: IpAddress) -> bytearray:
    """RTM_GETROUTE: which way do packets for `address` go?"""
    header = {"family": family_of(address), "dst_len": address.max_prefixlen}
    return _encode(RTM_GETROUTE, header, [("RTA_DST", str(address))])


def decode_next_hop(buffer: bytes | bytearray | memoryview, start: int, end: int) -> NextHop:
    """Decode the answer to a lookup.

    Raises:
        NetlinkFormatError: truncated or malformed.
    """
    _, attributes = _decode_route(buffer, start, end)
    try:
        gateway = attributes.get(_RTA_GATEWAY)
        (interface_index,) = struct.unpack("=I", attributes.get(_RTA_OIF, bytes(4)))
        return NextHop(interface_index, None if gateway is None else _address(gateway))
    except struct.error as error:
        raise NetlinkFormatError("attribute of a route has a wrong length") from error


def decode_host_route(
    buffer: bytes | bytearray | memoryview, start: int, end: int, *, protocol: int, table: int
) -> IpAddress | None:
    """Decode a route of a dump. None if it is not a host route of this protocol and table.

    Raises:
        NetlinkFormatError: truncated or malformed.
    """
    header, attributes = _decode_route(buffer, start, end)
    _, prefix_bits, _, _, header_table, route_protocol, _, _, _ = header
    destination = attributes.get(_RTA_DST)
    if destination is None or route_protocol != protocol:
        return None
    try:
        (route_table,) = struct.unpack("=I", attributes.get(_RTA_TABLE, struct.pack("=I", header_table)))
    except struct.error as error:
        raise NetlinkFormatError("attribute of a route has a wrong length") from error
    address = _address(destination)
    return address if route_table == table and prefix_bits == address.max_prefixlen else None


def _decode_route(
    buffer: bytes | bytearray | memoryview, start: int, end: int
) -> tuple[tuple[int, ...], dict[int, bytes]]:
    if end - start < _RTMSG.size:
        raise NetlinkFormatError("route is truncated")
    attributes = {
        kind: bytes(buffer[value:value_end])
        for kind, value, value_end in split_attributes(buffer, start + _RTMSG.size, end)
    }
    return _RTMSG.unpack_from(buffer, start), attributes


def _address(packed: bytes) -> IpAddress:
    if len(packed) == 4:
        return IPv4Address(packed)
    if len(packed) == 16:
        return IPv6Address(packed)
    raise NetlinkFormatError("address of a route has a wrong length")
