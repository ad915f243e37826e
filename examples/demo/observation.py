"""What a client saw: the only evidence that the demo's verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gossipsa.identifiers import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSeen:
    """One ESP packet that authenticated, fresh or not."""

    at_ns: int
    """CLOCK_MONOTONIC, as every time in the demo."""
    gateway: Endpoint
    """Who sent it."""
    spi: int
    sequence: int
    """Whole sequence number, 64 bits with ESN."""
    iv: bytes
    """As it travelled: under one key no two packets may have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The client was told to use another gateway, and did."""

    at_ns: int
    origin: Endpoint
    destination: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientObservation:
    """Everything that one client saw, in the order of arrival."""

    client: str
    """Client id in hexadecimal."""
    first_gateway: Endpoint
    packets: tuple[PacketSeen, ...]
    moves: tuple[Move, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    """How many datagrams were dropped, by reason."""
