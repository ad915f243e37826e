from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ipsec.cipher_suite import (
    CipherInputError,
    CipherSuite,
    UnsupportedTransformError,
    cipher_suite,
    cipher_suite_for_key,
)
from gossipsa.ipsec.transforms import EncryptionTransform, IntegrityTransform
from tests.vectors.ike_samples import CIPHER_SUITES


def suite_of(transforms: tuple[int, int | None, int | None]) -> CipherSuite:
    encryption, key_bits, integrity = transforms
    return cipher_suite(encryption=encryption, encryption_key_bits=key_bits, integrity=integrity)


suites = st.sampled_from(CIPHER_SUITES).map(suite_of)


@given(suites, st.binary(max_size=64), st.binary(max_size=40))
def test_sealed_plaintext_opens(suite: CipherSuite, text: bytes, header: bytes) -> None:
    plaintext = text + bytes(-len(text) % suite.block_bytes)
    keys = {
        "encryption_key": bytes(suite.encryption_key_bytes),
        "integrity_key": bytes(suite.integrity_key_bytes),
    }
    sealed = suite.seal(**keys, iv=bytes(suite.iv_bytes), plaintext=plaintext, header=header)
    assert len(sealed) == len(plaintext) + suite.overhead_bytes
    assert suite.open(**keys, sealed=sealed, header=header) == plaintext
    assert suite.open(**keys, sealed=sealed, header=header + b"x") is None


@given(suites, st.binary(max_size=100))
def test_garbage_does_not_open(suite: CipherSuite, sealed: bytes) -> None:
    keys = {
        "encryption_key": bytes(suite.encryption_key_bytes),
        "integrity_key": bytes(suite.integrity_key_bytes),
    }
    assert suite.open(**keys, sealed=sealed, header=b"") is None


@pytest.mark.parametrize("transforms", CIPHER_SUITES)
def test_suite_is_found_again_by_length_of_its_key(transforms: tuple[int, int | None, int | None]) -> None:
    suite = suite_of(transforms)
    found = cipher_suite_for_key(
        encryption=suite.encryption,
        encryption_key_bytes=suite.encryption_key_bytes,
        integrity=suite.integrity,
    )
    assert found == suite


@pytest.mark.parametrize("key_bytes", [0, 4, 35, 37])
def test_key_of_impossible_length_names_no_suite(key_bytes: int) -> None:
    with pytest.raises(UnsupportedTransformError):
        cipher_suite_for_key(
            encryption=EncryptionTransform.CHACHA20_POLY1305, encryption_key_bytes=key_bytes, integrity=None
        )


def test_aes_ctr_reproduces_rfc_3686_vector_1() -> None:
    suite = cipher_suite(
        encryption=EncryptionTransform.AES_CTR,
        encryption_key_bits=128,
        integrity=IntegrityTransform.SHA2_256_128,
    )
    sealed = suite.seal(
        encryption_key=bytes.fromhex("ae6852f8121067cc4bf7a5765577f39e 00000030"),
        integrity_key=bytes(32),
        iv=bytes(8),
        plaintext=b"Single block msg",
        header=b"",
    )
    assert sealed[8:24].hex() == "e4095d4fb7a7b3792d6175a3261311b8"


def test_aes_ccm_reproduces_a_vector_of_the_linux_kernel() -> None:
    # crypto/testmgr.h, rfc4309(ccm(aes)); RFC 3610 and SP 800-38C have none with an 11-byte nonce.
    suite = cipher_suite(encryption=EncryptionTransform.AES_CCM_16, encryption_key_bits=128, integrity=None)
    sealed = suite.seal(
        encryption_key=bytes.fromhex("1e2c7e01419aefc00d58966e5ca24bd3 4fa319"),
        integrity_key=b"",
        iv=bytes.fromhex("d3015ad830601556"),
        plaintext=bytes.fromhex("87a336fd96b39378a92863ba12a31485571e06c97b21ef767f387e8e29a43e7e"),
        header=bytes.fromhex("dae6289c452dfd635eda4cb6e6fcf9b70c56cbe4e0057ae10a630978bc2c55de"),
    )
    assert sealed[8:].hex() == (
        "8a1e11f0026be219fc70c46d8eb799abc54ba2acd3f348ff3bb5ce53efdebb02a986156c13feda0a22b8293dd8399a23"
    )


@pytest.mark.parametrize(
    "wrong",
    [{"encryption_key": bytes(15)}, {"integrity_key": b""}, {"iv": bytes(15)}, {"plaintext": bytes(15)}],
)
def test_wrong_length_is_the_callers_error(wrong: dict[str, bytes]) -> None:
    suite = suite_of((EncryptionTransform.AES_CBC, 128, IntegrityTransform.SHA1_96))
    right = {
        "encryption_key": bytes(16),
        "integrity_key": bytes(20),
        "iv": bytes(16),
        "plaintext": bytes(16),
        "header": b"",
    }
    with pytest.raises(CipherInputError):
        suite.seal(**(right | wrong))


def test_aead_refuses_a_trailer_that_it_would_not_authenticate() -> None:
    suite = suite_of((EncryptionTransform.AES_GCM_16, 128, None))
    keys = {"encryption_key": bytes(20), "integrity_key": b""}
    with pytest.raises(CipherInputError):
        suite.seal(**keys, iv=bytes(8), plaintext=b"", header=b"", implicit_trailer=b"high")
    with pytest.raises(CipherInputError):
        suite.open(**keys, sealed=bytes(24), header=b"", implicit_trailer=b"high")
