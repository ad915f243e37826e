"""A gateway with thousands of clients starts anew: its records come back part by part, and all of them."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.mesh_message import Gossip, MeshMessage
from gossipsa.replication.messages import RecallRecords, ReturnRecords
from gossipsa.replication.shards import SHARD_COUNT
from tests.hostile.rig import OTHERS, OWN, Other, Rig
from tests.hostile.test_misbehaving_gateway import client_of, make_record, put

CLIENTS = 3_000
AT_ONCE = 2_048
NAME = OTHERS[0]


class Listening(Other):
    """Keeps what is returned to it."""

    def __init__(self, name: GatewayName, everybody: tuple[GatewayName, ...]) -> None:
        super().__init__(name, everybody)
        self.returned: list[ReturnRecords] = []

    def replies(self, message: MeshMessage) -> list[Gossip]:
        if isinstance(message, ReturnRecords):
            self.returned.append(message)
        return super().replies(message)


def test_records_come_back_part_by_part_each_once() -> None:
    rig = Rig()
    owner = Listening(NAME, (OWN, *OTHERS))
    rig.others[NAME] = owner
    rig.join()
    for start in range(0, CLIENTS, 50):
        rig.say(owner, put(*(make_record(owner.holder, number) for number in range(start, start + 50))))
    clients = []
    shard, questions = 0, 0
    while shard != SHARD_COUNT:
        owner.returned.clear()
        rig.say(owner, RecallRecords(shard=shard))
        questions += 1
        assert [part.last for part in owner.returned] == [False] * (len(owner.returned) - 1) + [True]
        answer = [record.client for part in owner.returned for record in part.records]
        assert len(answer) < AT_ONCE
        assert owner.returned[-1].following > shard
        shard = owner.returned[-1].following
        clients += answer
    assert sorted(clients) == [client_of(number) for number in range(CLIENTS)]
    assert 1 < questions <= 4
