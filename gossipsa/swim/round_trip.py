"""How long a gateway takes to answer: smoothed round-trip time and its variation (RFC 6298 section 2).

Every ping has its own sequence, so that no sample is ambiguous and repetitions count too (Karn's problem
does not arise).
"""

from __future__ import annotations

import msgspec

from gossipsa.swim.settings import SwimSettings


class RoundTrip(msgspec.Struct):
    """The estimate for one peer."""

    smoothed_ns: int | None = None
    """None before the first answer."""
    variation_ns: int = 0

    def sample(self, rtt_ns: int) -> None:
        """Take in one measured round trip."""
        if self.smoothed_ns is None:
            self.smoothed_ns = rtt_ns
            self.variation_ns = rtt_ns // 2
            return
        self.variation_ns += (abs(self.smoothed_ns - rtt_ns) - self.variation_ns) // 4
        self.smoothed_ns += (rtt_ns - self.smoothed_ns) // 8

    def ack_wait_ns(self, settings: SwimSettings) -> int:
        """Time within which an answer is to be expected."""
        if self.smoothed_ns is None:
            return settings.ack_wait_initial_ns
        # RFC 6298 adds at least the clock granularity; what is coarse here is the scheduling of a daemon.
        slack_ns = max(4 * self.variation_ns, settings.ack_wait_min_ns // 4)
        return min(max(self.smoothed_ns + slack_ns, settings.ack_wait_min_ns), settings.ack_wait_max_ns)
