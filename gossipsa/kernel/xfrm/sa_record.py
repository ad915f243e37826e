"""An SA as a dump shows it, without its keys.

Two decoders of the same message: `decode_kernel_sa` reads what is wanted of every SA every second, fast;
`decode_sa_record` reads all that is needed to change the SA by UPDSA and NEWAE.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from gossipsa.identifiers import IpAddress
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.kernel.backend import KernelSa, SaId
from gossipsa.kernel.xfrm.netlink import NetlinkFormatError, split_attributes
from gossipsa.kernel.xfrm.uapi import (
    ALGORITHM_NAME_BYTES,
    IPPROTO_ESP,
    STATE_ESN,
    Attribute,
    Encapsulation,
    EncapsulationField,
    Mark,
    MarkField,
    Mode,
    ReplayState,
    ReplayStateEsn,
    ReplayStateEsnField,
    ReplayStateField,
    UserSaInfo,
    UserSaInfoField,
    unpack_address,
)

Buffer = bytes | bytearray | memoryview

_MODES = {Mode.TRANSPORT: IpsecMode.TRANSPORT, Mode.TUNNEL: IpsecMode.TUNNEL, Mode.BEET: IpsecMode.BEET}
_INFO_BYTES = UserSaInfoField.layout.size
_ALGORITHM = struct.Struct(f"={ALGORITHM_NAME_BYTES}sI")
_AUTHENTICATOR = struct.Struct(f"={ALGORITHM_NAME_BYTES}sII")

# usersa_info at the offsets of its layout: destination, SPI, protocol, source, hard packet limit, packets,
# reqid, family, mode, flags; all else is skipped.
_MINIMAL = struct.Struct("=56x16s4sB3x16s24xQ40xQ32xIHBxB7x")
assert _MINIMAL.size == 224
_ATTRIBUTE = struct.Struct("=HH")
_ALGORITHMS = frozenset(
    int(kind) for kind in (Attribute.ALG_AEAD, Attribute.ALG_AUTH_TRUNC, Attribute.ALG_CRYPT)
)
_REPLAY_ESN = int(Attribute.REPLAY_ESN_VAL)
_REPLAY = int(Attribute.REPLAY_VAL)
_LEGACY_WINDOW_PACKETS = 32

_address = lru_cache(maxsize=1 << 16)(unpack_address)


class AlgorithmShape(NamedTuple):
    """What a dump says of an algorithm, but for the key."""

    attribute: Attribute
    name: bytes
    key_bytes: int
    icv_bits: int


class SaRecord(NamedTuple):
    """All of an SA that a change of it must repeat."""

    info: UserSaInfo
    replay: ReplayState | ReplayStateEsn
    algorithms: tuple[AlgorithmShape, ...]
    encapsulation: Encapsulation | None
    mark: Mark | None
    direction: int | None
    """XFRMA_SA_DIR: kernels from 6.10 on."""

    @property
    def id(self) -> SaId:
        return SaId(int.from_bytes(self.info.spi, "big"), _address(self.info.destination, self.info.family))

    @property
    def sent(self) -> int:
        return self.replay.sent if isinstance(self.replay, ReplayState) else sent_of(self.replay)


def sent_of(replay: ReplayStateEsn) -> int:
    """oseq, 64 bits."""
    return replay.sent_high << 32 | replay.sent_low


def ring_of_legacy_bitmap(bitmap: int, received: int) -> int:
    """Turn xfrm_replay_state's bitmap (bit i is `received` - i) into the ring of xfrm_replay_state_esn."""
    turned = int(f"{bitmap:032b}"[::-1], 2)
    shift = received % _LEGACY_WINDOW_PACKETS
    return (turned << shift | turned >> (_LEGACY_WINDOW_PACKETS - shift)) & 0xFFFFFFFF


