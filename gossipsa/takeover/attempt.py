"""The takeover of one client: what is known of it, and where it stands."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.ipsec.lanes import NumberRange
from gossipsa.ipsec.security_association import ClientState, IkeSpis
from gossipsa.replication.record import ClientRecord
from gossipsa.takeover.redirect import Redirect
from gossipsa.takeover.states import State

_SENDINGS_WITH_SLOT = 3


class Attempt:
    """The takeover of one client."""

    __slots__ = (
        "asked",
        "base",
        "client",
        "consented",
        "epoch",
        "held_until_ns",
        "installed",
        "over",
        "owner",
        "promised",
        "ranges",
        "record",
        "redirect",
        "released",
        "rival",
        "sendings",
        "spis",
        "state",
    )

    def __init__(self, record: ClientRecord, *, state: State) -> None:
        self.client = record.client
        self.owner = record.owner
        self.state = state
        self.base = record.epoch
        self.epoch = record.epoch
        self.promised = record.epoch
        self.rival: GatewayName | None = None
        self.released = False
        self.consented = False
        self.over = False
        self.asked: dict[GatewayName, None] = {}
        self.ranges: dict[int, NumberRange] = {}
        self.redirect: Redirect | None = None
        self.installed: ClientState | None = None
        self.record: ClientRecord | None = None
        self.spis: IkeSpis | None = None
        self.sendings = 0
        self.held_until_ns: int | None = None

    @property
    def has_slot(self) -> bool:
        """True while it counts against the clients moved at once; one that keeps silent stops to count."""
        return self.state is State.INSTALLING or (
            self.state is State.REDIRECTING and self.sendings <= _SENDINGS_WITH_SLOT
        )
