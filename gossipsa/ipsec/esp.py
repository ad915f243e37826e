"""ESP packets (RFC 4303): seal and open, with 32-bit and extended sequence numbers.

    0                   1                   2                   3
    | SPI                                                         |
    | sequence number, low 32 bits                                |
    | IV | payload | padding | pad length | next header |   ICV   |

The high half of an extended sequence number is authenticated but not sent: after the ciphertext with an HMAC
(RFC 4303 section 2.2.1), between SPI and low half in the associated data with AEAD (RFC 4106 section 5).
The functions take packets from the SPI on: no IP header, no UDP header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import msgspec

from gossipsa.errors import CallerError, PeerError
from gossipsa.identifiers import Secret
from gossipsa.ipsec.cipher_suite import CipherSuite, cipher_suite_for_key

_HEADER = struct.Struct("!II")
_EXTENDED = struct.Struct("!III")
_U32_MAX = 0xFFFFFFFF
_ALIGNMENT_BYTES = 4  # RFC 4303 section 2.4


class EspPacketError(PeerError):
    """An ESP packet that is too short, does not authenticate or is wrongly padded. It must be dropped."""


class EspFieldError(CallerError):
    """An SPI, sequence number or next header that does not fit its field. Nothing was sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EspKeys:
    """Transforms and keys of one direction of a CHILD_SA."""

    encryption: int
    """IANA number of the encryption transform."""
    integrity: int | None
    """IANA number of the integrity transform; None with an AEAD cipher."""
    encryption_key: Secret = field(repr=False)
    """Cipher key, salt at its end: in the layout of the Linux kernel too."""
    integrity_key: Secret = field(repr=False, default=Secret())
    """HMAC key; empty with an AEAD cipher."""

    @property
    def suite(self) -> CipherSuite:
        """Sizes and operations of the transforms. Raises UnsupportedTransformError."""
        return cipher_suite_for_key(
            encryption=self.encryption,
            encryption_key_bytes=len(self.encryption_key),
            integrity=self.integrity,
        )


class EspHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody on the path can read."""

    spi: int
    """Security parameters index, in the byte order of the wire read as a big-endian number."""
    sequence_low: int
    """Low 32 bits of the sequence number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EspPacket:
    """A packet that authenticated and was decrypted."""

    spi: int
    sequence_low: int
    next_header: int
    """IP protocol number of the payload: 4 and 41 for tunnelled packets, 59 for a dummy packet."""
    payload: bytes = field(repr=False)


def seal_esp(
    *,
    spi: int,
    sequence_low: int,
    keys: EspKeys,
    payload: bytes,
    next_header: int,
    iv: bytes,
    sequence_high: int | None = None,
) -> bytes:
    """Build an ESP packet, from the SPI to the ICV.

    Args:
        spi: the receiver's inbound SPI.
        sequence_low: low 32 bits of the sequence number.
        keys: transforms and keys of this direction.
        payload: transport segment or whole inner IP packet.
        next_header: IP protocol number of the payload.
        iv: as long as the transform says (`keys.suite.iv_bytes`); never used twice with a counter mode.
        sequence_high: high 32 bits of an extended sequence number; None without ESN.

    Raises:
        EspFieldError: a number does not fit its field.
        CipherInputError: a key or the IV has the wrong length.
        UnsupportedTransformError: gossipsa cannot compute with these transforms.
    """
    if not (0 <= spi <= _U32_MAX and 0 <= sequence_low <= _U32_MAX and 0 <= next_header <= 0xFF):
        raise EspFieldError("SPI, sequence number or next header out of range")
    if sequence_high is not None and not 0 <= sequence_high <= _U32_MAX:
        raise EspFieldError("high half of the sequence number out of range")
    suite = keys.suite
    alignment = max(suite.block_bytes, _ALIGNMENT_BYTES)
    padding_bytes = -(len(payload) + 2) % alignment
    # RFC 4303 section 2.4: padding counts 1, 2, 3.
    trailer = bytes(range(1, padding_bytes + 1)) + bytes((padding_bytes, next_header))
    header, implicit_trailer = _authenticated(suite, spi, sequence_low, sequence_high)
    sealed = suite.seal(
        encryption_key=keys.encryption_key,
        integrity_key=keys.integrity_key,
        iv=iv,
        plaintext=payload + trailer,
        header=header,
        implicit_trailer=implicit_trailer,
    )
    return _HEADER.pack(spi, sequence_low) + sealed


def open_esp(packet: bytes, keys: EspKeys, *, sequence_high: int | None = None) -> EspPacket:
    """Authenticate and decrypt an ESP packet.

    Args:
        packet: from the SPI to the ICV.
        keys: transforms and keys of this direction.
        sequence_high: high half as inferred by `ReplayWindow.infer_sequence`; None without ESN.

    Raises:
        EspPacketError: too short, forged, damaged or wrongly padded.
        EspFieldError, CipherInputError, UnsupportedTransformError: as for `seal_esp`.
    """
    if sequence_high is not None and not 0 <= sequence_high <= _U32_MAX:
        raise EspFieldError("high half of the sequence number out of range")
    outer = peek_esp(packet)
    suite = keys.suite
    header, implicit_trailer = _authenticated(suite, outer.spi, outer.sequence_low, sequence_high)
    plaintext = suite.open(
        encryption_key=keys.encryption_key,
        integrity_key=keys.integrity_key,
        sealed=packet[_HEADER.size :],
        header=header,
        implicit_trailer=implicit_trailer,
    )
    if plaintext is None:
        raise EspPacketError("ESP packet does not authenticate")
    if len(plaintext) < 2 or len(plaintext) < plaintext[-2] + 2:
        raise EspPacketError("ESP padding is longer than the packet")
    return EspPacket(
        spi=outer.spi,
        sequence_low=outer.sequence_low,
        next_header=plaintext[-1],
        payload=plaintext[: len(plaintext) - 2 - plaintext[-2]],
    )


def peek_esp(packet: bytes) -> EspHeader:
    """Read SPI and sequence number without authenticating anything.

    Raises:
        EspPacketError: shorter than an ESP header.
    """
    if len(packet) < _HEADER.size:
        raise EspPacketError("ESP packet is shorter than its header")
    spi, sequence_low = _HEADER.unpack_from(packet)
    return EspHeader(spi=spi, sequence_low=sequence_low)


def _authenticated(
    suite: CipherSuite, spi: int, sequence_low: int, sequence_high: int | None
) -> tuple[bytes, bytes]:
    """Return what is authenticated before the IV and after the ciphertext."""
    if sequence_high is None:
        return _HEADER.pack(spi, sequence_low), b""
    if suite.integrity is None:
        return _EXTENDED.pack(spi, sequence_high, sequence_low), b""
    return _HEADER.pack(spi, sequence_low), sequence_high.to_bytes(4, "big")
