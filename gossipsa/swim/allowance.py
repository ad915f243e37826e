"""Token buckets: how much one sender may ask of us, and how often we do what costs others."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim.settings import SECOND_NS


class Allowance:
    """Starts full, refills evenly, and grants nothing beyond its content."""

    __slots__ = ("_burst", "_filled_ns", "_level_ns", "_token_ns")

    def __init__(self, *, per_second: int, burst: int) -> None:
        self._token_ns = max(1, SECOND_NS // per_second)
        self._burst = burst
        self._level_ns = burst * self._token_ns
        self._filled_ns: int | None = None

    def take(self, wanted: int, now_ns: int) -> int:
        """Use up to `wanted` tokens and return how many were granted; `now_ns` never goes back."""
        if self._filled_ns is not None:
            self._level_ns = min(self._level_ns + now_ns - self._filled_ns, self._burst * self._token_ns)
        self._filled_ns = now_ns
        granted = min(wanted, self._level_ns // self._token_ns)
        self._level_ns -= granted * self._token_ns
        return granted

    def give_back(self, count: int) -> None:
        """Return tokens that were granted just now, and not used."""
        self._level_ns = min(self._level_ns + count * self._token_ns, self._burst * self._token_ns)


class SenderAllowances:
    """One allowance for each sender; of too many senders the first one starts afresh."""

    def __init__(self, *, per_second: int, burst: int, senders_max: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._senders_max = senders_max
        self._allowances: dict[GatewayName, Allowance] = {}

    def take(self, sender: GatewayName, wanted: int, now_ns: int) -> int:
        """Use up to `wanted` tokens of a sender and return how many were granted."""
        allowance = self._allowances.get(sender)
        if allowance is None:
            if len(self._allowances) >= self._senders_max:
                del self._allowances[next(iter(self._allowances))]
            allowance = self._allowances[sender] = Allowance(per_second=self._per_second, burst=self._burst)
        return allowance.take(wanted, now_ns)

    def give_back(self, sender: GatewayName, count: int) -> None:
        """Return tokens that were granted to a sender just now, and not used."""
        allowance = self._allowances.get(sender)
        if allowance is not None:
            allowance.give_back(count)
