"""Messages byte for byte: against iproute2 where it has them, else against the layout written out."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from gossipsa.kernel.xfrm.messages import MESSAGE_CLASSES, encode
from gossipsa.kernel.xfrm.netlink import NLM_F_ACK, NLM_F_REPLACE
from gossipsa.kernel.xfrm.uapi import (
    SELECTOR,
    STATE_AF_UNSPEC,
    STATE_ESN,
    Action,
    AeventId,
    Algorithm,
    Direction,
    Encapsulation,
    LifetimeCurrent,
    Mark,
    MessageType,
    Mode,
    ReplayState,
    ReplayStateEsn,
    Selector,
    UserPolicyId,
    UserPolicyInfo,
    UserSaId,
    UserSaInfo,
    UserTemplate,
    pack_address,
)
from tests.kernel.samples import CLIENT, CLIENT6, GATEWAY, GATEWAY6, GCM_KEY, INNER
from tests.kernel.xfrm.vectors import Vector, read_vectors

SPI = bytes.fromhex("00001001")
GCM = Algorithm(b"rfc4106(gcm(aes))", GCM_KEY, 128)


def policy_selector(source: str, source_bits: int, destination: str, destination_bits: int) -> bytes:
    is_ipv4 = ":" not in source
    address = IPv4Address if is_ipv4 else IPv6Address
    return SELECTOR.pack(
        *Selector(
            destination=pack_address(address(destination)),
            source=pack_address(address(source)),
            family=socket.AF_INET if is_ipv4 else socket.AF_INET6,
            destination_prefix_bits=destination_bits,
            source_prefix_bits=source_bits,
        )
    )


SOURCE_ADDRESS = ("XFRMA_SRCADDR", pack_address(GATEWAY))
SA = UserSaInfo(
    destination=pack_address(CLIENT),
    spi=SPI,
    source=pack_address(GATEWAY),
    family=socket.AF_INET,
    mode=Mode.TUNNEL,
)
SA_ID = UserSaId(destination=pack_address(CLIENT), spi=SPI, family=socket.AF_INET)
TO_INNER = policy_selector("192.168.7.0", 24, str(INNER), 32)

VECTORS = read_vectors()

# Body and attributes for each of iproute2's messages, in the order of the file.
OURS: list[tuple[tuple[Any, ...], list[tuple[str, Any]]]] = [
    (
        SA._replace(flags=STATE_AF_UNSPEC | STATE_ESN),
        [("XFRMA_ALG_AEAD", GCM), ("XFRMA_REPLAY_ESN_VAL", ReplayStateEsn((0, 0), window_packets=64))],
    ),
    (
        SA._replace(reqid=7, replay_window=32, soft_packets=5, hard_packets=9),
        [
            ("XFRMA_ALG_AUTH_TRUNC", Algorithm(b"hmac(sha256)", b"\x11" * 32, 128)),
            ("XFRMA_ALG_CRYPT", Algorithm(b"cbc(aes)", b"\x22" * 16)),
            (
                "XFRMA_ENCAP",
                Encapsulation(
                    source_port=(4500).to_bytes(2, "big"), destination_port=(1024).to_bytes(2, "big")
                ),
            ),
            ("XFRMA_MARK", Mark(7, 0xFF)),
        ],
    ),
    (
        UserSaInfo(
            destination=pack_address(CLIENT6),
            spi=SPI,
            source=pack_address(GATEWAY6),
            family=socket.AF_INET6,
            mode=Mode.TRANSPORT,
        ),
        [("XFRMA_ALG_AEAD", GCM)],
    ),
    (SA_ID, [SOURCE_ADDRESS]),
    (SA_ID, [SOURCE_ADDRESS, ("XFRMA_MARK", Mark(7, 0xFF))]),
    (
        UserPolicyInfo(
            selector=policy_selector("0.0.0.0", 0, str(INNER), 32),
            priority=5,
            direction=Direction.OUT,
            action=Action.BLOCK,
        ),
        [],
    ),
    (
        UserPolicyInfo(selector=TO_INNER, priority=371327, direction=Direction.OUT, action=Action.ALLOW),
        [
            (
                "XFRMA_TMPL",
                UserTemplate(
                    destination=pack_address(CLIENT),
                    spi=SPI,
                    family=socket.AF_INET,
                    source=pack_address(GATEWAY),
                    reqid=1,
                    mode=Mode.TUNNEL,
                ),
            )
        ],
    ),
    (UserPolicyId(selector=TO_INNER, direction=Direction.OUT), []),
    (
        UserPolicyInfo(
            selector=policy_selector("::", 0, "fd99::1", 128),
            priority=5,
            direction=Direction.OUT,
            action=Action.BLOCK,
        ),
        [("XFRMA_IF_ID", 9)],
    ),
]


@pytest.mark.parametrize("index", range(len(OURS)), ids=[vector.command for vector in VECTORS])
def test_message_equals_that_of_iproute2(index: int) -> None:
    vector, (body, attributes) = VECTORS[index], OURS[index]
    message = encode(MessageType(vector.message_type), body, attributes, flags=vector.flags & NLM_F_ACK)
    assert message[16:].hex() == vector.payload.hex()
    length, message_type, flags, sequence, port = struct.unpack_from("=IHHII", message)
    assert (length, message_type, flags) == (len(message), vector.message_type, vector.flags)
    assert (sequence, port) == (0, 0)


def test_sequence_numbers_of_an_esn_sa() -> None:
    message = encode(
        MessageType.NEWAE,
        AeventId(
            destination=pack_address(CLIENT),
            spi=SPI,
            family=socket.AF_INET,
            source=pack_address(GATEWAY),
            reqid=7,
        ),
        [
            ("XFRMA_REPLAY_ESN_VAL", ReplayStateEsn((0xAAAAAAAA, 0xBBBBBBBB), 1, 2, 3, 4, 64)),
            ("XFRMA_LTIME_VAL", LifetimeCurrent(0x1111, 0x2222, 0x3333, 0x4444)),
        ],
        flags=NLM_F_REPLACE,
    )
    assert message.hex() == (
        # length, type and flags, sequence, port
        "880000001e0001010000000000000000"
        # destination, SPI, family, protocol
        "0a0100090000000000000000000000000000100102003200"
        # source, flags, reqid
        "0a0100020000000000000000000000000000000007000000"
        # replay state: words, oseq, seq, oseq high, seq high, window, bitmap
        "24001700020000000100000002000000030000000400000040000000aaaaaaaabbbbbbbb"
        # current lifetime: bytes, packets, add time, use time
        "240009001111000000000000222200000000000033330000000000004444000000000000"
    )


def test_sequence_numbers_of_a_legacy_sa() -> None:
    message = encode(MessageType.NEWAE, AeventId(), [("XFRMA_REPLAY_VAL", ReplayState(1, 2, 0x80000003))])
    assert message[64:].hex() == "10000a00010000000200000003000080"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.command)
def test_decoded_message_encodes_to_the_same_bytes(vector: Vector) -> None:
    header = struct.pack("=IHHII", 16 + len(vector.payload), vector.message_type, vector.flags, 0, 0)
    decoded = MESSAGE_CLASSES[vector.message_type](header + vector.payload)
    decoded.decode()
    attributes = [(slot[0], slot[1]) for slot in decoded["attrs"]]
    again = encode(MessageType(vector.message_type), decoded["body"], attributes)
    assert again[16:].hex() == vector.payload.hex()


def test_algorithm_is_printed_without_its_key() -> None:
    assert repr(GCM) == "Algorithm(b'rfc4106(gcm(aes))', <secret 20 B>, icv_bits=128)"
