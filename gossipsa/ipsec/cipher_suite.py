"""One pair of encryption and integrity transforms, as ESP packets and IKE messages both use it.

Both protocols send ``IV | ciphertext | ICV`` and authenticate a header in front of it; they differ in that
header and in their padding, which is why those stay in `gossipsa.ipsec.esp` and `gossipsa.ikev2.message`.

Sources: RFC 3602 (AES-CBC), RFC 3686 and 5930 (AES-CTR), RFC 4309 and 5282 (AES-CCM), RFC 4106 and 5282
(AES-GCM), RFC 7634 (ChaCha20-Poly1305), RFC 2404 (HMAC-SHA-1-96), RFC 4868 (HMAC-SHA-2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from functools import cache
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import constant_time, hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from gossipsa.errors import CallerError
from gossipsa.ipsec.transforms import EncryptionTransform as Encr
from gossipsa.ipsec.transforms import IntegrityTransform as Integ


class UnsupportedTransformError(CallerError):
    """A transform, or a combination of transforms, that gossipsa cannot compute with. Nothing changed."""


class CipherInputError(CallerError):
    """A key or IV whose length does not fit the transform. Nothing was encrypted."""


class _Mode(Enum):
    CBC = auto()
    CTR = auto()
    CCM = auto()
    GCM = auto()
    CHACHA20_POLY1305 = auto()


class _Encryption(msgspec.Struct, frozen=True, kw_only=True):
    mode: _Mode
    key_bits: tuple[int, ...]  # allowed lengths; the only one is implied where a peer announces none
    salt_bytes: int  # taken from the end of the key material
    iv_bytes: int  # the part of the nonce that travels
    block_bytes: int  # the plaintext must be a multiple of this
    icv_bytes: int  # 0: needs an integrity transform


class _Integrity(msgspec.Struct, frozen=True, kw_only=True):
    hash: hashes.HashAlgorithm
    key_bytes: int
    icv_bytes: int


_AES = (128, 192, 256)
_FULL_TAG_BYTES = 16


def _counter_mode(mode: _Mode, *, salt_bytes: int, icv_bytes: int) -> _Encryption:
    return _Encryption(
        mode=mode, key_bits=_AES, salt_bytes=salt_bytes, iv_bytes=8, block_bytes=1, icv_bytes=icv_bytes
    )


_ENCRYPTION: Mapping[int, _Encryption] = MappingProxyType(
    {
        Encr.AES_CBC: _Encryption(
            mode=_Mode.CBC, key_bits=_AES, salt_bytes=0, iv_bytes=16, block_bytes=16, icv_bytes=0
        ),
        Encr.AES_CTR: _counter_mode(_Mode.CTR, salt_bytes=4, icv_bytes=0),
        Encr.AES_CCM_8: _counter_mode(_Mode.CCM, salt_bytes=3, icv_bytes=8),
        Encr.AES_CCM_12: _counter_mode(_Mode.CCM, salt_bytes=3, icv_bytes=12),
        Encr.AES_CCM_16: _counter_mode(_Mode.CCM, salt_bytes=3, icv_bytes=16),
        Encr.AES_GCM_8: _counter_mode(_Mode.GCM, salt_bytes=4, icv_bytes=8),
        Encr.AES_GCM_12: _counter_mode(_Mode.GCM, salt_bytes=4, icv_bytes=12),
        Encr.AES_GCM_16: _counter_mode(_Mode.GCM, salt_bytes=4, icv_bytes=16),
        Encr.CHACHA20_POLY1305: _Encryption(
            mode=_Mode.CHACHA20_POLY1305,
            key_bits=(256,),
            salt_bytes=4,
            iv_bytes=8,
            block_bytes=1,
            icv_bytes=16,
        ),
    }
)

_INTEGRITY: Mapping[int, _Integrity] = MappingProxyType(
    {
        Integ.SHA1_96: _Integrity(hash=hashes.SHA1(), key_bytes=20, icv_bytes=12),
        Integ.SHA2_256_128: _Integrity(hash=hashes.SHA256(), key_bytes=32, icv_bytes=16),
        Integ.SHA2_384_192: _Integrity(hash=hashes.SHA384(), key_bytes=48, icv_bytes=24),
        Integ.SHA2_512_256: _Integrity(hash=hashes.SHA512(), key_bytes=64, icv_bytes=32),
    }
)


class CipherSuite(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and operations of one pair of transforms; get it from `cipher_suite`. Holds no keys."""

    encryption: int
    """IANA number of the encryption transform."""
    integrity: int | None
    """IANA number of the integrity transform; None with an AEAD cipher."""
    encryption_key_bytes: int
    """Key material for the cipher, salt included."""
    integrity_key_bytes: int
    """Key material for the HMAC; 0 with an AEAD cipher."""
    iv_bytes: int
    """Length of the IV that travels."""
    block_bytes: int
    """The plaintext must be a multiple of this many bytes."""
    icv_bytes: int
    """Length of the integrity check value at the end."""

    @property
    def overhead_bytes(self) -> int:
        """What `seal` adds to the plaintext."""
        return self.iv_bytes + self.icv_bytes

    def seal(
        self,
        *,
        encryption_key: bytes,
        integrity_key: bytes,
        iv: bytes,
        plaintext: bytes,
        header: bytes,
        implicit_trailer: bytes = b"",
    ) -> bytes:
        """Return ``IV | ciphertext | ICV``.

        Args:
            encryption_key: `encryption_key_bytes` long, salt at the end.
            integrity_key: `integrity_key_bytes` long.
            iv: `iv_bytes` long; never used twice under one key with a counter mode.
            plaintext: already padded to `block_bytes`.
            header: authenticated, stands before the IV on the wire (AEAD: the associated data).
            implicit_trailer: with HMAC, authenticated after the ciphertext but not sent: the high half of an
                extended sequence number (RFC 4303 section 2.2.1). An AEAD cipher has it in `header`.

        Raises:
            CipherInputError: a length does not fit.
        """
        self._check_keys(encryption_key, integrity_key)
        if len(iv) != self.iv_bytes:
            raise CipherInputError(
                f"IV of {len(iv)} bytes, transform {self.encryption} takes {self.iv_bytes}"
            )
        if len(plaintext) % self.block_bytes:
            raise CipherInputError(f"plaintext is not a multiple of {self.block_bytes} bytes")
        if self.integrity is None:
            self._refuse_trailer(implicit_trailer)
            return iv + self._aead_encrypt(encryption_key, iv, plaintext, header)
        encryptor = self._cipher(encryption_key, iv).encryptor()
        covered = iv + encryptor.update(plaintext) + encryptor.finalize()
        return covered + self._icv(integrity_key, header + covered + implicit_trailer)

    def open(
        self,
        *,
        encryption_key: bytes,
        integrity_key: bytes,
        sealed: bytes,
        header: bytes,
        implicit_trailer: bytes = b"",
    ) -> bytes | None:
        """Return the plaintext of ``IV | ciphertext | ICV``, or None if it is forged, damaged or too short.

        Args: as for `seal`.

        Raises:
            CipherInputError: a key has the wrong length.
        """
        self._check_keys(encryption_key, integrity_key)
        ciphertext_bytes = len(sealed) - self.overhead_bytes
        if ciphertext_bytes < 0 or ciphertext_bytes % self.block_bytes:
            return None
        iv = sealed[: self.iv_bytes]
        if self.integrity is None:
            self._refuse_trailer(implicit_trailer)
            return self._aead_decrypt(encryption_key, iv, sealed[self.iv_bytes :], header)
        covered, icv = sealed[: -self.icv_bytes], sealed[-self.icv_bytes :]
        expected = self._icv(integrity_key, header + covered + implicit_trailer)
        if not constant_time.bytes_eq(expected, icv):
            return None
        decryptor = self._cipher(encryption_key, iv).decryptor()
        return decryptor.update(covered[self.iv_bytes :]) + decryptor.finalize()

    def _check_keys(self, encryption_key: bytes, integrity_key: bytes) -> None:
        if len(encryption_key) != self.encryption_key_bytes or len(integrity_key) != self.integrity_key_bytes:
            raise CipherInputError(
                f"keys of {len(encryption_key)} and {len(integrity_key)} bytes, transforms {self.encryption} "
                f"and {self.integrity} take {self.encryption_key_bytes} and {self.integrity_key_bytes}"
            )

    @staticmethod
    def _refuse_trailer(implicit_trailer: bytes) -> None:
        if implicit_trailer:
            raise CipherInputError("an AEAD cipher authenticates no implicit trailer")

    def _split_key(self, encryption_key: bytes) -> tuple[bytes, bytes]:
        key_bytes = self.encryption_key_bytes - _ENCRYPTION[self.encryption].salt_bytes
        return encryption_key[:key_bytes], encryption_key[key_bytes:]

    def _cipher(self, encryption_key: bytes, iv: bytes) -> Cipher[modes.CBC] | Cipher[modes.CTR]:
        key, salt = self._split_key(encryption_key)
        if _ENCRYPTION[self.encryption].mode is _Mode.CBC:
            return Cipher(algorithms.AES(key), modes.CBC(iv))
        # RFC 3686 section 4: the block counter starts at one.
        return Cipher(algorithms.AES(key), modes.CTR(salt + iv + b"\0\0\0\1"))

    def _icv(self, integrity_key: bytes, covered: bytes) -> bytes:
        assert self.integrity is not None
        mac = hmac.HMAC(integrity_key, _INTEGRITY[self.integrity].hash)
        mac.update(covered)
        return mac.finalize()[: self.icv_bytes]

    def _aead_encrypt(self, encryption_key: bytes, iv: bytes, plaintext: bytes, header: bytes) -> bytes:
        key, salt = self._split_key(encryption_key)
        match _ENCRYPTION[self.encryption].mode:
            case _Mode.GCM if self.icv_bytes == _FULL_TAG_BYTES:
                return AESGCM(key).encrypt(salt + iv, plaintext, header)
            case _Mode.GCM:
                # The one-shot class knows whole tags only.
                encryptor = Cipher(algorithms.AES(key), modes.GCM(salt + iv)).encryptor()
                encryptor.authenticate_additional_data(header)
                ciphertext = encryptor.update(plaintext) + encryptor.finalize()
                return ciphertext + encryptor.tag[: self.icv_bytes]
            case _Mode.CCM:
                return AESCCM(key, tag_length=self.icv_bytes).encrypt(salt + iv, plaintext, header)
            case _:
                return ChaCha20Poly1305(key).encrypt(salt + iv, plaintext, header)

    def _aead_decrypt(self, encryption_key: bytes, iv: bytes, sealed: bytes, header: bytes) -> bytes | None:
        key, salt = self._split_key(encryption_key)
        try:
            match _ENCRYPTION[self.encryption].mode:
                case _Mode.GCM if self.icv_bytes == _FULL_TAG_BYTES:
                    return AESGCM(key).decrypt(salt + iv, sealed, header)
                case _Mode.GCM:
                    mode = modes.GCM(salt + iv, sealed[-self.icv_bytes :], min_tag_length=self.icv_bytes)
                    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
                    decryptor.authenticate_additional_data(header)
                    return decryptor.update(sealed[: -self.icv_bytes]) + decryptor.finalize()
                case _Mode.CCM:
                    return AESCCM(key, tag_length=self.icv_bytes).decrypt(salt + iv, sealed, header)
                case _:
                    return ChaCha20Poly1305(key).decrypt(salt + iv, sealed, header)
        except InvalidTag:
            return None