def decode_kernel_sa(buffer: Buffer, start: int, end: int) -> KernelSa | None:
    """Decode a NEWSA message of a dump. None if it is not an ESP SA, or larval: waiting for its key.

    Args:
        start, end: offsets of the message's payload.

    Raises:
        NetlinkFormatError: truncated or malformed.
    """
    try:
        (
            destination,
            spi,
            protocol,
            source,
            packet_limit,
            packets,
            reqid,
            family,
            kernel_mode,
            flags,
        ) = _MINIMAL.unpack_from(buffer[start : start + _INFO_BYTES])
        mode = _MODES.get(kernel_mode)
        if protocol != IPPROTO_ESP or mode is None:
            return None
        sent = received = 0
        words: tuple[int, ...] = ()
        is_larval = True
        offset = start + _INFO_BYTES
        while offset < end:
            length, kind = _ATTRIBUTE.unpack_from(buffer, offset)
            if not 4 <= length <= end - offset:
                raise NetlinkFormatError("netlink attribute has a wrong length")
            if kind in _ALGORITHMS:
                is_larval = False
            elif kind == _REPLAY_ESN:
                replay = _decode_replay_esn(buffer, offset + 4, offset + length)
                words = replay.words
                sent = replay.sent_high << 32 | replay.sent_low
                received = replay.received_high << 32 | replay.received_low
                break
            elif kind == _REPLAY:
                sent, received, bitmap = ReplayStateField.layout.unpack_from(buffer, offset + 4)
                words = (ring_of_legacy_bitmap(bitmap, received),)
                # A larger window would follow in REPLAY_ESN_VAL.
                break
            offset += (length + 3) & ~3
        if is_larval:
            return None
        return KernelSa(
            id=SaId(int.from_bytes(spi, "big"), _address(destination, family)),
            source=_address(source, family),
            mode=mode,
            esn=bool(flags & STATE_ESN),
            reqid=reqid,
            sent=sent,
            received=received,
            window_bitmap=words,
            packets=packets,
            packet_limit=packet_limit,
        )
    except struct.error as error:
        raise NetlinkFormatError("SA of a dump is truncated") from error


def decode_sa_record(buffer: Buffer, start: int, end: int) -> SaRecord | None:
    """Decode a NEWSA message of a dump, all but the keys. None if it is not an ESP SA, or larval.

    Raises:
        NetlinkFormatError: truncated or malformed.
    """
    info = decode_usersa_info(buffer, start, end)
    if info.protocol != IPPROTO_ESP:
        return None
    replay: ReplayState | ReplayStateEsn = ReplayState()
    algorithms: list[AlgorithmShape] = []
    encapsulation = mark = direction = None
    try:
        for kind, value, value_end in split_attributes(buffer, start + _INFO_BYTES, end):
            match kind:
                case Attribute.REPLAY_ESN_VAL:
                    replay = _decode_replay_esn(buffer, value, value_end)
                case Attribute.REPLAY_VAL:
                    replay = ReplayState(*ReplayStateField.layout.unpack_from(buffer, value))
                case Attribute.ALG_AEAD | Attribute.ALG_AUTH_TRUNC:
                    name, key_bits, icv_bits = _AUTHENTICATOR.unpack_from(buffer, value)
                    algorithms.append(_shape(kind, name, key_bits, icv_bits))
                case Attribute.ALG_CRYPT:
                    name, key_bits = _ALGORITHM.unpack_from(buffer, value)
                    algorithms.append(_shape(kind, name, key_bits, 0))
                case Attribute.ENCAP:
                    encapsulation = Encapsulation(*EncapsulationField.layout.unpack_from(buffer, value))
                case Attribute.MARK:
                    mark = Mark(*MarkField.layout.unpack_from(buffer, value))
                case Attribute.SA_DIR:
                    (direction,) = struct.unpack_from("=B", buffer, value)
    except struct.error as error:
        raise NetlinkFormatError("attribute of an SA is truncated") from error
    if not algorithms:
        return None
    return SaRecord(info, replay, tuple(algorithms), encapsulation, mark, direction)


def decode_usersa_info(buffer: Buffer, start: int, end: int) -> UserSaInfo:
    """Decode the structure that NEWSA and EXPIRE messages begin with.

    Raises:
        NetlinkFormatError: truncated.
    """
    if end - start < _INFO_BYTES:
        raise NetlinkFormatError("SA of a dump is truncated")
    return UserSaInfo(*UserSaInfoField.layout.unpack_from(buffer, start))


def _decode_replay_esn(buffer: Buffer, start: int, end: int) -> ReplayStateEsn:
    fixed = ReplayStateEsnField.layout.size
    if end - start < fixed:
        raise NetlinkFormatError("replay state is truncated")
    count, *numbers = ReplayStateEsnField.layout.unpack_from(buffer, start)
    if count > (end - start - fixed) // 4:
        raise NetlinkFormatError("replay bitmap is truncated")
    words = struct.unpack_from(f"={count}I", buffer, start + fixed)
    return ReplayStateEsn(words, *numbers)


def _shape(kind: int, name: bytes, key_bits: int, icv_bits: int) -> AlgorithmShape:
    return AlgorithmShape(Attribute(kind), name.rstrip(b"\0"), (key_bits + 7) // 8, icv_bits)


def address_of(packed: bytes, family: int) -> IpAddress:
    """Read an xfrm_address_t; the same objects again for the same addresses."""
    return _address(packed, family)
