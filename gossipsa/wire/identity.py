"""Identities: what the operator's mesh authority says about a gateway, and what a gateway asks it to say.

An identity binds a name, and with it a place, to two public keys for a time. It is public: whoever holds it
can show it, and only the gateway that has the keys can speak under it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gossipsa.errors import PeerError
from gossipsa.identifiers import GatewayName
from gossipsa.wire.codec import Decoder, MessageDecodeError, Value, encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.key_pair import PUBLIC_KEY_BYTES
from gossipsa.wire.signing import SIGNATURE_BYTES, SIGNING_KEY_BYTES, Domain, SigningKey, is_signed

IDENTITY_BYTES_MAX = 512
"""An identity as it travels. Names far from ASCII may have fewer than their 64 characters for it."""
SERIAL_BYTES = 8
UNIX_S_MAX = 1 << 40
"""Some 35,000 years on."""

Label = Annotated[str, Meta(min_length=1, max_length=64)]
Place = Annotated[str, Meta(max_length=64)]
Serial = Annotated[bytes, Meta(min_length=SERIAL_BYTES, max_length=SERIAL_BYTES)]
SigningPublic = Annotated[bytes, Meta(min_length=SIGNING_KEY_BYTES, max_length=SIGNING_KEY_BYTES)]
ExchangePublic = Annotated[bytes, Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
UnixSeconds = Annotated[int, Meta(ge=0, le=UNIX_S_MAX)]


class IdentityError(PeerError):
    """Bytes that are no identity, or no request for one, or not signed by whom they name."""


class Identity(Value, frozen=True):
    """A gateway's certificate. Genuine means no more than signed by `authority`: see `TrustList`.

    Raises:
        ValueError: the texts are not printable, or the identity ends before it begins.
    """

    mesh: Label
    name: Annotated[GatewayName, Meta(min_length=1, max_length=64)]
    serial: Serial
    signing_key: SigningPublic
    """The gateway's Ed25519 public key."""
    exchange_key: ExchangePublic
    """The gateway's X25519 public key."""
    site: Place
    zone: Place
    not_before_s: UnixSeconds
    """When it was issued."""
    not_after_s: UnixSeconds
    authority: SigningPublic
    signature: Signature
    """The authority's, over everything before it."""

    def __post_init__(self) -> None:
        if not all(is_printable(text) for text in (self.mesh, self.name, self.site, self.zone)):
            raise ValueError("mesh, name, site and zone must be printable, without blanks at the ends")
        if self.not_after_s <= self.not_before_s:
            raise ValueError("an identity must not end before it begins")


class IdentityRequest(Value, frozen=True):
    """What a gateway hands to the authority; the signature proves that it has the signing key."""

    signing_key: SigningPublic
    exchange_key: ExchangePublic
    signature: Signature


_IDENTITY_DECODER: Decoder[Identity] = Decoder(Identity)
_REQUEST_DECODER: Decoder[IdentityRequest] = Decoder(IdentityRequest)


def decode_identity(data: bytes) -> Identity:
    """Reads an identity, and checks that it is signed by the authority that it names.

    Raises:
        IdentityError: malformed, another encoding than ours, too long, or not signed so.
    """
    if len(data) > IDENTITY_BYTES_MAX:
        raise IdentityError(f"an identity has at most {IDENTITY_BYTES_MAX} bytes, not {len(data)}")
    try:
        identity = _IDENTITY_DECODER.decode(data)
    except MessageDecodeError as error:
        raise IdentityError(f"no identity: {error}") from None
    # One identity has one form: whoever compares bytes compares identities.
    if encode(identity) != data:
        raise IdentityError("no identity: not in its shortest form")
    if not is_signed(identity.authority, Domain.IDENTITY, _statement(identity), identity.signature):
        raise IdentityError(f"the identity of {identity.name} is not signed by the authority that it names")
    return identity


def sign_identity(unsigned: Identity, authority: SigningKey) -> Identity:
    """The same identity with authority and signature filled in.

    Raises:
        IdentityError: it gets longer than IDENTITY_BYTES_MAX.
    """
    named = msgspec.structs.replace(unsigned, authority=authority.public)
    signed = msgspec.structs.replace(named, signature=authority.sign(Domain.IDENTITY, _statement(named)))
    if len(encode(signed)) > IDENTITY_BYTES_MAX:
        raise IdentityError("mesh, name, site and zone are too long together")
    return signed


def make_request(keys: GatewayKeys) -> IdentityRequest:
    """Asks for an identity for these keys."""
    signing, exchange = keys.signing.public, keys.exchange.public
    return IdentityRequest(
        signing_key=signing,
        exchange_key=exchange,
        signature=keys.signing.sign(Domain.IDENTITY_REQUEST, signing + exchange),
    )


def decode_request(data: bytes) -> IdentityRequest:
    """Reads a request, and checks that it was made with the signing key that it names.

    Raises:
        IdentityError: malformed, or not signed so.
    """
    try:
        request = _REQUEST_DECODER.decode(data)
    except MessageDecodeError as error:
        raise IdentityError(f"no request for an identity: {error}") from None
    statement = request.signing_key + request.exchange_key
    if not is_signed(request.signing_key, Domain.IDENTITY_REQUEST, statement, request.signature):
        raise IdentityError("the request is not signed with the key that it names")
    return request


def is_printable(text: str) -> bool:
    """True for texts that a log line and a terminal show as they are."""
    return text.isprintable() and text == text.strip()


def _statement(identity: Identity) -> bytes:
    return encode(msgspec.structs.replace(identity, signature=bytes(SIGNATURE_BYTES)))
