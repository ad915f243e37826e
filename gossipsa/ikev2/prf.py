"""prf and prf+, the functions all IKEv2 keys come from (RFC 7296 section 2.13)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes, hmac

from gossipsa.ikev2.registry import PrfTransform, describe
from gossipsa.ipsec.cipher_suite import UnsupportedTransformError

_HASHES: Mapping[int, hashes.HashAlgorithm] = MappingProxyType(
    {
        PrfTransform.HMAC_SHA1: hashes.SHA1(),
        PrfTransform.HMAC_SHA2_256: hashes.SHA256(),
        PrfTransform.HMAC_SHA2_384: hashes.SHA384(),
        PrfTransform.HMAC_SHA2_512: hashes.SHA512(),
    }
)

_ROUNDS_MAX = 255  # RFC 7296 section 2.13: the round number is one byte.


def prf_key_bytes(transform: int) -> int:
    """Preferred key length of a PRF: that of SK_d, SK_pi and SK_pr.

    Raises:
        UnsupportedTransformError: unknown PRF.
    """
    return _hash(transform).digest_size


def prf(transform: int, key: bytes, data: bytes) -> bytes:
    """Return prf(key, data).

    Raises:
        UnsupportedTransformError: unknown PRF.
    """
    mac = hmac.HMAC(key, _hash(transform))
    mac.update(data)
    return mac.finalize()


def prf_plus(transform: int, key: bytes, seed: bytes, length_bytes: int) -> bytes:
    """Return the first `length_bytes` of prf+(key, seed).

    ``T1 = prf(K, S | 0x01)``, ``T2 = prf(K, T1 | S | 0x02)``, and so on; at most 255 rounds.

    Raises:
        UnsupportedTransformError: unknown PRF, or more bytes than 255 rounds give.
    """
    rounds = -(-length_bytes // prf_key_bytes(transform))
    if rounds > _ROUNDS_MAX:
        raise UnsupportedTransformError(f"prf+ gives no {length_bytes} bytes")
    output = block = b""
    for number in range(1, rounds + 1):
        block = prf(transform, key, block + seed + bytes((number,)))
        output += block
    return output[:length_bytes]


def _hash(transform: int) -> hashes.HashAlgorithm:
    algorithm = _HASHES.get(transform)
    if algorithm is None:
        raise UnsupportedTransformError(f"PRF {describe(PrfTransform, transform)} is not supported")
    return algorithm
