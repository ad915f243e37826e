"""MessagePack encoding of everything that travels between gateways.

Values are msgspec structs, encoded as arrays; unknown fields, wrong types and wrong lengths are refused.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Generic, TypeVar

import msgspec

from gossipsa.errors import PeerError
from gossipsa.identifiers import IpAddress, Secret

T = TypeVar("T")

_ADDRESSES_MAX = 1_024

SECRET_BYTES_MAX = 2_048
"""Twice the longest shared secret there is, that of the 8192-bit MODP group."""


class Value(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Base of the values that travel: immutable, an array on the wire, strict about fields.

    They cannot be part of a cycle: the garbage collector need not look at them, and there are millions.
    """


class MessageDecodeError(PeerError):
    """Bytes that are no message of this version of gossipsa."""


def _encode_extension(value: object) -> object:
    if isinstance(value, IPv4Address | IPv6Address):
        return value.packed
    if isinstance(value, Secret):
        return bytes(value)
    raise NotImplementedError(type(value))


def _decode_extension(wanted: Any, value: Any) -> object:
    if wanted is Secret:
        if not isinstance(value, bytes) or len(value) > SECRET_BYTES_MAX:
            raise ValueError(f"key material is at most {SECRET_BYTES_MAX} bytes")
        return Secret(value)
    if wanted is IpAddress:
        if not isinstance(value, bytes) or len(value) not in (4, 16):
            raise ValueError("an address is 4 or 16 bytes")
        return _address(value)
    raise NotImplementedError(wanted)


@lru_cache(maxsize=_ADDRESSES_MAX)
def _address(packed: bytes) -> IPv4Address | IPv6Address:
    """The same few addresses come over and over again: ends of selectors, a gateway's own."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encode_extension)


def encode(value: object) -> bytes:
    """Encodes a struct, or a list of structs."""
    return _ENCODER.encode(value)


class Decoder(Generic[T]):
    """Decodes one type of value. Raises only MessageDecodeError."""

    def __init__(self, wanted: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(
            wanted, dec_hook=_decode_extension
        )

    def decode(self, data: bytes) -> T:
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            # The text of a validation error names fields and types, never values.
            raise MessageDecodeError(str(error)) from None
