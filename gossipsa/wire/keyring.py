"""Who belongs to the mesh: every gateway's static X25519 public key, as the operator configured it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gossipsa.errors import CallerError
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.wire.key_pair import PUBLIC_KEY_BYTES, KeyPair


class UnknownGatewayError(CallerError):
    """A name that is not in the keyring."""


class Peer(msgspec.Struct, frozen=True):
    """Another gateway of the mesh."""

    name: GatewayName
    public_key: bytes
    endpoint: Endpoint
    """Where its mesh port listens (UDP and TCP)."""


class Keyring:
    """This gateway's key pair and the public keys of all others.

    Raises:
        CallerError: two peers with one name or one key, or a peer with our own.
    """

    def __init__(self, *, name: GatewayName, key_pair: KeyPair, peers: Iterable[Peer]) -> None:
        self.name = name
        self.key_pair = key_pair
        self._peers: dict[GatewayName, Peer] = {}
        keys = {key_pair.public}
        for peer in peers:
            if peer.name in self._peers or peer.name == name:
                raise CallerError(f"gateway {peer.name} stands twice in the keyring")
            if len(peer.public_key) != PUBLIC_KEY_BYTES:
                raise CallerError(f"public key of {peer.name} has not {PUBLIC_KEY_BYTES} bytes")
            if peer.public_key in keys:
                raise CallerError(f"public key of {peer.name} is another gateway's too")
            keys.add(peer.public_key)
            self._peers[peer.name] = peer

    def __contains__(self, name: object) -> bool:
        return name in self._peers

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def __len__(self) -> int:
        return len(self._peers)

    def peer(self, name: GatewayName) -> Peer:
        """Raises UnknownGatewayError."""
        try:
            return self._peers[name]
        except KeyError:
            raise UnknownGatewayError(f"gateway {name} is not in the keyring") from None
