"""Rule R3 at an owner: a number may be used only once every replica knows the ceiling above it.

A kernel's packet limit keeps an outbound SA below its ceiling. To go on, the ceiling is raised in the record
first, and the kernel is told when the replicas have acknowledged it.
"""

from __future__ import annotations

from gossipsa.effects import MoveNumbers, OutboundNumbers, RekeyChild
from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.inputs import PacketLimitReached
from gossipsa.ipsec.lanes import ROUND_PACKETS, SHARED_FIRST, NumberRange
from gossipsa.outbox import Outbox
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import OwnedRecord, Replicator

_RAISE_WAIT_NS = 1_000_000_000


class RaisedCeilings:
    """Outbound SAs of owned clients whose higher ceilings are on their way to the replicas."""

    def __init__(self, *, replicator: Replicator, ledger: LaneLedger, outbox: Outbox) -> None:
        self._replicator = replicator
        self._ledger = ledger
        self._outbox = outbox
        self._raising: dict[tuple[ClientId, int], tuple[NumberRange, int]] = {}

    def packet_limit_reached(self, event: PacketLimitReached, *, now_ns: int) -> None:
        """The kernel comes near its limit, or has stopped there: a new key is the way out."""
        owned = self._owner_of(event.outbound_spi, event.destination)
        if owned is None:
            return
        record = owned.record
        self._outbox.report("fence-hit" if event.hard else "fence-near", client=record.client)
        if event.hard:
            return
        self._outbox.do(RekeyChild(client=record.client, state=record.state, outbound_spi=event.outbound_spi))
        ceiling = record.ceiling_of(event.outbound_spi)
        if ceiling >= SHARED_FIRST:
            self._go_above(record, event.outbound_spi, ceiling, now_ns)

    def go_above_target(self, owned: OwnedRecord, now_ns: int) -> None:
        """Above all numbers that the target of a planned move may have used: a range in its first lanes."""
        record = owned.record
        for key in record.keys:
            above = max(key.ceiling, SHARED_FIRST) + ROUND_PACKETS
            self._go_above(record, key.outbound_spi, above, now_ns)

    def check(self, *, now_ns: int) -> None:
        """Uses raised ceilings that every replica knows; one that does not answer is not awaited for ever."""
        for (client, spi), (numbers, due_ns) in tuple(self._raising.items()):
            owned = self._replicator.get(client)
            complete = owned is not None and len(owned.acknowledged_by()) == len(owned.copies)
            if owned is not None and not complete and now_ns < due_ns:
                continue
            del self._raising[(client, spi)]
            if owned is not None:
                self._move_numbers(owned.record, spi, numbers)

    def next_deadline_ns(self) -> int | None:
        return min(due_ns for _, due_ns in self._raising.values()) if self._raising else None

    def _go_above(self, record: ClientRecord, outbound_spi: int, above: int, now_ns: int) -> None:
        """Lets an outbound SA go on in lanes of ours above a number, once every replica knows."""
        if (record.client, outbound_spi) in self._raising:
            return
        key = next(key for key in record.keys if key.outbound_spi == outbound_spi)
        book = self._ledger.book((record.client, key.outbound_spi, key.creator))
        numbers = book.first_range(above)
        if numbers is None:
            self._outbox.report("no-lane", client=record.client)
            return
        self._replicator.raise_ceiling(record.client, outbound_spi, numbers)
        self._raising[(record.client, outbound_spi)] = (numbers, now_ns + _RAISE_WAIT_NS)

    def _move_numbers(self, record: ClientRecord, outbound_spi: int, numbers: NumberRange) -> None:
        children = record.state.children
        child = next((child for child in children if child.outbound_spi == outbound_spi), None)
        if child is None:
            return
        self._outbox.do(
            MoveNumbers(
                client=record.client,
                state=record.state,
                numbers=OutboundNumbers(
                    outbound_spi=outbound_spi,
                    inbound_spi=child.inbound_spi,
                    sent=numbers.first - 1,
                    packet_limit=numbers.last,
                    received=0,
                    window_bitmap=(),
                ),
            )
        )

    def _owner_of(self, outbound_spi: int, destination: IpAddress) -> OwnedRecord | None:
        for owned in self._replicator.owned():
            state = owned.record.state
            if state.ike_sa.remote.address == destination and any(
                child.outbound_spi == outbound_spi for child in state.children
            ):
                return owned
        return None
