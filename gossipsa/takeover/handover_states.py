"""The planned move of one client, as its owner sees it, as a table.

    waiting    too many clients are being moved to begin with this one
    offered    the target was asked, and did not answer yet
    moving     the target installs the client and tells it; we serve it as before
    leaving    the target owns the client, and our SAs carry what is still sent through us until it serves
    recalling  the target gave up or fell silent: the client may have obeyed it, and is told to stay

Two ends: the client is gone from here, or it stays ours. A pair that the table lacks changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class HandoverState(Enum):
    """Where the planned move of a client stands."""

    WAITING = "waiting"
    OFFERED = "offered"
    MOVING = "moving"
    LEAVING = "leaving"
    RECALLING = "recalling"
    MOVED = "moved"
    KEPT = "kept"


class HandoverEvent(Enum):
    """What can happen to it."""

    SLOT_FREE = "slot free"
    CANCELLED = "cancelled"
    """The operator wants the client to stay."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The target did nothing."""
    GAVE_UP = "gave up"
    """The client did not answer the target, which took away what it had installed."""
    TAKEN = "taken"
    """The target owns the client: it answered."""
    SERVING = "serving"
    """Traffic and IKE of the client pass at the target."""
    TARGET_LOST = "target lost"
    """It failed, left, began anew, or took too long."""
    ANSWERED = "answered"
    """The client answered us."""
    UNANSWERED = "unanswered"


HANDOVER_TRANSITIONS: Mapping[HandoverState, Mapping[HandoverEvent, HandoverState]] = {
    HandoverState.WAITING: {
        HandoverEvent.SLOT_FREE: HandoverState.OFFERED,
        HandoverEvent.CANCELLED: HandoverState.KEPT,
        HandoverEvent.TARGET_LOST: HandoverState.KEPT,
    },
    HandoverState.OFFERED: {
        HandoverEvent.ACCEPTED: HandoverState.MOVING,
        HandoverEvent.REFUSED: HandoverState.KEPT,
        HandoverEvent.GAVE_UP: HandoverState.RECALLING,
        HandoverEvent.TAKEN: HandoverState.LEAVING,
        HandoverEvent.TARGET_LOST: HandoverState.RECALLING,
    },
    HandoverState.MOVING: {
        HandoverEvent.GAVE_UP: HandoverState.RECALLING,
        HandoverEvent.TAKEN: HandoverState.LEAVING,
        HandoverEvent.TARGET_LOST: HandoverState.RECALLING,
    },
    HandoverState.LEAVING: {
        HandoverEvent.SERVING: HandoverState.MOVED,
        HandoverEvent.TARGET_LOST: HandoverState.MOVED,
    },
    # An ownership of the target that comes to light now is a conflict: the client decides it by its answer.
    HandoverState.RECALLING: {
        HandoverEvent.ANSWERED: HandoverState.KEPT,
        HandoverEvent.UNANSWERED: HandoverState.KEPT,
    },
    HandoverState.MOVED: {},
    HandoverState.KEPT: {},
}

AT_TARGET = frozenset({HandoverState.OFFERED, HandoverState.MOVING})
"""The target has our consent to own the client."""
