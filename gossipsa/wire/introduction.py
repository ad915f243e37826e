"""First contact, in the clear: a gateway that has only an address shows its identity, and asks for another.

All introductions have one length, and nothing that answers a datagram is longer than it: nobody can be
flooded through us with more than the flooder sends. What is shown is public, and is no proof that the sender
has the keys: that takes a handshake.

Where datagrams do not pass, introductions go over streams. A stream is one-way and tells no mesh endpoint, so
an introduction says where its gateway is reached, signed by that gateway: nobody can have us connect to
places of his choice, but for those where a gateway of the mesh was.

    introduction   shows who asks, and asks who is there
    answer         shows who is there
    stranger       answers a hello of a gateway whose identity is not known
    trust          a trust list, for a gateway that is behind
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gossipsa.errors import PeerError
from gossipsa.identifiers import Endpoint
from gossipsa.wire.codec import Decoder, MessageDecodeError, Value, encode
from gossipsa.wire.handshake import EPHEMERAL_BYTES, HELLO_BYTES, WIRE_VERSION, ephemeral_of_hello
from gossipsa.wire.identity import IDENTITY_BYTES_MAX, Identity, Signature
from gossipsa.wire.signing import Domain, is_signed
from gossipsa.wire.trust import VERSION_MAX

INTRODUCTION = 5
ANSWER = 6
STRANGER = 7
TRUST = 8
NONCE_BYTES = 8
INTRODUCTION_BYTES = 640
STRANGER_BYTES = 2 + EPHEMERAL_BYTES

_LENGTH_BYTES = 2


class IntroductionError(PeerError):
    """A datagram of first contact that is malformed."""


class Introduction(Value, frozen=True):
    """Who somebody says to be."""

    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    """Drawn by who asks; an answer repeats it."""
    trust_version: Annotated[int, Meta(ge=1, le=VERSION_MAX)]
    """Of the sender's trust list."""
    identity: Annotated[bytes, Meta(max_length=IDENTITY_BYTES_MAX)]
    endpoint: Endpoint
    """Where the sender is reached."""
    signature: Signature
    """The sender's, over `endpoint_statement`. To be checked by who is about to use the endpoint."""


_DECODER: Decoder[Introduction] = Decoder(Introduction)


def encode_introduction(kind: int, introduction: Introduction) -> bytes:
    """A datagram of INTRODUCTION_BYTES; `kind` is INTRODUCTION or ANSWER."""
    body = encode(introduction)
    data = bytes((WIRE_VERSION, kind)) + len(body).to_bytes(_LENGTH_BYTES, "big") + body
    assert len(data) <= INTRODUCTION_BYTES
    return data.ljust(INTRODUCTION_BYTES, b"\0")


def decode_introduction(data: bytes) -> Introduction:
    """Reads what `encode_introduction` made. The identity in it is not looked at.

    Raises:
        IntroductionError: malformed, or of another length.
    """
    if len(data) != INTRODUCTION_BYTES:
        raise IntroductionError(f"an introduction has {INTRODUCTION_BYTES} bytes, not {len(data)}")
    start = 2 + _LENGTH_BYTES
    length = int.from_bytes(data[2:start], "big")
    if any(data[start + length :]):
        raise IntroductionError("an introduction is padded with zeros")
    try:
        return _DECODER.decode(data[start : start + length])
    except MessageDecodeError as error:
        raise IntroductionError(str(error)) from None


def endpoint_statement(identity: bytes, endpoint: Endpoint) -> bytes:
    """What a gateway signs to say where it is reached, in the mesh of its encoded identity."""
    return encode((identity, endpoint))


def is_endpoint_genuine(identity: Identity, introduction: Introduction) -> bool:
    """True if the gateway whose identity is shown says that it is reached there, or once said so."""
    statement = endpoint_statement(introduction.identity, introduction.endpoint)
    return is_signed(identity.signing_key, Domain.ENDPOINT, statement, introduction.signature)


def stranger_notice(hello: bytes) -> bytes:
    """Answers a hello whose sender is not known.

    It repeats the hello's ephemeral key: only who sees the hello can make one.

    Raises:
        IntroductionError: no hello.
    """
    if len(hello) != HELLO_BYTES:
        raise IntroductionError("no hello")
    return bytes((WIRE_VERSION, STRANGER)) + ephemeral_of_hello(hello)


def ephemeral_of_notice(data: bytes) -> bytes:
    """The ephemeral key of the hello that a notice answers. Raises IntroductionError: wrong length."""
    if len(data) != STRANGER_BYTES:
        raise IntroductionError(f"a stranger notice has {STRANGER_BYTES} bytes, not {len(data)}")
    return data[2:]


def trust_datagram(trust_list: bytes) -> bytes:
    """A trust list as it travels to a gateway with which there is no session.

    It must not be sent where that would be longer than what it answers, INTRODUCTION_BYTES.
    """
    return bytes((WIRE_VERSION, TRUST)) + trust_list
