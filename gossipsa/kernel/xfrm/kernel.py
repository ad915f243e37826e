"""The running kernel as gossipsa's `Kernel`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.ipsec.replay_window import WINDOW_PACKETS_MAX
from gossipsa.kernel.backend import (
    Answer,
    ClientRoute,
    IkeDatagram,
    KernelSa,
    NewSa,
    OutboundBlock,
    PacketLimitReached,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from gossipsa.kernel.xfrm.counters import XfrmCounters
from gossipsa.kernel.xfrm.expiry import ExpiryMonitor
from gossipsa.kernel.xfrm.ike_sockets import IkeSockets
from gossipsa.kernel.xfrm.netlink import NETLINK_ROUTE, NETLINK_XFRM
from gossipsa.kernel.xfrm.policies import Policies
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.routes import Routes
from gossipsa.kernel.xfrm.security_associations import SecurityAssociations


@dataclass(frozen=True, slots=True, kw_only=True)
class XfrmSettings:
    """How gossipsa works on the running kernel.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    routing_protocol: int = 118
    """Protocol number of our routes, 1 to 255 (rtm_protocol). Nobody else on the host may use it."""
    routing_table: int = 254
    """Table of our routes; 254 is the main one."""
    route_metric: int = 118
    """Metric of our routes. A route of the same destination and metric is replaced, whoever made it."""
    block_priority: int = 0
    """Priority of block policies: below every priority that the IKE daemon uses; charon's begin at 1."""
    interface_ids: tuple[int, ...] = (0,)
    """XFRM interface ids that blocks hold for; name every `if_id_out` of the IKE daemon's configuration."""
    replay_window_packets: int = 64
    """Window of SAs that gossipsa installs itself, 1 to 4096. The IKE daemon's SAs keep theirs."""
    answer_timeout_s: float = 5.0
    """How long the kernel may take for a batch of requests; loading a cipher takes it some seconds."""
    event_buffer_bytes: int = 8 * 1024 * 1024
    """Receive buffer for events: room for some thousand."""
    limit_events_max: int = 4096
    """Limit events that wait for their reader."""
    ike_messages_max: int = 1024
    """IKE messages that wait for their reader."""
    ike_port: int = 500
    ike_nat_port: int = 4500
    """The IKE daemon's ports."""

    def __post_init__(self) -> None:
        ranges = {
            "routing_protocol": (1, 255),
            "routing_table": (1, 2**32 - 1),
            "route_metric": (0, 2**32 - 1),
            "block_priority": (0, 2**32 - 1),
            "replay_window_packets": (1, WINDOW_PACKETS_MAX),
            "limit_events_max": (1, 2**20),
            "ike_messages_max": (1, 2**20),
            "ike_port": (1, 65535),
            "ike_nat_port": (1, 65535),
        }
        for name, (lowest, highest) in ranges.items():
            if not lowest <= getattr(self, name) <= highest:
                raise ConfigurationError(f"{name} must be {lowest} to {highest}")
        if not self.interface_ids:
            raise ConfigurationError("interface_ids must not be empty")
        if self.answer_timeout_s <= 0:
            raise ConfigurationError("answer_timeout_s must be above zero")


class XfrmKernel:
    """Implements `gossipsa.kernel.backend.Kernel`; get it from `open_xfrm_kernel`.

    Attributes:
        counters: what could not be passed on.
    """

    def __init__(
        self,
        settings: XfrmSettings,
        *,
        xfrm: RequestSocket,
        route: RequestSocket,
        associations: SecurityAssociations,
        ike: IkeSockets,
        limits: trio.MemoryReceiveChannel[PacketLimitReached],
        ike_messages: trio.MemoryReceiveChannel[IkeDatagram],
        counters: XfrmCounters,
    ) -> None:
        self.counters = counters
        self._associations = associations
        self._policies = Policies(
            xfrm, priority=settings.block_priority, interface_ids=settings.interface_ids
        )
        self._routes = Routes(
            route,
            protocol=settings.routing_protocol,
            table=settings.routing_table,
            metric=settings.route_metric,
        )
        self._ike = ike
        self._limits = limits
        self._ike_messages = ike_messages

    async def sas(self) -> tuple[KernelSa, ...]:
        return await self._associations.dump()

    async def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]:
        return await self._associations.set_numbers(changes)

    async def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]:
        return await self._associations.set_packet_limits(changes)

    async def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        return await self._associations.add(sas)

    async def delete_sas(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        return await self._associations.delete(ids)

    async def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._policies.block(blocks)

    async def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._policies.unblock(blocks)

    async def delete_outbound_policies(self, destinations: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return await self._policies.delete_others(destinations)

    async def add_routes(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        return await self._routes.add(routes)

    async def delete_routes(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]:
        return await self._routes.delete(addresses)

    async def routes(self) -> tuple[IpAddress, ...]:
        return await self._routes.dump()

    def limit_events(self) -> trio.MemoryReceiveChannel[PacketLimitReached]:
        return self._limits

    async def send_ike(self, *, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        await self._ike.send(source=source, destination=destination, data=data)

    def ike_messages(self) -> trio.MemoryReceiveChannel[IkeDatagram]:
        return self._ike_messages


@asynccontextmanager
async def open_xfrm_kernel(settings: XfrmSettings) -> AsyncIterator[XfrmKernel]:
    """Open the sockets to the kernel, and follow its events while the block runs.

    Raises:
        KernelError: no XFRM in this kernel, or a capability is missing (CAP_NET_ADMIN, CAP_NET_RAW).
    """
    counters = XfrmCounters()
    send_limit, limits = trio.open_memory_channel[PacketLimitReached](settings.limit_events_max)
    send_ike, ike_messages = trio.open_memory_channel[IkeDatagram](settings.ike_messages_max)
    with (
        RequestSocket(NETLINK_XFRM, timeout_s=settings.answer_timeout_s) as xfrm,
        RequestSocket(NETLINK_ROUTE, timeout_s=settings.answer_timeout_s) as route,
    ):
        associations = SecurityAssociations(xfrm, window_packets=settings.replay_window_packets)
        with (
            ExpiryMonitor(
                associations, send_limit, counters, buffer_bytes=settings.event_buffer_bytes
            ) as monitor,
            IkeSockets(send_ike, counters, ike_port=settings.ike_port, nat_port=settings.ike_nat_port) as ike,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(monitor.run)
                nursery.start_soon(ike.run)
                yield XfrmKernel(
                    settings,
                    xfrm=xfrm,
                    route=route,
                    associations=associations,
                    ike=ike,
                    limits=limits,
                    ike_messages=ike_messages,
                    counters=counters,
                )
                nursery.cancel_scope.cancel()
