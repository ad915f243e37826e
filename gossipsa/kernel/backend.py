"""What gossipsa asks of a kernel: one interface, spoken by XFRM (`xfrm/`) and by the in-memory kernel.

Batches answer per item, in order: None for done, a KernelError for refused. One refusal never stops a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint, IpAddress, Secret
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.ipsec.traffic_selector import TrafficSelector

if TYPE_CHECKING:
    # For the types of channels alone: the in-memory kernel's core, which a simulation runs, needs no trio.
    import trio

UNLIMITED_PACKETS = 2**64 - 1
"""XFRM_INF: no limit."""


class SaId(msgspec.Struct, frozen=True, order=False):
    """What names an ESP SA in a kernel (RFC 4301 section 4.1): SPI and destination."""

    spi: int
    destination: IpAddress


class KernelSa(msgspec.Struct, frozen=True, kw_only=True):
    """An ESP SA as the kernel reports it. No keys: a dump that shows them drops them."""

    id: SaId
    source: IpAddress
    mode: IpsecMode
    esn: bool
    reqid: int
    sent: int
    """oseq, 64-bit."""
    received: int
    """Highest authenticated sequence number, 64-bit."""
    window_bitmap: tuple[int, ...]
    """32-bit words of the replay bitmap: a ring, as `ReplayWindow.from_ring` reads it."""
    packets: int
    """Packets counted against the limit."""
    packet_limit: int
    """Hard packet limit, UNLIMITED_PACKETS if none."""


class SetNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Sets sequence numbers of an SA. Fields that are None keep the kernel's value.

    Numbers only go up. A `sent` below the kernel's is refused with EINVAL, and so is a change without `sent`
    of an SA that has sent packets. `received` and `window_bitmap` add to what the kernel has seen.
    """

    id: SaId
    sent: int | None = None
    """oseq; the packet counter is set to the same number, so that the packet limit is an absolute fence.

    Of an SA that is sending right now, take it well above the number last listed: packets that leave while
    the change is under way would have their numbers used again.
    """
    received: int | None = None
    window_bitmap: tuple[int, ...] | None = None
    """As in KernelSa, from a window of the same size. None, or of another size: with `received` set, all
    numbers up to `received` count as seen."""


class SetPacketLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Sets packet limits of an outbound SA; time and byte limits stay as they are."""

    id: SaId
    soft: int
    hard: int
    """Numbers of packets; the packet after `hard` is never sent and the SA is gone."""


class NewSa(msgspec.Struct, frozen=True, kw_only=True):
    """An ESP SA to install, for gateways without an IKE daemon that does it."""

    id: SaId
    source: IpAddress
    mode: IpsecMode
    encryption: int
    integrity: int | None
    encryption_key: Secret
    """With its salt, for AEAD ciphers."""
    integrity_key: Secret
    esn: bool
    sent: int = 0
    received: int = 0
    packet_limit: int = UNLIMITED_PACKETS
    encapsulation: tuple[int, int] | None = None
    """UDP source and destination port (RFC 3948), None for plain ESP."""
    destinations: tuple[TrafficSelector, ...] = ()
    """What an outbound SA carries. Only the in-memory kernel makes policies of it; XFRM leaves policies to
    whoever configured them."""
    reverse: SaId | None = None
    """SA of the other direction of the same CHILD_SA, by which the in-memory kernel answers."""


class OutboundBlock(msgspec.Struct, frozen=True):
    """Drops everything that would be sent from `sources` to `destinations` by tunnel or transport mode.

    Addresses count, protocols and ports do not. Name the sources where `destinations` are wide: a block
    towards 0.0.0.0/0 from anywhere silences the gateway itself.
    """

    destinations: tuple[TrafficSelector, ...]
    sources: tuple[TrafficSelector, ...] = ()
    """Empty: from anywhere."""


class ClientRoute(msgspec.Struct, frozen=True):
    """A host route for a client's virtual address, by way of the gateway's next hop to its outer address."""

    virtual_address: IpAddress
    towards: IpAddress


class PacketLimitReached(msgspec.Struct, frozen=True):
    """The kernel's EXPIRE event for a packet limit."""

    id: SaId
    hard: bool


Answer = KernelError | None


class Kernel(Protocol):
    """A kernel's SAD, SPD and routes. Methods may be called from one task at a time."""

    async def sas(self) -> tuple[KernelSa, ...]:
        """All ESP SAs. Raises KernelError."""

    async def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]: ...

    async def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]: ...

    async def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]: ...

    async def delete_sas(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        """Deletes SAs; one that is gone already counts as done."""

    async def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        """Blocks come before the IKE daemon's own policies; one that exists counts as done."""

    async def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        """A block that is gone already counts as done."""

    async def delete_outbound_policies(self, destinations: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        """Deletes the policies of an IKE daemon that died, towards these destinations (all directions)."""

    async def add_routes(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        """Adds or replaces host routes under gossipsa's routing protocol number."""

    async def delete_routes(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]: ...

    async def routes(self) -> tuple[IpAddress, ...]:
        """Virtual addresses that have a route under gossipsa's routing protocol number."""

    def limit_events(self) -> trio.MemoryReceiveChannel[PacketLimitReached]: ...

    async def send_ike(self, *, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Sends an IKE message from the gateway's IKE port, which the IKE daemon owns.

        The non-ESP marker of port 4500 (RFC 3948 section 2.2) is put in front by this method.
        Raises KernelError.
        """

    def ike_messages(self) -> trio.MemoryReceiveChannel[IkeDatagram]:
        """Copies of IKE messages that arrive at the gateway's IKE ports."""


class IkeDatagram(msgspec.Struct, frozen=True):
    """An IKE message without its non-ESP marker."""

    source: Endpoint
    destination: Endpoint
    data: bytes
