"""What takers, holders and owners say to each other about who serves a client."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from gossipsa.identifiers import U32, U64, Epoch, IpAddress, SentClient, SentName
from gossipsa.ipsec.security_association import CHILDREN_MAX, MessageId
from gossipsa.replication.messages import CounterUpdate, ListLength, RecordVersion
from gossipsa.replication.record import Sequence
from gossipsa.wire.codec import Value


class CeilingClaim(Value, frozen=True):
    """The claimer will send no number of this key above `ceiling`."""

    outbound_spi: U32
    ceiling: U64


class ClientClaim(Value, frozen=True):
    """One client of a claim."""

    client: SentClient
    epoch: Epoch
    """The epoch that the claimer will own."""
    ceilings: Annotated[tuple[CeilingClaim, ...], Meta(max_length=CHILDREN_MAX)]


class Claim(Value, frozen=True, tag=6):
    """Taker to all other holders of the records: may I?"""

    owner: SentName
    """Who is thought dead."""
    claims: Annotated[tuple[ClientClaim, ...], ListLength]


class Verdict(IntEnum):
    """Answer to the claim of one client."""

    GRANTED = 1
    """I shall not claim a lower epoch, and know the ceilings."""
    OWNER_ALIVE = 2
    """I am the owner, or I hear it: wait."""
    OUTBID = 3
    """I know of a higher epoch, or am past the claim myself."""


class ClaimAnswer(Value, frozen=True):
    """Answer for one client."""

    client: SentClient
    claimed: Epoch
    verdict: Verdict
    known: Epoch
    """The highest epoch that the answerer knows."""


class AnswerClaims(Value, frozen=True, tag=7):
    """Holder to taker."""

    answers: Annotated[tuple[ClaimAnswer, ...], ListLength]


class EndClaims(Value, frozen=True, tag=8):
    """Taker to the other holders: these clients did not answer me; the next one may try."""

    versions: Annotated[tuple[RecordVersion, ...], ListLength]


class Ownership(Value, frozen=True):
    """Who serves a client."""

    client: SentClient
    owner: SentName
    epoch: Epoch


class AnnounceOwnership(Value, frozen=True, tag=9):
    """Owner to former owners and to whoever else believes otherwise. Repeated until acknowledged."""

    ownerships: Annotated[tuple[Ownership, ...], ListLength]


class AcknowledgeOwnership(Value, frozen=True, tag=10):
    """Answer to an announcement: known, and obeyed."""

    ownerships: Annotated[tuple[Ownership, ...], ListLength]


class Offer(Value, frozen=True):
    """A client that its owner wants moved, and the version of its record that the target must have."""

    client: SentClient
    epoch: Epoch
    sequence: Sequence


class OfferClients(Value, frozen=True, tag=30):
    """Living owner to a replica: take these over, with my consent. Repeated until answered."""

    offers: Annotated[tuple[Offer, ...], ListLength]


class OfferOutcome(IntEnum):
    """What becomes of an offer."""

    ACCEPTED = 1
    """The client is being installed and told."""
    REFUSED = 2
    """Nothing was done."""
    GAVE_UP = 3
    """The client did not answer; what was installed is gone."""
    SERVING = 4
    """The client answered, and its traffic passes here: the former owner's SAs are needed no more."""


class OfferAnswer(Value, frozen=True):
    """Answer for one client."""

    client: SentClient
    epoch: Epoch
    """As offered."""
    outcome: OfferOutcome
    next_message_id: MessageId = 0
    """After GAVE_UP: the message ID that the client expects of its gateway, as far as it let us know."""


class AnswerOffers(Value, frozen=True, tag=31):
    """Target to owner. That the client is the target's now is said by an AnnounceOwnership."""

    answers: Annotated[tuple[OfferAnswer, ...], ListLength]


class CloseWindows(Value, frozen=True, tag=32):
    """Former owner to the new one, after its SAs are gone: what it received last, under the new epoch."""

    updates: Annotated[tuple[CounterUpdate, ...], ListLength]


class HeldAddress(Value, frozen=True):
    """A virtual address in use, and a digest of the client's identities."""

    address: IpAddress
    peer: bytes


class HoldAddresses(Value, frozen=True, tag=33):
    """Owner to the home of clients that moved: do not give these addresses to others."""

    held: tuple[HeldAddress, ...]
    first: bool
    """True for the first message of a list, which takes the place of the list before."""
