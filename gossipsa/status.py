"""What a gateway tells its operator about itself. No key material."""

from __future__ import annotations

import msgspec


class IdentityStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who this gateway is, by the word of its mesh's authority."""

    mesh: str
    site: str
    zone: str
    serial: str
    """In hexadecimal."""
    ends_s: int
    """Unix seconds."""
    ends_in_s: int
    """By the daemon's own clock; negative if it has ended."""
    trust_version: int
    """Of the trust list that the gateway goes by."""


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway of the mesh as this one sees it."""

    name: str
    state: str
    """alive, suspect, failed or left."""
    boot: str
    incarnation: int
    round_trip_ms: float | None
    estimate_ms: float | None = None
    """Round-trip time estimated from the coordinates of both."""
    closed: tuple[str, ...] = ()
    """Ways on which nothing passes though it is alive: datagrams to it, datagrams from it, stream."""
    flapping: bool = False
    """True for one that keeps failing and returning, until it has been calm for a while."""
    heard_ms_ago: float
    """Since the last sign of life, first hand."""
    site: str
    zone: str
    draining: bool = False
    """True while it is being emptied."""


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One client whose record this gateway holds."""

    client: str
    """Client id in hexadecimal."""
    role: str
    """owner, replica, or the state of a takeover under way."""
    owner: str
    epoch: str
    remote: str
    virtual_addresses: tuple[str, ...]
    children: int
    replicas: tuple[str, ...]
    acknowledged: int
    """Of an owned client: replicas that acknowledged its latest version."""
    ike_spis: str = ""
    """SPIs of the current IKE_SA, as `swanctl --list-sas` shows them."""
    inbound_spis: tuple[str, ...] = ()
    """The gateway's inbound SPIs of the CHILD_SAs, the oldest first, in hexadecimal."""


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `gossipsa status`."""

    name: str
    boot: str
    identity: IdentityStatus
    name_lost: bool = False
    """True once a newer host has this name: this one says nothing any more, and serves the clients it has."""
    members: tuple[MemberStatus, ...]
    clients: tuple[ClientStatus, ...]
    copies: dict[str, int]
    """Owned clients by number of acknowledged copies: "0", "1", "2", ..."""
    roles: dict[str, int] = {}
    """Clients whose record is here, by role."""
    short_since_s: float | None = None
    """For how long the worst of the owned clients has had fewer acknowledged copies than it should have; None
    if all clients have theirs."""
    counts: dict[str, int]
    """How often each reported event happened since the start."""
    draining: bool = False
    """True while this gateway is being emptied."""

    moving: int = 0
    """Clients that are being moved to other gateways by plan, or are next, or went and are not quite gone."""

    @property
    def owned(self) -> int:
        """Own clients."""
        return sum(self.copies.values())
