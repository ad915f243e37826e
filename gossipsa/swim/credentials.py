"""Who may say what: swim signs its own words and checks the signatures of others, and knows no keys."""

from __future__ import annotations

from typing import Protocol

from gossipsa.identifiers import GatewayName

SIGNATURE_BYTES = 64
"""An Ed25519 signature (RFC 8032)."""
IDENTITY_BYTES_MAX = 512
"""An identity as it travels, whatever it consists of."""


class Credentials(Protocol):
    """Our identity, and the identities of others as far as they are known. Identities are opaque to swim."""

    @property
    def identity(self) -> bytes:
        """Our own identity as it travels; at most IDENTITY_BYTES_MAX."""
        ...

    def sign(self, statement: bytes) -> bytes:
        """Our signature, SIGNATURE_BYTES long."""
        ...

    def admit(self, name: GatewayName, identity: bytes) -> bool:
        """Take the identity of a gateway in, to verify its words under it from now on.

        Returns:
            False if it is not genuine, not valid now, of another mesh, of another name, revoked, or older
            than what is known of that gateway; what was known before then stays.
        """
        ...

    def verify(self, signer: GatewayName, statement: bytes, signature: bytes) -> bool:
        """True if the gateway signed this, under the identity known for it; False if none is known.

        We ourselves are known from the start: an earlier boot of ours had the same key.
        """
        ...
