"""Messages that change SAs."""

from __future__ import annotations

import os
from typing import Any

from gossipsa.ipsec.replay_window import ReplayWindow
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.kernel.backend import NewSa, SaId, SetNumbers, SetPacketLimit
from gossipsa.kernel.number_setting import check_numbers, merge_window
from gossipsa.kernel.xfrm.algorithms import algorithm_attributes
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NLM_F_REPLACE
from gossipsa.kernel.xfrm.sa_record import SaRecord, ring_of_legacy_bitmap
from gossipsa.kernel.xfrm.uapi import (
    STATE_AF_UNSPEC,
    STATE_ESN,
    AeventId,
    Algorithm,
    Attribute,
    Encapsulation,
    LifetimeCurrent,
    Mark,
    MessageType,
    Mode,
    ReplayState,
    ReplayStateEsn,
    UserSaId,
    UserSaInfo,
    family_of,
    pack_address,
)

_LEGACY_WINDOW_PACKETS = 32
_U32 = 0xFFFFFFFF
_MODES = {IpsecMode.TRANSPORT: Mode.TRANSPORT, IpsecMode.TUNNEL: Mode.TUNNEL, IpsecMode.BEET: Mode.BEET}
_ATTRIBUTE_NAMES = {
    Attribute.ALG_AEAD: "XFRMA_ALG_AEAD",
    Attribute.ALG_AUTH_TRUNC: "XFRMA_ALG_AUTH_TRUNC",
    Attribute.ALG_CRYPT: "XFRMA_ALG_CRYPT",
}


def sa_identity(sa_id: SaId) -> UserSaId:
    """xfrm_usersa_id."""
    return UserSaId(
        destination=pack_address(sa_id.destination),
        spi=sa_id.spi.to_bytes(4, "big"),
        family=family_of(sa_id.destination),
    )


def encode_numbers(change: SetNumbers, record: SaRecord) -> bytearray:
    """NEWAE: replay state, and the packet counter along with `sent`.

    Raises:
        KernelError: see `check_numbers`.
    """
    info = record.info
    check_numbers(change, kernel_sent=record.sent, esn=bool(info.flags & STATE_ESN))
    attributes: list[tuple[str, Any]] = []
    if isinstance(record.replay, ReplayStateEsn):
        attributes.append(("XFRMA_REPLAY_ESN_VAL", _replay_esn_after(change, record.replay, info.flags)))
    else:
        attributes.append(("XFRMA_REPLAY_VAL", _replay_after(change, record.replay)))
    if change.sent is not None:
        # The kernel takes all four fields over; a wrong add time would make the SA expire.
        current = LifetimeCurrent(info.current_bytes, change.sent, info.add_time_s, info.use_time_s)
        attributes.append(("XFRMA_LTIME_VAL", current))
    attributes.extend(_lookup_attributes(record))
    body = AeventId(
        destination=info.destination,
        spi=info.spi,
        family=info.family,
        source=info.source,
        reqid=info.reqid,
    )
    return encode(MessageType.NEWAE, body, attributes, flags=NLM_F_REPLACE)


def _replay_esn_after(change: SetNumbers, replay: ReplayStateEsn, flags: int) -> ReplayStateEsn:
    received = replay.received_high << 32 | replay.received_low
    words = replay.words
    if change.received is not None:
        received, words = ring_after(
            words,
            received,
            change,
            window_packets=replay.window_packets,
            esn=bool(flags & STATE_ESN),
        )
    sent = replay.sent_high << 32 | replay.sent_low if change.sent is None else change.sent
    return ReplayStateEsn(
        words=words,
        sent_low=sent & _U32,
        received_low=received & _U32,
        sent_high=sent >> 32,
        received_high=received >> 32,
        window_packets=replay.window_packets,
    )


def _replay_after(change: SetNumbers, replay: ReplayState) -> ReplayState:
    received, bitmap = replay.received, replay.bitmap
    if change.received is not None:
        ring = ring_of_legacy_bitmap(bitmap, received)
        received, (ring,) = ring_after(
            (ring,), received, change, window_packets=_LEGACY_WINDOW_PACKETS, esn=False
        )
        window = ReplayWindow.from_ring(
            (ring,), top_sequence=received, window_packets=_LEGACY_WINDOW_PACKETS, extended=False
        )
        bitmap = window.bitmap
    return ReplayState(replay.sent if change.sent is None else change.sent, received, bitmap)


