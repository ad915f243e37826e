"""Decoders take anything and raise nothing but their own error."""

import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ipsec.replay_window import ReplayWindow
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.kernel.backend import PacketLimitReached, SaId
from gossipsa.kernel.xfrm.expiry import decode_expire
from gossipsa.kernel.xfrm.ike_sockets import decode_ipv4, decode_ipv6
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import (
    NetlinkFormatError,
    Refusal,
    read_answer,
    split_attributes,
    split_messages,
)
from gossipsa.kernel.xfrm.policies import decode_policy_record
from gossipsa.kernel.xfrm.routes import decode_host_route, decode_next_hop
from gossipsa.kernel.xfrm.sa_record import (
    decode_kernel_sa,
    decode_sa_record,
    ring_of_legacy_bitmap,
)
from gossipsa.kernel.xfrm.uapi import (
    Algorithm,
    Mark,
    MessageType,
    Mode,
    ReplayState,
    ReplayStateEsn,
    UserSaInfo,
    pack_address,
)
from gossipsa.kernel.xfrm.udp_header import UdpHeaderError
from tests.kernel.samples import CLIENT, GATEWAY, GCM_KEY
from tests.kernel.xfrm.vectors import read_vectors

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
KERNEL_DECODERS: list[Callable[[bytes, int, int], Any]] = [
    decode_kernel_sa,
    decode_sa_record,
    decode_expire,
    decode_policy_record,
    decode_next_hop,
    lambda data, start, end: decode_host_route(data, start, end, protocol=118, table=254),
    lambda data, start, end: list(split_attributes(data, start, end)),
    lambda data, start, end: [
        read_answer(data, message) for message in split_messages(data[start:end]) if message.type == 2
    ],
]


