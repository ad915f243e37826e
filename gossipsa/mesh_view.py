"""The mesh as takeover and placement see it: membership, with what gateways say of themselves."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName, Holder, IpAddress
from gossipsa.mesh_message import METADATA_DECODER, PROTOCOL_VERSION, GatewayMetadata
from gossipsa.replication.placement import Candidate
from gossipsa.swim.member import MemberView
from gossipsa.swim.messages import MemberState
from gossipsa.swim.reachability import Way
from gossipsa.swim.swim import Swim
from gossipsa.wire.codec import MessageDecodeError
from gossipsa.wire.keyring import Keyring

_METADATA_MAX = 2_048
"""More than there are members at one time."""
ROUND_TRIP_UNKNOWN_NS = 100_000_000
"""Taken for a gateway whose round-trip time was never measured, and cannot be estimated."""


class MeshView:
    """Answers `takeover.peers.Peers` from a Swim, and places from identities."""

    def __init__(self, swim: Swim, keyring: Keyring) -> None:
        self._swim = swim
        self._keyring = keyring
        self._metadata: dict[GatewayName, tuple[bytes, GatewayMetadata | None]] = {}

    def is_alive(self, name: GatewayName) -> bool:
        member = self._swim.member(name)
        return member is not None and member.state is MemberState.ALIVE

    def takes_clients(self, name: GatewayName) -> bool:
        metadata = self.metadata(name)
        return (
            self.is_alive(name) and metadata is not None and metadata.capacity > 0 and not metadata.draining
        )

    def is_draining(self, name: GatewayName) -> bool:
        """True if it says that it is being emptied."""
        metadata = self.metadata(name)
        return metadata is not None and metadata.draining

    def is_live(self, name: GatewayName) -> bool:
        return self._swim.is_live(name)

    def live(self) -> tuple[GatewayName, ...]:
        return tuple(member.name for member in self._swim.members.values() if member.state.live)

    def round_trip_ns(self, name: GatewayName) -> int:
        member = self._swim.member(name)
        return self._estimate_ns(name) if member is None else self._round_trip_ns(member)

    def ike_addresses(self, name: GatewayName) -> tuple[IpAddress, ...]:
        metadata = self.metadata(name)
        return metadata.ike_addresses if metadata else ()

    def holder(self, name: GatewayName) -> Holder | None:
        member = self._swim.member(name)
        return None if member is None else Holder(name, member.boot)

    def metadata(self, name: GatewayName) -> GatewayMetadata | None:
        """What a gateway says of itself; None if it is unknown or unreadable."""
        member = self._swim.member(name)
        return None if member is None else self._metadata_of(member)

    def live_holders(self) -> frozenset[Holder]:
        return frozenset(
            Holder(member.name, member.boot) for member in self._swim.members.values() if member.state.live
        )

    def candidates(self) -> tuple[Candidate, ...]:
        """Gateways that may keep records.

        Records go over streams. One whose stream is closed is left out, unless the streams of all are: then
        each keeps what it has.
        """
        found: list[Candidate] = []
        out_of_reach: list[Candidate] = []
        for member in self._swim.members.values():
            if not member.state.live:
                continue
            metadata = self._metadata_of(member)
            if metadata is None or metadata.protocol_version != PROTOCOL_VERSION:
                continue
            is_closed = Way.STREAM in member.closed
            (out_of_reach if is_closed else found).append(
                Candidate(
                    holder=Holder(member.name, member.boot),
                    round_trip_ns=self._round_trip_ns(member),
                    site=self._keyring.site_of(member.name),
                    zone=self._keyring.zone_of(member.name),
                    capacity=metadata.capacity,
                    records=metadata.records,
                    draining=metadata.draining,
                    suspected=is_closed or member.state is MemberState.SUSPECT,
                )
            )
        return tuple(found or out_of_reach)

    def _metadata_of(self, member: MemberView) -> GatewayMetadata | None:
        known = self._metadata.get(member.name)
        if known is None or known[0] != member.metadata:
            if len(self._metadata) >= _METADATA_MAX:
                # Names may be without number; those of now are decoded again soon enough.
                self._metadata.clear()
            known = self._metadata[member.name] = (member.metadata, _decode(member.metadata))
        return known[1]

    def _round_trip_ns(self, member: MemberView) -> int:
        return self._estimate_ns(member.name) if member.rtt_ns is None else member.rtt_ns

    def _estimate_ns(self, name: GatewayName) -> int:
        estimate_ns = self._swim.estimate_rtt_ns(self._swim.name, name)
        return ROUND_TRIP_UNKNOWN_NS if estimate_ns is None else estimate_ns


def _decode(metadata: bytes) -> GatewayMetadata | None:
    try:
        return METADATA_DECODER.decode(metadata)
    except MessageDecodeError:
        return None
