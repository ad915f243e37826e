"""What takers, holders and owners say to each other about who serves a client."""

from __future__ import annotations

from enum import IntEnum

from gossipsa.identifiers import ClientId, Epoch, GatewayName
from gossipsa.replication.messages import RecordVersion
from gossipsa.wire.codec import Value


class CeilingClaim(Value, frozen=True):
    """The claimer will send no number of this key above `ceiling`."""

    outbound_spi: int
    ceiling: int


class ClientClaim(Value, frozen=True):
    """One client of a claim."""

    client: ClientId
    epoch: Epoch
    """The epoch that the claimer will own."""
    ceilings: tuple[CeilingClaim, ...]


class Claim(Value, frozen=True, tag=6):
    """Taker to all other holders of the records: may I?"""

    owner: GatewayName
    """Who is thought dead."""
    claims: tuple[ClientClaim, ...]


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

    client: ClientId
    claimed: Epoch
    verdict: Verdict
    known: Epoch
    """The highest epoch that the answerer knows."""


class AnswerClaims(Value, frozen=True, tag=7):
    """Holder to taker."""

    answers: tuple[ClaimAnswer, ...]


class EndClaims(Value, frozen=True, tag=8):
    """Taker to the other holders: these clients did not answer me; the next one may try."""

    versions: tuple[RecordVersion, ...]


class Ownership(Value, frozen=True):
    """Who serves a client."""

    client: ClientId
    owner: GatewayName
    epoch: Epoch


class AnnounceOwnership(Value, frozen=True, tag=9):
    """Owner to former owners and to whoever else believes otherwise. Repeated until acknowledged."""

    ownerships: tuple[Ownership, ...]


class AcknowledgeOwnership(Value, frozen=True, tag=10):
    """Answer to an announcement: known, and obeyed."""

    ownerships: tuple[Ownership, ...]
