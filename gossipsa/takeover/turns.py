"""Who goes first: of the replicas that live, the nearest to the client's gateway takes over (rule R4)."""

from __future__ import annotations

from random import Random

from gossipsa.identifiers import Holder
from gossipsa.replication.record import ClientRecord
from gossipsa.takeover.peers import Peers

_MS = 1_000_000
_TURN_MARGIN_NS = 250 * _MS
_TURN_JITTER_NS = 50 * _MS


class Turns:
    """The order in which replicas of a record begin, and how long one waits for those before it."""

    def __init__(self, *, me: Holder, peers: Peers, random: Random) -> None:
        self._me = me
        self._peers = peers
        self._random = random

    def wait_ns(self, record: ClientRecord) -> int:
        """How long to leave the client to nearer replicas; 0 if it is our turn."""
        wait_ns = 0
        for holder in self._nearer(record.replicas):
            jitter_ns = self._random.randrange(_TURN_JITTER_NS)
            wait_ns += 2 * self._peers.round_trip_ns(holder.gateway) + _TURN_MARGIN_NS + jitter_ns
        return wait_ns

    def is_ours(self, replicas: tuple[Holder, ...]) -> bool:
        """True if no replica that lives comes before us."""
        return not self._nearer(replicas)

    def _nearer(self, replicas: tuple[Holder, ...]) -> list[Holder]:
        nearer = []
        for holder in replicas:
            if holder == self._me:
                break
            if self._peers.is_live(holder.gateway) and self._peers.holder(holder.gateway) == holder:
                nearer.append(holder)
        return nearer
