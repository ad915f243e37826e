"""VICI packets: the documented example, round trips, garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.strongswan.vici_codec import (
    DEPTH_MAX,
    LENGTH_FIELD,
    PACKET_BYTES_MAX,
    PacketType,
    ViciDecodeError,
    ViciEncodeError,
    ViciMessage,
    ViciPacket,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
    subsections,
    text,
)

# The example of strongSwan's src/libcharon/plugins/vici/README.md, "Encoding example".
EXAMPLE: ViciMessage = {
    "key1": "value1",
    "section1": {"sub-section": {"key2": "value2"}, "list1": ["item1", "item2"]},
}
EXAMPLE_BYTES = (
    b"\x03\x04key1\x00\x06value1"
    b"\x01\x08section1"
    b"\x01\x0bsub-section"
    b"\x03\x04key2\x00\x06value2"
    b"\x02"
    b"\x04\x05list1"
    b"\x05\x00\x05item1"
    b"\x05\x00\x05item2"
    b"\x06"
    b"\x02"
)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
messages: st.SearchStrategy[ViciMessage] = st.recursive(
    st.dictionaries(texts, texts | st.lists(texts, max_size=3), max_size=3),
    lambda inner: st.dictionaries(texts, texts | st.lists(texts, max_size=3) | inner, max_size=3),
    max_leaves=6,
)


def test_the_documented_example_is_encoded_as_documented() -> None:
    assert encode_message(EXAMPLE) == EXAMPLE_BYTES


def test_the_documented_example_is_decoded() -> None:
    assert decode_message(EXAMPLE_BYTES) == EXAMPLE


@given(messages)
def test_messages_decode_to_what_was_encoded(message: ViciMessage) -> None:
    assert decode_message(encode_message(message)) == message


@given(st.sampled_from(PacketType), texts, messages)
def test_packets_decode_to_what_was_encoded(kind: PacketType, name: str, message: ViciMessage) -> None:
    named = kind in (
        PacketType.CMD_REQUEST,
        PacketType.EVENT_REGISTER,
        PacketType.EVENT_UNREGISTER,
        PacketType.EVENT,
    )
    packet = ViciPacket(type=kind, name=name if named else "", body=encode_message(message))
    data = encode_packet(packet)
    assert LENGTH_FIELD.unpack_from(data) == (len(data) - LENGTH_FIELD.size,)
    assert decode_packet(data[LENGTH_FIELD.size :]) == packet
    assert packet.message() == message


@given(st.binary(max_size=100))
def test_garbage_raises_only_the_documented_error(data: bytes) -> None:
    try:
        packet = decode_packet(data)
        message = packet.message()
    except ViciDecodeError:
        return
    assert encode_message(message) == packet.body


@given(messages, st.data())
def test_damaged_messages_raise_only_the_documented_error(message: ViciMessage, data: st.DataObject) -> None:
    damaged = bytearray(encode_message(message) + b"\2")
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_message(bytes(damaged))
    except ViciDecodeError:
        return
    assert encode_message(decoded) == bytes(damaged)


def test_text_that_is_not_utf8_keeps_its_bytes() -> None:
    data = b"\x03\x01k\x00\x02\xff\xfe"
    assert encode_message(decode_message(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x02",  # a section that did not begin
        b"\x01\x01s",  # a section that does not end
        b"\x04\x01l",  # a list that does not end
        b"\x05\x00\x01i",  # an item outside a list
        b"\x06",  # the end of no list
        b"\x04\x01l\x03\x01k\x00\x01v\x06",  # a key in a list
        b"\x03\x01k\x00\x01v\x03\x01k\x00\x01v",  # a key twice
        b"\x03\x05k",  # a name cut off
        b"\x03\x01k\x00",  # a length cut off
        b"\x03\x01k\x00\x05v",  # a value cut off
        b"\x07",  # an unknown element
        b"\x01\x01s" * 40 + b"\x02" * 40,  # too deep
    ],
)
def test_messages_out_of_balance_are_refused(data: bytes) -> None:
    with pytest.raises(ViciDecodeError):
        decode_message(data)


def test_what_does_not_fit_is_refused() -> None:
    deep: ViciMessage = {}
    for _ in range(DEPTH_MAX + 2):
        deep = {"s": deep}
    for message in (deep, {"k" * 256: "v"}, {"k": "v" * 0x10000}, {"k": "\udfff\ud800"}):
        with pytest.raises(ViciEncodeError):
            encode_message(message)
    with pytest.raises(ViciEncodeError):
        encode_packet(ViciPacket(type=PacketType.CMD_RESPONSE, body=bytes(PACKET_BYTES_MAX)))


def test_lookups_ignore_what_is_of_another_kind() -> None:
    assert text(EXAMPLE, "key1") == "value1"
    assert text(EXAMPLE, "section1") == ""
    assert text(EXAMPLE, "none") == ""
    assert list(subsections(EXAMPLE)) == ["section1"]
