"""What the membership protocol wants done, and what it has to tell."""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import SwimPacket
from gossipsa.swim.reachability import Way


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Seal this packet and send it."""

    to: GatewayName
    packet: SwimPacket
    bulk: bool = False
    """True if it needs a stream: it exceeds `encoded_bytes_max`, or tries the stream. It may get lost."""


class MemberJoined(msgspec.Struct, frozen=True, kw_only=True):
    """A member is alive that was unknown, failed or gone."""

    name: GatewayName
    boot: BootId


class MemberSuspected(msgspec.Struct, frozen=True, kw_only=True):
    """Told at the first suspicion, and again when another witness joins it."""

    name: GatewayName
    boot: BootId
    witnesses: int
    """Members known to suspect it, each first hand."""


class MemberRefuted(msgspec.Struct, frozen=True, kw_only=True):
    """A suspect has shown that it is alive."""

    name: GatewayName
    boot: BootId


class MemberFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict: this boot is taken for dead. It comes back with MemberJoined if that was wrong."""

    name: GatewayName
    boot: BootId


class MemberLeft(msgspec.Struct, frozen=True, kw_only=True):
    """The member said goodbye."""

    name: GatewayName
    boot: BootId


class MemberRestarted(msgspec.Struct, frozen=True, kw_only=True):
    """A new boot of a known member: the old one is dead for certain.

    Comes before any other event about the new boot.
    """

    name: GatewayName
    old_boot: BootId
    new_boot: BootId


class MetadataChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A live member now says something else of itself, or moved to another endpoint."""

    name: GatewayName
    boot: BootId
    metadata: bytes


class MemberHalfDead(msgspec.Struct, frozen=True, kw_only=True):
    """A member is alive, and some ways to it are closed; told again when others are."""

    name: GatewayName
    boot: BootId
    closed: tuple[Way, ...]
    """At least one."""


class MemberWhole(msgspec.Struct, frozen=True, kw_only=True):
    """All ways to a half-dead member are open again."""

    name: GatewayName
    boot: BootId


class UpdatesRefused(msgspec.Struct, frozen=True, kw_only=True):
    """Updates were dropped: the sender exceeds its rate, the member table is full, or they are malformed."""

    sender: GatewayName
    count: int
    """0 if it was a request for our full state."""


class CoordinateRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A member says that it is where nothing can be."""

    sender: GatewayName
    reason: str


class ClaimsForged(msgspec.Struct, frozen=True, kw_only=True):
    """Claims were dropped that are not signed by whom they name. The sender made them, or believed a liar."""

    sender: GatewayName
    count: int


class MemberFlapping(msgspec.Struct, frozen=True, kw_only=True):
    """The member keeps failing and returning, or being suspected: suspicions of it are slower from now on."""

    name: GatewayName


class MemberSteady(msgspec.Struct, frozen=True, kw_only=True):
    """The member was flapping, and has been calm for long enough."""

    name: GatewayName


class NameClash(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else speaks under our own name: two hosts share an identity. Told once for each boot."""

    boot: BootId


class NameLost(msgspec.Struct, frozen=True, kw_only=True):
    """The other host under our name is the newer one: we have left the protocol, and stay silent."""

    successor: BootId


class MemberYielded(msgspec.Struct, frozen=True, kw_only=True):
    """Of two hosts under a member's name one gave it up: it hears nothing any more."""

    name: GatewayName
    boot: BootId
    """Of the host that is silent now."""


class Stalled(msgspec.Struct, frozen=True, kw_only=True):
    """Our own timer came late. Pending probes start again, and suspicions are prolonged by as much."""

    late_ns: int


Event = (
    MemberJoined
    | MemberSuspected
    | MemberRefuted
    | MemberFailed
    | MemberLeft
    | MemberRestarted
    | MetadataChanged
    | MemberHalfDead
    | MemberWhole
    | UpdatesRefused
    | CoordinateRefused
    | ClaimsForged
    | MemberFlapping
    | MemberSteady
    | NameClash
    | NameLost
    | MemberYielded
    | Stalled
)
Output = Send | Event
Outputs = tuple[Output, ...]
