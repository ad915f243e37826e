"""Soft and hard packet limits: fences of sequence numbers, since the packet counter counts with them."""

from __future__ import annotations

from gossipsa.ipsec.lanes import CREATOR_REKEY, SHARED_FIRST
from gossipsa.kernel.backend import SaId, SetPacketLimit

CREATOR_LAST = SHARED_FIRST - 1
"""Highest number that is the creator's without a lane."""


def creator_limit(sa: SaId) -> SetPacketLimit:
    """Fences the key of a creator; the soft limit asks for the rekey that makes a new one."""
    return SetPacketLimit(id=sa, soft=CREATOR_REKEY, hard=CREATOR_LAST)


def lane_limit(sa: SaId, *, sent: int, last: int) -> SetPacketLimit:
    """Fences an SA at `last`. The soft limit leaves the last quarter of the range for what must follow."""
    assert sent < last
    return SetPacketLimit(id=sa, soft=sent + (last - sent) * 3 // 4, hard=last)


def limit_as_before(sa: SaId, *, sent: int, hard: int) -> SetPacketLimit:
    """The limit of an SA that is installed anew and goes on with its own numbers."""
    if sent < CREATOR_REKEY and hard >= CREATOR_LAST:
        return creator_limit(sa)
    return lane_limit(sa, sent=sent, last=hard)
