"""XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) where the nonce is a counter: 16 zeros, then 8 bytes.

The first 16 bytes of the nonce and the key make a subkey (section 2.3: HChaCha20); the rest is
ChaCha20-Poly1305 (RFC 8439) under that, with four zeros before the 8 bytes. As those 16 bytes never change,
the subkey never changes either, and is computed once.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gossipsa.identifiers import Secret

COUNTER_BYTES = 8
_WORDS = struct.Struct("<16I")
_SUBKEY = struct.Struct("<8I")
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_MASK = 0xFFFFFFFF
_NONCE_PREFIX = bytes(4)


class CounterAead:
    """Seals and opens under one key. Whoever seals never gives a counter twice."""

    __slots__ = ("_cipher",)

    def __init__(self, key: Secret) -> None:
        self._cipher = ChaCha20Poly1305(_hchacha20_of_zeros(key))

    def seal(self, payload: bytes, header: bytes, counter: bytes) -> bytes:
        """Ciphertext and tag; `header` is authenticated too."""
        return self._cipher.encrypt(_NONCE_PREFIX + counter, payload, header)

    def open(self, sealed: bytes, header: bytes, counter: bytes) -> bytes | None:
        """The payload; None if it does not authenticate."""
        try:
            return self._cipher.decrypt(_NONCE_PREFIX + counter, sealed, header)
        except InvalidTag:
            return None


def _hchacha20_of_zeros(key: Secret) -> bytes:
    """HChaCha20 of 16 zeros: the first and last four words of the state after all rounds. A block of ChaCha20
    (RFC 8439 section 2.3) is that state plus the one before the rounds, whose last four are 0 here."""
    block = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(_WORDS.size))
    words = _WORDS.unpack(block)
    first = ((word - constant) & _MASK for word, constant in zip(words[:4], _CONSTANTS, strict=True))
    return _SUBKEY.pack(*first, *words[12:])
