"""Numbers and structures of the kernel's XFRM interface: include/uapi/linux/xfrm.h.

A structure is a NamedTuple with the header's fields in order, and beside it a field class through which
pyroute2's messages pack it. Addresses are 16 bytes, IPv4 in the first four. SPIs and ports are bytes in
network order; all else is in the machine's order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6
from typing import Any, ClassVar, NamedTuple

from gossipsa.identifiers import IpAddress

IPPROTO_ESP = 50
UDP_ENCAP_ESPINUDP = 2  # include/uapi/linux/udp.h
XFRM_INF = 2**64 - 1
ALGORITHM_NAME_BYTES = 64


class MessageType(IntEnum):
    """XFRM_MSG_*."""

    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    NEWAE = 0x1E
    GETAE = 0x1F


class Attribute(IntEnum):
    """XFRMA_*: those that gossipsa reads or writes."""

    ALG_CRYPT = 2
    ENCAP = 4
    TMPL = 5
    LTIME_VAL = 9
    REPLAY_VAL = 10
    SRCADDR = 13
    ALG_AEAD = 18
    ALG_AUTH_TRUNC = 20
    MARK = 21
    REPLAY_ESN_VAL = 23
    IF_ID = 31
    SA_DIR = 33


class Group(IntEnum):
    """XFRMNLGRP_*: multicast groups."""

    EXPIRE = 2


class Direction(IntEnum):
    """XFRM_POLICY_*. Numbers from 3 up are socket policies in a dump."""

    IN = 0
    OUT = 1
    FORWARD = 2


class Action(IntEnum):
    """XFRM_POLICY_ALLOW and XFRM_POLICY_BLOCK."""

    ALLOW = 0
    BLOCK = 1


class Mode(IntEnum):
    """XFRM_MODE_*."""

    TRANSPORT = 0
    TUNNEL = 1
    BEET = 4


STATE_AF_UNSPEC = 32
"""XFRM_STATE_AF_UNSPEC: the SA carries both address families."""
STATE_ESN = 128
"""XFRM_STATE_ESN."""


class Selector(NamedTuple):
    """xfrm_selector."""

    destination: bytes = bytes(16)
    source: bytes = bytes(16)
    destination_port: bytes = b"\0\0"
    destination_port_mask: bytes = b"\0\0"
    source_port: bytes = b"\0\0"
    source_port_mask: bytes = b"\0\0"
    family: int = 0
    destination_prefix_bits: int = 0
    source_prefix_bits: int = 0
    protocol: int = 0
    interface_index: int = 0
    user: int = 0
    """Compared when policies are told apart, never when packets are matched."""


SELECTOR = struct.Struct("=16s16s2s2s2s2sHBBB3xiI")


class UserSaInfo(NamedTuple):
    """xfrm_usersa_info, its nested structures laid flat."""

    selector: bytes = bytes(SELECTOR.size)
    destination: bytes = bytes(16)
    spi: bytes = bytes(4)
    protocol: int = IPPROTO_ESP
    source: bytes = bytes(16)
    soft_bytes: int = XFRM_INF
    hard_bytes: int = XFRM_INF
    soft_packets: int = XFRM_INF
    hard_packets: int = XFRM_INF
    soft_add_s: int = 0
    hard_add_s: int = 0
    soft_use_s: int = 0
    hard_use_s: int = 0
    current_bytes: int = 0
    current_packets: int = 0
    add_time_s: int = 0
    use_time_s: int = 0
    replay_window_drops: int = 0
    replay_drops: int = 0
    integrity_failed: int = 0
    acquire_sequence: int = 0
    reqid: int = 0
    family: int = 0
    mode: int = 0
    replay_window: int = 0
    flags: int = 0


class UserSaId(NamedTuple):
    """xfrm_usersa_id."""

    destination: bytes = bytes(16)
    spi: bytes = bytes(4)
    family: int = 0
    protocol: int = IPPROTO_ESP


class AeventId(NamedTuple):
    """xfrm_aevent_id, its xfrm_usersa_id laid flat."""

    destination: bytes = bytes(16)
    spi: bytes = bytes(4)
    family: int = 0
    protocol: int = IPPROTO_ESP
    source: bytes = bytes(16)
    flags: int = 0
    reqid: int = 0


class UserPolicyInfo(NamedTuple):
    """xfrm_userpolicy_info, its lifetimes laid flat."""

    selector: bytes = bytes(SELECTOR.size)
    soft_bytes: int = XFRM_INF
    hard_bytes: int = XFRM_INF
    soft_packets: int = XFRM_INF
    hard_packets: int = XFRM_INF
    soft_add_s: int = 0
    hard_add_s: int = 0
    soft_use_s: int = 0
    hard_use_s: int = 0
    current_bytes: int = 0
    current_packets: int = 0
    add_time_s: int = 0
    use_time_s: int = 0
    priority: int = 0
    policy_index: int = 0
    direction: int = 0
    action: int = 0
    flags: int = 0
    share: int = 0


class UserPolicyId(NamedTuple):
    """xfrm_userpolicy_id."""

    selector: bytes = bytes(SELECTOR.size)
    policy_index: int = 0
    direction: int = 0


class UserTemplate(NamedTuple):
    """xfrm_user_tmpl, its xfrm_id laid flat."""

    destination: bytes = bytes(16)
    spi: bytes = bytes(4)
    protocol: int = IPPROTO_ESP
    family: int = 0
    source: bytes = bytes(16)
    reqid: int = 0
    mode: int = 0
    share: int = 0
    optional: int = 0
    encryption_mask: int = 0xFFFFFFFF
    integrity_mask: int = 0xFFFFFFFF
    compression_mask: int = 0xFFFFFFFF


class LifetimeCurrent(NamedTuple):
    """xfrm_lifetime_cur."""

    current_bytes: int = 0
    current_packets: int = 0
    add_time_s: int = 0
    use_time_s: int = 0


class ReplayState(NamedTuple):
    """xfrm_replay_state: 32-bit numbers, a window of up to 32 whose bit i stands for `received` - i."""

    sent: int = 0
    received: int = 0
    bitmap: int = 0


class ReplayStateEsn(NamedTuple):
    """xfrm_replay_state_esn: a window of any size, with ESN or without; see `ReplayWindow.from_ring`."""

    words: tuple[int, ...] = ()
    sent_low: int = 0
    received_low: int = 0
    sent_high: int = 0
    received_high: int = 0
    window_packets: int = 0


class Encapsulation(NamedTuple):
    """xfrm_encap_tmpl."""

    type: int = UDP_ENCAP_ESPINUDP
    source_port: bytes = bytes(2)
    destination_port: bytes = bytes(2)
    original_address: bytes = bytes(16)


class Mark(NamedTuple):
    """xfrm_mark."""

    value: int = 0
    mask: int = 0


class Algorithm(NamedTuple):
    """xfrm_algo, xfrm_algo_auth or xfrm_algo_aead: printed without its key."""

    name: bytes
    key: bytes
    icv_bits: int = 0

    def __repr__(self) -> str:
        return f"Algorithm({self.name!r}, <secret {len(self.key)} B>, icv_bits={self.icv_bits})"


class StructField:
    """A structure of fixed size, as pyroute2's messages ask for it."""

    layout: ClassVar[struct.Struct]
    value_type: ClassVar[Callable[..., Any]]

    @classmethod
    def encode_into(cls, data: bytearray, offset: int, value: tuple[Any, ...]) -> int:
        """Append `value` to `data`, whose length is `offset`. Returns the offset behind it."""
        data.extend(cls.layout.pack(*value))
        return offset + cls.layout.size

    @classmethod
    def decode_from(cls, data: bytes, offset: int) -> tuple[Any, int]:
        """Return the value at `offset`, and the offset behind it. Raises struct.error."""
        return cls.value_type(*cls.layout.unpack_from(data, offset)), offset + cls.layout.size


