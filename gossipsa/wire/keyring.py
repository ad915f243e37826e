"""Who we are, whom the mesh trusts, and the identities of other gateways as we come to know them."""

from __future__ import annotations

import msgspec

from gossipsa.errors import CallerError
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.wire.calendar import Calendar
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.handshake import key_hint
from gossipsa.wire.identity import Identity, IdentityError, decode_identity
from gossipsa.wire.introduction import endpoint_statement
from gossipsa.wire.key_pair import KeyPair
from gossipsa.wire.signing import Domain, is_signed
from gossipsa.wire.trust import Refusal, TrustList

PEERS_MAX = 4_096
"""Only identities that an authority signed get in, one a name."""
_REFUSALS_KEPT_MAX = 64


class UnknownGatewayError(CallerError):
    """A name whose identity is not known."""


class Peer(msgspec.Struct, frozen=True):
    """Another gateway of the mesh."""

    identity: Identity
    encoded: bytes
    """The identity as it travels."""

    @property
    def name(self) -> GatewayName:
        return self.identity.name


class Met(msgspec.Struct, frozen=True):
    """A genuine identity of this mesh that was shown to us, by whomever."""

    identity: Identity
    is_admitted: bool
    """False if it does not count: `take_refused` has the reason."""


class RefusedIdentity(msgspec.Struct, frozen=True):
    """An identity that was shown to us and does not count. `reason` is one of a fixed set of words."""

    name: str
    reason: str


