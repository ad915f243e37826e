from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import MemberState, Ping, SwimPacket, Update
from gossipsa.wire.codec import Decoder, MessageDecodeError, encode
from tests.swim.claims import BOOT, claim, packets

DECODER: Decoder[SwimPacket] = Decoder(SwimPacket)


@given(packets)
def test_every_packet_survives_the_codec(packet: SwimPacket) -> None:
    assert DECODER.decode(encode(packet)) == packet


@given(st.binary(max_size=200))
def test_garbage_raises_only_the_decoders_error(data: bytes) -> None:
    with contextlib.suppress(MessageDecodeError):
        DECODER.decode(data)


@given(packets, st.data())
def test_damaged_packets_raise_only_the_decoders_error(packet: SwimPacket, data: st.DataObject) -> None:
    encoded = bytearray(encode(packet))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(MessageDecodeError):
        DECODER.decode(bytes(encoded))


@pytest.mark.parametrize(
    "packet",
    [
        SwimPacket(boot=BootId(b"short")),
        SwimPacket(boot=BOOT, messages=(Ping(sequence=1 << 32),)),
        SwimPacket(boot=BOOT, messages=(Ping(sequence=1),) * 257),
        SwimPacket(boot=BOOT, updates=(claim(member=GatewayName("")),)),
        SwimPacket(boot=BOOT, updates=(claim(member=GatewayName("x" * 65)),)),
        SwimPacket(boot=BOOT, updates=(claim(metadata=bytes(289)),)),
        SwimPacket(boot=BOOT, updates=(claim(incarnation=-1),)),
        SwimPacket(boot=BOOT, updates=(claim(incarnation=(1 << 62) + 1),)),
    ],
    ids=["boot", "sequence", "messages", "no name", "long name", "metadata", "negative", "incarnation"],
)
def test_values_out_of_range_are_refused(packet: SwimPacket) -> None:
    with pytest.raises(MessageDecodeError):
        DECODER.decode(encode(packet))


def test_update_is_complete_with_an_address_and_a_signature_only() -> None:
    assert claim().complete
    assert not claim(MemberState.SUSPECT).complete
    unsigned = Update(
        member=GatewayName("x"), boot=BOOT, incarnation=0, state=MemberState.ALIVE, address=b"1234"
    )
    assert not unsigned.complete
    assert not msgspec.structs.replace(claim(), address=b"12345").complete
