"""Sessions: two gateways talk, nobody else gets a word in."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, GatewayName, Holder
from gossipsa.wire.authority import first_trust_list
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.handshake import ephemeral_of_hello, key_hint
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import (
    DATAGRAM_BYTES_MAX,
    DATAGRAM_PAYLOAD_BYTES_MAX,
    Channel,
    MessageTooLongError,
    Opened,
    Outgoing,
    SealError,
    Sessions,
)
from tests.authorities import AUTHORITY, DAY_S, MESH, NOW_S, identity_of

A, B = GatewayName("a"), GatewayName("b")
KEYS = {name: GatewayKeys.from_seed(bytes([index]) * 32) for index, name in enumerate((A, B), start=1)}


def make_keyring(name: GatewayName, *, keys: GatewayKeys | None = None, mesh: str = MESH) -> Keyring:
    """A keyring that knows the identity of the other one."""
    other = B if name == A else A
    keys = keys or KEYS[name]
    keyring = Keyring(
        keys=keys,
        identity=identity_of(name, keys=keys, mesh=mesh),
        trust=first_trust_list(mesh, AUTHORITY),
        unix_s=NOW_S,
    )
    assert keyring.admit(other, encode(identity_of(other, keys=KEYS[other], mesh=mesh)))
    return keyring


def make_sessions(
    name: GatewayName,
    *,
    boot: int = 0,
    keys: GatewayKeys | None = None,
    keyring: Keyring | None = None,
) -> Sessions:
    keyring = keyring or make_keyring(name, keys=keys)
    stream = random.Random(f"{name}{boot}")
    return Sessions(keyring=keyring, boot=BootId(bytes([boot]) * 16), entropy=stream.randbytes)


def deliver(
    sessions: dict[GatewayName, Sessions], name: GatewayName, payload: bytes, now_ns: int = 0
) -> list[Opened]:
    """Sends `payload` from `name` and carries every message until silence."""
    other = B if name == A else A
    waiting = list(sessions[name].seal(other, payload, channel=Channel.DATAGRAM, now_ns=now_ns))
    opened = []
    while waiting:
        message = waiting.pop(0)
        got, more = sessions[message.to].open(message.data, now_ns=now_ns)
        waiting.extend(more)
        if got:
            opened.append(got)
    return opened


def crossed(sessions: dict[GatewayName, Sessions]) -> None:
    """Both say hello at once: each side makes a session of its own."""
    waiting = [
        *sessions[A].seal(B, b"a", channel=Channel.DATAGRAM, now_ns=0),
        *sessions[B].seal(A, b"b", channel=Channel.DATAGRAM, now_ns=0),
    ]
    while waiting:
        message = waiting.pop(0)
        waiting.extend(sessions[message.to].open(message.data, now_ns=0)[1])


@pytest.fixture
def pair() -> dict[GatewayName, Sessions]:
    return {A: make_sessions(A), B: make_sessions(B)}


def established(pair: dict[GatewayName, Sessions]) -> dict[GatewayName, Sessions]:
    deliver(pair, A, b"first")
    return pair


@given(
    payloads=st.lists(
        st.tuples(st.sampled_from((A, B)), st.binary(min_size=1, max_size=DATAGRAM_PAYLOAD_BYTES_MAX)),
        max_size=8,
    )
)
def test_payloads_arrive_as_sent_from_the_boot_that_sent_them(
    payloads: list[tuple[GatewayName, bytes]],
) -> None:
    pair = {A: make_sessions(A), B: make_sessions(B)}
    for name, payload in payloads:
        assert deliver(pair, name, payload) == [Opened(Holder(name, BootId(bytes(16))), payload)]


def test_first_message_waits_for_the_handshake_and_then_arrives(pair: dict[GatewayName, Sessions]) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    assert b"x" * 4 not in hello.data
    _, (welcome,) = pair[B].open(hello.data, now_ns=0)
    _, (sealed,) = pair[A].open(welcome.data, now_ns=0)
    opened, _ = pair[B].open(sealed.data, now_ns=0)
    assert opened is not None
    assert opened.payload == b"x"


def test_replayed_datagram_is_refused(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"once", channel=Channel.DATAGRAM, now_ns=1)
    pair[B].open(sealed.data, now_ns=1)
    with pytest.raises(SealError, match="replayed"):
        pair[B].open(sealed.data, now_ns=1)


def test_datagram_cannot_be_replayed_as_stream_frame(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"once", channel=Channel.DATAGRAM, now_ns=1)
    moved = sealed.data[:1] + bytes((Channel.STREAM.value,)) + sealed.data[2:]
    with pytest.raises(SealError, match="forged"):
        pair[B].open(moved, now_ns=1)


def test_reflected_datagram_is_refused(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"mine", channel=Channel.DATAGRAM, now_ns=1)
    with pytest.raises(SealError, match="unknown session"):
        pair[A].open(sealed.data, now_ns=1)


def test_stranger_gets_no_answer(pair: dict[GatewayName, Sessions]) -> None:
    stranger = make_sessions(A, keys=GatewayKeys.from_seed(b"s" * 32))
    (hello,) = stranger.seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    with pytest.raises(SealError, match="stranger"):
        pair[B].open(hello.data, now_ns=0)


def test_stranger_who_claims_a_known_key_is_found_out(pair: dict[GatewayName, Sessions]) -> None:
    stranger = make_sessions(A, keys=GatewayKeys.from_seed(b"s" * 32))
    (hello,) = stranger.seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    (honest,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    with pytest.raises(SealError, match="forged hello"):
        pair[B].open(honest.data[:10] + hello.data[10:], now_ns=0)


def test_message_sealed_before_a_restart_is_refused(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"late", channel=Channel.DATAGRAM, now_ns=1)
    pair[B] = make_sessions(B, boot=1)
    with pytest.raises(SealError, match="unknown session"):
        pair[B].open(sealed.data, now_ns=1)


def test_old_session_is_refused_after_its_age(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"late", channel=Channel.DATAGRAM, now_ns=1)
    with pytest.raises(SealError, match="old session"):
        pair[B].open(sealed.data, now_ns=181 * 10**9)


def test_session_is_renewed_before_it_expires(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    second = 10**9
    for now_s in range(1, 400, 5):
        assert [got.payload for got in deliver(pair, A, b"beat", now_ns=now_s * second)] == [b"beat"]


def test_restarted_peer_is_greeted_again_and_known_by_its_new_boot(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    pair[B] = make_sessions(B, boot=1)
    assert deliver(pair, B, b"back", now_ns=5) == [Opened(Holder(B, BootId(b"\x01" * 16)), b"back")]
    assert pair[A].boot_of(B, now_ns=5) == b"\x01" * 16
    assert deliver(pair, A, b"hello", now_ns=6) == [Opened(Holder(A, BootId(bytes(16))), b"hello")]


def test_gateways_that_greet_each_other_at_once_keep_talking_without_new_handshakes(
    pair: dict[GatewayName, Sessions],
) -> None:
    """Each may then prefer another session: that is no silence."""
    hellos = {
        name: pair[name].seal(other, b"x", channel=Channel.DATAGRAM, now_ns=0)
        for name, other in ((A, B), (B, A))
    }
    waiting = [message for out in hellos.values() for message in out]
    while waiting:
        message = waiting.pop(0)
        waiting.extend(pair[message.to].open(message.data, now_ns=0)[1])
    second = 10**9
    for tick in range(1, 200):
        for name, other in ((A, B), (B, A)):
            (sealed,) = pair[name].seal(other, b"beat", channel=Channel.DATAGRAM, now_ns=tick * second // 2)
            opened, answers = pair[other].open(sealed.data, now_ns=tick * second // 2)
            assert opened is not None
            assert answers == ()


def test_crossed_hellos_are_no_reason_for_more_of_them(pair: dict[GatewayName, Sessions]) -> None:
    crossed(pair)
    for tenth in range(1, 200):
        now_ns = tenth * 100_000_000
        for name, other in ((A, B), (B, A)):
            (sealed,) = pair[name].seal(other, b"x", channel=Channel.DATAGRAM, now_ns=now_ns)
            opened, answers = pair[other].open(sealed.data, now_ns=now_ns)
            assert opened is not None
            assert answers == ()


def test_repeated_hello_gets_the_same_welcome(pair: dict[GatewayName, Sessions]) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    welcomes = {pair[B].open(hello.data, now_ns=now_ns)[1] for now_ns in range(50)}
    assert len(welcomes) == 1


def test_a_session_that_the_peer_has_lost_is_not_preferred(pair: dict[GatewayName, Sessions]) -> None:
    """The confirmation got lost and the peer forgot the session: the one in use stays in use."""
    established(pair)
    late = 130 * 10**9
    for message in pair[A].seal(B, b"renew", channel=Channel.DATAGRAM, now_ns=late):
        _, answers = pair[B].open(message.data, now_ns=late)
        for answer in answers:
            pair[A].open(answer.data, now_ns=late)
    for spoilt in range(8):
        lost = make_sessions(A, boot=spoilt + 5).seal(B, b"x", channel=Channel.DATAGRAM, now_ns=late)
        pair[B].open(lost[0].data, now_ns=late)
    (sealed,) = pair[A].seal(B, b"still here", channel=Channel.DATAGRAM, now_ns=late + 1)
    opened, _ = pair[B].open(sealed.data, now_ns=late + 1)
    assert opened is not None
    assert opened.payload == b"still here"


def test_replayed_hellos_do_not_push_out_a_live_session(pair: dict[GatewayName, Sessions]) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    _, (welcome,) = pair[B].open(hello.data, now_ns=0)
    pair[A].open(welcome.data, now_ns=0)
    deliver(pair, A, b"first")
    for _ in range(50):
        pair[B].open(hello.data, now_ns=1)
    assert [got.payload for got in deliver(pair, B, b"still here", now_ns=2)] == [b"still here"]


def test_what_is_sealed_is_for_the_other_twin_again_when_one_of_them_is_forgotten(
    pair: dict[GatewayName, Sessions],
) -> None:
    stays = established(pair)[A]
    yields = pair[A] = make_sessions(A, boot=7)
    deliver(pair, A, b"a twin was here")
    assert pair[B].boot_of(A, now_ns=1) == BootId(bytes([7]) * 16)
    pair[B].forget_boot(A, BootId(bytes([7]) * 16))
    for sealed in pair[B].seal(A, b"you stay", channel=Channel.DATAGRAM, now_ns=2):
        with pytest.raises(SealError, match="unknown session"):
            yields.open(sealed.data, now_ns=2)
        opened, _ = stays.open(sealed.data, now_ns=2)
        assert opened is not None
        assert opened.payload == b"you stay"


def test_oversized_payload_and_datagram_are_refused(pair: dict[GatewayName, Sessions]) -> None:
    with pytest.raises(MessageTooLongError):
        pair[A].seal(B, bytes(DATAGRAM_PAYLOAD_BYTES_MAX + 1), channel=Channel.DATAGRAM, now_ns=0)
    with pytest.raises(SealError, match="oversized"):
        pair[A].open(b"\x01\x03" + bytes(DATAGRAM_BYTES_MAX), now_ns=0)


@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda tail: b"\x01\x01" + tail),
        st.binary(max_size=200).map(lambda tail: b"\x01\x02" + tail),
    )
)
def test_garbage_raises_only_seal_errors(data: bytes) -> None:
    with pytest.raises(SealError):
        make_sessions(A).open(data, now_ns=0)


@given(position=st.integers(min_value=0, max_value=90), bit=st.integers(min_value=0, max_value=7))
def test_any_flipped_bit_is_noticed(position: int, bit: int) -> None:
    pair = established({A: make_sessions(A), B: make_sessions(B)})
    (sealed,) = pair[A].seal(B, bytes(60), channel=Channel.DATAGRAM, now_ns=1)
    position %= len(sealed.data)
    flipped = bytearray(sealed.data)
    flipped[position] ^= 1 << bit
    with pytest.raises(SealError):
        pair[B].open(bytes(flipped), now_ns=1)


def test_gateways_of_two_meshes_do_not_understand_each_other() -> None:
    """Although they have the same names, keys and authority."""
    ours = make_sessions(A)
    theirs = make_sessions(B, keyring=make_keyring(B, mesh="elsewhere"))
    (hello,) = ours.seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    with pytest.raises(SealError, match="stranger"):
        theirs.open(hello.data, now_ns=0)
    named = hello.data[:2] + key_hint("elsewhere", A, KEYS[A].exchange.public) + hello.data[10:]
    with pytest.raises(SealError, match="forged hello"):
        theirs.open(named, now_ns=0)


def test_key_certified_under_two_names_opens_nothing_under_the_wrong_one() -> None:
    """Whoever gets an identity for another gateway's public key does not appear in its place."""
    b = make_keyring(B)
    assert b.admit(GatewayName("mallory"), encode(identity_of("mallory", keys=KEYS[A])))
    (hello,) = make_sessions(A).seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    renamed = (
        hello.data[:2] + key_hint(MESH, GatewayName("mallory"), KEYS[A].exchange.public) + hello.data[10:]
    )
    with pytest.raises(SealError, match="forged hello"):
        make_sessions(B, keyring=b).open(renamed, now_ns=0)


