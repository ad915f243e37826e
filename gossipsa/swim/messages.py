"""What members say to each other. Sealing and authentication happen below: the sender is known and true.

Who sends is one thing, whose word it is another: what a member says of itself, and what it testifies about
others, carries its own signature through everybody's hands (`statements`).

Every packet names the boot of its sender, so that a restart shows in the first packet after it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from gossipsa.identifiers import BOOT_ID_BYTES, BootId, GatewayName
from gossipsa.swim.coordinates import COORDINATE_BYTES
from gossipsa.swim.credentials import IDENTITY_BYTES_MAX, SIGNATURE_BYTES

METADATA_BYTES_MAX = 288
EVIDENCE_MAX = 3
"""Testimonies in one update."""
MESSAGES_MAX = 256
"""Messages in one packet."""
STATE_PARTS_MAX = 64
"""Packets of one full state."""
UPDATES_MAX = 8_192
"""Updates in one packet: a full state, as large as it may be configured."""
DIGEST_BUCKETS = 32
"""Parts of the table that are compared one by one."""
FINGERPRINT_BYTES = 8
BOOT_TAG_BYTES = 4
INCARNATION_MAX = 1 << 62
"""Far above what restarts and refutations reach, and still a MessagePack integer."""
SILENT_MS_MAX = (1 << 16) - 1
"""A minute, and for ever."""

Name = Annotated[GatewayName, Meta(min_length=1, max_length=64)]
Boot = Annotated[BootId, Meta(min_length=BOOT_ID_BYTES, max_length=BOOT_ID_BYTES)]
Sequence32 = Annotated[int, Meta(ge=0, lt=1 << 32)]
Incarnation = Annotated[int, Meta(ge=0, le=INCARNATION_MAX)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


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


class Testimony(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """The witness found the member silent in this boot and incarnation, first hand."""

    witness: Name
    signature: Signature
    """The witness's own, over `statements.suspicion`."""


class Update(
    Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """A claim about one member.

    Complete updates carry the member's own words, from `boot` to `succeeds`, its identity and its signature:
    those of state ALIVE and LEFT, which nobody else can say, and those of a full state. Suspicions and
    verdicts that travel as gossip are not complete: they name the words that they are about, by boot and
    incarnation, and carry the testimonies that convinced their author.
    """

    member: Name
    boot: Boot
    incarnation: Incarnation
    """Raised by the member itself only: with each refutation and each change of what it says of itself."""
    state: MemberState
    evidence: Annotated[tuple[Testimony, ...], Meta(max_length=EVIDENCE_MAX)] = ()
    """Who suspects the member; exactly the suspicions and verdicts have any."""
    age_s: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    """Seconds since the member failed or left, so that everybody forgets it at the same time."""
    address: Annotated[bytes, Meta(max_length=16)] = b""
    """4 or 16 bytes; empty if the update is not complete."""
    port: Annotated[int, Meta(ge=0, lt=1 << 16)] = 0
    metadata: Annotated[bytes, Meta(max_length=METADATA_BYTES_MAX)] = b""
    succeeds: Annotated[bytes, Meta(max_length=BOOT_ID_BYTES)] = b""
    """The boot that this one replaced and knew of; empty if it knew of none."""
    identity: Annotated[bytes, Meta(max_length=IDENTITY_BYTES_MAX)] = b""
    signature: Annotated[bytes, Meta(max_length=SIGNATURE_BYTES)] = b""
    """The member's own, over `statements.own_words`."""

    @property
    def complete(self) -> bool:
        return len(self.address) in (4, 16) and len(self.signature) == SIGNATURE_BYTES

    @property
    def accuses(self) -> bool:
        """True for what others say of a member, False for what it says itself."""
        return self.state in (MemberState.SUSPECT, MemberState.FAILED)


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
    """A newcomer asks for the receiver's full state; what it says of itself is in this packet."""

    sequence: Sequence32
    over_stream: bool = False
    """Came over the stream, and is to be answered so: datagrams may not pass."""


class StateReply(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=8):
    """The updates of this packet are the full state of the sender, or a part of it.

    The parts need no order: claims may be taken in one by one.
    """

    sequence: Sequence32
    part: Annotated[int, Meta(ge=0, lt=STATE_PARTS_MAX)] = 0
    parts: Annotated[int, Meta(ge=1, le=STATE_PARTS_MAX)] = 1


class StreamPing(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=9):
    """Asks the receiver for a StreamAck. It goes over the stream, as its answer does."""

    sequence: Sequence32


class StreamAck(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=13):
    """Answers a StreamPing."""

    sequence: Sequence32
    silent_ms: Annotated[int, Meta(ge=0, le=SILENT_MS_MAX)]
    """Since a datagram of the receiver reached the sender of this, or longer."""


class DigestRequest(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=10):
    """Asks the receiver for a DigestReply: this is all that the sender knows, as fingerprints."""

    sequence: Sequence32
    fingerprints: Annotated[
        bytes,
        Meta(min_length=DIGEST_BUCKETS * FINGERPRINT_BYTES, max_length=DIGEST_BUCKETS * FINGERPRINT_BYTES),
    ]


class Version(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a member, without saying it."""

    tag: Annotated[int, Meta(ge=0)]
    """64 bits of the hash of its name."""
    boot: Annotated[bytes, Meta(min_length=BOOT_TAG_BYTES, max_length=BOOT_TAG_BYTES)]
    """The first bytes of its boot id."""
    incarnation: Incarnation
    state: MemberState


class DigestReply(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=11):
    """All versions in the buckets that differ; nothing if none does."""

    sequence: Sequence32
    buckets: Annotated[
        tuple[Annotated[int, Meta(ge=0, lt=DIGEST_BUCKETS)], ...], Meta(max_length=DIGEST_BUCKETS)
    ] = ()
    versions: Annotated[tuple[Version, ...], Meta(max_length=UPDATES_MAX)] = ()


class Fetch(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=12):
    """Asks for what the receiver knows of these members."""

    tags: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=UPDATES_MAX)]


class Yielding(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=21):
    """Two hosts share the sender's name: the boot that sends this gives it up."""

    successor: Boot
    """The boot that keeps the name; it is to be told."""
    signature: Signature
    """By the key of the name, over `statements.yielding`."""


class Yielded(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=22):
    """Tells the receiver that another host had its name and gave it up."""

    boot: Boot
    """The one that gave it up."""
    signature: Signature
    """That of its Yielding."""


Message = (
    Ping
    | Ack
    | PingRequest
    | IndirectAck
    | Nack
    | Heard
    | StateRequest
    | StateReply
    | DigestRequest
    | DigestReply
    | Fetch
    | StreamPing
    | StreamAck
    | Yielding
    | Yielded
)


class SwimPacket(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """All that one member tells another at one time. Bytes, strings and integers only."""

    boot: Boot
    """Boot of the sender."""
    messages: Annotated[tuple[Message, ...], Meta(max_length=MESSAGES_MAX)] = ()
    updates: Annotated[tuple[Update, ...], Meta(max_length=UPDATES_MAX)] = ()
