"""What the driver itself drops, refuses or meets: numbers that only grow."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Count(StrEnum):
    """Names of the numbers, as metrics show them."""

    DATAGRAMS_RECEIVED = "datagrams_received"
    DATAGRAMS_SENT = "datagrams_sent"
    DATAGRAMS_OVERSIZED = "datagrams_oversized"
    DATAGRAMS_UNREAD = "datagrams_unread"
    DATAGRAMS_UNSENT = "datagrams_unsent"
    FRAMES_RECEIVED = "frames_received"
    FRAMES_SENT = "frames_sent"
    FRAMES_DROPPED = "frames_dropped"
    FRAMES_LOST = "frames_lost"
    STREAMS_ACCEPTED = "streams_accepted"
    STREAMS_REFUSED = "streams_refused"
    STREAMS_BROKEN = "streams_broken"
    STREAM_CONNECTS_FAILED = "stream_connects_failed"
    IKE_PROBES_SENT = "ike_probes_sent"
    IKE_PROBES_UNSENT = "ike_probes_unsent"
    IKE_PROBES_ANSWERED = "ike_probes_answered"
    IKE_MESSAGES_PASSED = "ike_messages_passed"
    IKE_MESSAGES_IGNORED = "ike_messages_ignored"
    IKE_MESSAGES_SENT = "ike_messages_sent"
    IKE_MESSAGES_UNSENT = "ike_messages_unsent"
    COUNTER_DUMPS = "counter_dumps"
    COUNTER_DUMPS_FAILED = "counter_dumps_failed"
    ADMIN_REQUESTS = "admin_requests"
    ADMIN_REQUESTS_BAD = "admin_requests_bad"
    LOG_LINES_DROPPED = "log_lines_dropped"


class Counts:
    """The numbers. Any part of the driver adds to them; metrics read them."""

    def __init__(self) -> None:
        self._numbers: Counter[Count] = Counter()

    def add(self, count: Count, number: int = 1) -> None:
        self._numbers[count] += number

    def __getitem__(self, count: Count) -> int:
        return self._numbers[count]

    def items(self) -> list[tuple[Count, int]]:
        """All numbers, those that are zero too."""
        return [(count, self._numbers[count]) for count in Count]