_LIFETIMES = "8Q4Q"


class UserSaInfoField(StructField):
    layout = struct.Struct(f"=56s16s4sB3x16s{_LIFETIMES}5IHBBB7x")
    value_type = UserSaInfo


class UserSaIdField(StructField):
    layout = struct.Struct("=16s4sHBx")
    value_type = UserSaId


class AeventIdField(StructField):
    layout = struct.Struct("=16s4sHBx16sII")
    value_type = AeventId


class UserPolicyInfoField(StructField):
    layout = struct.Struct(f"=56s{_LIFETIMES}IIBBBB4x")
    value_type = UserPolicyInfo


class UserPolicyIdField(StructField):
    layout = struct.Struct("=56sIB3x")
    value_type = UserPolicyId


class UserTemplateField(StructField):
    layout = struct.Struct("=16s4sB3xH2x16sIBBBxIII")
    value_type = UserTemplate


class LifetimeCurrentField(StructField):
    layout = struct.Struct("=4Q")
    value_type = LifetimeCurrent


class ReplayStateField(StructField):
    layout = struct.Struct("=3I")
    value_type = ReplayState


class EncapsulationField(StructField):
    layout = struct.Struct("=H2s2s2x16s")
    value_type = Encapsulation


class MarkField(StructField):
    layout = struct.Struct("=II")
    value_type = Mark


