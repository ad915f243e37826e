"""X25519 key pairs."""

from __future__ import annotations

import msgspec
from nacl import bindings

from gossipsa.errors import CallerError
from gossipsa.identifiers import Secret

PUBLIC_KEY_BYTES = 32
PRIVATE_KEY_BYTES = 32


class KeyPair(msgspec.Struct, frozen=True):
    """An X25519 key pair (RFC 7748)."""

    private: Secret
    public: bytes

    @classmethod
    def from_private(cls, private: bytes) -> KeyPair:
        """Raises CallerError if `private` is not 32 bytes."""
        if len(private) != PRIVATE_KEY_BYTES:
            raise CallerError(f"an X25519 private key has {PRIVATE_KEY_BYTES} bytes, not {len(private)}")
        return cls(Secret(private), bindings.crypto_scalarmult_base(private))
