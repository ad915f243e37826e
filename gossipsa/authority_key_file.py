"""The file of an authority's private key: sealed under a passphrase (Argon2id, XSalsa20-Poly1305)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from gossipsa.errors import ConfigurationError, PeerError
from gossipsa.key_files import read_private_file, write_private_file
from gossipsa.wire.codec import Decoder, Value, encode
from gossipsa.wire.signing import SIGNING_KEY_BYTES, SigningKey
from gossipsa.wire.text_form import TextKind, from_text, to_text

_OPERATIONS_MAX = 16
_MEMORY_BYTES_MAX = 1 << 30
"""A file from somewhere else must not eat up the operator's machine."""


class _SealedKey(Value, frozen=True):
    salt: Annotated[bytes, Meta(max_length=pwhash.argon2id.SALTBYTES)]
    """Empty: the key is not sealed."""
    operations: Annotated[int, Meta(ge=0, le=_OPERATIONS_MAX)]
    memory_bytes: Annotated[int, Meta(ge=0, le=_MEMORY_BYTES_MAX)]
    key: Annotated[bytes, Meta(min_length=SIGNING_KEY_BYTES, max_length=256)]


_DECODER: Decoder[_SealedKey] = Decoder(_SealedKey)


def write_authority_key(file: Path, seed: bytes, *, passphrase: bytes | None, salt: bytes) -> None:
    """Makes the file of an authority key.

    Args:
        seed: 32 fresh random bytes.
        passphrase: None leaves the key unsealed.
        salt: 16 fresh random bytes.

    Raises:
        ConfigurationError: it is there already, or cannot be written.
    """
    if passphrase is None:
        sealed = _SealedKey(salt=b"", operations=0, memory_bytes=0, key=seed)
    else:
        operations, memory_bytes = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
        box = _box(passphrase, salt, operations, memory_bytes)
        sealed = _SealedKey(
            salt=salt, operations=operations, memory_bytes=memory_bytes, key=bytes(box.encrypt(seed))
        )
    write_private_file(file, to_text(TextKind.AUTHORITY_KEY, encode(sealed)))


def is_sealed(file: Path) -> bool:
    """True if the key needs a passphrase. Raises ConfigurationError."""
    return bool(_read(file).salt)


def read_authority_key(file: Path, *, passphrase: bytes | None) -> SigningKey:
    """Reads the file of an authority key.

    Raises:
        ConfigurationError: missing, readable by others, no such key, or another passphrase.
    """
    sealed = _read(file)
    if not sealed.salt:
        seed = sealed.key
    elif passphrase is None:
        raise ConfigurationError(f"{file}: needs its passphrase")
    else:
        box = _box(passphrase, sealed.salt, sealed.operations, sealed.memory_bytes)
        try:
            seed = box.decrypt(sealed.key)
        except CryptoError:
            raise ConfigurationError(f"{file}: the passphrase does not open it") from None
    if len(seed) != SIGNING_KEY_BYTES:
        raise ConfigurationError(f"{file}: is no authority key")
    return SigningKey.from_seed(seed)


def _read(file: Path) -> _SealedKey:
    try:
        return _DECODER.decode(from_text(TextKind.AUTHORITY_KEY, read_private_file(file)))
    except PeerError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def _box(passphrase: bytes, salt: bytes, operations: int, memory_bytes: int) -> SecretBox:
    try:
        key = pwhash.argon2id.kdf(
            SecretBox.KEY_SIZE, passphrase, salt, opslimit=operations, memlimit=memory_bytes
        )
    except (CryptoError, ValueError, TypeError, RuntimeError):
        raise ConfigurationError("the key cannot be derived from the passphrase") from None
    return SecretBox(key)