class ReplayStateEsnField(StructField):
    """The bitmap follows the structure."""

    layout = struct.Struct("=6I")

    @classmethod
    def encode_into(cls, data: bytearray, offset: int, value: tuple[Any, ...]) -> int:
        words, *numbers = value
        data.extend(cls.layout.pack(len(words), *numbers))
        data.extend(struct.pack(f"={len(words)}I", *words))
        return offset + cls.layout.size + 4 * len(words)

    @classmethod
    def decode_from(cls, data: bytes, offset: int) -> tuple[ReplayStateEsn, int]:
        count, *numbers = cls.layout.unpack_from(data, offset)
        offset += cls.layout.size
        words = struct.unpack_from(f"={count}I", data, offset)
        return ReplayStateEsn(words, *numbers), offset + 4 * count


class _AlgorithmField(StructField):
    """The key follows the structure, its length in bits."""

    @classmethod
    def encode_into(cls, data: bytearray, offset: int, value: tuple[Any, ...]) -> int:
        name, key, icv_bits = value
        # xfrm_algo is the one without a length of the ICV.
        sizes = (len(key) * 8, icv_bits) if cls.layout.size > ALGORITHM_NAME_BYTES + 4 else (len(key) * 8,)
        data.extend(cls.layout.pack(name, *sizes))
        data.extend(key)
        return offset + cls.layout.size + len(key)

    @classmethod
    def decode_from(cls, data: bytes, offset: int) -> tuple[Algorithm, int]:
        name, key_bits, *icv_bits = cls.layout.unpack_from(data, offset)
        offset += cls.layout.size
        end = offset + (key_bits + 7) // 8
        return Algorithm(name.rstrip(b"\0"), bytes(data[offset:end]), *icv_bits), end


class AlgorithmField(_AlgorithmField):
    layout = struct.Struct("=64sI")


class AuthenticatorField(_AlgorithmField):
    layout = struct.Struct("=64sII")


def family_of(address: IpAddress) -> int:
    """AF_INET or AF_INET6."""
    return AF_INET if address.version == 4 else AF_INET6


def pack_address(address: IpAddress) -> bytes:
    """xfrm_address_t."""
    return address.packed.ljust(16, b"\0")


def unpack_address(packed: bytes, family: int) -> IpAddress:
    """Read an xfrm_address_t; a family other than AF_INET counts as AF_INET6."""
    return IPv4Address(packed[:4]) if family == AF_INET else IPv6Address(packed)
