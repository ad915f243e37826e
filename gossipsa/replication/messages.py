"""What owners and replicas say to each other about records."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gossipsa.identifiers import U32, U64, Epoch, Holder, SentClient
from gossipsa.ipsec.security_association import CHILDREN_MAX, SaCounters
from gossipsa.replication.record import REPLICAS_MAX, ClientRecord, Sequence
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.wire.codec import Value

SALT_BYTES = 8
CELLS_MAX = 16_384
"""Cells of one audit: enough for some ten thousand differing records."""
SYMBOLS_A_MESSAGE_MAX = 4_096

Salt = Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Shard = Annotated[int, Meta(ge=0, lt=SHARD_COUNT)]
Shards = Annotated[tuple[Shard, ...], Meta(max_length=SHARD_COUNT)]
CellIndex = Annotated[int, Meta(ge=0, le=CELLS_MAX)]

CLIENTS_A_MESSAGE_MAX = 256
"""Senders split longer lists, so that one message fits a frame and one handler run stays short."""

ListLength = Meta(max_length=CLIENTS_A_MESSAGE_MAX)


class LaneGrant(Value, frozen=True):
    """Lanes of one key, given to the receiving boot for good."""

    outbound_spi: U32
    lanes: U64
    """Bit i stands for lane i."""


class RecordCopy(Value, frozen=True):
    """A record for one replica, with what that replica alone is granted."""

    record: ClientRecord
    grants: Annotated[tuple[LaneGrant, ...], Meta(max_length=CHILDREN_MAX)] = ()


class PutRecords(Value, frozen=True, tag=2):
    """Owner to replica: keep these."""

    copies: Annotated[tuple[RecordCopy, ...], ListLength]


class RecordVersion(Value, frozen=True):
    """What a record was when it was acknowledged or refused."""

    client: SentClient
    epoch: Epoch
    sequence: Sequence


class AcknowledgeRecords(Value, frozen=True, tag=3):
    """Replica to owner: these are kept."""

    versions: Annotated[tuple[RecordVersion, ...], ListLength]


class MovedRecord(Value, frozen=True):
    """A record that has other replicas, and is else what it was in an earlier version."""

    client: SentClient
    epoch: Epoch
    sequence: Sequence
    """With the other replicas."""
    since: Sequence
    """The earliest version that is else the same."""


class MoveReplicas(Value, frozen=True, tag=15):
    """Owner to replica: these replicas belong to records that you have. Acknowledged like a copy of each."""

    replicas: Annotated[tuple[Holder, ...], Meta(max_length=REPLICAS_MAX)]
    records: Annotated[tuple[MovedRecord, ...], ListLength]


class DropRecords(Value, frozen=True, tag=4):
    """Owner to former replica: these are no longer yours to keep (client gone, or another replica chosen)."""

    versions: Annotated[tuple[RecordVersion, ...], ListLength]


class AcknowledgeDrops(Value, frozen=True, tag=14):
    """Replica to owner: these are kept no longer."""

    versions: Annotated[tuple[RecordVersion, ...], ListLength]


class CounterUpdate(Value, frozen=True):
    """Sequence numbers of one client. Lost ones are made good by the next."""

    client: SentClient
    epoch: Epoch
    counters: Annotated[tuple[SaCounters, ...], Meta(max_length=CHILDREN_MAX)]


class UpdateCounters(Value, frozen=True, tag=5):
    """Owner to replica: counters went on."""

    updates: Annotated[tuple[CounterUpdate, ...], ListLength]


class RecallRecords(Value, frozen=True, tag=11):
    """A gateway that started anew asks the others for the records of its clients."""

    shard: Shard = 0
    """From which shard on. An answer says with which to go on."""


class ReturnRecords(Value, frozen=True, tag=12):
    """Answer to a recall: records whose owner is the one who asked, or was until we took over."""

    records: Annotated[tuple[ClientRecord, ...], ListLength]
    last: bool
    """True for the last message of the answer."""
    following: Annotated[int, Meta(ge=0, le=SHARD_COUNT)] = 0
    """Where the next question has to go on; SHARD_COUNT if this was all, 0 if it answers no question."""


class ReleaseRecords(Value, frozen=True, tag=13):
    """A gateway that started anew has no trace of these clients: take them over."""

    versions: Annotated[tuple[RecordVersion, ...], ListLength]


class AuditShards(Value, frozen=True, tag=20):
    """Owner to replica: do you hold this of these shards? Answered by ShardDifference if not."""

    salt: Salt
    shards: Shards
    fingerprints: Annotated[bytes, Meta(max_length=8 * SHARD_COUNT)]
    """8 bytes a shard: `audit.fingerprint` of what the owner believes to be there."""


class ShardDifference(Value, frozen=True, tag=21):
    """Replica to owner: the shards in which we differ, and cells of all records in them."""

    salt: Salt
    shards: Shards
    first: CellIndex
    cells: bytes
    """`iblt.Cells`, from `first` on."""


class AskCells(Value, frozen=True, tag=22):
    """Owner to replica: the difference is greater than so many cells can tell."""

    salt: Salt
    shards: Shards
    first: CellIndex
    count: CellIndex


class AskVersions(Value, frozen=True, tag=23):
    """Owner to replica: what are these records, which are not known here in these versions?"""

    salt: Salt
    shards: Shards
    symbols: Annotated[tuple[U64, ...], Meta(max_length=SYMBOLS_A_MESSAGE_MAX)]


class TellVersions(Value, frozen=True, tag=24):
    """Answer to AskVersions."""

    versions: Annotated[tuple[RecordVersion, ...], Meta(max_length=SYMBOLS_A_MESSAGE_MAX)]
