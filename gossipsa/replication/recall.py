"""After a start: ask the others for the records of our own clients, which the IKE daemon may still serve.

A gateway daemon that died alone finds everything again: records at its replicas, SAs in the kernel, IKE_SAs
in the IKE daemon.
"""

from __future__ import annotations

from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.replication.messages import ReturnRecords
from gossipsa.replication.record import ClientRecord

_WAIT_NS = 1_500_000_000


class Recall:
    """Collects the answers until all gateways have answered, or for 1.5 s."""

    def __init__(self, *, me: GatewayName, expected: frozenset[GatewayName], now_ns: int) -> None:
        self._me = me
        self._missing = set(expected)
        self._records: dict[ClientId, ClientRecord] = {}
        self._keepers: dict[ClientId, dict[GatewayName, None]] = {}
        self._due_ns: int | None = now_ns + _WAIT_NS

    @property
    def running(self) -> bool:
        return self._due_ns is not None

    def hear(self, sender: GatewayName, message: ReturnRecords) -> None:
        """Keeps the newest version of each record."""
        for record in message.records:
            if record.owner != self._me:
                continue
            self._keepers.setdefault(record.client, {})[sender] = None
            known = self._records.get(record.client)
            if known is None or known.version < record.version:
                self._records[record.client] = record
        if message.last:
            self._missing.discard(sender)

    def is_due(self, *, now_ns: int) -> bool:
        """True once, when the answers are complete or time is up."""
        return self._due_ns is not None and (not self._missing or now_ns >= self._due_ns)

    def take_keepers(self, client: ClientId) -> tuple[GatewayName, ...]:
        """Returns, once, who returned a record of the client, in whatever version."""
        return tuple(self._keepers.pop(client, ()))

    def finish(self) -> tuple[ClientRecord, ...]:
        """Ends the collection and returns what it found; later answers are collected anew."""
        self._due_ns = None
        records, self._records = tuple(self._records.values()), {}
        return records

    def next_deadline_ns(self) -> int | None:
        return self._due_ns
