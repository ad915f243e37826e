"""What members say to each other. Sealing and authentication happen below: the sender is known and true.

Every packet names the boot of its sender, so that a restart shows in the first packet after it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from gossipsa.identifiers import BOOT_ID_BYTES, BootId, GatewayName
from gossipsa.swim.coordinates import COORDINATE_BYTES

METADATA_BYTES_MAX = 512
MESSAGES_MAX = 256
"""Messages in one packet."""
STATE_PARTS_MAX = 64
"""Packets of one full state."""
UPDATES_MAX = 8_192
"""Updates in one packet: a full state, as large as it may be configured."""
INCARNATION_MAX = 1 << 62
"""Far above what restarts and refutations reach, and still a MessagePack integer."""

Name = Annotated[GatewayName, Meta(min_length=1, max_length=64)]
Boot = Annotated[BootId, Meta(min_length=BOOT_ID_BYTES, max_length=BOOT_ID_BYTES)]
Sequence32 = Annotated[int, Meta(ge=0, lt=1 << 32)]
Incarnation = Annotated[int, Meta(ge=0, le=INCARNATION_MAX)]


class MemberState(IntEnum):
    """What is believed of a member. Of two claims about one incarnation the greater one stays."""

    ALIVE = 0
    SUSPECT = 1
    FAILED = 2
    LEFT = 3

    @property
    def live(self) -> bool:
        """True for members that are probed and told the news."""
        return self <= MemberState.SUSPECT


class Update(
    Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """A claim about one member.

    `ALIVE` updates and those of a full state are complete: they carry endpoint and metadata. Suspicions and
    verdicts that travel as gossip leave them empty.
    """

    member: Name
    boot: Boot
    incarnation: Incarnation
    """Raised by the member itself only: with each refutation and each change of what it says of itself."""
    state: MemberState
    witness: Annotated[GatewayName, Meta(max_length=64)] = GatewayName("")
    """Who suspects or failed the member, first hand; empty otherwise."""
    age_s: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    """Seconds since the member failed or left, so that everybody forgets it at the same time."""
    address: Annotated[bytes, Meta(max_length=16)] = b""
    """4 or 16 bytes; empty if the update is not complete."""
    port: Annotated[int, Meta(ge=0, lt=1 << 16)] = 0
    metadata: Annotated[bytes, Meta(max_length=METADATA_BYTES_MAX)] = b""

    @property
    def complete(self) -> bool:
        return len(self.address) in (4, 16)


class Ping(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=1):
    """Asks the receiver for an Ack with the same sequence."""

    sequence: Sequence32
    locate: bool = False
    """Asks where the receiver is, too."""


class Ack(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=2):
    """Answers a Ping."""

    sequence: Sequence32
    coordinate: Annotated[bytes, Meta(max_length=COORDINATE_BYTES)] = b""
    """Where the sender is, if that was asked; see `coordinates`."""


class PingRequest(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=3):
    """Asks the receiver to probe `target` and to report with an IndirectAck."""

    sequence: Sequence32
    target: Name


class IndirectAck(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=4):
    """The target of a PingRequest answered the sender of this."""

    sequence: Sequence32
    boot: Boot
    """The boot that answered."""


class Nack(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=5):
    """The target of a PingRequest has not answered yet; the sender of this is well and keeps trying."""

    sequence: Sequence32


class Heard(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=6):
    """Counter-evidence for a suspicion: this member has answered the sender since the suspicion arose."""

    member: Name
    boot: Boot
    incarnation: Incarnation


class StateRequest(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=7):
    """Asks for the receiver's full state; that of the sender is in this packet, or begins in it."""

    sequence: Sequence32


class StateReply(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=8):
    """The updates of this packet are the full state of the sender, or a part of it.

    The parts need no order: claims may be taken in one by one.
    """

    sequence: Sequence32
    part: Annotated[int, Meta(ge=0, lt=STATE_PARTS_MAX)] = 0
    parts: Annotated[int, Meta(ge=1, le=STATE_PARTS_MAX)] = 1


Message = Ping | Ack | PingRequest | IndirectAck | Nack | Heard | StateRequest | StateReply


class SwimPacket(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """All that one member tells another at one time. Bytes, strings and integers only."""

    boot: Boot
    """Boot of the sender."""
    messages: Annotated[tuple[Message, ...], Meta(max_length=MESSAGES_MAX)] = ()
    updates: Annotated[tuple[Update, ...], Meta(max_length=UPDATES_MAX)] = ()
