"""Whom a mesh trusts: its authorities, and the identities that they took back. One signed list, by gossip.

A gateway takes a list in place of its own if it is newer, of the same mesh, and signed by an authority that
the gateway trusts, or by one that such an authority named its successor. Successions stay in the list, so
that a gateway that slept while one authority gave way to another still follows, although the old key is gone.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from gossipsa.errors import PeerError
from gossipsa.identifiers import GatewayName
from gossipsa.wire.codec import Decoder, MessageDecodeError, Value, encode
from gossipsa.wire.identity import (
    Identity,
    Label,
    Serial,
    Signature,
    SigningPublic,
    UnixSeconds,
    is_printable,
)
from gossipsa.wire.signing import SIGNATURE_BYTES, Domain, SigningKey, is_signed

AUTHORITIES_MAX = 8
SUCCESSIONS_MAX = 16
REVOKED_MAX = 1_024
"""Serials, and names, each."""
TRUST_LIST_BYTES_MAX = 128 << 10
VERSION_MAX = 1 << 62
CLOCK_TOLERANCE_S = 300
"""How far a gateway's clock may lag behind the authority's before a fresh identity is not valid yet."""


class TrustError(PeerError):
    """Bytes that are no trust list, or one that is not signed by an authority of its own."""


class Refusal(Enum):
    """Why an identity does not count. Fixed words, fit for a metric."""

    OTHER_MESH = "other mesh"
    UNKNOWN_AUTHORITY = "unknown authority"
    REVOKED = "revoked"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"


class RevokedName(Value, frozen=True):
    """All identities of one gateway issued up to a moment are taken back; a later one counts again."""

    name: Annotated[GatewayName, Meta(min_length=1, max_length=64)]
    until_s: UnixSeconds


class Succession(Value, frozen=True):
    """An authority says, for whoever trusts it, that another one is as good."""

    predecessor: SigningPublic
    successor: SigningPublic
    signature: Signature
    """The predecessor's, over mesh and successor."""


class TrustList(Value, frozen=True):
    """One version of the list.

    Raises:
        ValueError: something stands in it twice, or a text is not printable.
    """

    mesh: Label
    version: Annotated[int, Meta(ge=1, le=VERSION_MAX)]
    authorities: Annotated[tuple[SigningPublic, ...], Meta(min_length=1, max_length=AUTHORITIES_MAX)]
    successions: Annotated[tuple[Succession, ...], Meta(max_length=SUCCESSIONS_MAX)]
    """The oldest first."""
    revoked_serials: Annotated[tuple[Serial, ...], Meta(max_length=REVOKED_MAX)]
    revoked_names: Annotated[tuple[RevokedName, ...], Meta(max_length=REVOKED_MAX)]
    signer: SigningPublic
    signature: Signature
    """The signer's, over everything before it."""

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.revoked_names]
        if not all(is_printable(text) for text in (self.mesh, *names)):
            raise ValueError("mesh and names must be printable, without blanks at the ends")
        for entries in (self.authorities, self.revoked_serials, names):
            if len(set(entries)) != len(entries):
                raise ValueError("something stands twice in the trust list")

    def refusal(self, identity: Identity, *, now_s: int) -> Refusal | None:
        """Why an identity with a genuine signature does not count; None if it does."""
        if identity.mesh != self.mesh:
            return Refusal.OTHER_MESH
        if identity.authority not in self.authorities:
            return Refusal.UNKNOWN_AUTHORITY
        if self.is_revoked(identity):
            return Refusal.REVOKED
        if now_s + CLOCK_TOLERANCE_S < identity.not_before_s:
            return Refusal.NOT_YET_VALID
        if now_s > identity.not_after_s:
            return Refusal.EXPIRED
        return None

    def is_revoked(self, identity: Identity) -> bool:
        """True if the identity was taken back, by its serial or with all of its name."""
        return identity.serial in self.revoked_serials or any(
            identity.name == entry.name and identity.not_before_s <= entry.until_s
            for entry in self.revoked_names
        )

    def accepts(self, newer: TrustList) -> bool:
        """True if whoever goes by this list should go by that one from now on."""
        return (
            newer.mesh == self.mesh and newer.version > self.version and newer.signer in self._followed(newer)
        )

    def has_known(self, authority: bytes) -> bool:
        """True for authorities of now, and for those that gave way to them."""
        return authority in self.authorities or any(
            succession.predecessor == authority for succession in self.successions
        )

    def _followed(self, newer: TrustList) -> set[bytes]:
        """Our authorities, and those that follow from them by the successions in a newer list."""
        followed = set(self.authorities)
        for succession in newer.successions:
            if succession.predecessor in followed and _is_genuine(succession, self.mesh):
                followed.add(succession.successor)
        return followed


_DECODER: Decoder[TrustList] = Decoder(TrustList)


def decode_trust_list(data: bytes) -> TrustList:
    """Reads a list, and checks that an authority in it signed it.

    Raises:
        TrustError: malformed, too long, or not signed so.
    """
    if len(data) > TRUST_LIST_BYTES_MAX:
        raise TrustError(f"a trust list has at most {TRUST_LIST_BYTES_MAX} bytes, not {len(data)}")
    try:
        trust = _DECODER.decode(data)
    except MessageDecodeError as error:
        raise TrustError(f"no trust list: {error}") from None
    if encode(trust) != data:
        raise TrustError("no trust list: not in its shortest form")
    if trust.signer not in trust.authorities:
        raise TrustError("the trust list is not signed by an authority that it trusts")
    if not is_signed(trust.signer, Domain.TRUST_LIST, _statement(trust), trust.signature):
        raise TrustError("the trust list's signature is not that of its signer")
    return trust


def sign_trust_list(unsigned: TrustList, authority: SigningKey) -> TrustList:
    """The same list with signer and signature filled in.

    Raises:
        TrustError: the authority does not stand in it, or it gets longer than TRUST_LIST_BYTES_MAX.
    """
    if authority.public not in unsigned.authorities:
        raise TrustError("only an authority that the list trusts can sign it")
    named = msgspec.structs.replace(unsigned, signer=authority.public)
    signed = msgspec.structs.replace(named, signature=authority.sign(Domain.TRUST_LIST, _statement(named)))
    if len(encode(signed)) > TRUST_LIST_BYTES_MAX:
        raise TrustError(f"the trust list gets longer than {TRUST_LIST_BYTES_MAX} bytes")
    return signed


def sign_succession(mesh: str, predecessor: SigningKey, successor: bytes) -> Succession:
    """The predecessor names its successor."""
    return Succession(
        predecessor=predecessor.public,
        successor=successor,
        signature=predecessor.sign(Domain.SUCCESSION, _succession_statement(mesh, successor)),
    )


def _is_genuine(succession: Succession, mesh: str) -> bool:
    statement = _succession_statement(mesh, succession.successor)
    return is_signed(succession.predecessor, Domain.SUCCESSION, statement, succession.signature)


def _succession_statement(mesh: str, successor: bytes) -> bytes:
    return encode((mesh, successor))


def _statement(trust: TrustList) -> bytes:
    return encode(msgspec.structs.replace(trust, signature=bytes(SIGNATURE_BYTES)))
