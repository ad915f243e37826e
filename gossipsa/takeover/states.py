"""The takeover of one client, as a table.

    waiting      our turn comes after the nearer replicas'
    claiming     every other holder of the record is asked
    queued       the claim is won; too many clients are being moved to begin with this one
    installing   IKE daemon and kernel get the client, outbound blocked
    redirecting  the client is told, until it answers: its answer decides
    activating   the client is ours; IKE daemon, block and route follow
    yielded      another replica is at it
    removing     what was installed is taken away again
    held         the client did not answer; it is tried again later, or when it speaks

Two ends are no states: the client is ours, or somebody else's. A pair that the table lacks changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """Where the takeover of a client stands."""

    WAITING = "waiting"
    CLAIMING = "claiming"
    QUEUED = "queued"
    INSTALLING = "installing"
    REDIRECTING = "redirecting"
    ACTIVATING = "activating"
    YIELDED = "yielded"
    REMOVING = "removing"
    HELD = "held"
    OURS = "ours"
    OVER = "over"


class Event(Enum):
    """What can happen to it."""

    TURN_CAME = "turn came"
    OWNER_CONSENTED = "owner consented"
    """A planned move: the owner lives and wants it. Nobody else needs to be asked."""
    CLAIM_WON = "claim won"
    CLAIM_DEFERRED = "claim deferred"
    """A holder still hears the owner."""
    OUTBID = "outbid"
    """Another replica has a higher epoch, or is further."""
    RIVAL_ENDED = "rival ended"
    SLOT_FREE = "slot free"
    INSTALLED = "installed"
    FAILED = "failed"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    ACTIVATED = "activated"
    REMOVED = "removed"
    OWNER_ALIVE = "owner alive"
    SUPERSEDED = "superseded"
    """A record with a higher epoch came: somebody else owns the client."""
    RETRY_DUE = "retry due"
    CLIENT_SPOKE = "client spoke"


_END = {Event.OWNER_ALIVE: State.OVER, Event.SUPERSEDED: State.OVER}

TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.WAITING: {
        Event.TURN_CAME: State.CLAIMING,
        Event.OWNER_CONSENTED: State.QUEUED,
        Event.OUTBID: State.YIELDED,
        **_END,
    },
    State.CLAIMING: {
        Event.CLAIM_WON: State.QUEUED,
        Event.CLAIM_DEFERRED: State.WAITING,
        Event.OUTBID: State.YIELDED,
        Event.FAILED: State.HELD,
        **_END,
    },
    State.QUEUED: {
        Event.SLOT_FREE: State.INSTALLING,
        **_END,
    },
    State.INSTALLING: {
        Event.INSTALLED: State.REDIRECTING,
        Event.FAILED: State.HELD,
        # Nothing was said to the client yet.
        Event.OWNER_ALIVE: State.REMOVING,
        Event.SUPERSEDED: State.REMOVING,
    },
    State.REDIRECTING: {
        Event.ANSWERED: State.ACTIVATING,
        Event.UNANSWERED: State.REMOVING,
        Event.FAILED: State.REMOVING,
        # The client may have obeyed already: only its answer, or its silence, decides. An owner that is
        # alive after all learns of the higher epoch and yields.
        Event.SUPERSEDED: State.REMOVING,
    },
    State.ACTIVATING: {
        Event.ACTIVATED: State.OURS,
        Event.FAILED: State.OURS,
        Event.SUPERSEDED: State.REMOVING,
    },
    State.YIELDED: {
        Event.RIVAL_ENDED: State.WAITING,
        Event.RETRY_DUE: State.WAITING,
        Event.CLIENT_SPOKE: State.WAITING,
        **_END,
    },
    State.REMOVING: {
        Event.REMOVED: State.HELD,
        Event.FAILED: State.HELD,
    },
    State.HELD: {
        Event.RETRY_DUE: State.WAITING,
        Event.CLIENT_SPOKE: State.WAITING,
        Event.OUTBID: State.YIELDED,
        **_END,
    },
    State.OURS: {},
    State.OVER: {},
}

COMMITTED = frozenset({State.ACTIVATING, State.OURS})
"""The client has answered us."""

PAST_CLAIM = frozenset(
    {State.QUEUED, State.INSTALLING, State.REDIRECTING, State.ACTIVATING, State.OURS, State.REMOVING}
)
"""Our claim was won: others must wait for how it ends."""