@cache
def cipher_suite(*, encryption: int, encryption_key_bits: int | None, integrity: int | None) -> CipherSuite:
    """Look up a pair of transforms.

    Args:
        encryption: IANA number of the encryption transform.
        encryption_key_bits: key length without salt; None or 0 where the cipher has only one.
        integrity: IANA number of the integrity transform; None or 0 with an AEAD cipher.

    Raises:
        UnsupportedTransformError: unknown transform, impossible key length or impossible combination.
    """
    cipher = _ENCRYPTION.get(encryption)
    if cipher is None:
        raise UnsupportedTransformError(f"encryption transform {_name(Encr, encryption)} is not supported")
    key_bits = encryption_key_bits or (cipher.key_bits[0] if len(cipher.key_bits) == 1 else 0)
    if key_bits not in cipher.key_bits:
        raise UnsupportedTransformError(
            f"encryption transform {_name(Encr, encryption)} has no key of {key_bits} bits"
        )
    key_bytes = key_bits // 8 + cipher.salt_bytes
    if cipher.icv_bytes:
        if integrity:
            raise UnsupportedTransformError(
                f"encryption transform {_name(Encr, encryption)} brings its own integrity protection, "
                f"{_name(Integ, integrity)} cannot go with it"
            )
        return CipherSuite(
            encryption=encryption,
            integrity=None,
            encryption_key_bytes=key_bytes,
            integrity_key_bytes=0,
            iv_bytes=cipher.iv_bytes,
            block_bytes=cipher.block_bytes,
            icv_bytes=cipher.icv_bytes,
        )
    mac = _INTEGRITY.get(integrity or Integ.NONE)
    if mac is None:
        raise UnsupportedTransformError(
            f"integrity transform {_name(Integ, integrity or Integ.NONE)} is not supported "
            f"with {_name(Encr, encryption)}"
        )
    return CipherSuite(
        encryption=encryption,
        integrity=integrity,
        encryption_key_bytes=key_bytes,
        integrity_key_bytes=mac.key_bytes,
        iv_bytes=cipher.iv_bytes,
        block_bytes=cipher.block_bytes,
        icv_bytes=mac.icv_bytes,
    )


def cipher_suite_for_key(*, encryption: int, encryption_key_bytes: int, integrity: int | None) -> CipherSuite:
    """Look up a pair of transforms by the length of the cipher key, salt included.

    Raises:
        UnsupportedTransformError: as `cipher_suite`.
    """
    cipher = _ENCRYPTION.get(encryption)
    salt_bytes = cipher.salt_bytes if cipher else 0
    # A key of no length must not pass for a key length left out.
    key_bits = 8 * (encryption_key_bytes - salt_bytes) or -1
    return cipher_suite(encryption=encryption, encryption_key_bits=key_bits, integrity=integrity)


def _name(registry: type[Encr] | type[Integ], number: int) -> str:
    try:
        return f"{registry(number).name} ({number})"
    except ValueError:
        return str(number)
