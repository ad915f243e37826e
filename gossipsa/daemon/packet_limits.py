"""Soft and hard packet limits: fences of sequence numbers, since the packet counter counts with them."""

from __future__ import annotations

from gossipsa.ipsec.lanes import CREATOR_REKEY, SHARED_END, SHARED_FIRST
from gossipsa.kernel.backend import KernelSa, SaId, SetPacketLimit

CREATOR_LAST = SHARED_FIRST - 1
"""Highest number that is the creator's without a lane."""


def creator_limit(sa: SaId) -> SetPacketLimit:
    """Fences the key of a creator; the soft limit asks for the rekey that makes a new one."""
    return SetPacketLimit(id=sa, soft=CREATOR_REKEY, hard=CREATOR_LAST)


def lane_limit(sa: SaId, *, sent: int, last: int) -> SetPacketLimit:
    """Fences an SA at `last`. The soft limit leaves the last quarter of the range for what must follow."""
    assert sent < last
    return SetPacketLimit(id=sa, soft=sent + (last - sent) * 3 // 4, hard=last)


def is_fenced(sa: KernelSa) -> bool:
    """True if the kernel stops the SA before numbers that nobody may use."""
    return sa.packet_limit < SHARED_END


def last_number_of(sa: KernelSa) -> int:
    """The highest number that an outbound SA in the kernel may send. Not above `sent`: none is left.

    An SA without a fence is its creator's, who did not come to fence it yet.
    """
    return sa.packet_limit if is_fenced(sa) else CREATOR_LAST


def limit_as_before(sa: KernelSa, *, sent: int) -> SetPacketLimit:
    """The limit of an SA that is installed anew and goes on after `sent` with its own numbers."""
    last = last_number_of(sa)
    return creator_limit(sa.id) if sent < CREATOR_REKEY < last else lane_limit(sa.id, sent=sent, last=last)
