"""A kernel's IPsec in memory: SAs, policies, blocks and routes, with Linux's answers and Linux's counting.

Pure: no clock, no sockets, randomness as an argument. What it keeps of Linux (net/xfrm) is all that the rest
of gossipsa relies on:

- An SA is named by SPI and destination; adding one that exists is refused with EEXIST.
- The hard packet limit is checked before a packet is counted: with the counter at the limit the packet is
  dropped, the SA is gone and one hard event comes. With the counter set to the sequence number, the limit
  fences the sequence number.
- The soft limit gives one event; setting limits anew arms it again.
- A sequence number never wraps: the packets after the last one are dropped, the SA stays.
- A block comes before everything else on the way out.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, TypeVar

import msgspec

from gossipsa.errors import KernelError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.ipsec.cipher_suite import CipherInputError, UnsupportedTransformError
from gossipsa.ipsec.esp import EspKeys, EspPacketError, open_esp, peek_esp, seal_esp
from gossipsa.ipsec.replay_window import ReplayVerdict, ReplayWindow
from gossipsa.ipsec.traffic_selector import Network
from gossipsa.ipsec.transforms import EncryptionTransform
from gossipsa.kernel.backend import (
    UNLIMITED_PACKETS,
    Answer,
    ClientRoute,
    KernelSa,
    NewSa,
    OutboundBlock,
    PacketLimitReached,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from gossipsa.kernel.covering_network import covering_network
from gossipsa.kernel.number_setting import check_numbers, merge_window, sequence_max

T = TypeVar("T")

NO_NEXT_HEADER = 59
"""Next header of payloads that are no IP packets (RFC 8200 section 4.7)."""

_LIMIT_EVENTS_MAX = 1 << 16


class Operation(Enum):
    """What can be refused on purpose."""

    SET_NUMBERS = "set numbers"
    SET_PACKET_LIMITS = "set packet limits"
    ADD_SAS = "add SA"
    DELETE_SAS = "delete SA"
    BLOCK_OUTBOUND = "block"
    UNBLOCK_OUTBOUND = "unblock"
    DELETE_OUTBOUND_POLICIES = "delete policies"
    ADD_ROUTES = "add route"
    DELETE_ROUTES = "delete route"


class InboundDrop(Enum):
    """Why a packet that arrived was dropped; names as in /proc/net/xfrm_stat."""

    HEADER_ERROR = "InHdrError"
    NO_STATE = "InNoStates"
    PROTOCOL_ERROR = "InStateProtoError"
    """It does not authenticate."""
    SEQUENCE_ERROR = "InStateSeqError"
    """A replay, or too old."""
    EXPIRED = "InStateExpired"


class Sealed(NamedTuple):
    """A packet to send: ESP in UDP, without the UDP header."""

    destination: Endpoint
    packet: bytes


class Opened(NamedTuple):
    """A packet that arrived, authenticated."""

    id: SaId
    sequence: int
    next_header: int
    payload: bytes


class _Sa(msgspec.Struct, kw_only=True):
    new: NewSa
    keys: EspKeys
    endpoint: Endpoint
    sent: int
    window: ReplayWindow
    packets: int
    hard: int
    soft: int = UNLIMITED_PACKETS
    is_dying: bool = False
    is_used: bool = False

    def to_kernel_sa(self) -> KernelSa:
        return KernelSa(
            id=self.new.id,
            source=self.new.source,
            mode=self.new.mode,
            esn=self.new.esn,
            reqid=0,
            sent=self.sent,
            received=self.window.top_sequence,
            window_bitmap=self.window.to_ring(),
            packets=self.packets,
            packet_limit=self.hard,
        )


class MemorySad:
    """SAD, SPD and routes of one gateway.

    Args:
        random_bytes: gives so many unpredictable bytes, for the IVs of CBC ciphers. Counter modes take the
            sequence number.
        window_packets: size of replay windows.
    """

    def __init__(self, *, random_bytes: Callable[[int], bytes], window_packets: int = 64) -> None:
        self._random_bytes = random_bytes
        self._window_packets = window_packets
        self._sas: dict[SaId, _Sa] = {}
        self._policies: dict[Network, list[SaId]] = {}
        self._blocked: dict[Network, None] = {}
        self._routes: dict[IpAddress, IpAddress] = {}
        self._limit_events: deque[PacketLimitReached] = deque(maxlen=_LIMIT_EVENTS_MAX)
        self._refusals: dict[Operation, deque[int]] = {operation: deque() for operation in Operation}

    # What `Kernel` asks for.

    def sas(self) -> tuple[KernelSa, ...]:
        return tuple(sa.to_kernel_sa() for sa in self._sas.values())

    def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]:
        return self._each(Operation.SET_NUMBERS, changes, self._set_numbers)

    def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]:
        return self._each(Operation.SET_PACKET_LIMITS, changes, self._set_packet_limit)

    def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        return self._each(Operation.ADD_SAS, sas, self._add)

    def delete_sas(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        return self._each(Operation.DELETE_SAS, ids, self._delete)

    def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return self._each(Operation.BLOCK_OUTBOUND, blocks, self._block)

    def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return self._each(Operation.UNBLOCK_OUTBOUND, blocks, self._unblock)

    def delete_outbound_policies(self, destinations: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        return self._each(Operation.DELETE_OUTBOUND_POLICIES, destinations, self._delete_policies)

    def add_routes(self, routes: Sequence[ClientRoute]) -> tuple[Answer, ...]:
        return self._each(Operation.ADD_ROUTES, routes, self._add_route)

    def delete_routes(self, addresses: Sequence[IpAddress]) -> tuple[Answer, ...]:
        return self._each(Operation.DELETE_ROUTES, addresses, self._delete_route)

    def routes(self) -> tuple[IpAddress, ...]:
        return tuple(self._routes)

    def take_limit_events(self) -> tuple[PacketLimitReached, ...]:
        """Return the events since the last call, oldest first; the newest 65,536 of them."""
        events = tuple(self._limit_events)
        self._limit_events.clear()
        return events

    # Traffic.

    def seal_outbound(
        self, to: IpAddress | SaId, payload: bytes, *, next_header: int = NO_NEXT_HEADER
    ) -> Sealed | None:
        """Encrypt a packet.

        Args:
            to: an address, for which the newest SA whose destinations hold it is taken; or an SA.

        Returns:
            None if it is dropped: blocked, no such SA, limit reached, or sequence numbers used up.
        """
        sa = self._sas.get(to) if isinstance(to, SaId) else self._sa_towards(to)
        if sa is None or self._is_blocked(sa, None if isinstance(to, SaId) else to):
            return None
        if not self._may_count(sa) or sa.sent >= sequence_max(esn=sa.new.esn):
            return None
        sa.packets += 1
        sa.sent += 1
        packet = seal_esp(
            spi=sa.new.id.spi,
            sequence_low=sa.sent & 0xFFFFFFFF,
            sequence_high=sa.sent >> 32 if sa.new.esn else None,
            keys=sa.keys,
            payload=payload,
            next_header=next_header,
            iv=self._iv(sa),
        )
        return Sealed(sa.endpoint, packet)

    def open_inbound(
        self, packet: bytes, *, destination: IpAddress, source: Endpoint | None = None
    ) -> Opened | InboundDrop:
        """Decrypt a packet that arrived.

        Args:
            packet: from the SPI on.
            destination: our address that it was sent to.
            source: where it came from. The SA of the other direction sends there from now on, if the packet
                is authentic and the newest so far (RFC 7296 section 2.23).
        """
        try:
            header = peek_esp(packet)
        except EspPacketError:
            return InboundDrop.HEADER_ERROR
        sa = self._sas.get(SaId(header.spi, destination))
        if sa is None:
            return InboundDrop.NO_STATE
        if not self._may_count(sa):
            return InboundDrop.EXPIRED
        sequence = sa.window.infer_sequence(header.sequence_low)
        if sequence is None or sa.window.check(sequence) is not ReplayVerdict.FRESH:
            return InboundDrop.SEQUENCE_ERROR
        try:
            opened = open_esp(packet, sa.keys, sequence_high=sequence >> 32 if sa.new.esn else None)
        except EspPacketError:
            return InboundDrop.PROTOCOL_ERROR
        is_newest = sequence > sa.window.top_sequence
        sa.window = sa.window.accept(sequence)
        sa.packets += 1
        reverse = self.reverse_of(sa.new.id)
        if source is not None and is_newest and reverse is not None:
            self._sas[reverse].endpoint = source
        return Opened(sa.new.id, sequence, opened.next_header, opened.payload)

    def reverse_of(self, sa_id: SaId) -> SaId | None:
        """Return the SA of the other direction, if it is there."""
        sa = self._sas.get(sa_id)
        reverse = sa.new.reverse if sa else None
        return reverse if reverse in self._sas else None

    # Faults.

    def refuse_next(self, operation: Operation, code: int, *, items: int = 1) -> None:
        """Let the next items of an operation fail with this errno, without effect."""
        self._refusals[operation].extend([code] * items)

    # One item each. Raise KernelError.

    def _each(
        self, operation: Operation, items: Sequence[T], execute: Callable[[T], None]
    ) -> tuple[Answer, ...]:
        answers: list[Answer] = []
        for item in items:
            try:
                if self._refusals[operation]:
                    raise KernelError("refused on purpose", errno=self._refusals[operation].popleft())
                execute(item)
                answers.append(None)
            except KernelError as error:
                answers.append(KernelError(f"{operation.value}: {error}", errno=error.errno))
        return tuple(answers)

    def _find(self, sa_id: SaId) -> _Sa:
        sa = self._sas.get(sa_id)
        if sa is None:
            raise KernelError(f"no SA {sa_id.spi:08x} to {sa_id.destination}", errno=errno.ESRCH)
        return sa

    def _add(self, new: NewSa) -> None:
        if new.id in self._sas:
            raise KernelError(
                f"SA {new.id.spi:08x} to {new.id.destination} exists already", errno=errno.EEXIST
            )
        keys = EspKeys(
            encryption=new.encryption,
            integrity=new.integrity,
            encryption_key=new.encryption_key,
            integrity_key=new.integrity_key,
        )
        try:
            if len(new.integrity_key) != keys.suite.integrity_key_bytes:
                raise CipherInputError("integrity key has a wrong length")
        except UnsupportedTransformError as error:
            raise KernelError(str(error), errno=errno.EOPNOTSUPP) from error
        except CipherInputError as error:
            raise KernelError(str(error), errno=errno.EINVAL) from error
        blank = ReplayWindow(window_packets=self._window_packets, extended=new.esn)
        check_numbers(SetNumbers(id=new.id, sent=new.sent, received=new.received), kernel_sent=0, esn=new.esn)
        self._sas[new.id] = _Sa(
            new=new,
            keys=keys,
            endpoint=Endpoint(new.id.destination, new.encapsulation[1] if new.encapsulation else 4500),
            sent=new.sent,
            window=merge_window(blank, new.received, None),
            packets=new.sent,
            hard=new.packet_limit,
        )
        for selector in new.destinations:
            self._policies.setdefault(covering_network(selector), []).append(new.id)

    def _set_numbers(self, change: SetNumbers) -> None:
        sa = self._find(change.id)
        check_numbers(change, kernel_sent=sa.sent, esn=sa.new.esn)
        if change.sent is not None:
            sa.sent = sa.packets = change.sent
        if change.received is not None:
            sa.window = merge_window(sa.window, change.received, change.window_bitmap)

    def _set_packet_limit(self, change: SetPacketLimit) -> None:
        sa = self._find(change.id)
        sa.soft, sa.hard, sa.is_dying = change.soft, change.hard, False
        if sa.is_used:
            self._may_count(sa)

    def _delete(self, sa_id: SaId) -> None:
        if self._sas.pop(sa_id, None) is None:
            return
        for network, carriers in list(self._policies.items()):
            if sa_id in carriers:
                carriers.remove(sa_id)
                if not carriers:
                    del self._policies[network]

    def _block(self, block: OutboundBlock) -> None:
        self._blocked.update(dict.fromkeys(map(covering_network, block.destinations)))

    def _unblock(self, block: OutboundBlock) -> None:
        for network in map(covering_network, block.destinations):
            self._blocked.pop(network, None)

    def _delete_policies(self, towards: OutboundBlock) -> None:
        for network in map(covering_network, towards.destinations):
            self._policies.pop(network, None)

    def _add_route(self, route: ClientRoute) -> None:
        self._routes[route.virtual_address] = route.towards

    def _delete_route(self, address: IpAddress) -> None:
        self._routes.pop(address, None)

    # As net/xfrm does it.

    def _may_count(self, sa: _Sa) -> bool:
        """xfrm_state_check_expire(): False if the hard limit is reached, and the SA is gone then."""
        sa.is_used = True
        if sa.packets >= sa.hard:
            self._delete(sa.new.id)
            self._limit_events.append(PacketLimitReached(sa.new.id, hard=True))
            return False
        if not sa.is_dying and sa.packets >= sa.soft:
            sa.is_dying = True
            self._limit_events.append(PacketLimitReached(sa.new.id, hard=False))
        return True

    def _sa_towards(self, address: IpAddress) -> _Sa | None:
        matching = [network for network in self._policies if address in network]
        if not matching:
            return None
        # As charon's priorities have it: the narrowest selector first.
        narrowest = max(matching, key=lambda network: network.prefixlen)
        return self._sas[self._policies[narrowest][-1]]

    def _is_blocked(self, sa: _Sa, address: IpAddress | None) -> bool:
        if address is not None:
            return any(address in network for network in self._blocked)
        carried = [covering_network(selector) for selector in sa.new.destinations]
        return any(
            blocked.version == network.version and blocked.overlaps(network)
            for blocked in self._blocked
            for network in carried
        )

    def _iv(self, sa: _Sa) -> bytes:
        iv_bytes = sa.keys.suite.iv_bytes
        if sa.new.encryption == EncryptionTransform.AES_CBC:
            return self._random_bytes(iv_bytes)
        # RFC 4106 section 3.1: any IV that is used once. Whoever shares the key has other numbers.
        return sa.sent.to_bytes(iv_bytes, "big")
