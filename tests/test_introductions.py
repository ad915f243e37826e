"""First contact: who is called, who is answered, and with how much."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from itertools import pairwise

import msgspec
import pytest

from gossipsa.effects import Effect, SendDatagram, SendFrame
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.inputs import DatagramReceived, FrameReceived
from gossipsa.introductions import Answered, CallKind, Introductions
from gossipsa.outbox import Outbox
from gossipsa.wire.authority import first_trust_list, revoke
from gossipsa.wire.handshake import HELLO_BYTES
from gossipsa.wire.introduction import (
    ANSWER,
    INTRODUCTION,
    INTRODUCTION_BYTES,
    TRUST,
    IntroductionError,
    decode_introduction,
    encode_introduction,
)
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import Channel
from gossipsa.wire.trust import TrustList
from tests.authorities import AUTHORITY, MESH, NOW_S, STRANGER, identity_of, keys_of
from tests.authorities import TRUST as FIRST
from tests.hostile.rig import OTHERS, OWN, Other, Rig

MS = 1_000_000
HERE, THERE, ELSEWHERE = (Endpoint(IPv4Address(f"192.0.2.{number}"), 7946) for number in (1, 2, 3))


class Side:
    """One gateway's introductions."""

    def __init__(self, name: str, own: Endpoint, *, mesh: str = MESH, trust: TrustList | None = None) -> None:
        authority = AUTHORITY if trust is None or AUTHORITY.public in trust.authorities else STRANGER
        self.keyring = Keyring(
            keys=keys_of(name),
            identity=identity_of(name, mesh=mesh, authority=authority),
            trust=trust or first_trust_list(mesh, AUTHORITY),
            unix_s=NOW_S,
        )
        self.outbox = Outbox()
        self.introductions = Introductions(
            keyring=self.keyring, own=own, entropy=random.Random(name).randbytes, outbox=self.outbox
        )

    def start(self, *seeds: Endpoint, remembered: tuple[Endpoint, ...] = ()) -> None:
        self.introductions.start(seeds=seeds, remembered=remembered, now_ns=0)

    def tick(self, now_ns: int, *, joined: bool = False, live: tuple[str, ...] = ()) -> list[SendDatagram]:
        self.introductions.tick(joined=joined, is_live=lambda name: name in live, now_ns=now_ns)
        return self.sent()

    def sent(self) -> list[SendDatagram]:
        return [effect for effect in self.taken() if isinstance(effect, SendDatagram)]

    def framed(self) -> list[SendFrame]:
        return [effect for effect in self.taken() if isinstance(effect, SendFrame)]

    def taken(self) -> list[Effect]:
        effects, self.outbox.effects = self.outbox.effects, []
        return effects

    def framed_call(self) -> SendFrame:
        """A first call in vain, and the second one as it goes over the stream."""
        self.tick(0)
        self.introductions.tick(joined=False, is_live=lambda name: False, now_ns=150 * MS)
        (call,) = self.framed()
        return call


def test_both_know_each_other_after_one_exchange() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE, HERE)
    (call,) = a.tick(0)
    assert call.destination == THERE
    heard = b.introductions.hear_introduction(call.data, HERE, now_ns=0)
    assert heard is not None
    met, there = heard
    assert met.is_admitted
    assert there == HERE
    (answer,) = b.sent()
    answered = a.introductions.hear_answer(answer.data, THERE, now_ns=0)
    assert answered == Answered(GatewayName("b"), THERE, CallKind.SEED, trust_version=1)
    assert GatewayName("b") in a.keyring
    assert GatewayName("a") in b.keyring


def test_answers_are_never_longer_than_what_they_answer() -> None:
    behind = Side("a", HERE)
    newest = revoke(FIRST, AUTHORITY, names=tuple(f"gateway{number}" for number in range(200)), now_s=NOW_S)
    ahead = Side("b", THERE, trust=newest)
    behind.start(THERE)
    (call,) = behind.tick(0)
    ahead.introductions.hear_introduction(call.data, HERE, now_ns=0)
    # The list is too long to be shown.
    assert [len(sent.data) for sent in ahead.sent()] == [INTRODUCTION_BYTES]
    ahead.introductions.answer_stranger(bytes(HELLO_BYTES), ELSEWHERE, now_ns=0)
    assert all(len(sent.data) <= HELLO_BYTES for sent in ahead.sent())
    with pytest.raises(IntroductionError):
        ahead.introductions.answer_stranger(bytes(HELLO_BYTES - 1), ELSEWHERE, now_ns=0)


def test_short_trust_list_is_shown_to_who_is_behind() -> None:
    behind = Side("a", HERE)
    ahead = Side("b", THERE, trust=revoke(FIRST, AUTHORITY, names=("x",), now_s=NOW_S))
    behind.start(THERE)
    (call,) = behind.tick(0)
    kinds = []
    for _ in range(2):
        ahead.introductions.hear_introduction(call.data, HERE, now_ns=0)
        (answer,) = ahead.sent()
        assert len(answer.data) <= len(call.data)
        kinds.append(answer.data[1])
    assert kinds == [TRUST, ANSWER], "one datagram for one"


def test_flood_of_introductions_is_answered_at_a_bounded_rate() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE)
    (call,) = a.tick(0)
    for _ in range(2_000):
        b.introductions.hear_introduction(call.data, HERE, now_ns=0)
    assert len(b.sent()) == 400


