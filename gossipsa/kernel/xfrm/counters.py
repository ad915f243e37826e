"""What the XFRM kernel met and could not pass on."""

from __future__ import annotations

import msgspec


class XfrmCounters(msgspec.Struct, kw_only=True):
    """Numbers that only grow. Read them for metrics."""

    event_overflows: int = 0
    """Times the kernel dropped events; each led to a listing of all SAs."""
    failed_resyncs: int = 0
    """Listings after lost events that failed in turn."""
    malformed_events: int = 0
    """Events that could not be decoded."""
    dropped_events: int = 0
    """Limit events dropped because nobody read them in time."""
    dropped_ike_messages: int = 0
    """Copies of IKE messages dropped because nobody read them in time."""
    malformed_ike_datagrams: int = 0
    """Datagrams on the IKE ports that are no IKE message."""