def test_gateway_that_holds_its_neighbours_identity_but_not_its_key_gets_nowhere() -> None:
    """B may know all that is public of A, and have stolen C's key: it is C, and not A."""
    c = GatewayKeys.from_seed(b"c" * 32)
    thief = make_keyring(A, keys=c)
    b = make_keyring(B)
    assert b.admit(GatewayName("c"), encode(identity_of("c", keys=c)))
    (hello,) = make_sessions(A, keyring=thief).seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    honest = key_hint(MESH, A, KEYS[A].exchange.public)
    with pytest.raises(SealError, match="forged hello"):
        make_sessions(B, keyring=b).open(hello.data[:2] + honest + hello.data[10:], now_ns=0)


def test_stolen_key_reads_nothing_between_others(pair: dict[GatewayName, Sessions]) -> None:
    """Not even what was recorded, with the static key of one of the two: ephemeral keys are gone."""
    messages = list(pair[A].seal(B, b"secret", channel=Channel.DATAGRAM, now_ns=0))
    recorded = []
    while messages:
        message = messages.pop(0)
        recorded.append(message)
        messages.extend(pair[message.to].open(message.data, now_ns=0)[1])
    thief = make_sessions(B, boot=9, keys=KEYS[B])
    opened = []
    for message in recorded:
        if message.to == B:
            try:
                opened.append(thief.open(message.data, now_ns=0)[0])
            except SealError:
                continue
    assert opened == [None], "the hello is understood, and what followed is not"