def test_another_mesh_gets_no_answer_and_is_told_of() -> None:
    a, b = Side("a", HERE, mesh="elsewhere"), Side("b", THERE)
    a.start(THERE)
    (call,) = a.tick(0)
    assert b.introductions.hear_introduction(call.data, HERE, now_ns=0) is None
    assert b.sent() == []
    assert [refused.reason for refused in b.keyring.take_refused()] == ["other mesh"]


def test_answer_that_nobody_asked_for_is_refused() -> None:
    a, b, c = Side("a", HERE), Side("b", THERE), Side("c", ELSEWHERE)
    a.start(THERE)
    (call,) = a.tick(0)
    b.introductions.hear_introduction(call.data, HERE, now_ns=0)
    (answer,) = b.sent()
    with pytest.raises(IntroductionError, match="nobody asked"):
        c.introductions.hear_answer(answer.data, THERE, now_ns=0)


def test_seed_is_called_at_growing_intervals_until_it_is_a_live_member_and_again_when_it_is_not() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE)
    called = [now_ms for now_ms in range(0, 20_000, 50) if a.tick(now_ms * MS)]
    gaps = [later - earlier for earlier, later in pairwise(called)]
    assert gaps[:4] == [100, 200, 400, 800]
    assert max(gaps) == 5_000
    (call,) = a.tick(40_000 * MS)
    b.introductions.hear_introduction(call.data, HERE, now_ns=0)
    a.introductions.hear_answer(b.sent()[0].data, THERE, now_ns=40_000 * MS)
    assert not any(a.tick(now_s * 1_000 * MS, live=("b",)) for now_s in range(40, 100))
    assert any(a.tick(now_s * 1_000 * MS) for now_s in range(100, 110))


def test_remembered_members_are_called_until_we_have_joined() -> None:
    a = Side("a", HERE)
    a.start(remembered=(THERE,))
    assert [sent.destination for sent in a.tick(0)] == [THERE]
    assert a.tick(1_000 * MS, joined=True) == []
    assert a.introductions.is_alone


def test_seed_that_is_ourselves_is_no_seed() -> None:
    a = Side("a", HERE)
    a.start(HERE)
    assert a.introductions.is_alone
    # Known by another address, it answers itself, and is not called again.
    a.start(ELSEWHERE)
    (call,) = a.tick(0)
    a.introductions.hear_introduction(call.data, ELSEWHERE, now_ns=0)
    assert a.introductions.hear_answer(a.sent()[0].data, ELSEWHERE, now_ns=0) is None
    assert a.introductions.is_alone


def test_calls_out_of_turn_are_few_and_bounded() -> None:
    a = Side("a", HERE)
    for number in range(1_000):
        a.introductions.call(Endpoint(IPv4Address("198.51.100.0") + number % 200, number), now_ns=0)
    assert len(a.tick(0)) == 256
    for second in range(1, 60):
        a.tick(second * 1_000 * MS)
    assert a.introductions.is_alone


def test_call_in_vain_goes_over_the_stream_and_is_answered_over_it() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE)
    call = a.framed_call()
    assert (call.to, call.destination) == (None, THERE)
    heard = b.introductions.hear_introduction(call.data, None, now_ns=0)
    assert heard is not None
    assert heard[1] == HERE, "where it says it is"
    (answer,) = b.framed()
    assert (answer.to, answer.destination) == (None, HERE)
    answered = a.introductions.hear_answer(answer.data, None, now_ns=200 * MS)
    assert answered == Answered(GatewayName("b"), THERE, CallKind.SEED, trust_version=1)


def test_nobody_is_connected_to_where_no_gateway_of_the_mesh_said_it_is() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE)
    shown = decode_introduction(a.framed_call().data)
    elsewhere = msgspec.structs.replace(shown, endpoint=ELSEWHERE)
    with pytest.raises(IntroductionError, match="not signed"):
        b.introductions.hear_introduction(encode_introduction(INTRODUCTION, elsewhere), None, now_ns=0)
    assert b.taken() == []


def test_flood_of_introductions_over_streams_costs_few_connections_and_no_answer_to_a_datagram() -> None:
    a, b = Side("a", HERE), Side("b", THERE)
    a.start(THERE)
    call = a.framed_call()
    for _ in range(2_000):
        b.introductions.hear_introduction(call.data, None, now_ns=0)
    assert len(b.framed()) == 64
    b.introductions.hear_introduction(call.data, HERE, now_ns=0)
    assert len(b.sent()) == 1


def test_flood_of_hellos_over_streams_is_bounded_and_keeps_out_none_by_datagram() -> None:
    rig = Rig()
    rig.join()
    restarted = Other(OTHERS[0], (OTHERS[0], OWN), boot=2)
    (hello,) = restarted.sessions.seal(OWN, b"x", channel=Channel.DATAGRAM, now_ns=rig.now_ns)
    refused = rig.reports.get("message-refused", 0)
    answers = [rig.feed(FrameReceived(data=hello.data)) for _ in range(400)]
    assert sum(any(isinstance(effect, SendFrame) for effect in effects) for effects in answers) == 256
    assert rig.reports["message-refused"] - refused >= 400 - 256
    welcome = rig.feed(DatagramReceived(source=HERE, data=hello.data))
    assert [effect.destination for effect in welcome if isinstance(effect, SendDatagram)] == [HERE]
