"""After a start: ask the others for the records of our own clients, which the IKE daemon may still serve.

A gateway daemon that died alone finds everything again: records at its replicas, SAs in the kernel, IKE_SAs
in the IKE daemon.
"""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.replication.messages import RecallRecords, ReturnRecords
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.shards import SHARD_COUNT

_WAIT_NS = 1_500_000_000
_WAIT_MAX_NS = 5_000_000_000
_LONGEST_NS = 60_000_000_000
_ASK_INTERVAL_NS = 400_000_000
ASKED_MAX = 32
"""In a larger mesh nobody is asked: who has records returns them when it sees us start."""
RETURNED_UNASKED_MIN = ASKED_MAX // 2
"""From so many live members on records are returned unasked: two do not see the same mesh at any moment."""
RETURNED_MAX = 200_000
"""Clients of ours that others may return records of: as many as an IKE daemon's adapter follows."""


class _Question(msgspec.Struct):
    """What one gateway is asked."""

    shard: int = 0
    """From where on."""
    asked_ns: int = 0
    """When last, 0 for not yet."""


class Recall:
    """Asks, and collects the answers: of whoever joins for 1.5 s, of those that live for 5 s at most.

    An answer is a part of what there is, and the next question asks for the next one: nobody is flooded. It
    goes on while parts come, for a minute at most.

    It ends early when everybody has answered of whom the mesh knows, once we have joined it. In a mesh of
    more than ASKED_MAX nobody is asked but for what follows a part that came unasked, and it ends after 1.5 s
    at the earliest. To begin without the records of living gateways costs much: clients that nobody names are
    asked of the IKE daemon, which then rekeys every CHILD_SA.
    """

    def __init__(self, *, me: GatewayName, now_ns: int) -> None:
        self._me = me
        self._knows_all = False
        self._records: dict[ClientId, ClientRecord] = {}
        self._keepers: dict[ClientId, dict[GatewayName, None]] = {}
        self._questions: dict[GatewayName, _Question] = {}
        self._patience_ends_ns = now_ns + _WAIT_NS
        self._ends_ns = now_ns + _WAIT_MAX_NS
        self._ends_at_last_ns = now_ns + _LONGEST_NS
        self._running = True
        self._asks = True

    @property
    def running(self) -> bool:
        return self._running

    def ask(self, name: GatewayName, *, live: int) -> None:
        """A gateway lives, as one of so many: it is asked until it answers, if they are not too many."""
        self._asks = live <= ASKED_MAX
        if self._asks:
            self._questions[name] = _Question()
            return
        for other in [other for other, question in self._questions.items() if not question.shard]:
            del self._questions[other]

    def joined(self) -> None:
        """All gateways that live have been named, or there is nobody to ask."""
        self._knows_all = True

    def forget(self, name: GatewayName) -> None:
        """A gateway failed or left: it is not asked any more."""
        self._questions.pop(name, None)

    def take_questions(self, *, now_ns: int) -> tuple[tuple[GatewayName, RecallRecords], ...]:
        """What to ask whom now."""
        due = []
        for name, question in self._questions.items():
            if not question.asked_ns or now_ns >= question.asked_ns + _ASK_INTERVAL_NS:
                question.asked_ns = now_ns
                due.append((name, RecallRecords(shard=question.shard)))
        return tuple(due)

    def hear(self, sender: GatewayName, message: ReturnRecords, *, now_ns: int) -> int:
        """Keeps the newest version of each record.

        Returns:
            How many were no records, or one more than RETURNED_MAX.
        """
        refused = 0
        for record in message.records:
            is_new = record.client not in self._keepers
            if not record.is_sound or (is_new and len(self._keepers) >= RETURNED_MAX):
                refused += 1
                continue
            if record.owner != self._me:
                continue
            self._keepers.setdefault(record.client, {})[sender] = None
            known = self._records.get(record.client)
            if known is None or known.version < record.version:
                self._records[record.client] = record
        if message.last:
            self._go_on(sender, message.following, now_ns)
        return refused

    def _go_on(self, sender: GatewayName, following: int, now_ns: int) -> None:
        """A gateway has returned what it has up to a shard, asked or not."""
        if following == SHARD_COUNT:
            self._questions.pop(sender, None)
            return
        question = self._questions.get(sender)
        if following > (question.shard if question is not None else 0):
            self._questions[sender] = _Question(shard=following)
            self._ends_ns = min(max(self._ends_ns, now_ns + _WAIT_MAX_NS), self._ends_at_last_ns)

    def is_due(self, *, now_ns: int) -> bool:
        """True once, when the answers are complete or time is up."""
        if not self._running:
            return False
        if self._questions:
            return now_ns >= self._ends_ns
        return (self._knows_all and self._asks) or now_ns >= self._patience_ends_ns

    def take_keepers(self, client: ClientId) -> tuple[GatewayName, ...]:
        """Returns, once, who returned a record of the client, in whatever version."""
        return tuple(self._keepers.pop(client, ()))

    def finish(self) -> tuple[ClientRecord, ...]:
        """Ends the collection and returns what it found; later answers are collected anew."""
        self._running = False
        records, self._records = tuple(self._records.values()), {}
        return records

    def next_deadline_ns(self, *, now_ns: int) -> int | None:
        if not self._running and not self._questions:
            return None
        deadlines = [question.asked_ns + _ASK_INTERVAL_NS for question in self._questions.values()]
        if self._running:
            deadlines += [due_ns for due_ns in (self._patience_ends_ns, self._ends_ns) if due_ns > now_ns]
        return min(deadlines, default=None)
