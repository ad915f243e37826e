from __future__ import annotations

from typing import Any

import pytest

from gossipsa.ikev2.keymat import KeymatInputError, derive_child_keys, derive_ike_keys
from gossipsa.ikev2.prf import prf, prf_key_bytes, prf_plus
from gossipsa.ikev2.registry import EncryptionTransform, IntegrityTransform, PrfTransform
from gossipsa.ipsec.cipher_suite import UnsupportedTransformError

SHA256 = PrfTransform.HMAC_SHA2_256

INGREDIENTS: dict[str, Any] = {
    "prf": SHA256,
    "encryption": EncryptionTransform.AES_CBC,
    "encryption_key_bits": 128,
    "integrity": IntegrityTransform.SHA1_96,
    "nonce_i": b"nonce of initiator",
    "nonce_r": b"nonce of responder",
    "shared_secret": b"shared secret",
    "spi_i": b"initiator"[:8],
    "spi_r": b"responder"[:8],
}

CHILD: dict[str, Any] = {
    "sk_d": b"sk_d",
    "prf": SHA256,
    "encryption": EncryptionTransform.AES_CBC,
    "encryption_key_bits": 256,
    "integrity": IntegrityTransform.SHA2_512_256,
    "nonce_i": b"Ni",
    "nonce_r": b"Nr",
    "shared_secret": None,
}


