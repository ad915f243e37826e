"""What the membership protocol wants done, and what it has to tell."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined:
    """A member is alive that was unknown, failed or gone."""

    name: GatewayName
    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSuspected:
    """Told at the first suspicion, and again when another witness joins it."""

    name: GatewayName
    boot: BootId
    witnesses: int
    """Members known to suspect it, each first hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRefuted:
    """A suspect has shown that it is alive."""

    name: GatewayName
    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFailed:
    """The verdict: this boot is taken for dead. It comes back with MemberJoined if that was wrong."""

    name: GatewayName
    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft:
    """The member said goodbye."""

    name: GatewayName
    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRestarted:
    """A new boot of a known member: the old one is dead for certain.

    Comes before any other event about the new boot.
    """

    name: GatewayName
    old_boot: BootId
    new_boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataChanged:
    """A live member now says something else of itself, or moved to another endpoint."""

    name: GatewayName
    boot: BootId
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberHalfDead:
    """A member is alive, and some ways to it are closed; told again when others are."""

    name: GatewayName
    boot: BootId
    closed: tuple[Way, ...]
    """At least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberWhole:
    """All ways to a half-dead member are open again."""

    name: GatewayName
    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesRefused:
    """Updates were dropped: the sender exceeds its rate, the member table is full, or they are malformed."""

    sender: GatewayName
    count: int
    """0 if it was a request for our full state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateRefused:
    """A member says that it is where nothing can be."""

    sender: GatewayName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsForged:
    """Claims were dropped that are not signed by whom they name. The sender made them, or believed a liar."""

    sender: GatewayName
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFlapping:
    """The member keeps failing and returning, or being suspected: suspicions of it are slower from now on."""

    name: GatewayName


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSteady:
    """The member was flapping, and has been calm for long enough."""

    name: GatewayName


@dataclass(frozen=True, slots=True, kw_only=True)
class NameClash:
    """Somebody else speaks under our own name: two hosts share an identity. Told once for each boot."""

    boot: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class NameLost:
    """The other host under our name is the newer one: we have left the protocol, and stay silent."""

    successor: BootId


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
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
    | Stalled
)
Output = Send | Event
Outputs = tuple[Output, ...]
