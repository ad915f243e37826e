"""What clients, and whoever pretends to be one, send: IKE messages and ESP packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from random import Random

from gossipsa.errors import PeerError
from gossipsa.identifiers import Secret
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import HEADER_BYTES, MESSAGE_BYTES_MAX, decode_header
from gossipsa.ikev2.keymat import IkeKeys
from gossipsa.ikev2.liveness import is_sign_of_life
from gossipsa.ikev2.message import decode_message, open_message, peek_header
from gossipsa.ikev2.notify import decode_notify
from gossipsa.ikev2.payloads import decode_chain
from gossipsa.ikev2.registry import PayloadType
from gossipsa.ipsec.esp import EspKeys, open_esp, peek_esp, seal_esp
from gossipsa.ipsec.security_association import IkeSpis
from gossipsa.ipsec.traffic_selector import (
    TrafficSelectorDecodeError,
    decode_traffic_selectors,
    encode_traffic_selectors,
)
from gossipsa.ipsec.transforms import EncryptionTransform
from tests.client_states import make_child
from tests.fuzz.target import Target, name_of
from tests.vectors.strongswan_capture import captured_packets
from tests.vectors.strongswan_keys import children, ike_keys

_ESP_BYTES_MAX = 65_507
_SK_PREFIX_BYTES = HEADER_BYTES + 4


def targets() -> Iterator[Target]:
    captured = captured_packets()
    protected = tuple(data for data in captured.ike if peek_header(data).next_payload == PayloadType.SK)
    plain = tuple(data for data in captured.ike if peek_header(data).next_payload != PayloadType.SK)
    keys = ike_keys()[protected[0][:16]]
    inner = tuple(_inner(data) for data in protected if data[:16] in ike_keys())
    for name, run, seeds, covers in (
        ("ike-header", decode_header, captured.ike, (name_of(decode_header),)),
        ("ike-peek", peek_header, captured.ike, (name_of(peek_header),)),
        ("ike-message", decode_message, plain, (name_of(decode_message),)),
        ("ike-protected", lambda data: open_message(data, keys), protected, (name_of(open_message),)),
        ("ike-inner", lambda data: _open_sealed(data, keys), inner, (name_of(open_message),)),
        ("ike-chain", _chain, tuple(map(_without_padding, inner)), (name_of(decode_chain),)),
        (
            "ike-notify",
            lambda data: decode_notify(data, critical=False),
            (_NOTIFY,),
            (name_of(decode_notify),),
        ),
    ):
        yield Target(
            name=name,
            run=run,
            refuses=(IkeMessageError,),
            seeds=seeds,
            input_bytes_max=MESSAGE_BYTES_MAX,
            covers=covers,
        )
    yield Target(
        name="ike-sign-of-life",
        run=lambda data: is_sign_of_life(data, spi_i=plain[0][:8]),
        refuses=(),
        seeds=plain,
        input_bytes_max=MESSAGE_BYTES_MAX,
        covers=(name_of(is_sign_of_life),),
    )
    yield Target(
        name="traffic-selectors",
        run=decode_traffic_selectors,
        refuses=(TrafficSelectorDecodeError,),
        seeds=(_selectors(),),
        input_bytes_max=MESSAGE_BYTES_MAX,
        covers=(name_of(decode_traffic_selectors),),
    )
    yield from _esp(captured.esp)


_NOTIFY = struct.pack("!BBH", 3, 4, 16401) + b"spi!" + b"cookie" * 4


def _inner(data: bytes) -> bytes:
    """First payload type, and the plaintext of a recorded message with its padding."""
    keys = ike_keys()[data[:16]]
    encryption_key, integrity_key = keys.sender_keys(is_initiator=decode_header(data).is_initiator)
    plaintext = keys.suite.open(
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        sealed=data[_SK_PREFIX_BYTES:],
        header=data[:_SK_PREFIX_BYTES],
    )
    assert plaintext is not None
    return data[HEADER_BYTES : HEADER_BYTES + 1] + plaintext


def _without_padding(inner: bytes) -> bytes:
    return inner[: len(inner) - 1 - inner[-1]]


def _open_sealed(data: bytes, keys: IkeKeys) -> object:
    """Seals whatever it gets, as a client with the right keys could, and opens it."""
    suite = keys.suite
    first_type, plaintext = data[:1] or b"\0", data[1:]
    plaintext += bytes(-len(plaintext) % suite.block_bytes)
    room_bytes = MESSAGE_BYTES_MAX - _SK_PREFIX_BYTES - suite.overhead_bytes
    plaintext = plaintext[: room_bytes - room_bytes % suite.block_bytes]
    sk_bytes = 4 + len(plaintext) + suite.overhead_bytes
    header = struct.pack(
        "!8s8sBBBBII",
        bytes(8),
        bytes(8),
        PayloadType.SK,
        0x20,
        37,
        8,
        7,
        HEADER_BYTES + sk_bytes,
    )
    header += first_type + struct.pack("!BH", 0, sk_bytes)
    encryption_key, integrity_key = keys.sender_keys(is_initiator=True)
    sealed = suite.seal(
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        iv=bytes(suite.iv_bytes),
        plaintext=plaintext,
        header=header,
    )
    return open_message(header + sealed, keys)


def _chain(data: bytes) -> object:
    return decode_chain(data[0] if data else 0, data[1:])


def _selectors() -> bytes:
    return encode_traffic_selectors(make_child(IkeSpis(bytes(8), bytes(8)), Random(1)).local_selectors * 3)


def _esp(packets: tuple[bytes, ...]) -> Iterator[Target]:
    known = {child.inbound_spi: child.keys.initiator_to_responder for child in children()}
    known |= {child.outbound_spi: child.keys.responder_to_initiator for child in children()}
    seeds = tuple(packet for packet in packets if peek_esp(packet).spi in known)[:20]
    keys = known[peek_esp(seeds[0]).spi]
    gcm = EspKeys(encryption=EncryptionTransform.AES_GCM_16, integrity=None, encryption_key=Secret(range(36)))
    sealed = (seal_esp(spi=1, sequence_low=1, keys=gcm, payload=bytes(64), next_header=4, iv=bytes(8)),)
    for name, used, genuine in (("esp-recorded", keys, seeds), ("esp-gcm", gcm, sealed)):
        yield Target(
            name=name,
            run=partial(open_esp, keys=used),
            refuses=(PeerError,),
            seeds=genuine,
            input_bytes_max=_ESP_BYTES_MAX,
            covers=(name_of(open_esp), name_of(peek_esp)),
        )
    yield Target(
        name="esp-inner",
        run=lambda data: _open_sealed_esp(data, keys),
        refuses=(PeerError,),
        seeds=(b"inner packet\x01\x02\x02\x04", b"\x00\x04", bytes(64) + b"\x02\x04"),
        input_bytes_max=_ESP_BYTES_MAX - 100,
        covers=(name_of(open_esp),),
    )


def _open_sealed_esp(data: bytes, keys: EspKeys) -> object:
    suite = keys.suite
    plaintext = data + bytes(-len(data) % suite.block_bytes)
    header = bytes(4) + bytes((0, 0, 0, 1))
    sealed = suite.seal(
        encryption_key=keys.encryption_key,
        integrity_key=keys.integrity_key,
        iv=bytes(suite.iv_bytes),
        plaintext=plaintext,
        header=header,
    )
    return open_esp(header + sealed, keys)
