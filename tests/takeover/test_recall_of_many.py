"""A gateway with thousands of clients starts anew: its records come back part by part, and all of them."""

from __future__ import annotations

from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.mesh_message import Gossip, MeshMessage
from gossipsa.replication.messages import RecallRecords, ReturnRecords
from gossipsa.replication.recall import RETURNED_UNASKED_MIN
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.swim.messages import MemberState, StateReply
from tests.hostile.rig import OTHERS, OWN, Other, Rig, update_about
from tests.hostile.test_misbehaving_gateway import client_of, make_record, put

CLIENTS = 3_000
AT_ONCE = 2_048
NAME = OTHERS[0]
MANY_OTHERS = (*OTHERS, *(GatewayName(letter) for letter in "defghijklmnopqrstuvwxyz"[:RETURNED_UNASKED_MIN]))


class Listening(Other):
    """Keeps what is returned to it."""

    def __init__(self, name: GatewayName, everybody: tuple[GatewayName, ...], *, boot: int = 1) -> None:
        super().__init__(name, everybody, boot=boot)
        self.returned: list[ReturnRecords] = []

    def replies(self, message: MeshMessage) -> list[Gossip]:
        if isinstance(message, ReturnRecords):
            self.returned.append(message)
        return super().replies(message)


def rig_with_records(*, others: tuple[GatewayName, ...] = OTHERS) -> tuple[Rig, Listening]:
    rig = Rig(others=others)
    owner = Listening(NAME, (OWN, *others))
    rig.others[NAME] = owner
    rig.join()
    for start in range(0, CLIENTS, 50):
        rig.say(owner, put(*(make_record(owner.holder, number) for number in range(start, start + 50))))
    return rig, owner


def start_anew(rig: Rig) -> Listening:
    owner = rig.others[NAME] = Listening(NAME, (OWN, *rig.others), boot=2)
    rig.say(owner, owner.gossip(StateReply(sequence=0), updates=(owner.claim_of_itself(),)))
    return owner


def take_part(owner: Listening) -> tuple[list[ClientId], int]:
    """The clients of the part that came, and the shard that follows."""
    assert [part.last for part in owner.returned] == [False] * (len(owner.returned) - 1) + [True]
    clients = [record.client for part in owner.returned for record in part.records]
    assert len(clients) < AT_ONCE
    following = owner.returned[-1].following
    owner.returned.clear()
    return clients, following


def test_records_come_back_part_by_part_each_once() -> None:
    rig, _ = rig_with_records()
    owner = start_anew(rig)
    assert owner.returned == []
    clients = []
    shard, questions = 0, 0
    while shard != SHARD_COUNT:
        rig.say(owner, RecallRecords(shard=shard))
        questions += 1
        answer, following = take_part(owner)
        assert following > shard
        shard = following
        clients += answer
    assert sorted(clients) == [client_of(number) for number in range(CLIENTS)]
    assert 1 < questions <= 4


def test_in_a_large_mesh_the_first_part_comes_unasked_and_the_others_as_they_are_asked_for() -> None:
    rig, _ = rig_with_records(others=MANY_OTHERS)
    owner = start_anew(rig)
    clients, shard = take_part(owner)
    assert 0 < shard < SHARD_COUNT
    while shard != SHARD_COUNT:
        rig.say(owner, RecallRecords(shard=shard))
        answer, shard = take_part(owner)
        clients += answer
    assert sorted(clients) == [client_of(number) for number in range(CLIENTS)]


def test_gateway_that_was_only_taken_for_dead_gets_nothing_that_it_has() -> None:
    rig, owner = rig_with_records()
    rig.say(owner, RecallRecords())
    assert owner.returned == [ReturnRecords(records=(), last=True, following=SHARD_COUNT)]


def test_gateway_that_was_only_taken_for_dead_gets_nothing_that_it_has_unasked() -> None:
    rig, owner = rig_with_records(others=MANY_OTHERS)
    farewell = update_about(NAME, boot=owner.boot, state=MemberState.LEFT)
    rig.say(owner, owner.gossip(updates=(farewell,)))
    assert rig.states()[NAME] == "left"
    rig.say(owner, owner.gossip(StateReply(sequence=0), updates=(owner.claim_of_itself(incarnation=2),)))
    assert rig.states()[NAME] == "alive"
    assert rig.reports["gateway-alive"] == len(MANY_OTHERS) + 1
    assert owner.returned == []