def ring_after(
    words: tuple[int, ...], received: int, change: SetNumbers, *, window_packets: int, esn: bool
) -> tuple[int, tuple[int, ...]]:
    """Return the highest number received and the bitmap after a change that sets `received`.

    Args:
        words, received: of the SA now.
        window_packets: 0 for an SA that checks nothing.
    """
    assert change.received is not None
    if window_packets == 0:
        return max(received, change.received), words
    used = -(-window_packets // 32)
    if received == 0 and change.window_bitmap is None and change.received >= window_packets:
        # The usual case, a fresh SA of a taker: everything up to `received` counts as seen.
        full = (1 << window_packets) - 1
        ring = tuple(full >> 32 * index & _U32 for index in range(used))
    else:
        current = ReplayWindow.from_ring(
            words[:used], top_sequence=received, window_packets=window_packets, extended=esn
        )
        merged = merge_window(current, change.received, change.window_bitmap)
        received, ring = merged.top_sequence, merged.to_ring()
    # The bitmap may be longer than the window needs; its length must stay.
    return max(received, change.received), ring + (0,) * (len(words) - used)


def encode_packet_limit(change: SetPacketLimit, record: SaRecord) -> bytearray:
    """UPDSA: of a live SA it changes lifetimes and nothing else, whatever the key.

    What it must repeat: algorithm and kind of encapsulation, whose ports it overwrites; what a lookup needs.
    """
    info = record.info._replace(soft_packets=change.soft, hard_packets=change.hard, acquire_sequence=0)
    attributes: list[tuple[str, Any]] = [
        (
            _ATTRIBUTE_NAMES[shape.attribute],
            Algorithm(shape.name, os.urandom(shape.key_bytes), shape.icv_bits),
        )
        for shape in record.algorithms
    ]
    if isinstance(record.replay, ReplayStateEsn):
        blank = ReplayStateEsn(
            words=(0,) * len(record.replay.words), window_packets=record.replay.window_packets
        )
        attributes.append(("XFRMA_REPLAY_ESN_VAL", blank))
    if record.encapsulation is not None:
        attributes.append(("XFRMA_ENCAP", record.encapsulation))
    attributes.extend(_lookup_attributes(record))
    return encode(MessageType.UPDSA, info, attributes)


def _lookup_attributes(record: SaRecord) -> list[tuple[str, Mark | int]]:
    attributes: list[tuple[str, Mark | int]] = []
    if record.mark is not None:
        attributes.append(("XFRMA_MARK", record.mark))
    if record.direction is not None:
        attributes.append(("XFRMA_SA_DIR", record.direction))
    return attributes


def encode_new_sa(sa: NewSa, *, window_packets: int, now_s: int) -> bytearray:
    """NEWSA.

    Args:
        now_s: seconds since the epoch, for the time of creation.

    Raises:
        KernelError: EOPNOTSUPP for a transform without a kernel algorithm.
    """
    flags = STATE_ESN if sa.esn else 0
    if sa.mode is IpsecMode.TUNNEL:
        flags |= STATE_AF_UNSPEC
    info = UserSaInfo(
        destination=pack_address(sa.id.destination),
        spi=sa.id.spi.to_bytes(4, "big"),
        source=pack_address(sa.source),
        hard_packets=sa.packet_limit,
        family=family_of(sa.id.destination),
        mode=_MODES[sa.mode],
        flags=flags,
    )
    attributes = algorithm_attributes(
        encryption=sa.encryption,
        encryption_key=sa.encryption_key,
        integrity=sa.integrity,
        integrity_key=sa.integrity_key,
    )
    fresh = ReplayStateEsn(words=(0,) * -(-window_packets // 32), window_packets=window_packets)
    numbers = SetNumbers(id=sa.id, sent=sa.sent, received=sa.received)
    check_numbers(numbers, kernel_sent=0, esn=sa.esn)
    attributes.append(("XFRMA_REPLAY_ESN_VAL", _replay_esn_after(numbers, fresh, flags)))
    attributes.append(("XFRMA_LTIME_VAL", LifetimeCurrent(0, sa.sent, now_s, 0)))
    if sa.encapsulation is not None:
        source_port, destination_port = sa.encapsulation
        attributes.append(
            (
                "XFRMA_ENCAP",
                Encapsulation(
                    source_port=source_port.to_bytes(2, "big"),
                    destination_port=destination_port.to_bytes(2, "big"),
                ),
            )
        )
    return encode(MessageType.NEWSA, info, attributes)
