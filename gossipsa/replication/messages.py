"""What owners and replicas say to each other about records."""

from __future__ import annotations

from gossipsa.identifiers import ClientId, Epoch
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.replication.record import ClientRecord
from gossipsa.wire.codec import Value

CLIENTS_A_MESSAGE_MAX = 256
"""Senders split longer lists, so that one message fits a frame and one handler run stays short."""


class LaneGrant(Value, frozen=True):
    """Lanes of one key, given to the receiving boot for good."""

    outbound_spi: int
    lanes: int
    """Bit i stands for lane i."""


class RecordCopy(Value, frozen=True):
    """A record for one replica, with what that replica alone is granted."""

    record: ClientRecord
    grants: tuple[LaneGrant, ...] = ()


class PutRecords(Value, frozen=True, tag=2):
    """Owner to replica: keep these."""

    copies: tuple[RecordCopy, ...]


class RecordVersion(Value, frozen=True):
    """What a record was when it was acknowledged or refused."""

    client: ClientId
    epoch: Epoch
    sequence: int


class AcknowledgeRecords(Value, frozen=True, tag=3):
    """Replica to owner: these are kept."""

    versions: tuple[RecordVersion, ...]


class DropRecords(Value, frozen=True, tag=4):
    """Owner to former replica: these are no longer yours to keep (client gone, or another replica chosen)."""

    versions: tuple[RecordVersion, ...]


class AcknowledgeDrops(Value, frozen=True, tag=14):
    """Replica to owner: these are kept no longer."""

    versions: tuple[RecordVersion, ...]


class CounterUpdate(Value, frozen=True):
    """Sequence numbers of one client. Lost ones are made good by the next."""

    client: ClientId
    epoch: Epoch
    counters: tuple[SaCounters, ...]


class UpdateCounters(Value, frozen=True, tag=5):
    """Owner to replica: counters went on."""

    updates: tuple[CounterUpdate, ...]


class RecallRecords(Value, frozen=True, tag=11):
    """A gateway that started anew asks the others for the records of its clients."""


class ReturnRecords(Value, frozen=True, tag=12):
    """Answer to a recall: records whose owner is the one who asked, or was until we took over."""

    records: tuple[ClientRecord, ...]
    last: bool
    """True for the last message of the answer."""


class ReleaseRecords(Value, frozen=True, tag=13):
    """A gateway that started anew has no trace of these clients: take them over."""

    versions: tuple[RecordVersion, ...]
