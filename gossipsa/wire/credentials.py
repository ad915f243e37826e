"""Signatures about membership for gateways that know each other's static keys only.

A gateway's signing key is derived from its private key, and others take it as theirs at first sight: what is
claimed under a name later must be signed by the same key.
"""

from __future__ import annotations

from gossipsa.identifiers import GatewayName, Secret
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.signing import SIGNING_KEY_BYTES, Domain, is_signed


class StaticCredentials:
    """Answers `swim.credentials.Credentials` for the gateways of a keyring; identities are public keys."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._key = GatewayKeys.from_seed(Secret(keyring.key_pair.private)).signing
        self._known = {keyring.name: self._key.public}

    @property
    def identity(self) -> bytes:
        return self._key.public

    def sign(self, statement: bytes) -> bytes:
        return self._key.sign(Domain.MEMBERSHIP, statement)

    def admit(self, name: GatewayName, identity: bytes) -> bool:
        if name not in self._keyring or len(identity) != SIGNING_KEY_BYTES:
            return False
        return self._known.setdefault(name, identity) == identity

    def verify(self, signer: GatewayName, statement: bytes, signature: bytes) -> bool:
        known = self._known.get(signer)
        return known is not None and is_signed(known, Domain.MEMBERSHIP, statement, signature)