@st.composite
def damaged_messages(draw: st.DrawFn) -> bytes:
    """Payloads of real messages, cut and with bytes overwritten; or plain noise."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=400))
    payload = bytearray(draw(st.sampled_from(read_vectors())).payload)
    for _ in range(draw(st.integers(0, 4))):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    return bytes(payload[: draw(st.integers(0, len(payload)))])


@pytest.mark.parametrize("decode", KERNEL_DECODERS)
@given(data=damaged_messages())
def test_damaged_kernel_messages_raise_only_format_errors(
    decode: Callable[[bytes, int, int], Any], data: bytes
) -> None:
    with suppress(NetlinkFormatError):
        decode(data, 0, len(data))


@given(packet=st.binary(max_size=80), with_destination=st.booleans())
def test_damaged_datagrams_raise_only_peer_errors(packet: bytes, with_destination: bool) -> None:
    ancillary = [(41, 50, bytes(20))] if with_destination else []
    with suppress(UdpHeaderError):
        decode_ipv4(packet, nat_port=4500)
    with suppress(UdpHeaderError):
        decode_ipv6(packet, "fe80::1%eth0", ancillary, nat_port=4500)


@given(numbers=st.lists(U32, min_size=5, max_size=5), words=st.lists(U32, min_size=1, max_size=8))
def test_esn_sa_decodes_to_its_numbers(numbers: list[int], words: list[int]) -> None:
    replay = ReplayStateEsn(tuple(words), *numbers)
    info = UserSaInfo(
        destination=pack_address(CLIENT),
        spi=bytes.fromhex("c108912b"),
        source=pack_address(GATEWAY),
        family=2,
        mode=Mode.TUNNEL,
        flags=128,
        reqid=9,
        current_packets=77,
        hard_packets=88,
    )
    attributes = [
        ("XFRMA_ALG_AEAD", Algorithm(b"rfc4106(gcm(aes))", GCM_KEY, 128)),
        ("XFRMA_MARK", Mark(1, 2)),
        ("XFRMA_REPLAY_ESN_VAL", replay),
    ]
    message = bytes(encode(MessageType.NEWSA, info, attributes))
    sa = decode_kernel_sa(message, 16, len(message))
    assert sa is not None
    assert (sa.id, sa.source, sa.mode, sa.esn) == (SaId(0xC108912B, CLIENT), GATEWAY, IpsecMode.TUNNEL, True)
    assert (sa.sent, sa.received) == (numbers[2] << 32 | numbers[0], numbers[3] << 32 | numbers[1])
    assert (sa.window_bitmap, sa.packets, sa.packet_limit, sa.reqid) == (tuple(words), 77, 88, 9)
    record = decode_sa_record(message, 16, len(message))
    assert record is not None
    assert (record.id, record.info, record.replay, record.mark) == (sa.id, info, replay, Mark(1, 2))
    assert record.sent == sa.sent
    (shape,) = record.algorithms
    assert (shape.name, shape.key_bytes, shape.icv_bits) == (b"rfc4106(gcm(aes))", 20, 128)
    assert GCM_KEY.hex() not in repr(record)


def test_larval_sa_is_no_sa() -> None:
    info = UserSaInfo(destination=pack_address(CLIENT), spi=b"\0\0\1\0", family=2, mode=Mode.TUNNEL)
    message = bytes(encode(MessageType.NEWSA, info, [("XFRMA_REPLAY_VAL", ReplayState())]))
    assert decode_kernel_sa(message, 16, len(message)) is None
    assert decode_sa_record(message, 16, len(message)) is None


@given(top=st.integers(0, 2**32 - 1), bitmap=U32)
def test_legacy_bitmap_reads_the_same_as_a_ring(top: int, bitmap: int) -> None:
    bitmap &= (1 << min(top, 32)) - 1
    window = ReplayWindow(window_packets=32, extended=False, top_sequence=top, bitmap=bitmap)
    assert (ring_of_legacy_bitmap(bitmap, top),) == window.to_ring()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize(("packets", "is_reached"), [(4, False), (5, True), (6, True)])
def test_expire_event_tells_of_packet_limits_only(hard: bool, packets: int, is_reached: bool) -> None:
    info = UserSaInfo(
        destination=pack_address(CLIENT),
        spi=b"\0\0\1\0",
        family=2,
        soft_packets=2**64 - 1 if hard else 5,
        hard_packets=5 if hard else 2**64 - 1,
        current_packets=packets,
    )
    message = bytes(encode(MessageType.NEWSA, info)) + struct.pack("=B7x", hard)
    expected = PacketLimitReached(SaId(0x100, CLIENT), hard) if is_reached else None
    assert decode_expire(message, 16, len(message)) == expected


def test_refusal_carries_the_words_of_the_kernel() -> None:
    text = b"Requested mode not found\0"
    attribute = struct.pack("=HH", 4 + len(text), 1) + text
    payload = struct.pack("=i", -22) + bytes(16) + attribute
    message = struct.pack("=IHHII", 16 + len(payload), 2, 0x300, 7, 0) + payload
    (header,) = split_messages(message)
    refusal = read_answer(message, header)
    assert refusal == Refusal(22, "Requested mode not found")
    assert str(refusal.to_error("add SA 1")) == "add SA 1: Invalid argument (Requested mode not found)"


def test_refusal_for_want_of_a_capability_names_it() -> None:
    error = Refusal(1, "").to_error("cannot list SAs")
    assert str(error).endswith("CAP_NET_ADMIN is needed in this network namespace")
    assert error.errno == 1


@given(data=st.binary(max_size=40), packets=U64)
def test_messages_are_found_one_after_the_other(data: bytes, packets: int) -> None:
    first = struct.pack("=IHHII", 16 + len(data), 30, 0, 1, 0) + data
    first += bytes(-len(first) % 4)
    second = struct.pack("=IHHIIQ", 24, 31, 0, 2, 0, packets)
    found = list(split_messages(first + second))
    assert [(message.type, message.sequence) for message in found] == [(30, 1), (31, 2)]
    assert (first + second)[found[0].start : found[0].end] == data


def test_ipv4_copy_is_read_with_ip_options() -> None:
    udp = struct.pack("!HHHH", 4500, 4500, 8 + 4 + 3, 0) + bytes(4) + b"ike"
    header = bytes([0x46]) + bytes(11) + CLIENT.packed + GATEWAY.packed + bytes(4)
    copy = decode_ipv4(header + udp, nat_port=4500)
    assert (copy.source.address, copy.destination.address, copy.data) == (CLIENT, GATEWAY, b"ike")
    assert copy.source.address == IPv4Address("10.1.0.9")
