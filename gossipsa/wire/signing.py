"""Ed25519 signatures (RFC 8032), each over one kind of statement: no signature serves for another kind."""

from __future__ import annotations

from enum import Enum

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from gossipsa.errors import CallerError
from gossipsa.identifiers import Secret

SIGNING_KEY_BYTES = 32
"""A public key, and the seed of a private one."""
SIGNATURE_BYTES = 64


class Domain(Enum):
    """What is signed; put in front of the signed bytes. None is the beginning of another."""

    IDENTITY = b"gossipsa identity 1\0"
    IDENTITY_REQUEST = b"gossipsa identity request 1\0"
    TRUST_LIST = b"gossipsa trust list 1\0"
    SUCCESSION = b"gossipsa succession 1\0"
    MEMBERSHIP = b"gossipsa membership 1\0"
    ENDPOINT = b"gossipsa endpoint 1\0"


class SigningKey(msgspec.Struct, frozen=True):
    """An Ed25519 key pair."""

    secret: Secret
    """libsodium's form: seed and public key."""
    public: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Raises CallerError if the seed is not 32 bytes."""
        if len(seed) != SIGNING_KEY_BYTES:
            raise CallerError(f"an Ed25519 seed has {SIGNING_KEY_BYTES} bytes, not {len(seed)}")
        public, secret = bindings.crypto_sign_seed_keypair(seed)
        return cls(Secret(secret), public)

    def sign(self, domain: Domain, statement: bytes) -> bytes:
        """The signature alone, SIGNATURE_BYTES long."""
        return bindings.crypto_sign(domain.value + statement, self.secret)[:SIGNATURE_BYTES]


def is_signed(public: bytes, domain: Domain, statement: bytes, signature: bytes) -> bool:
    """True if the owner of `public` signed this statement."""
    if len(public) != SIGNING_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + domain.value + statement, public)
    except CryptoError:
        return False
    return True
