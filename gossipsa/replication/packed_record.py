"""A record as a replica keeps it: encoded, in a fifth of the memory that the decoded one takes.

What is asked of records without looking into them, or changes more often than they do, stands beside the
bytes.
"""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import Epoch, GatewayName, Holder, Secret
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.replication.interning import Interned
from gossipsa.replication.record import ClientRecord, Version, newer_counters
from gossipsa.wire.codec import Decoder, encode

_SHARED_MAX = 8_192

_DECODE = Decoder[ClientRecord](ClientRecord).decode
_DECODE_COUNTERS = Decoder[tuple[SaCounters, ...]](tuple[SaCounters, ...]).decode


class PackedRecord(msgspec.Struct, gc=False):
    """One record. Mutable, and the store's own: it cannot be part of a cycle."""

    owner: GatewayName
    epoch: Epoch
    sequence: int
    replicas: tuple[Holder, ...]
    parts: int
    """`ClientRecord.parts`."""
    data: Secret
    """The record, without what stands beside it and can change by itself."""
    counters: bytes = b""
    """Encoded, if there are any."""
    activity: int = 0
    """Higher for a client whose owner told later of something that it had sent."""

    @property
    def version(self) -> Version:
        return (self.epoch, self.sequence)

    @property
    def received(self) -> int:
        """Sum of the highest numbers received on the client's SAs."""
        return sum(entry.received for entry in self._counters())

    def unpack(self) -> ClientRecord:
        """The record as it stands."""
        return msgspec.structs.replace(
            _DECODE(self.data),
            owner=self.owner,
            epoch=self.epoch,
            sequence=self.sequence,
            replicas=self.replicas,
            counters=self._counters(),
        )

    def count(self, counters: tuple[SaCounters, ...]) -> None:
        """Takes newer counters, as `ClientRecord.with_counters`."""
        known = {entry.outbound_spi: entry for entry in self._counters()}
        if all(entry.outbound_spi in known for entry in counters):
            merged = newer_counters(known, counters)
        else:
            # Only the record tells whether it has such an SA.
            merged = self.unpack().with_counters(counters).counters
        self.counters = encode(merged) if merged else b""

    def _counters(self) -> tuple[SaCounters, ...]:
        return _DECODE_COUNTERS(self.counters) if self.counters else ()


class Packer:
    """Packs records; equal owners, epochs and sets of replicas become one."""

    def __init__(self) -> None:
        self._epochs: Interned[tuple[GatewayName, Epoch]] = Interned(_SHARED_MAX)
        self._replicas: Interned[tuple[Holder, ...]] = Interned(_SHARED_MAX)

    def replicas(self, replicas: tuple[Holder, ...]) -> tuple[Holder, ...]:
        """The same, as records share it."""
        return self._replicas.one(replicas)

    def pack(self, record: ClientRecord) -> PackedRecord:
        owner, epoch = self._epochs.one((record.owner, record.epoch))
        bare = msgspec.structs.replace(record, replicas=(), counters=())
        return PackedRecord(
            owner=owner,
            epoch=epoch,
            sequence=record.sequence,
            replicas=self.replicas(record.replicas),
            parts=record.parts,
            data=Secret(encode(bare)),
            counters=encode(record.counters) if record.counters else b"",
        )
