"""What other gateways and strangers send: sealed bytes, handshakes, messages, frames of streams."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address
from random import Random
from typing import Any

import gossipsa
from gossipsa.daemon.framing import FrameError, FrameReader, encode_frame
from gossipsa.effects import SendDatagram, SendFrame
from gossipsa.errors import PeerError
from gossipsa.first_contact import FirstContact
from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.inputs import DatagramReceived, FrameReceived
from gossipsa.introductions import Introductions
from gossipsa.mesh_message import MESSAGE_DECODER
from gossipsa.mesh_port import MeshPort
from gossipsa.replication.iblt import CELL, Cells
from gossipsa.replication.messages import CELLS_MAX
from gossipsa.swim.coordinate_map import CoordinateMap
from gossipsa.swim.coordinates import (
    COORDINATE_BYTES,
    CoordinateRefusedError,
    Vivaldi,
    decode_coordinate,
)
from gossipsa.trust_keeper import TrustKeeper
from gossipsa.wire.codec import Decoder, MessageDecodeError, encode
from gossipsa.wire.handshake import accept_welcome, answer_hello, make_hello
from gossipsa.wire.identity import decode_identity
from gossipsa.wire.introduction import (
    ANSWER,
    INTRODUCTION,
    Introduction,
    IntroductionError,
    decode_introduction,
    encode_introduction,
    endpoint_statement,
    ephemeral_of_notice,
    stranger_notice,
    trust_datagram,
)
from gossipsa.wire.key_pair import KeyPair
from gossipsa.wire.sessions import (
    DATAGRAM_BYTES_MAX,
    FRAME_BYTES_MAX,
    FRAME_PAYLOAD_BYTES_MAX,
    Channel,
    SealError,
    Sessions,
)
from gossipsa.wire.signing import Domain
from tests.authorities import TRUST, identity_of, keys_of
from tests.fuzz.samples import sample, types_in
from tests.fuzz.target import Syntax, Target, name_of
from tests.hostile.rig import OTHERS, OWN, Other, Rig, keyring_of

_SAMPLES = 12
_BOOT = BootId(bytes(16))
_EXECUTIONS_A_CORE = 300


def targets() -> Iterator[Target]:
    for name, decoder in decoders().items():
        yield from _of_decoder(name, decoder)
    yield _hello()
    yield _welcome()
    yield _sessions()
    yield _frames()
    yield _coordinates()
    yield _introductions()
    yield _cells()
    yield _core()


@cache
def decoders() -> dict[str, Decoder[Any]]:
    """Every decoder of the codec that stands in a module of the product, by `module:name`."""
    found: dict[str, Decoder[Any]] = {}
    known: set[int] = set()
    for module_info in pkgutil.walk_packages(gossipsa.__path__, "gossipsa."):
        if module_info.name.endswith("__main__"):
            continue
        module = importlib.import_module(module_info.name)
        for name, value in vars(module).items():
            if isinstance(value, Decoder) and id(value) not in known:
                known.add(id(value))
                found[f"{module_info.name}:{name}"] = value
    return found


def _of_decoder(name: str, decoder: Decoder[Any]) -> Iterator[Target]:
    """One target for each type that the decoder reads."""
    for kind in types_in(decoder._decoder.type):
        random = Random(kind.__name__)
        yield Target(
            name=f"{name.partition(':')[2].removeprefix('_').lower()}-{kind.__name__}",
            run=decoder.decode,
            refuses=(MessageDecodeError,),
            seeds=tuple(encode(sample(kind, random)) for _ in range(_SAMPLES)),
            input_bytes_max=FRAME_PAYLOAD_BYTES_MAX,
            covers=(name, name_of(Decoder.decode)),
            syntax=Syntax.MESSAGEPACK,
            growth=400,
        )


def _pairs() -> tuple[KeyPair, KeyPair]:
    return KeyPair.from_private(bytes([1]) * 32), KeyPair.from_private(bytes([2]) * 32)


def _hello() -> Target:
    ours, theirs = _pairs()
    hello = make_hello(
        own=theirs,
        own_hint=bytes(8),
        peer_public=ours.public,
        context=b"",
        boot=_BOOT,
        session_index=bytes(8),
        ephemeral_private=bytes(32),
    )
    return Target(
        name="handshake-hello",
        run=lambda data: answer_hello(
            data,
            own=ours,
            peer_public=theirs.public,
            context=b"",
            boot=_BOOT,
            session_index=bytes(8),
            ephemeral_private=bytes([3]) * 32,
        ),
        refuses=(PeerError,),
        seeds=(hello.data,),
        input_bytes_max=DATAGRAM_BYTES_MAX,
        covers=(name_of(answer_hello),),
    )


def _welcome() -> Target:
    ours, theirs = _pairs()
    pending = make_hello(
        own=ours,
        own_hint=bytes(8),
        peer_public=theirs.public,
        context=b"",
        boot=_BOOT,
        session_index=bytes(8),
        ephemeral_private=bytes(32),
    )
    answer = answer_hello(
        pending.data,
        own=theirs,
        peer_public=ours.public,
        context=b"",
        boot=_BOOT,
        session_index=bytes(8),
        ephemeral_private=bytes([3]) * 32,
    )
    return Target(
        name="handshake-welcome",
        run=lambda data: accept_welcome(data, own=ours, pending=pending),
        refuses=(PeerError,),
        seeds=(answer.data,),
        input_bytes_max=DATAGRAM_BYTES_MAX,
        covers=(name_of(accept_welcome),),
    )


def _sessions() -> Target:
    """Hellos, welcomes and sealed messages of a genuine gateway, damaged; one receiver takes them all."""
    other = Other(OTHERS[0], (OWN, *OTHERS))
    random = Random("sessions")
    receiver = Sessions(keyring=keyring_of(OWN, (OWN, *OTHERS)), boot=_BOOT, entropy=random.randbytes)
    seeds = []
    waiting = [
        *other.sessions.seal(OWN, b"payload", channel=Channel.DATAGRAM, now_ns=0),
        *receiver.seal(OTHERS[1], b"payload", channel=Channel.STREAM, now_ns=0),
    ]
    while waiting:
        message = waiting.pop(0)
        seeds.append(message.data)
        if message.to in (OWN, OTHERS[0]):
            sessions = receiver if message.to == OWN else other.sessions
            waiting += sessions.open(message.data, now_ns=0)[1]
    for channel in Channel:
        seeds += [out.data for out in other.sessions.seal(OWN, b"more", channel=channel, now_ns=0)]
    return Target(
        name="sessions-open",
        run=lambda data: receiver.open(data, now_ns=0),
        refuses=(SealError,),
        seeds=tuple(seeds),
        input_bytes_max=FRAME_BYTES_MAX,
        covers=(
            name_of(Sessions.open),
            "gossipsa.wire.sessions:_Session.open",
            "gossipsa.wire.sessions:_Opener.open",
        ),
    )


def _frames() -> Target:
    def run(data: bytes) -> object:
        reader = FrameReader()
        middle = len(data) // 2
        return reader.feed(data[:middle]) + reader.feed(data[middle:])

    return Target(
        name="stream-frames",
        run=run,
        refuses=(FrameError,),
        seeds=(encode_frame(b"one") + encode_frame(b"two" * 100), encode_frame(b"x" * 1000)),
        input_bytes_max=4 * FRAME_BYTES_MAX,
        covers=(name_of(FrameReader.feed),),
    )


def _coordinates() -> Target:
    """One map hears them all: whatever comes, its own coordinate stays on earth."""
    random = Random("coordinates")
    heard = CoordinateMap(random, members_max=8)

    def run(data: bytes) -> object:
        name = GatewayName(str(random.randrange(20)))
        heard.hear(name, data, rtt_ns=random.choice((0, 1, 10**6, 10**10)))
        return decode_coordinate(heard.own.encode())

    return Target(
        name="coordinates",
        run=run,
        refuses=(CoordinateRefusedError,),
        seeds=(heard.own.encode(), Vivaldi(random).coordinate.encode()),
        input_bytes_max=2 * COORDINATE_BYTES,
        covers=(name_of(decode_coordinate), name_of(CoordinateMap.hear)),
    )


def _introductions() -> Target:
    """First contact of strangers: a real core takes all kinds, and answers never more than it was sent."""
    own, identity = Endpoint(IPv4Address("198.51.100.2"), 1), encode(identity_of("x"))
    signature = keys_of("x").signing.sign(Domain.ENDPOINT, endpoint_statement(identity, own))
    shown = Introduction(
        nonce=bytes(8), trust_version=2, identity=identity, endpoint=own, signature=signature
    )
    hello = Other(GatewayName("x"), (GatewayName("x"), OWN)).sessions.seal(
        OWN, b"x", channel=Channel.DATAGRAM, now_ns=0
    )[0]
    rig = Rig()

    def run(data: bytes) -> object:
        source = Endpoint(IPv4Address("198.51.100.1"), 1)
        effects = rig.core.handle(DatagramReceived(source=source, data=data), now_ns=rig.now_ns)
        rig.now_ns += 10_000_000
        sent = sum(
            len(effect.data)
            for effect in effects
            if isinstance(effect, SendDatagram) and effect.destination == source
        )
        assert sent <= len(data)
        for effect in rig.core.handle(FrameReceived(data=data), now_ns=rig.now_ns):
            if isinstance(effect, SendFrame) and effect.destination == own:
                assert len(effect.data) <= len(data)
        if data[1:2] in (bytes((INTRODUCTION,)), bytes((ANSWER,))):
            return decode_introduction(data)
        return ephemeral_of_notice(data)

    return Target(
        name="introductions",
        run=run,
        refuses=(IntroductionError,),
        seeds=(
            encode_introduction(INTRODUCTION, shown),
            encode_introduction(ANSWER, shown),
            stranger_notice(hello.data),
            trust_datagram(encode(TRUST)),
            hello.data,
        ),
        input_bytes_max=DATAGRAM_BYTES_MAX,
        covers=(
            name_of(decode_introduction),
            name_of(decode_identity),
            name_of(Introductions.hear_introduction),
            name_of(Introductions.hear_answer),
            name_of(Introductions.answer_stranger),
            name_of(TrustKeeper.hear_unsealed),
            name_of(FirstContact.hear),
            name_of(MeshPort.hear),
        ),
    )


def _cells() -> Target:
    """Cells of another gateway, subtracted from ours and peeled."""
    own = Cells(range(1, 40), end=64)

    def run(data: bytes) -> object:
        theirs = Cells.decode(data, first=0)
        return theirs.minus(Cells(range(1, 40), end=theirs.end)).peel(symbols_max=1_000)

    return Target(
        name="audit-cells",
        run=run,
        refuses=(ValueError,),
        seeds=(own.encode(), Cells(range(20, 60), end=32).encode()),
        input_bytes_max=CELLS_MAX * CELL.size,
        covers=(name_of(Cells.decode),),
        growth=200,
    )


class _Cores:
    """A core that hears one message after the other, and a fresh one now and then."""

    def __init__(self) -> None:
        self._executions = 0
        self._rig: Rig | None = None

    def hear(self, payload: bytes) -> None:
        if self._rig is None or self._executions % _EXECUTIONS_A_CORE == 0:
            self._rig = Rig()
            self._rig.join()
        self._executions += 1
        rig = self._rig
        try:
            rig.say_bytes(rig.others[OTHERS[self._executions % 2]], payload)
            rig.pass_time(1_000_000 * (self._executions % 8))
        except BaseException:
            self._rig = None
            raise


def _core() -> Target:
    """What a genuine gateway says, however foolish, makes the core raise nothing at all."""
    random = Random("core")
    rig = Rig()
    boots = [other.boot for other in rig.others.values()]
    seeds = []
    for kind in types_in(MESSAGE_DECODER._decoder.type):
        for number in range(_SAMPLES):
            payload = encode(sample(kind, random))
            # The true boots get past the first checks.
            seeds.append(
                payload.replace(bytes([1]) * 16, boots[0]).replace(bytes([2]) * 16, boots[number % 2])
            )
    return Target(
        name="core-hears-messages",
        run=_Cores().hear,
        refuses=(),
        seeds=tuple(seeds),
        input_bytes_max=60_000,
        covers=(),
        syntax=Syntax.MESSAGEPACK,
        growth=4_000,
    )