@pytest.mark.parametrize(
    ("transform", "digest"),
    [
        (PrfTransform.HMAC_SHA1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (SHA256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            PrfTransform.HMAC_SHA2_384,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            PrfTransform.HMAC_SHA2_512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ],
)
def test_prf_reproduces_rfc_2202_and_rfc_4231_case_2(transform: int, digest: str) -> None:
    assert prf(transform, b"Jefe", b"what do ya want for nothing?").hex() == digest
    assert prf_key_bytes(transform) == len(bytes.fromhex(digest))


def test_prf_plus_chains_blocks_and_cuts_the_last() -> None:
    first = prf(SHA256, b"key", b"seed\x01")
    second = prf(SHA256, b"key", first + b"seed\x02")
    assert prf_plus(SHA256, b"key", b"seed", 40) == first + second[:8]
    assert prf_plus(SHA256, b"key", b"seed", 0) == b""


def test_prf_plus_ends_after_255_rounds() -> None:
    assert len(prf_plus(SHA256, b"key", b"seed", 255 * 32)) == 255 * 32
    with pytest.raises(UnsupportedTransformError):
        prf_plus(SHA256, b"key", b"seed", 255 * 32 + 1)


def test_new_ike_sa_is_keyed_by_rfc_7296_section_2_14() -> None:
    keys = derive_ike_keys(**INGREDIENTS)
    nonces = INGREDIENTS["nonce_i"] + INGREDIENTS["nonce_r"]
    skeyseed = prf(SHA256, nonces, b"shared secret")
    keymat = prf_plus(SHA256, skeyseed, nonces + b"initiato" + b"responde", 32 + 2 * 20 + 2 * 16)
    assert keys.sk_d + keys.sk_ai + keys.sk_ar + keys.sk_ei + keys.sk_er == keymat
    assert [len(key) for key in (keys.sk_d, keys.sk_ai, keys.sk_ar, keys.sk_ei, keys.sk_er)] == [
        32,
        20,
        20,
        16,
        16,
    ]


def test_rekeyed_ike_sa_is_keyed_by_rfc_7296_section_2_18_with_prf_of_old_sa() -> None:
    old = PrfTransform.HMAC_SHA2_512
    keys = derive_ike_keys(**INGREDIENTS, old_sk_d=b"old", old_prf=old, additional_secrets=b"more")
    nonces = INGREDIENTS["nonce_i"] + INGREDIENTS["nonce_r"]
    skeyseed = prf(old, b"old", b"shared secret" + nonces + b"more")
    assert keys.sk_d == prf_plus(old, skeyseed, nonces + b"initiato" + b"responde", 32)
    assert keys.prf == SHA256


def test_rekeyed_ike_sa_keeps_its_prf_when_no_other_is_named() -> None:
    assert derive_ike_keys(**INGREDIENTS, old_sk_d=b"old") == derive_ike_keys(
        **INGREDIENTS, old_sk_d=b"old", old_prf=SHA256
    )


def test_child_sa_is_keyed_by_rfc_7296_section_2_17() -> None:
    keys = derive_child_keys(**CHILD | {"shared_secret": b"pfs", "additional_secrets": b"more"})
    keymat = prf_plus(SHA256, b"sk_d", b"pfsNiNrmore", 2 * (32 + 64))
    there, back = keys.initiator_to_responder, keys.responder_to_initiator
    assert there.encryption_key + there.integrity_key + back.encryption_key + back.integrity_key == keymat
    assert len(there.encryption_key) == 32
    assert len(there.integrity_key) == 64


@pytest.mark.parametrize(
    ("encryption", "key_bits", "key_bytes"),
    [
        (EncryptionTransform.AES_GCM_16, 128, 16 + 4),
        (EncryptionTransform.AES_GCM_8, 256, 32 + 4),
        (EncryptionTransform.AES_CCM_12, 192, 24 + 3),
        (EncryptionTransform.CHACHA20_POLY1305, None, 32 + 4),
        (EncryptionTransform.CHACHA20_POLY1305, 0, 32 + 4),
        (EncryptionTransform.CHACHA20_POLY1305, 256, 32 + 4),
    ],
)
def test_aead_keys_carry_their_salt_and_no_integrity_key(
    encryption: int, key_bits: int | None, key_bytes: int
) -> None:
    transforms = {
        "encryption": encryption,
        "encryption_key_bits": key_bits,
        "integrity": IntegrityTransform.NONE,
    }
    child = derive_child_keys(**CHILD | transforms)
    assert len(child.responder_to_initiator.encryption_key) == key_bytes
    assert child.responder_to_initiator.integrity_key == b""
    assert child.responder_to_initiator.integrity is None
    ike = derive_ike_keys(**INGREDIENTS | transforms)
    assert (len(ike.sk_er), ike.sk_ar, ike.integrity) == (key_bytes, b"", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encryption": EncryptionTransform.TRIPLE_DES}, r"TRIPLE_DES \(3\) is not supported"),
        ({"encryption": 4711}, "4711 is not supported"),
        ({"encryption_key_bits": 64}, r"AES_CBC \(12\) has no key of 64 bits"),
        ({"encryption_key_bits": None}, "no key of 0 bits"),
        ({"integrity": IntegrityTransform.AES_XCBC_96}, r"AES_XCBC_96 \(5\) is not supported"),
        ({"integrity": None}, r"NONE \(0\) is not supported with AES_CBC"),
        ({"encryption": EncryptionTransform.AES_GCM_16}, "brings its own integrity"),
        ({"prf": PrfTransform.AES128_XCBC}, r"AES128_XCBC \(4\) is not supported"),
        ({"prf": 99}, "99 is not supported"),
    ],
)
def test_transforms_that_cannot_be_computed_are_named(change: dict[str, int | None], said: str) -> None:
    with pytest.raises(UnsupportedTransformError, match=said):
        derive_ike_keys(**INGREDIENTS | change)
    with pytest.raises(UnsupportedTransformError, match=said):
        derive_child_keys(**CHILD | change)


@pytest.mark.parametrize(
    "change", [{"spi_i": bytes(4)}, {"spi_r": b""}, {"old_prf": SHA256}, {"additional_secrets": b"more"}]
)
def test_ingredients_that_do_not_go_together_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(KeymatInputError):
        derive_ike_keys(**INGREDIENTS | change)


def test_child_keys_do_not_show_in_repr() -> None:
    keys = derive_child_keys(**CHILD)
    assert "_key=" not in repr(keys)
