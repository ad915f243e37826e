from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Secret
from gossipsa.ikev2.keymat import derive_child_keys
from gossipsa.ipsec.cipher_suite import UnsupportedTransformError
from gossipsa.ipsec.esp import (
    EspFieldError,
    EspKeys,
    EspPacket,
    EspPacketError,
    open_esp,
    peek_esp,
    seal_esp,
)
from gossipsa.ipsec.transforms import EncryptionTransform, IntegrityTransform
from tests.vectors.ike_samples import CIPHER_SUITES
from tests.vectors.strongswan_capture import captured_packets, kernel_sas

U32 = st.integers(0, 2**32 - 1)

CBC = EspKeys(
    encryption=EncryptionTransform.AES_CBC,
    integrity=IntegrityTransform.SHA2_256_128,
    encryption_key=Secret(range(32)),
    integrity_key=Secret(range(32)),
)
GCM = EspKeys(encryption=EncryptionTransform.AES_GCM_16, integrity=None, encryption_key=Secret(range(36)))


def sample_esp_keys(suite: tuple[int, int | None, int | None]) -> EspKeys:
    encryption, key_bits, integrity = suite
    return derive_child_keys(
        sk_d=b"sk_d",
        prf=5,
        encryption=encryption,
        encryption_key_bits=key_bits,
        integrity=integrity,
        nonce_i=b"Ni",
        nonce_r=b"Nr",
    ).initiator_to_responder


esp_keys = st.sampled_from(CIPHER_SUITES).map(sample_esp_keys)


packets = st.builds(
    EspPacket,
    spi=U32,
    sequence_low=U32,
    next_header=st.integers(0, 255),
    payload=st.binary(max_size=200),
)


@given(esp_keys, packets, st.none() | U32)
def test_sealed_packet_opens_to_what_was_sealed(keys: EspKeys, packet: EspPacket, high: int | None) -> None:
    sealed = seal_esp(
        spi=packet.spi,
        sequence_low=packet.sequence_low,
        sequence_high=high,
        keys=keys,
        payload=packet.payload,
        next_header=packet.next_header,
        iv=bytes(keys.suite.iv_bytes),
    )
    # RFC 4303 section 2.4: the ICV starts on a 4-byte boundary.
    assert (len(sealed) - keys.suite.icv_bytes) % 4 == 0
    assert open_esp(sealed, keys, sequence_high=high) == packet


@given(esp_keys, st.none() | U32, st.none() | U32)
def test_packet_opens_only_with_the_high_half_it_was_sealed_with(
    keys: EspKeys, sent: int | None, assumed: int | None
) -> None:
    packet = seal_esp(
        spi=1,
        sequence_low=2,
        sequence_high=sent,
        keys=keys,
        payload=b"ping",
        next_header=4,
        iv=bytes(keys.suite.iv_bytes),
    )
    if sent == assumed:
        assert open_esp(packet, keys, sequence_high=assumed).payload == b"ping"
    else:
        with pytest.raises(EspPacketError):
            open_esp(packet, keys, sequence_high=assumed)


@given(esp_keys, st.data())
def test_one_flipped_bit_is_refused(keys: EspKeys, data: st.DataObject) -> None:
    iv = bytes(keys.suite.iv_bytes)
    packet = bytearray(seal_esp(spi=1, sequence_low=2, keys=keys, payload=b"ping", next_header=4, iv=iv))
    bit = data.draw(st.integers(0, 8 * len(packet) - 1))
    packet[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EspPacketError):
        open_esp(bytes(packet), keys)


@given(esp_keys, st.binary(max_size=120), st.none() | U32)
def test_garbage_is_refused_as_a_packet(keys: EspKeys, data: bytes, high: int | None) -> None:
    with pytest.raises(EspPacketError):
        open_esp(data, keys, sequence_high=high)


@pytest.mark.parametrize("plaintext", [b"", b"\x04", b"\x01\x04"])
def test_authentic_packet_with_impossible_padding_is_refused(plaintext: bytes) -> None:
    header = bytes(8)
    sealed = GCM.suite.seal(
        encryption_key=GCM.encryption_key, integrity_key=b"", iv=bytes(8), plaintext=plaintext, header=header
    )
    with pytest.raises(EspPacketError, match="padding"):
        open_esp(header + sealed, GCM)


