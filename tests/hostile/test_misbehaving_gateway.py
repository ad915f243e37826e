"""A gateway of the mesh with genuine keys and no manners: no crash, no growth, nobody is failed by it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from random import Random

import msgspec
import pytest

from gossipsa import inputs
from gossipsa.identifiers import (
    EPOCH_COUNTER_MAX,
    BootId,
    ClientId,
    Endpoint,
    Epoch,
    GatewayName,
    Holder,
)
from gossipsa.ipsec.security_association import IkeSpis, SaCounters
from gossipsa.mesh_message import MeshMessage
from gossipsa.replication import messages as replication
from gossipsa.replication import recall, store
from gossipsa.replication.record import ClientRecord, KeyNumbers
from gossipsa.swim.messages import (
    MESSAGES_MAX,
    Ack,
    Heard,
    IndirectAck,
    MemberState,
    Nack,
    PingRequest,
    StateReply,
    StateRequest,
)
from gossipsa.takeover import messages as takeover
from gossipsa.wire.sessions import Channel
from tests.client_states import make_client_state
from tests.hostile.bounds import GENERAL, check_bounds
from tests.hostile.memory import containers_of
from tests.hostile.rig import MS, OTHERS, OWN, SECOND, Other, Rig, update_about

EVIL, *HONEST = OTHERS
RANDOM_SEED = 5


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.join()
    rig.pass_time(2 * SECOND)
    return rig


@pytest.fixture
def evil(rig: Rig) -> Other:
    return rig.others[EVIL]


def flood(rig: Rig, evil: Other, messages: Iterable[MeshMessage], *, pause_ns: int = 0) -> None:
    for message in messages:
        rig.say(evil, message)
        if pause_ns:
            rig.pass_time(pause_ns)


def assert_whole(rig: Rig) -> None:
    """Within all bounds, and the honest ones are alive."""
    check_bounds(rig)
    rig.pass_time(3 * SECOND)
    check_bounds(rig)
    states = rig.states()
    assert {name: states[name] for name in HONEST} == dict.fromkeys(HONEST, "alive")


def client_of(number: int) -> ClientId:
    return ClientId(number.to_bytes(16, "big"))


def make_record(owner: Holder, number: int, *, epoch: Epoch | None = None) -> ClientRecord:
    state = make_client_state(Random(number))
    return ClientRecord(
        client=client_of(number),
        owner=owner.gateway,
        epoch=epoch or Epoch(1, owner.boot),
        sequence=1,
        state=state,
        keys=tuple(
            KeyNumbers(outbound_spi=child.outbound_spi, creator=owner, ceiling=1) for child in state.children
        ),
        replicas=(Holder(OWN, BootId(bytes(16))),),
    )


def put(*records: ClientRecord) -> replication.PutRecords:
    return replication.PutRecords(
        copies=tuple(
            replication.RecordCopy(
                record=record,
                grants=tuple(
                    replication.LaneGrant(outbound_spi=key.outbound_spi, lanes=(1 << 64) - 1)
                    for key in record.keys
                ),
            )
            for record in records
        )
    )


def version_of(number: int, boot: BootId) -> replication.RecordVersion:
    return replication.RecordVersion(
        client=client_of(number), epoch=Epoch(EPOCH_COUNTER_MAX, boot), sequence=1 << 62
    )


# Membership


def test_thousands_of_invented_members_stay_within_the_table(rig: Rig, evil: Other) -> None:
    for start in range(0, 4_000, 100):
        updates = tuple(update_about(f"invented-{number}") for number in range(start, start + 100))
        rig.say(evil, evil.gossip(updates=updates))
        dead = tuple(
            update_about(f"invented-{number}", state=MemberState.FAILED, incarnation=2, witness=EVIL)
            for number in range(start, start + 100)
        )
        rig.say(evil, evil.gossip(updates=dead))
        rig.pass_time(20 * MS)
    assert_whole(rig)


def test_state_requests_in_a_loop_are_answered_at_a_bounded_rate(rig: Rig, evil: Other) -> None:
    sent = 0
    for number in range(3_000):
        rig.say(evil, evil.gossip(*(StateRequest(sequence=number),) * 8), channel=Channel.DATAGRAM)
        sent += len(rig.sent)
        rig.sent.clear()
    # The burst of the allowance, in members told; 24,000 were asked for.
    assert sent <= 4 * GENERAL
    assert_whole(rig)


def test_answers_to_questions_that_nobody_asked_change_nothing(rig: Rig, evil: Other) -> None:
    before = rig.states()
    random = Random(RANDOM_SEED)
    for _ in range(50):
        sequences = [random.getrandbits(32) for _ in range(MESSAGES_MAX // 4)]
        rig.say(evil, evil.gossip(*(Ack(sequence=number) for number in sequences)))
        rig.say(evil, evil.gossip(*(Nack(sequence=number) for number in sequences)))
        rig.say(evil, evil.gossip(*(IndirectAck(sequence=number, boot=evil.boot) for number in sequences)))
        rig.say(
            evil,
            evil.gossip(
                *(
                    PingRequest(sequence=number, target=GatewayName(f"t{number % 999}"))
                    for number in sequences
                )
            ),
        )
        heard = Heard(member=HONEST[0], boot=evil.boot, incarnation=1 << 60)
        rig.say(evil, evil.gossip(heard, StateReply(sequence=1, part=63, parts=64)))
    assert rig.states() == before
    assert_whole(rig)


def test_verdicts_of_a_liar_fail_nobody_who_answers(rig: Rig, evil: Other) -> None:
    for number in range(200):
        claims = tuple(
            update_about(
                name, boot=rig.others[name].boot, incarnation=1, state=state, witness=f"witness-{number}"
            )
            for name in HONEST
            for state in (MemberState.SUSPECT, MemberState.FAILED)
        )
        rig.say(evil, evil.gossip(updates=claims))
        rig.pass_time(10 * MS)
        for name in HONEST:
            honest = rig.others[name]
            # A refutation travels for one packet.
            incarnation = 2 + number
            rig.say(honest, honest.gossip(updates=(honest.claim_of_itself(incarnation=incarnation),)))
    assert_whole(rig)


def test_oversized_metadata_is_refused_as_malformed(rig: Rig, evil: Other) -> None:
    update = msgspec.structs.replace(evil.claim_of_itself(incarnation=9), metadata=bytes(513))
    rig.say(evil, evil.gossip(updates=(update,)))
    assert rig.reports["message-refused"] >= 1
    assert_whole(rig)


def test_unreadable_metadata_is_no_crash(rig: Rig, evil: Other) -> None:
    for number in range(1, 300):
        update = msgspec.structs.replace(
            evil.claim_of_itself(incarnation=number + 1), metadata=bytes((number % 256,)) * (number % 500)
        )
        rig.say(evil, evil.gossip(updates=(update,)))
    assert_whole(rig)


def test_new_boot_at_every_packet_stays_within_bounds(rig: Rig) -> None:
    for number in range(150):
        reborn = Other(EVIL, (OWN, *OTHERS), boot=100 + number)
        rig.others[EVIL] = reborn
        rig.say(
            reborn,
            reborn.gossip(
                StateRequest(sequence=number), updates=(reborn.claim_of_itself(incarnation=number + 2),)
            ),
            channel=Channel.DATAGRAM,
        )
    assert_whole(rig)


# Clients


def test_claims_for_clients_that_nobody_holds_leave_nothing_behind(rig: Rig, evil: Other) -> None:
    before = containers_of(rig.core)
    flood(
        rig,
        evil,
        (
            takeover.Claim(
                owner=HONEST[0],
                claims=tuple(
                    takeover.ClientClaim(
                        client=client_of(start + number),
                        epoch=Epoch(EPOCH_COUNTER_MAX, evil.boot),
                        ceilings=(takeover.CeilingClaim(outbound_spi=1, ceiling=(1 << 63) - 1),),
                    )
                    for number in range(256)
                ),
            )
            for start in range(0, 5_120, 256)
        ),
    )
    after = containers_of(rig.core)
    assert after["Coordinator.attempts"] == before["Coordinator.attempts"]
    assert after["RecordStore.records"] == before["RecordStore.records"]
    assert_whole(rig)


def test_records_beyond_the_room_of_their_owner_are_refused(
    rig: Rig, evil: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "OWNER_PARTS_MAX", 20_000)
    sample = make_record(evil.holder, 1)
    room = 20_000 // sample.parts
    for start in range(0, 2 * room, 64):
        rig.say(evil, put(*(make_record(evil.holder, start + number) for number in range(64))))
    kept = containers_of(rig.core)["RecordStore.records"]
    assert kept == room
    assert rig.reports["record-refused"] >= room
    assert_whole(rig)
    # Others still have room.
    honest = rig.others[HONEST[0]]
    rig.say(honest, put(make_record(honest.holder, 10**6)))
    assert containers_of(rig.core)["RecordStore.records"] == kept + 1


def test_records_that_contradict_themselves_are_refused(rig: Rig, evil: Other) -> None:
    sound = make_record(evil.holder, 1)
    (child,) = sound.state.children
    state = sound.state
    replace = msgspec.structs.replace
    stray = replace(child, ike_spis=IkeSpis(bytes(8), bytes(8)))
    unsound = [
        replace(sound, keys=()),
        replace(sound, keys=sound.keys * 2),
        replace(sound, state=replace(state, children=(stray,))),
        replace(sound, counters=(_counters(child.outbound_spi),) * 2),
    ]
    malformed = [
        replace(sound, state=replace(state, ike_sas=())),
        replace(sound, state=replace(state, children=(child,) * 257)),
        replace(sound, client=ClientId(b"short")),
        replace(sound, sequence=-1),
        replace(sound, replicas=sound.replicas * 65),
        replace(sound, state=replace(state, ike_sas=(replace(state.ike_sa, message_id_initiator=1 << 32),))),
        replace(
            sound,
            state=replace(
                state, ike_sas=(replace(state.ike_sa, remote=Endpoint(IPv4Address("192.0.2.9"), 70_000)),)
            ),
        ),
    ]
    for record in (*unsound, *malformed):
        rig.say(evil, put(record))
    assert rig.reports["record-refused"] == len(unsound)
    assert rig.reports["message-refused"] == len(malformed)
    assert containers_of(rig.core)["RecordStore.records"] == 0
    rig.say(evil, put(sound))
    assert containers_of(rig.core)["RecordStore.records"] == 1


def _counters(outbound_spi: int) -> SaCounters:
    return SaCounters(outbound_spi=outbound_spi, inbound_spi=1, sent=1, received=1)


def test_records_returned_unasked_stay_within_their_bound(
    rig: Rig, evil: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "RETURNED_MAX", 500)
    own = Holder(OWN, BootId(bytes(16)))
    for start in range(0, 2_000, 50):
        records = tuple(make_record(own, start + number) for number in range(50))
        rig.say(evil, replication.ReturnRecords(records=records, last=start % 100 == 0))
    found = containers_of(rig.core)
    assert found["Recall.keepers"] <= 500
    assert found["Recall.records"] + found["Adoption.recalled"] <= 500
    assert rig.reports["record-refused"] >= 1_500
    assert_whole(rig)


def own_client(rig: Rig, number: int = 77) -> ClientId:
    client = client_of(number)
    rig.feed(inputs.ClientChanged(client=client, state=make_client_state(Random(number))))
    return client


def test_ever_higher_epochs_for_a_client_of_ours_leave_bounded_work(rig: Rig, evil: Other) -> None:
    client = own_client(rig)
    for number in range(400):
        # The client speaks all the while, so that we assert ourselves each time.
        state = make_client_state(Random(77), message_id_initiator=0)
        spoken = msgspec.structs.replace(state.ike_sa, message_id_responder=number + 1)
        rig.feed(inputs.ClientChanged(client=client, state=msgspec.structs.replace(state, ike_sas=(spoken,))))
        epoch = Epoch(min(EPOCH_COUNTER_MAX, (1 << 61) + number), evil.boot)
        claim = takeover.ClientClaim(client=client, epoch=epoch, ceilings=())
        rig.say(evil, takeover.Claim(owner=OWN, claims=(claim,)))
        rig.pass_time(MS)
    assert containers_of(rig.core)["PacedRekeys.waiting"] <= 1
    assert client.hex() in {entry.client for entry in rig.core.status(now_ns=rig.now_ns).clients}
    assert_whole(rig)


def test_highest_epoch_there_is_can_still_be_answered(rig: Rig, evil: Other) -> None:
    client = own_client(rig)
    epoch = Epoch(EPOCH_COUNTER_MAX, evil.boot)
    claim = takeover.ClientClaim(client=client, epoch=epoch, ceilings=())
    rig.say(evil, takeover.Claim(owner=OWN, claims=(claim,)))
    rig.say(
        evil,
        takeover.AnnounceOwnership(ownerships=(takeover.Ownership(client=client, owner=EVIL, epoch=epoch),)),
    )
    assert_whole(rig)
    assert "message-too-long" not in rig.reports


def test_announcements_about_owners_that_nobody_knows_are_ignored(rig: Rig, evil: Other) -> None:
    client = own_client(rig)
    for start in range(0, 5_120, 256):
        rig.say(
            evil,
            takeover.AnnounceOwnership(
                ownerships=tuple(
                    takeover.Ownership(
                        client=client,
                        owner=GatewayName(f"nobody-{start + number}"),
                        epoch=Epoch(0, evil.boot),
                    )
                    for number in range(256)
                )
            ),
        )
    found = containers_of(rig.core)
    assert found["Announcer.waiting"] <= len(OTHERS)
    assert_whole(rig)


def test_words_about_unknown_clients_change_nothing(rig: Rig, evil: Other) -> None:
    versions = tuple(version_of(number, evil.boot) for number in range(256))
    answers = tuple(
        takeover.ClaimAnswer(
            client=version.client,
            claimed=version.epoch,
            verdict=takeover.Verdict.GRANTED,
            known=version.epoch,
        )
        for version in versions
    )
    updates = tuple(
        replication.CounterUpdate(client=version.client, epoch=version.epoch, counters=(_counters(1),))
        for version in versions
    )
    before = containers_of(rig.core)
    flood(
        rig,
        evil,
        [
            replication.AcknowledgeRecords(versions=versions),
            replication.DropRecords(versions=versions),
            replication.AcknowledgeDrops(versions=versions),
            replication.UpdateCounters(updates=updates),
            replication.ReleaseRecords(versions=versions),
            takeover.AnswerClaims(answers=answers),
            takeover.EndClaims(versions=versions),
            replication.RecallRecords(),
        ]
        * 10,
    )
    after = containers_of(rig.core)
    for path in ("Coordinator.attempts", "RecordStore.records", "Replicator.owned", "LaneLedger.books"):
        assert after.get(path, 0) == before.get(path, 0)
    assert_whole(rig)


def test_lists_longer_than_senders_make_are_refused(rig: Rig, evil: Other) -> None:
    versions = tuple(version_of(number, evil.boot) for number in range(257))
    rig.say(evil, replication.DropRecords(versions=versions))
    assert rig.reports["message-refused"] == 1


def test_bytes_that_are_no_message_are_counted(rig: Rig, evil: Other) -> None:
    random = Random(RANDOM_SEED)
    for number in range(300):
        rig.say_bytes(evil, random.randbytes(1 + number))
    rig.say_bytes(evil, b"\x91" * 100_000)
    assert rig.reports["message-refused"] >= 300
    assert_whole(rig)