def test_forgotten_gateway_has_no_session_any_more(pair: dict[GatewayName, Sessions]) -> None:
    established(pair)
    (sealed,) = pair[A].seal(B, b"late", channel=Channel.DATAGRAM, now_ns=1)
    pair[B].forget(A)
    assert pair[B].boot_of(A, now_ns=1) is None
    with pytest.raises(SealError, match="unknown session"):
        pair[B].open(sealed.data, now_ns=1)


def test_hello_under_way_to_a_forgotten_gateway_is_not_awaited(pair: dict[GatewayName, Sessions]) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    _, (welcome,) = pair[B].open(hello.data, now_ns=0)
    assert pair[A].greeted(ephemeral_of_hello(hello.data)) == B
    pair[A].forget(B)
    assert pair[A].greeted(ephemeral_of_hello(hello.data)) is None
    with pytest.raises(SealError, match="unexpected welcome"):
        pair[A].open(welcome.data, now_ns=0)


def test_gateway_with_new_keys_is_greeted_under_them_and_the_old_session_is_gone() -> None:
    keyring = make_keyring(A)
    pair = established({A: make_sessions(A, keyring=keyring), B: make_sessions(B)})
    assert pair[A].boot_of(B, now_ns=1) is not None
    new = GatewayKeys.from_seed(b"n" * 32)
    newer = identity_of(B, keys=new, not_before_s=NOW_S - DAY_S + 1)
    assert keyring.admit(B, encode(newer))
    pair[B] = make_sessions(B, boot=1, keys=new)
    assert deliver(pair, A, b"anew", now_ns=2) == [Opened(Holder(A, BootId(bytes(16))), b"anew")]


