"""What an all-knowing observer sees of a run. Checkers judge by these, and by the cluster itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Base of all observations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EspSent(Observation):
    """A gateway's kernel used sequence numbers of a key."""

    gateway: str
    client: str
    key: str
    """Digest of the key, not the key."""
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EspDelivered(Observation):
    """A client accepted an ESP packet and passed its payload on."""

    client: str
    gateway: str
    """Where it came from."""
    serial: int
    """Every payload sent by any gateway has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EspAccepted(Observation):
    """A gateway's kernel accepted an ESP packet of a client."""

    gateway: str
    client: str
    packet: bytes
    """As it arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeSealed(Observation):
    """A gateway sent a protected IKE message."""

    gateway: str
    key: str
    """SPIs of the IKE_SA; the direction is always gateway to client."""
    iv: bytes
    digest: bytes
    """Of the whole message: a retransmission has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnected(Observation):
    """A client made an IKE_SA with a gateway, from nothing."""

    client: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMoved(Observation):
    """A client obeyed a redirect."""

    client: str
    source: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDismissed(Observation):
    """A client received the deletion of its IKE_SA."""

    client: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientForgotten(Observation):
    """The IKE daemon of a gateway ended a client's IKE_SA: it got no answer, or was asked to."""

    client: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Observation):
    """Something was broken, or repaired."""

    fault: str
    node: str
