"""A gateway's secret: one seed, from which its signing key and its key for handshakes are derived."""

from __future__ import annotations

import hashlib

import msgspec

from gossipsa.errors import CallerError
from gossipsa.identifiers import Secret
from gossipsa.wire.key_pair import KeyPair
from gossipsa.wire.signing import SigningKey

SEED_BYTES = 32


class GatewayKeys(msgspec.Struct, frozen=True):
    """Both keys of a gateway."""

    signing: SigningKey
    """Ed25519: signs what the gateway says of itself."""
    exchange: KeyPair
    """X25519: the static key of its handshakes."""

    @classmethod
    def from_seed(cls, seed: bytes) -> GatewayKeys:
        """Raises CallerError if the seed is not SEED_BYTES long."""
        if len(seed) != SEED_BYTES:
            raise CallerError(f"a gateway's private key has {SEED_BYTES} bytes, not {len(seed)}")
        return cls(
            SigningKey.from_seed(_derive(seed, b"gossipsa ed25519")),
            KeyPair.from_private(_derive(seed, b"gossipsa x25519")),
        )


def _derive(seed: bytes, purpose: bytes) -> Secret:
    return Secret(hashlib.blake2b(key=seed, digest_size=32, person=purpose).digest())
