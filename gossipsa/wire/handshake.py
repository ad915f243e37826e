"""Two-message handshake between gateways that know each other's identities.

The key schedule is that of the Noise pattern KK (Noise Protocol Framework, revision 34, section 7.5), built
from libsodium's X25519, BLAKE2b and XChaCha20-Poly1305:

    hello    e, es, ss      proves who asks, carries its boot and session index
    welcome  e, ee, se      proves who answers, carries its boot and session index

Keys of a session come from all four exchanges: a stolen static key opens nothing that was recorded (forward
secrecy), and speaks for its own gateway only. A replayed hello is answered, but the answer is of no use
without the ephemeral key: the answerer takes a session up only when the first sealed message arrives on it.

The chain begins with the label of the mesh and the names of both: gateways of two meshes never understand
each other, and a key that was certified under two names opens nothing under the wrong one.
"""

from __future__ import annotations

import hashlib

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from gossipsa.errors import PeerError
from gossipsa.identifiers import BOOT_ID_BYTES, BootId, GatewayName, Secret
from gossipsa.wire.key_pair import KeyPair

WIRE_VERSION = 1
HELLO = 1
WELCOME = 2
KEY_HINT_BYTES = 8
SESSION_INDEX_BYTES = 8
EPHEMERAL_BYTES = 32
_TAG_BYTES = 16
_BODY_BYTES = SESSION_INDEX_BYTES + BOOT_ID_BYTES
HELLO_BYTES = 2 + KEY_HINT_BYTES + EPHEMERAL_BYTES + _BODY_BYTES + _TAG_BYTES
WELCOME_BYTES = 2 + SESSION_INDEX_BYTES + EPHEMERAL_BYTES + _BODY_BYTES + _TAG_BYTES

# Each of these keys seals exactly one message, so that a constant nonce is never used twice under one key.
_ZERO_NONCE = bytes(24)


class HandshakeError(PeerError):
    """A hello or welcome that is malformed or was not made with the keys of the gateway it names."""


class SessionKeys(msgspec.Struct, frozen=True):
    """Keys of one session: by direction and by channel (datagram, stream)."""

    initiator_datagram: Secret
    responder_datagram: Secret
    initiator_stream: Secret
    responder_stream: Secret


class PendingHello(msgspec.Struct, frozen=True):
    """What an initiator remembers between hello and welcome."""

    session_index: bytes
    ephemeral: KeyPair
    chain: Secret
    data: bytes
    """The hello as sent, for retransmission."""


class AnsweredHello(msgspec.Struct, frozen=True):
    """What a responder learnt from a hello, and its welcome."""

    peer_session_index: bytes
    peer_boot: BootId
    keys: SessionKeys
    data: bytes
    """The welcome to send."""


class AcceptedWelcome(msgspec.Struct, frozen=True):
    """What an initiator learnt from a welcome."""

    peer_session_index: bytes
    peer_boot: BootId
    keys: SessionKeys


def key_hint(mesh: str, name: GatewayName, public_key: bytes) -> bytes:
    """Short name of an identity, by which a responder finds the gateway that a hello claims to come from."""
    named = _texts(mesh, name) + public_key
    return hashlib.blake2b(named, digest_size=KEY_HINT_BYTES, person=b"gossipsa hint").digest()


def pair_context(mesh: str, initiator: GatewayName, responder: GatewayName) -> bytes:
    """Who means to speak with whom, and in which mesh: what the chain of a handshake begins with."""
    return _texts(mesh, initiator, responder)


def is_hello(data: bytes) -> bool:
    """By its header alone."""
    return data[:2] == bytes((WIRE_VERSION, HELLO))


def is_handshake(data: bytes) -> bool:
    """By its header alone: a hello, or a welcome."""
    return data[:1] == bytes((WIRE_VERSION,)) and data[1:2] in (bytes((HELLO,)), bytes((WELCOME,)))


def hint_of_hello(hello: bytes) -> bytes:
    return hello[2 : 2 + KEY_HINT_BYTES]


def ephemeral_of_hello(hello: bytes) -> bytes:
    return hello[2 + KEY_HINT_BYTES : 2 + KEY_HINT_BYTES + EPHEMERAL_BYTES]


