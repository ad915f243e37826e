from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import (
    MESSAGES_MAX,
    Fetch,
    MemberState,
    Message,
    Nack,
    Ping,
    StateReply,
    StateRequest,
    StreamAck,
    StreamPing,
    SwimPacket,
    Update,
)
from gossipsa.swim.outbox import MESSAGE_BYTES_MAX, Outbox
from gossipsa.swim.outputs import Send
from gossipsa.swim.settings import LAN
from tests.swim.claims import BOOT, OTHERS, THEM, US, claim, messages, updates

short_messages = messages.filter(lambda message: len(msgspec.msgpack.encode(message)) <= MESSAGE_BYTES_MAX)
"""What is posted: longer ones are sent apart."""


def no_accusation(name: GatewayName) -> Update | None:
    return None


def no_news(name: GatewayName, bytes_max: int) -> tuple[Update, ...]:
    return ()


def drain(outbox: Outbox) -> list[Send]:
    return outbox.drain(accusation=no_accusation, news=no_news)


def test_all_messages_of_a_turn_to_one_member_share_a_packet() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.post(THEM, Ping(sequence=1))
    outbox.post(US, Ping(sequence=2))
    outbox.post(THEM, Ping(sequence=3))
    outbox.tell(THEM, claim())
    outbox.tell(THEM, claim())
    assert drain(outbox) == [
        Send(
            to=THEM,
            packet=SwimPacket(boot=BOOT, messages=(Ping(sequence=1), Ping(sequence=3)), updates=(claim(),)),
        ),
        Send(to=US, packet=SwimPacket(boot=BOOT, messages=(Ping(sequence=2),))),
    ]
    assert drain(outbox) == []


def test_the_accused_hears_of_it_first() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.open(THEM)
    accusation = claim(MemberState.SUSPECT)
    news = claim(member=OTHERS[0])
    [send] = outbox.drain(
        accusation=lambda name: accusation if name == THEM else None,
        news=lambda name, bytes_max: (news,),
    )
    assert send.packet.updates == (accusation, news)


def test_trial_of_a_stream_tells_all_that_a_datagram_would() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.post(THEM, StreamPing(sequence=1))
    outbox.post(THEM, Ping(sequence=2))
    outbox.tell(THEM, claim())
    accusation, news = claim(MemberState.SUSPECT), claim(member=OTHERS[0])
    [trial, datagram] = outbox.drain(accusation=lambda name: accusation, news=lambda name, bytes_max: (news,))
    assert trial.bulk
    assert trial.packet.messages == (StreamPing(sequence=1),)
    assert not datagram.bulk
    assert datagram.packet.messages == (Ping(sequence=2),)
    assert trial.packet.updates == (accusation, claim())
    assert datagram.packet.updates == (accusation, claim(), news)


def test_nothing_but_trials_of_datagrams_is_sent_where_datagrams_do_not_pass() -> None:
    outbox = Outbox(BOOT, LAN, stream_only=lambda name: name == THEM)
    news = claim(member=OTHERS[0])
    for message in (Ping(sequence=1), Nack(sequence=2), StreamPing(sequence=3)):
        outbox.post(THEM, message)
    outbox.request_state(THEM, 4, claim(member=US))
    state, stream, datagram = outbox.drain(accusation=no_accusation, news=lambda name, bytes_max: (news,))
    assert state.bulk
    assert stream == Send(
        to=THEM,
        packet=SwimPacket(boot=BOOT, messages=(StreamPing(sequence=3), Nack(sequence=2)), updates=(news,)),
        bulk=True,
    )
    assert datagram == Send(to=THEM, packet=SwimPacket(boot=BOOT, messages=(Ping(sequence=1),)))


def test_packet_without_anything_to_say_is_not_sent() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.open(THEM)
    assert drain(outbox) == []


@given(st.lists(short_messages, max_size=20), st.integers(1, 20), st.lists(updates, max_size=5, unique=True))
def test_datagrams_stay_within_their_bound(posted: list[Message], times: int, told: list[Update]) -> None:
    outbox = Outbox(BOOT, LAN)
    posted = posted * times
    for message in posted:
        outbox.post(THEM, message)
    for update in told:
        outbox.tell(THEM, update)
    sends = drain(outbox)
    trials = [message for message in posted if isinstance(message, StreamPing | StreamAck)]
    datagrams = [send for send in sends if not send.bulk]
    assert [message for send in datagrams for message in send.packet.messages] == [
        message for message in posted if message not in trials
    ]
    sent = [update for send in datagrams for update in send.packet.updates]
    assert sent == told[: len(sent)]
    # Complete ones travel with one testimony at most.
    assert len(sent) >= min(1, len(told)) or len(told[0].evidence) > 1
    assert [list(send.packet.messages) for send in sends if send.bulk] == [trials[:MESSAGES_MAX]] * bool(
        trials
    )
    assert all(len(msgspec.msgpack.encode(send.packet)) <= LAN.encoded_bytes_max for send in datagrams)


@given(st.lists(updates, max_size=40), st.sampled_from([1, 4, 64]))
def test_full_state_goes_in_parts_or_over_a_stream(state: list[Update], datagrams_max: int) -> None:
    outbox = Outbox(BOOT, replace(LAN, state_datagrams_max=datagrams_max))
    outbox.reply_state(THEM, 5, state)
    outbox.send_claims(US, state)
    sends = drain(outbox)
    for to in (THEM, US):
        parts = [send for send in sends if send.to == to]
        assert [update for part in parts for update in part.packet.updates] == state
        assert len(parts) <= datagrams_max
        for part in parts:
            assert part.bulk or len(msgspec.msgpack.encode(part.packet)) <= LAN.encoded_bytes_max
        said = [message for part in parts for message in part.packet.messages]
        if to == US:
            assert said == []
        else:
            count = len(parts)
            assert said == [StateReply(sequence=5, part=index, parts=count) for index in range(count)]


def test_long_message_goes_in_a_packet_of_its_own_or_over_a_stream() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.post(THEM, Ping(sequence=1))
    for tags in (100, 1_000):
        outbox.send_apart(THEM, Fetch(tags=tuple(range(1 << 40, (1 << 40) + tags))))
    sends = drain(outbox)
    assert [len(send.packet.messages) for send in sends] == [1, 1, 1]
    assert [send.bulk for send in sends] == [False, True, False]


def test_newcomer_says_who_it_is_and_no_more() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.request_state(THEM, 6, claim(member=US))
    [send] = drain(outbox)
    assert send.packet.messages == (StateRequest(sequence=6),)
    assert send.packet.updates == (claim(member=US),)


def test_state_that_fits_a_datagram_needs_no_stream() -> None:
    outbox = Outbox(BOOT, LAN)
    outbox.reply_state(THEM, 1, [claim(member=name) for name in OTHERS])
    assert [send.bulk for send in drain(outbox)] == [False]
    outbox.reply_state(THEM, 1, [claim(metadata=bytes(288))] * 100)
    assert [send.bulk for send in drain(outbox)] == [True]