def test_every_captured_packet_opens_with_the_keys_of_the_kernel() -> None:
    sas = {sa.spi: sa for sa in kernel_sas()}
    opened: Counter[int] = Counter()
    for data in captured_packets().esp:
        sa = sas[peek_esp(data).spi]
        assert sa.encryption == "cbc(aes)"
        keys = EspKeys(
            encryption=EncryptionTransform.AES_CBC,
            integrity=IntegrityTransform.SHA2_256_128,
            encryption_key=Secret(sa.encryption_key),
            integrity_key=Secret(sa.integrity_key),
        )
        packet = open_esp(data, keys)
        opened[packet.spi] += 1
        assert packet.sequence_low == opened[packet.spi]
        assert packet.next_header == 4
        # An inner ICMP packet of IPv4, whose length field agrees.
        assert (packet.payload[0], packet.payload[9]) == (0x45, 1)
        assert int.from_bytes(packet.payload[2:4], "big") == len(packet.payload)
        # The kernel pads as we do, so sealing again gives the same packet.
        again = seal_esp(
            spi=packet.spi,
            sequence_low=packet.sequence_low,
            keys=keys,
            payload=packet.payload,
            next_header=packet.next_header,
            iv=data[8:24],
        )
        assert again == data
    assert opened == {0xCB41F91B: 6, 0xC58C1B9F: 6}


def test_rfc_7634_appendix_a_packet_is_reproduced() -> None:
    keys = EspKeys(
        encryption=EncryptionTransform.CHACHA20_POLY1305,
        integrity=None,
        encryption_key=Secret(bytes(range(0x80, 0xA0)) + bytes.fromhex("a0a1a2a3")),
    )
    payload = bytes.fromhex(
        "45000054 a6f20000 4001e778 c6336405 c0000205 08005b7a 3a080000 553bec10 00073627"
    ) + bytes(range(0x08, 0x38))
    packet = seal_esp(
        spi=0x01020304,
        sequence_low=5,
        keys=keys,
        payload=payload,
        next_header=4,
        iv=bytes(range(0x10, 0x18)),
    )
    assert packet == bytes.fromhex(
        "01020304 00000005 10111213 14151617"
        "24039428 b97f417e 3c13753a 4f05087b 67c352e6 a7fab1b9 82d466ef 407ae5c6 14ee8099 d52844eb"
        "61aa95df ab4c02f7 2aa71e7c 4c4f64c9 befe2fac c638e8f3 cbec163f ac469b50 2773f6fb 94e664da"
        "9165b828 29f641e0 76aaa826 6b7fb0f7 b11b3699 07e1ad43"
    )


def test_aes_gcm_with_extended_sequence_number_reproduces_draft_mcgrew_gcm_test_01_case_1() -> None:
    keys = EspKeys(
        encryption=EncryptionTransform.AES_GCM_16,
        integrity=None,
        encryption_key=Secret(bytes.fromhex("4c80cdefbb5d10da906ac73c3613a634 2e443b68")),
    )
    payload = bytes.fromhex(
        "45000048 699a0000 80114db7 c0a80102 c0a80101 0a9bf156 38d30100 00010000"
        "00000000 045f7369 70045f75 64700373 69700963 79626572 63697479 02646b00 00210001"
    )
    packet = seal_esp(
        spi=0x4321,
        sequence_low=0,
        sequence_high=0x87654321,
        keys=keys,
        payload=payload,
        next_header=1,
        iv=bytes.fromhex("4956ed7e3b244cfe"),
    )
    assert packet == bytes.fromhex(
        "00004321 00000000 4956ed7e 3b244cfe"
        "fecf537e 729d5b07 dc30df52 8dd22b76 8d1b9873 6696a6fd 348509fa 13ceac34 cfa2436f 14a3f3cf"
        "65925bf1 f4a13c5d 15b21e18 84f5ff62 47aeabb7 86b93bce 61bc17d7 68fd9732"
        "45901814 8f6cbe72 2fd04796 562dfdb4"
    )


@pytest.mark.parametrize(
    "change",
    [{"spi": 2**32}, {"spi": -1}, {"sequence_low": 2**32}, {"sequence_high": 2**32}, {"next_header": 256}],
)
def test_number_that_does_not_fit_is_the_callers_error(change: dict[str, int]) -> None:
    fields: dict[str, Any] = {"spi": 1, "sequence_low": 1, "keys": GCM, "payload": b"", "next_header": 4}
    with pytest.raises(EspFieldError):
        seal_esp(**(fields | {"iv": bytes(8)} | change))


def test_high_half_out_of_range_is_the_callers_error_when_opening() -> None:
    with pytest.raises(EspFieldError):
        open_esp(bytes(32), GCM, sequence_high=2**32)


def test_keys_of_impossible_transforms_are_the_callers_error() -> None:
    keys = EspKeys(encryption=EncryptionTransform.NULL, integrity=None, encryption_key=Secret())
    with pytest.raises(UnsupportedTransformError):
        open_esp(bytes(32), keys)


def test_short_packet_has_no_header_to_peek_at() -> None:
    with pytest.raises(EspPacketError):
        peek_esp(bytes(7))


def test_keys_and_payload_do_not_show_in_repr() -> None:
    assert "_key=" not in repr(CBC)
    packet = EspPacket(spi=1, sequence_low=1, next_header=4, payload=b"confidential")
    assert "confidential" not in repr(packet)