def _texts(*texts: str) -> bytes:
    """Texts that cannot run into each other."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in (text.encode() for text in texts))


def _mix(chain: bytes, *parts: bytes) -> Secret:
    return Secret(hashlib.blake2b(b"".join(parts), key=chain, digest_size=32, person=b"gossipsa KK").digest())


def _exchange(private: bytes, public: bytes) -> bytes:
    try:
        return bindings.crypto_scalarmult(private, public)
    except (CryptoError, RuntimeError):
        raise HandshakeError("the public key has low order") from None


def _seal(key: bytes, associated: bytes, plain: bytes) -> bytes:
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, _ZERO_NONCE, key)


def _open(key: bytes, associated: bytes, sealed: bytes) -> bytes:
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, associated, _ZERO_NONCE, key)
    except CryptoError:
        raise HandshakeError("not sealed with the keys of the gateway that it names") from None


def _start_chain(
    context: bytes, initiator_public: bytes, responder_public: bytes, ephemeral_public: bytes
) -> Secret:
    return _mix(b"gossipsa mesh 1", context, initiator_public, responder_public, ephemeral_public)


def _session_keys(chain: bytes) -> SessionKeys:
    return SessionKeys(*(_mix(chain, label) for label in (b"i dgram", b"r dgram", b"i stream", b"r stream")))


def make_hello(
    *,
    own: KeyPair,
    own_hint: bytes,
    peer_public: bytes,
    context: bytes,
    boot: BootId,
    session_index: bytes,
    ephemeral_private: bytes,
) -> PendingHello:
    """Makes a hello for the gateway that has `peer_public`.

    Args:
        own_hint: our `key_hint`.
        context: the `pair_context` of us and the peer.
        session_index: 8 bytes that the peer puts in front of what it sends under the new session.
        ephemeral_private: 32 fresh random bytes.
    """
    ephemeral = KeyPair.from_private(ephemeral_private)
    header = bytes((WIRE_VERSION, HELLO)) + own_hint + ephemeral.public
    chain = _start_chain(context, own.public, peer_public, ephemeral.public)
    chain = _mix(chain, _exchange(ephemeral.private, peer_public), _exchange(own.private, peer_public))
    sealed = _seal(_mix(chain, b"hello"), header, session_index + boot)
    return PendingHello(session_index, ephemeral, chain, header + sealed)


def answer_hello(
    data: bytes,
    *,
    own: KeyPair,
    peer_public: bytes,
    context: bytes,
    boot: BootId,
    session_index: bytes,
    ephemeral_private: bytes,
) -> AnsweredHello:
    """Opens a hello that names the gateway with `peer_public`, and makes the welcome.

    Args:
        context: the `pair_context` of the peer and us.

    Raises:
        HandshakeError: wrong length, or not from that gateway.
    """
    if len(data) != HELLO_BYTES:
        raise HandshakeError(f"a hello has {HELLO_BYTES} bytes, not {len(data)}")
    header, sealed = (
        data[: 2 + KEY_HINT_BYTES + EPHEMERAL_BYTES],
        data[2 + KEY_HINT_BYTES + EPHEMERAL_BYTES :],
    )
    peer_ephemeral = header[-32:]
    chain = _start_chain(context, peer_public, own.public, peer_ephemeral)
    chain = _mix(chain, _exchange(own.private, peer_ephemeral), _exchange(own.private, peer_public))
    body = _open(_mix(chain, b"hello"), header, sealed)
    peer_index, peer_boot = body[:SESSION_INDEX_BYTES], BootId(body[SESSION_INDEX_BYTES:])

    ephemeral = KeyPair.from_private(ephemeral_private)
    header = bytes((WIRE_VERSION, WELCOME)) + peer_index + ephemeral.public
    chain = _mix(
        chain,
        ephemeral.public,
        _exchange(ephemeral.private, peer_ephemeral),
        _exchange(ephemeral.private, peer_public),
    )
    sealed = _seal(_mix(chain, b"welcome"), header, session_index + boot)
    return AnsweredHello(peer_index, peer_boot, _session_keys(chain), header + sealed)


def accept_welcome(data: bytes, *, own: KeyPair, pending: PendingHello) -> AcceptedWelcome:
    """Opens the welcome that answers `pending`.

    Raises:
        HandshakeError: wrong length, or not from the gateway that was asked.
    """
    if len(data) != WELCOME_BYTES:
        raise HandshakeError(f"a welcome has {WELCOME_BYTES} bytes, not {len(data)}")
    header, sealed = data[: 2 + SESSION_INDEX_BYTES + 32], data[2 + SESSION_INDEX_BYTES + 32 :]
    peer_ephemeral = header[-32:]
    chain = _mix(
        pending.chain,
        peer_ephemeral,
        _exchange(pending.ephemeral.private, peer_ephemeral),
        _exchange(own.private, peer_ephemeral),
    )
    body = _open(_mix(chain, b"welcome"), header, sealed)
    return AcceptedWelcome(
        body[:SESSION_INDEX_BYTES], BootId(body[SESSION_INDEX_BYTES:]), _session_keys(chain)
    )
