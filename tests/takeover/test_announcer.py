"""Who is told when that a client has another owner: what they have of it they drop then."""

from __future__ import annotations

from random import Random

from gossipsa.identifiers import BootId, ClientId, GatewayName, Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import AcknowledgeRecords, PutRecords, RecordVersion
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.settings import ReplicationSettings
from gossipsa.takeover.announcer import Announcer
from tests.client_states import make_client_state
from tests.takeover.test_conflict import AllLive

ME, KEEPER = (Holder(GatewayName(name), BootId(name.encode() * 16)) for name in "mk")
FORMER = GatewayName("former")
CLIENT = ClientId(bytes(16))
SECOND = 10**9


class NewOwner:
    """It has taken a client from FORMER, and KEEPER is to keep a copy."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.replicator = Replicator(me=ME, settings=ReplicationSettings(), ledger=LaneLedger())
        self.announcer = Announcer(peers=AllLive(), replicator=self.replicator, outbox=self.outbox)
        self.replicator.place(((KEEPER,),) * SHARD_COUNT, alive=(KEEPER,))
        owned = self.replicator.create(CLIENT, make_client_state(Random(1)))
        owned.former = (FORMER,)

    def told(self, now_ns: int) -> list[GatewayName]:
        self.outbox.messages.clear()
        self.announcer.flush(now_ns=now_ns)
        return [to for to, _ in self.outbox.messages]


def test_former_holder_hears_when_there_is_a_copy() -> None:
    owner = NewOwner()
    owner.announcer.tell_former(CLIENT)
    assert owner.told(SECOND) == []
    ((_, put),) = owner.replicator.flush(now_ns=SECOND)
    assert isinstance(put, PutRecords)
    record = put.copies[0].record
    version = RecordVersion(client=CLIENT, epoch=record.epoch, sequence=record.sequence)
    owner.replicator.hear_acknowledgement(KEEPER, AcknowledgeRecords(versions=(version,)))
    assert owner.told(SECOND + SECOND // 10) == [FORMER]


def test_former_holder_hears_after_a_while_even_if_there_is_no_copy() -> None:
    owner = NewOwner()
    owner.announcer.tell_former(CLIENT)
    assert owner.told(SECOND) == []
    assert owner.told(3 * SECOND) == []
    assert owner.told(5 * SECOND) == [FORMER]


def test_whoever_claims_the_client_hears_at_once() -> None:
    owner = NewOwner()
    owner.announcer.tell_former(CLIENT)
    owner.announcer.tell(FORMER, CLIENT)
    assert owner.told(SECOND) == [FORMER]