def test_hello_is_repeated_at_once_when_it_can_be_understood(pair: dict[GatewayName, Sessions]) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    assert pair[A].seal(B, b"y", channel=Channel.DATAGRAM, now_ns=1) == ()
    assert pair[A].greet_again(B, channel=Channel.DATAGRAM, now_ns=1) == (hello,)
    assert pair[B].greet_again(A, channel=Channel.DATAGRAM, now_ns=1) == ()


def test_hello_is_repeated_over_the_stream_at_once_if_that_is_the_way(
    pair: dict[GatewayName, Sessions],
) -> None:
    (hello,) = pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    (again,) = pair[A].greet_again(B, channel=Channel.STREAM, now_ns=1)
    assert again == msgspec.structs.replace(hello, channel=Channel.STREAM)
    (later,) = pair[A].greet_again(B, channel=Channel.STREAM, now_ns=2)
    assert later == again


def over_streams(
    sessions: dict[GatewayName, Sessions], first: tuple[Outgoing, ...], now_ns: int
) -> list[Opened]:
    """Carries what goes over streams until silence; datagrams are filtered."""
    waiting = [message for message in first if message.channel is Channel.STREAM]
    opened = []
    while waiting:
        message = waiting.pop(0)
        got, more = sessions[message.to].open(message.data, channel=Channel.STREAM, now_ns=now_ns)
        waiting.extend(answer for answer in more if answer.channel is Channel.STREAM)
        if got:
            opened.append(got)
    return opened


