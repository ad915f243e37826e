"""Whoever has no key, or only copies of what others sent: nothing they send gets in, and nobody is failed."""

from __future__ import annotations

from random import Random

import pytest

from gossipsa.inputs import DatagramReceived
from gossipsa.swim.messages import Ping
from gossipsa.wire.handshake import HELLO, WELCOME, WIRE_VERSION, key_hint, make_hello, pair_context
from gossipsa.wire.key_pair import KeyPair
from gossipsa.wire.sessions import DATAGRAM_BYTES_MAX, Channel
from tests.authorities import MESH, keys_of
from tests.hostile.bounds import check_bounds
from tests.hostile.rig import MS, OTHERS, OWN, SECOND, Rig, endpoint_of

COUNT = 2_000


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.join()
    rig.pass_time(SECOND)
    return rig


def recorded(rig: Rig, count: int = 50) -> list[bytes]:
    """Genuine datagrams of a gateway to the core, not delivered yet."""
    other = rig.others[OTHERS[0]]
    found: list[bytes] = []
    for number in range(count):
        payload = other.payload(other.gossip(Ping(sequence=number)))
        found += [
            out.data for out in other.sessions.seal(OWN, payload, channel=Channel.DATAGRAM, now_ns=rig.now_ns)
        ]
    return found


def flood(rig: Rig, datagrams: list[bytes]) -> int:
    """Feeds datagrams; returns how many effects other than reports came of them."""
    answers = 0
    source = endpoint_of(OTHERS[0])
    for data in datagrams:
        effects = rig.core.handle(DatagramReceived(source=source, data=data), now_ns=rig.now_ns)
        answers += sum(type(effect).__name__ != "Report" for effect in effects)
    return answers


def assert_whole(rig: Rig) -> None:
    check_bounds(rig)
    rig.pass_time(3 * SECOND)
    assert rig.states() == dict.fromkeys(OTHERS, "alive")
    assert "gateway-failed" not in rig.reports
    check_bounds(rig)


def test_noise_gets_no_answer(rig: Rig) -> None:
    random = Random(1)
    noise = [random.randbytes(random.randrange(DATAGRAM_BYTES_MAX + 100)) for _ in range(COUNT)]
    # Some look like messages of this version.
    noise += [bytes((WIRE_VERSION, 1 + number % 4)) + random.randbytes(120) for number in range(COUNT)]
    assert flood(rig, noise) == 0
    assert_whole(rig)


def hello_of(rig: Rig, keys: KeyPair, random: Random) -> bytes:
    """A hello in the name of a gateway, with its keys or with others."""
    name = OTHERS[0]
    return make_hello(
        own=keys,
        own_hint=key_hint(MESH, name, keys_of(name).exchange.public),
        peer_public=keys_of(OWN).exchange.public,
        context=pair_context(MESH, name, OWN),
        boot=rig.others[name].boot,
        session_index=random.randbytes(8),
        ephemeral_private=random.randbytes(32),
    ).data


def test_forged_hellos_and_welcomes_get_no_answer(rig: Rig) -> None:
    hello = hello_of(rig, KeyPair.from_private(bytes(32)), Random(5))
    hint = hello[2:10]
    forged = [hello[:2] + hint + hello[10:-1] + bytes((number % 256,)) for number in range(COUNT // 4)]
    forged += [bytes((WIRE_VERSION, WELCOME)) + bytes(8) + hello[10:]] * 100
    forged += [bytes((WIRE_VERSION, HELLO)) + hint + bytes(32) + hello[42:]] * 100
    assert flood(rig, forged) == 0
    assert_whole(rig)


def test_replayed_and_reordered_datagrams_are_taken_once_each(rig: Rig) -> None:
    genuine = recorded(rig)
    Random(2).shuffle(genuine)
    taken = flood(rig, genuine)
    assert taken == len(genuine), "each ping is answered, in whatever order it arrives"
    assert flood(rig, genuine * 20) == 0
    assert_whole(rig)


def test_reflected_datagrams_are_refused(rig: Rig) -> None:
    rig.pass_time(SECOND)
    own = [data for data in rig.sent if data[1] in (Channel.DATAGRAM.value, Channel.STREAM.value)]
    assert own
    assert flood(rig, own * 20) == 0
    assert_whole(rig)


def test_truncated_extended_and_flipped_datagrams_are_refused(rig: Rig) -> None:
    random = Random(3)
    damaged = []
    for data in recorded(rig):
        damaged += [data[: random.randrange(len(data))] for _ in range(10)]
        damaged += [data + random.randbytes(random.randrange(1, 1400)) for _ in range(5)]
        for _ in range(20):
            changed = bytearray(data)
            changed[random.randrange(2, len(data))] ^= 1 << random.randrange(8)
            damaged.append(bytes(changed))
    assert flood(rig, damaged) == 0
    assert_whole(rig)


def test_replayed_hello_of_another_boot_takes_no_session_away(rig: Rig) -> None:
    """Hellos of earlier boots were recorded: whoever repeats them gets welcomes that are of no use to him."""
    random = Random(4)
    hellos = [hello_of(rig, keys_of(OTHERS[0]).exchange, random) for _ in range(100)]
    flood(rig, hellos * 2)
    assert_whole(rig)
    assert rig.now_ns > MS