class Keyring:
    """This gateway's keys and identity, the trust list, and the peers admitted so far.

    A gateway gets new keys by a new identity for its name: every peer goes by the one issued later
    (`not_before`) from the moment that it is shown, by whomever, whatever the serials. Whoever has the
    old keys is not heard from then on. Of two issued in the same second for different keys the first one
    shown counts. What was seen is forgotten at a restart: to take old keys back for good, revoke their
    identity.

    Peers leave when their identities are revoked, expire or lose their authority, and for nothing else: a
    flood of genuine identities fills the rest of PEERS_MAX, and puts out nobody.

    Answers `swim.credentials.Credentials`.

    Args:
        unix_s: what the host's clock says at the start.

    Raises:
        CallerError: the identity is not for these keys, or the trust list does not let it count.
    """

    def __init__(self, *, keys: GatewayKeys, identity: Identity, trust: TrustList, unix_s: int) -> None:
        if (identity.signing_key, identity.exchange_key) != (keys.signing.public, keys.exchange.public):
            raise CallerError(f"the identity of {identity.name} was issued for another private key")
        self.calendar = Calendar(unix_s, earliest_s=identity.not_before_s, latest_s=identity.not_after_s)
        refusal = trust.refusal(identity, now_s=self.calendar.now_s)
        if refusal is not None:
            raise CallerError(f"the identity of {identity.name} does not count here: {refusal.value}")
        self.own = identity
        self._identity = encode(identity)
        self._keys = keys
        self._trust = trust
        self._peers: dict[GatewayName, Peer] = {}
        self._by_hint: dict[bytes, Peer] = {}
        self._by_encoded: dict[bytes, Peer] = {}
        self._refused: list[RefusedIdentity] = []

    @property
    def name(self) -> GatewayName:
        return self.own.name

    @property
    def mesh(self) -> str:
        """The label of the mesh."""
        return self.own.mesh

    @property
    def key_pair(self) -> KeyPair:
        """The static key of our handshakes."""
        return self._keys.exchange

    @property
    def identity(self) -> bytes:
        """Our own identity as it travels."""
        return self._identity

    @property
    def trust(self) -> TrustList:
        return self._trust

    def __contains__(self, name: object) -> bool:
        return name in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def peer(self, name: GatewayName) -> Peer:
        """Raises UnknownGatewayError."""
        try:
            return self._peers[name]
        except KeyError:
            raise UnknownGatewayError(f"the identity of {name} is not known") from None

    def peer_of_hint(self, hint: bytes) -> Peer | None:
        """The peer whose handshakes carry this hint."""
        return self._by_hint.get(hint)

    def identity_of(self, name: GatewayName) -> Identity | None:
        """Our own, or that of a peer."""
        if name == self.name:
            return self.own
        peer = self._peers.get(name)
        return peer.identity if peer else None

    def site_of(self, name: GatewayName) -> str:
        """The site in a gateway's identity; empty if it has none, or is not known."""
        identity = self.identity_of(name)
        return identity.site if identity else ""

    def zone_of(self, name: GatewayName) -> str:
        """The zone in a gateway's identity; empty if it has none, or is not known."""
        identity = self.identity_of(name)
        return identity.zone if identity else ""

    # Credentials

    def sign(self, statement: bytes) -> bytes:
        """Our signature under a statement about membership."""
        return self._keys.signing.sign(Domain.MEMBERSHIP, statement)

    def sign_endpoint(self, endpoint: Endpoint) -> bytes:
        """Our signature under where we are reached."""
        return self._keys.signing.sign(Domain.ENDPOINT, endpoint_statement(self._identity, endpoint))

    def admit(self, name: GatewayName, identity: bytes) -> bool:
        """Takes in the identity of a gateway; see `swim.credentials.Credentials.admit`.

        Of two identities with different keys the one issued later counts.
        """
        known = self._peers.get(name)
        if known is not None and known.encoded == identity:
            return self._trust.refusal(known.identity, now_s=self.calendar.now_s) is None
        if name == self.name and identity == self._identity:
            return True
        try:
            shown = decode_identity(identity)
        except IdentityError:
            return self._refuse(name, "not genuine")
        if shown.name != name:
            return self._refuse(name, "another name")
        return self._judge(shown, identity, known)

    def verify(self, signer: GatewayName, statement: bytes, signature: bytes) -> bool:
        """True if the gateway signed this statement about membership, under the identity known for it."""
        identity = self.identity_of(signer)
        return identity is not None and is_signed(
            identity.signing_key, Domain.MEMBERSHIP, statement, signature
        )

    def meet(self, encoded: bytes) -> Met | None:
        """Takes in an identity of whomever it names; None if it is not genuine, or of another mesh."""
        known = self._by_encoded.get(encoded)
        if known is not None:
            return Met(known.identity, self.admit(known.name, encoded))
        if encoded == self._identity:
            return Met(self.own, True)
        try:
            shown = decode_identity(encoded)
        except IdentityError:
            self._refuse("", "not genuine")
            return None
        is_admitted = self._judge(shown, encoded, self._peers.get(shown.name))
        return Met(shown, is_admitted) if shown.mesh == self.mesh else None

    # Changes of trust and time

    def follow(self, newer: TrustList) -> bool:
        """Goes by a newer trust list from now on, if it may; see `TrustList.accepts`."""
        if not self._trust.accepts(newer):
            return False
        self._trust = newer
        return True

    def own_refusal(self) -> Refusal | None:
        """Why our own identity does not count any more; None if it does."""
        return self._trust.refusal(self.own, now_s=self.calendar.now_s)

    def drop_refused(self) -> tuple[tuple[GatewayName, Refusal], ...]:
        """Removes the peers whose identities do not count any more, and says why."""
        now_s = self.calendar.now_s
        judged = [
            (peer.name, self._trust.refusal(peer.identity, now_s=now_s)) for peer in self._peers.values()
        ]
        dropped = tuple((name, refusal) for name, refusal in judged if refusal is not None)
        for name, _ in dropped:
            self._remove(name)
        return dropped

    def take_refused(self) -> tuple[RefusedIdentity, ...]:
        """Returns, once, the identities refused since; of a flood the first ones."""
        refused, self._refused = tuple(self._refused), []
        return refused

    def _judge(self, shown: Identity, encoded: bytes, known: Peer | None) -> bool:
        refusal = self._trust.refusal(shown, now_s=self.calendar.now_s)
        if refusal is not None:
            return self._refuse(shown.name, refusal.value)
        if shown.name == self.name:
            return self._refuse(shown.name, "our own name")
        if known is not None and shown.not_before_s <= known.identity.not_before_s:
            same_keys = (shown.signing_key, shown.exchange_key) == (
                known.identity.signing_key,
                known.identity.exchange_key,
            )
            return same_keys or self._refuse(shown.name, "superseded")
        if known is None and len(self._peers) >= PEERS_MAX:
            return self._refuse(shown.name, "keyring full")
        self._remove(shown.name)
        peer = Peer(shown, encoded)
        self._peers[shown.name] = peer
        self._by_hint[key_hint(self.mesh, shown.name, shown.exchange_key)] = peer
        self._by_encoded[encoded] = peer
        return True

    def _refuse(self, name: str, reason: str) -> bool:
        if len(self._refused) < _REFUSALS_KEPT_MAX:
            self._refused.append(RefusedIdentity(name, reason))
        return False

    def _remove(self, name: GatewayName) -> None:
        peer = self._peers.pop(name, None)
        if peer is not None:
            del self._by_hint[key_hint(self.mesh, name, peer.identity.exchange_key)]
            del self._by_encoded[peer.encoded]
