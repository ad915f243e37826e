"""What an all-knowing observer sees of a run. Checkers judge by these, and by the cluster itself."""

from __future__ import annotations

import msgspec


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all observations."""


class EspSent(Observation, frozen=True):
    """A gateway's kernel used sequence numbers of a key."""

    gateway: str
    client: str
    key: str
    """Digest of the key, not the key."""
    first: int
    last: int


class EspDelivered(Observation, frozen=True):
    """A client accepted an ESP packet and passed its payload on."""

    client: str
    gateway: str
    """Where it came from."""
    serial: int
    """Every payload sent by any gateway has its own."""


class EspAccepted(Observation, frozen=True):
    """A gateway's kernel accepted an ESP packet of a client."""

    gateway: str
    client: str
    packet: bytes
    """As it arrived."""


class IkeSealed(Observation, frozen=True):
    """A gateway sent a protected IKE message."""

    gateway: str
    key: str
    """SPIs of the IKE_SA; the direction is always gateway to client."""
    iv: bytes
    digest: bytes
    """Of the whole message: a retransmission has the same."""


class ClientConnected(Observation, frozen=True):
    """A client made an IKE_SA with a gateway, from nothing."""

    client: str
    gateway: str


class ClientMoved(Observation, frozen=True):
    """A client obeyed a redirect."""

    client: str
    source: str
    destination: str


class ClientDismissed(Observation, frozen=True):
    """A client received the deletion of its IKE_SA."""

    client: str
    gateway: str


class ClientForgotten(Observation, frozen=True):
    """The IKE daemon of a gateway ended a client's IKE_SA: it got no answer, or was asked to."""

    client: str
    gateway: str


class FaultInjected(Observation, frozen=True):
    """Something was broken, or repaired."""

    fault: str
    node: str