def test_session_comes_about_over_streams_when_datagrams_are_filtered(
    pair: dict[GatewayName, Sessions],
) -> None:
    assert over_streams(pair, pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0), 0) == []
    later = 200_000_000
    again = pair[A].seal(B, b"y", channel=Channel.STREAM, now_ns=later)
    assert [message.channel for message in again] == [Channel.DATAGRAM, Channel.STREAM]
    assert [got.payload for got in over_streams(pair, again, later)] == [b"y"]
    back = pair[B].seal(A, b"z", channel=Channel.STREAM, now_ns=later)
    assert [got.payload for got in over_streams(pair, back, later)] == [b"z"], "no further handshake"


def test_session_made_over_streams_is_confirmed_over_them_though_only_datagrams_wait(
    pair: dict[GatewayName, Sessions],
) -> None:
    pair[A].seal(B, b"x", channel=Channel.DATAGRAM, now_ns=0)
    over_streams(pair, pair[A].seal(B, b"y", channel=Channel.DATAGRAM, now_ns=200_000_000), 200_000_000)
    back = pair[B].seal(A, b"z", channel=Channel.STREAM, now_ns=200_000_000)
    assert [message.data[1] for message in back] == [Channel.STREAM.value], "and no hello"


def test_old_keys_are_not_heard_from_the_moment_that_new_ones_are_shown() -> None:
    """Although their session is still young."""
    keyring = make_keyring(B)
    pair = established({A: make_sessions(A), B: make_sessions(B, keyring=keyring)})
    (late,) = pair[A].seal(B, b"stolen", channel=Channel.DATAGRAM, now_ns=1)
    new = identity_of(A, keys=GatewayKeys.from_seed(b"n" * 32), not_before_s=NOW_S - DAY_S + 1)
    assert keyring.admit(A, encode(new))
    with pytest.raises(SealError, match="superseded keys"):
        pair[B].open(late.data, now_ns=1)
    with pytest.raises(SealError, match="unknown session"):
        pair[B].open(late.data, now_ns=1)
