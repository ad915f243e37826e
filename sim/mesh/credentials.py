"""Real Ed25519 identities for simulated members, signed by one authority.

Signing and verifying are functions, and a simulated mesh asks for the same result in every member: results
are remembered for all of them, so that large meshes stay fast.
"""

from __future__ import annotations

from functools import lru_cache

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from gossipsa.identifiers import GatewayName

_KEY_BYTES = 32
_AUTHORITY = SigningKey(b"authority".ljust(_KEY_BYTES))
_STRANGER = SigningKey(b"stranger".ljust(_KEY_BYTES))
_RESULTS_MAX = 1 << 16


@lru_cache(maxsize=_RESULTS_MAX)
def _sign(key: SigningKey, statement: bytes) -> bytes:
    return key.sign(statement).signature


@lru_cache(maxsize=_RESULTS_MAX)
def _is_signed(public: bytes, statement: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(statement, signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


@lru_cache(maxsize=_RESULTS_MAX)
def member_key(name: GatewayName, generation: int = 0) -> SigningKey:
    """The key that a member of this name has; each generation another one."""
    digest = _sign(_AUTHORITY, f"key {generation} {name}".encode())
    return SigningKey(digest[:_KEY_BYTES])


def issue(name: GatewayName, key: SigningKey, *, genuine: bool = True) -> bytes:
    """The identity of a member: its public key, and the authority's signature over name and key."""
    public = key.verify_key.encode()
    return public + _sign(_AUTHORITY if genuine else _STRANGER, name.encode() + public)


class MemberCredentials:
    """Answers `gossipsa.swim.credentials.Credentials`."""

    def __init__(self, name: GatewayName) -> None:
        self._key = member_key(name)
        self._known = {name: self._key.verify_key.encode()}
        self.identity = issue(name, self._key)
        self.revoked: set[GatewayName] = set()
        self.verified = 0
        """Signatures looked at."""

    def sign(self, statement: bytes) -> bytes:
        return _sign(self._key, statement)

    def admit(self, name: GatewayName, identity: bytes) -> bool:
        public, signature = identity[:_KEY_BYTES], identity[_KEY_BYTES:]
        self.verified += 1
        if name in self.revoked or not _is_signed(
            _AUTHORITY.verify_key.encode(), name.encode() + public, signature
        ):
            return False
        self._known[name] = public
        return True

    def verify(self, signer: GatewayName, statement: bytes, signature: bytes) -> bool:
        self.verified += 1
        public = self._known.get(signer)
        return public is not None and _is_signed(public, statement, signature)
